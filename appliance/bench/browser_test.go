package bench_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/esasim/esasim/appliance/appliancetest"
	"github.com/esasim/esasim/appliance/tooltest"
)

// A window is a headless browser with cookies of its own.
type window struct {
	t    *testing.T
	ctx  context.Context
	base string // of the bench
}

// openWindow starts a browser and opens the bench of a box in it, by the address with the token.
func openWindow(t *testing.T, b *appliancetest.Box) *window {
	t.Helper()
	s := startBench(t, b.Box)
	alloc, stop := chromedp.NewExecAllocator(t.Context(),
		append(chromedp.DefaultExecAllocatorOptions[:],
			chromedp.ExecPath(tooltest.Path(t, "chromium", "chromium-browser", "google-chrome")),
			chromedp.NoSandbox, // root runs tests in containers
			chromedp.WindowSize(1440, 900),
			chromedp.WSURLReadTimeout(stepTimeout),
		)...)
	ctx, end := chromedp.NewContext(alloc)
	t.Cleanup(func() {
		end()
		stop()
	})
	w := &window{t, ctx, newClient(t, s).base}
	// The browser ends with the context of its first action.
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatal(err)
	}
	w.do(chromedp.Navigate(s.URL()))
	return w
}

// An action is a step without a result.
type action = chromedp.Action[chromedp.Void]

func (w *window) do(actions ...action) {
	w.t.Helper()
	for _, a := range actions {
		if _, err := step(w, a); err != nil {
			text, _ := step(w, chromedp.Evaluate[string]("document.body.innerText"))
			w.t.Fatalf("%v\nthe page reads:\n%s", err, text)
		}
	}
}

// step runs an action, within stepTimeout.
func step[T any](w *window, a chromedp.Action[T]) (T, error) {
	ctx, cancel := context.WithTimeout(w.ctx, stepTimeout)
	defer cancel()
	return chromedp.Run(ctx, a)
}

// ask is do for an action with a result.
func ask[T any](w *window, a chromedp.Action[T]) T {
	w.t.Helper()
	v, err := step(w, a)
	if err != nil {
		w.t.Fatal(err)
	}
	return v
}

// byXPath finds an element by XPath.
func byXPath(format string, a ...any) chromedp.Search {
	return chromedp.Search(fmt.Sprintf(format, a...))
}

// open opens a page of the bench. If the open page was loading itself again at that moment, the
// browser drops the other page, which is then opened again.
func (w *window) open(path string) {
	w.t.Helper()
	for range 5 {
		_, err := step(w, chromedp.Navigate(w.base+path))
		if err == nil {
			return
		}
		if !strings.Contains(err.Error(), "net::ERR_ABORTED") {
			w.t.Fatal(err)
		}
	}
	w.t.Fatalf("%s was dropped five times", path)
}

// sees waits for a text in the page.
func (w *window) sees(text string) {
	w.t.Helper()
	w.do(chromedp.WaitVisible(byXPath(`(//main//*[not(ancestor-or-self::*[@hidden]) and
		not(.//*[@hidden])][contains(normalize-space(.), %q)])[1]`, text)))
}

// press clicks a button or a link.
func (w *window) press(text string) {
	w.t.Helper()
	w.do(chromedp.Click(byXPath(`//main//*[(self::button or self::a or self::summary) and normalize-space(.)=%q]`, text)))
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
			w.do(chromedp.EmulateViewport(size, 900), preferColors(scheme))
			if ask(w, chromedp.Evaluate[bool]("document.documentElement.scrollWidth > "+
				"document.documentElement.clientWidth")) {
				w.t.Errorf("%s is wider than a window of %d pixels", name, size)
			}
			dir := os.Getenv("ESASIM_SCREENSHOTS")
			if dir == "" {
				continue
			}
			png := ask(w, chromedp.FullScreenshot(100))
			file := filepath.Join(dir, fmt.Sprintf("bench-%s-%d-%s.png", name, size, scheme))
			if err := os.WriteFile(file, png, 0o644); err != nil {
				w.t.Fatal(err)
			}
		}
	}
	w.do(chromedp.EmulateViewport(1440, 900), preferColors(""))
}

// preferColors sets the color scheme that the user prefers.
func preferColors(scheme string) action {
	return chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	})
}

// TestBrowserShowsTheNetwork: the picture follows traffic and faults, and breaks a host.
func TestBrowserShowsTheNetwork(t *testing.T) {
	b := appliancetest.Start(t)
	w := openWindow(t, b)
	w.sees("Choose a host")
	if at := ask(w, chromedp.Evaluate[string]("location.search")); at != "" {
		t.Errorf("the address still has %s", at)
	}
	// The counts arrive while the page is open.
	counts := `//*[@data-counts="host/resolver"][text()!=""]`
	w.do(chromedp.WaitReady(byXPath(`//*[@data-counts="interface/Data 1"]`)))
	w.do(chromedp.WaitReady(byXPath(`/html[@data-live="1"]`)))
	b.Exec("nslookup google.com")
	w.do(chromedp.WaitReady(byXPath("%s", counts)))
	w.picture("network")

	// With the keyboard: the link of the host, then the form.
	w.do(chromedp.Focus(byXPath(`//*[name()="a"][@href="/?at=host%%2fresolver#panel" or @href="/?at=host/resolver#panel"]`)))
	w.do(chromedp.KeyEvent("\r"))
	w.sees("Break resolver")
	w.do(chromedp.SetValue(chromedp.CSS("#action"), "delay"),
		chromedp.SendKeys(chromedp.CSS("#amount"), "20ms"))
	w.press("Break resolver")
	w.sees("delay 20ms cable resolver")
	b.Exec("nslookup mx1.example.net") // which is not in the cache yet
	w.do(chromedp.WaitReady(byXPath(`//*[name()="a"][contains(@aria-label, "Host resolver") and
		contains(@aria-label, "fault: delay ")]`)))
	w.picture("network-broken")
	w.press("Repair resolver")
	w.sees("None.")
	w.open("/?at=path%2Fgoogle")
	w.sees("Break google")
}

// TestBrowserShowsPackets: rows arrive while the page is open, can be paused, and lead to a packet.
func TestBrowserShowsPackets(t *testing.T) {
	b := appliancetest.Start(t)
	w := openWindow(t, b)
	w.open("/?at=host%2Fmail")
	w.press("Record packets here")
	w.sees("Packets at mail")
	sendMail(t, b, "Subject: hello\r\n\r\nhello\r\n")
	w.do(chromedp.WaitReady(byXPath(`//tr[@data-row][contains(., "QUIT")]`)))
	w.picture("packets")
	w.press("Pause")
	w.sees("Paused")
	w.press("Continue")
	w.do(chromedp.Click(byXPath(`//tr[@data-row][1]/td[7]`)))
	w.sees("Packet 1")
	w.press("Follow the stream")
	w.sees("Subject: hello")
	w.picture("stream")

	// The other pages, for people who look at the screenshots.
	if _, err := b.Faults().SetPreset("dns-slow", true); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"faults", "servers", "mail/mail", "mail/mail/1", "events", "logs", "tables", "world", "packets"} {
		w.open("/" + name)
		w.sees("")
		w.picture("page-" + strings.ReplaceAll(name, "/", "-"))
	}
}
