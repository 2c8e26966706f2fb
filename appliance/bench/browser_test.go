package bench_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/esasim/esasim/appliance/appliancetest"
	"github.com/esasim/esasim/appliance/browsertest"
)

// A window is a browser that shows the bench of a box.
type window struct {
	*browsertest.Window
	t    *testing.T
	base string // of the bench
}

// openWindow starts a browser and opens the bench of a box in it, by the address with the token.
func openWindow(t *testing.T, b *appliancetest.Box) *window {
	t.Helper()
	s := startBench(t, b.Box)
	w := &window{browsertest.Open(t), t, newClient(t, s).base}
	w.Do(chromedp.EmulateViewport(1440, 900))
	w.Visit(s.URL())
	return w
}

// open opens a page of the bench.
func (w *window) open(path string) {
	w.t.Helper()
	w.Visit(w.base + path)
}

// press clicks a button or a link.
func (w *window) press(text string) {
	w.t.Helper()
	w.Do(chromedp.Click(browsertest.XPath(`//main//*[(self::button or self::a or self::summary) and normalize-space(.)=%q]`, text)))
}

// picture takes screenshots of the page for people, in light and dark: into the directory that
// ESASIM_SCREENSHOTS names, if it is set. It fails if the page is wider than its window.
func (w *window) picture(name string) {
	w.t.Helper()
	for _, size := range []int64{1440, 420} {
		for _, scheme := range []string{"light", "dark"} {
			if size == 420 && scheme == "dark" {
				continue
			}
			w.Do(chromedp.EmulateViewport(size, 900), browsertest.PreferColors(scheme))
			if !w.FitsWidth() {
				w.t.Errorf("%s is wider than a window of %d pixels", name, size)
			}
			dir := os.Getenv("ESASIM_SCREENSHOTS")
			if dir == "" {
				continue
			}
			png := browsertest.Ask(w.Window, chromedp.FullScreenshot(100))
			file := filepath.Join(dir, fmt.Sprintf("bench-%s-%d-%s.png", name, size, scheme))
			if err := os.WriteFile(file, png, 0o644); err != nil {
				w.t.Fatal(err)
			}
		}
	}
	w.Do(chromedp.EmulateViewport(1440, 900), browsertest.PreferColors(""))
}

// TestBrowserShowsTheNetwork: the picture follows traffic and faults, and breaks a host.
func TestBrowserShowsTheNetwork(t *testing.T) {
	b := appliancetest.Start(t)
	w := openWindow(t, b)
	w.Sees("Choose a host")
	if at := browsertest.Ask(w.Window, chromedp.Evaluate[string]("location.search")); at != "" {
		t.Errorf("the address still has %s", at)
	}
	// The counts arrive while the page is open.
	counts := `//*[@data-counts="host/resolver"][text()!=""]`
	w.Do(chromedp.WaitReady(browsertest.XPath(`//*[@data-counts="interface/Data 1"]`)))
	w.Do(chromedp.WaitReady(browsertest.XPath(`/html[@data-live="1"]`)))
	b.Exec("nslookup google.com")
	w.Do(chromedp.WaitReady(browsertest.XPath("%s", counts)))
	w.picture("network")

	// With the keyboard: the link of the host, then the form.
	w.Do(chromedp.Focus(browsertest.XPath(`//*[name()="a"][@href="/?at=host%%2fresolver#panel" or @href="/?at=host/resolver#panel"]`)))
	w.Do(chromedp.KeyEvent("\r"))
	w.Sees("Break resolver")
	w.Do(chromedp.SetValue(chromedp.CSS("#action"), "delay"),
		chromedp.SendKeys(chromedp.CSS("#amount"), "20ms"))
	w.press("Break resolver")
	w.Sees("delay 20ms cable resolver")
	b.Exec("nslookup mx1.example.net") // which is not in the cache yet
	w.Do(chromedp.WaitReady(browsertest.XPath(`//*[name()="a"][contains(@aria-label, "Host resolver") and
		contains(@aria-label, "fault: delay ")]`)))
	w.picture("network-broken")
	w.press("Repair resolver")
	w.Sees("None.")
	w.open("/?at=path%2Fgoogle")
	w.Sees("Break google")
}

// TestBrowserShowsPackets: rows arrive while the page is open, can be paused, and lead to a packet.
func TestBrowserShowsPackets(t *testing.T) {
	b := appliancetest.Start(t)
	w := openWindow(t, b)
	w.open("/?at=host%2Fmail")
	w.press("Record packets here")
	w.Sees("Packets at mail")
	sendMail(t, b, "Subject: hello\r\n\r\nhello\r\n")
	w.Do(chromedp.WaitReady(browsertest.XPath(`//tr[@data-row][contains(., "QUIT")]`)))
	w.picture("packets")
	w.press("Pause")
	w.Sees("Paused")
	w.press("Continue")
	w.Do(chromedp.Click(browsertest.XPath(`//tr[@data-row][1]/td[7]`)))
	w.Sees("Packet 1")
	w.press("Follow the stream")
	w.Sees("Subject: hello")
	w.picture("stream")

	// The other pages, for people who look at the screenshots.
	if _, err := b.Faults().SetPreset("dns-slow", true); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"faults", "servers", "mail/mail", "mail/mail/1", "events", "logs", "tables", "world", "packets"} {
		w.open("/" + name)
		w.Sees("")
		w.picture("page-" + strings.ReplaceAll(name, "/", "-"))
	}
}
