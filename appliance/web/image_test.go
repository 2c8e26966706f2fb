package web_test

import (
	"bytes"
	"flag"
	"image/png"
	"os"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/esasim/esasim/appliance/appliancetest"
	"github.com/esasim/esasim/appliance/browsertest"
	"github.com/esasim/esasim/appliance/clock"
)

var updateImage = flag.Bool("update-image", false,
	"write the image of the capture page that README.md shows")

// README.md shows the page Packet Capture. Browsers of different versions draw it
// differently, so the test takes the picture and compares its size only.
func TestReadmeShowsTheCapturePage(t *testing.T) {
	const file = "../../.github/images/packet-capture.png"
	fake := clock.NewFake(time.Date(2015, 6, 25, 8, 50, 3, 0, time.UTC))
	box := appliancetest.Start(t, appliancetest.Seed(1), appliancetest.Clock(fake))
	w := openWindow(t, box)
	w.login()
	w.choose("Help and Support", "Packet Capture")
	for range 2 {
		w.press("Start Capture", "Status: Capture in progress")
		box.Exec("nslookup google.com")
		fake.Advance(150 * time.Second)
		w.press("Stop Capture", "Success - Packet Capture has stopped.")
	}
	w.press("Start Capture", "Status: Capture in progress")
	var got []byte
	w.Do(chromedp.EmulateViewport(1100, 760), browsertest.PreferColors("light"))
	got = browsertest.Ask(w.Window, chromedp.CaptureScreenshot())
	if *updateImage {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	a, err := png.DecodeConfig(bytes.NewReader(got))
	if err != nil {
		t.Fatal(err)
	}
	b, err := png.DecodeConfig(bytes.NewReader(kept))
	if err != nil || a.Width != b.Width || a.Height != b.Height {
		t.Errorf("%s has %dx%d pixels (%v), the page %dx%d: -update-image rewrites it", file,
			b.Width, b.Height, err, a.Width, a.Height)
	}
}
