package browsertest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/esasim/esasim/appliance/tooltest"
)

// StepTimeout limits each step of a test. It only matters for tests that fail.
const StepTimeout = time.Minute

// A Window is a headless browser with cookies of its own, until the end of its test.
type Window struct {
	t   *testing.T
	ctx context.Context
}

// Open starts a browser with an empty page of 1280 by 900 pixels. It accepts any certificate.
func Open(t *testing.T) *Window {
	t.Helper()
	alloc, stop := chromedp.NewExecAllocator(t.Context(),
		append(chromedp.DefaultExecAllocatorOptions[:],
			chromedp.ExecPath(tooltest.Path(t, "chromium", "chromium-browser", "google-chrome")),
			chromedp.NoSandbox, // root runs tests in containers
			chromedp.IgnoreCertErrors,
			chromedp.WindowSize(1280, 900),
			chromedp.WSURLReadTimeout(StepTimeout),
		)...)
	ctx, end := chromedp.NewContext(alloc)
	t.Cleanup(func() {
		end()
		stop()
	})
	// The browser ends with the context of its first action.
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatal(err)
	}
	return &Window{t, ctx}
}

// Context returns the context for functions of chromedp. It has no limit of time.
func (w *Window) Context() context.Context { return w.ctx }

// An Action is a step without a result.
type Action = chromedp.Action[chromedp.Void]

// Do runs actions, one after the other.
func (w *Window) Do(actions ...Action) {
	w.t.Helper()
	for _, a := range actions {
		if _, err := step(w, a); err != nil {
			text, _ := step(w, chromedp.Evaluate[string]("document.body.innerText"))
			w.t.Fatalf("%v\nthe page reads:\n%s", err, text)
		}
	}
}

// Ask is Do for one action with a result.
func Ask[T any](w *Window, a chromedp.Action[T]) T {
	w.t.Helper()
	v, err := step(w, a)
	if err != nil {
		w.t.Fatal(err)
	}
	return v
}

// step runs an action, within StepTimeout.
func step[T any](w *Window, a chromedp.Action[T]) (T, error) {
	ctx, cancel := context.WithTimeout(w.ctx, StepTimeout)
	defer cancel()
	return chromedp.Run(ctx, a)
}

// Visit opens a page. If the present page was loading itself again at that moment, because the
// appliance has changed, the browser drops the other page, which is then opened again.
func (w *Window) Visit(url string) {
	w.t.Helper()
	for range 5 {
		_, err := step(w, chromedp.Navigate(url))
		if err == nil {
			return
		}
		if !strings.Contains(err.Error(), "net::ERR_ABORTED") {
			w.t.Fatal(err)
		}
	}
	w.t.Fatalf("%s was dropped five times", url)
}

// XPath finds an element by XPath.
func XPath(format string, a ...any) chromedp.Search {
	return chromedp.Search(fmt.Sprintf(format, a...))
}

// Sees waits for a text in an element of main that has no hidden parts.
func (w *Window) Sees(text string) {
	w.t.Helper()
	w.Do(chromedp.WaitVisible(XPath(`(//main//*[not(ancestor-or-self::*[@hidden]) and
		not(.//*[@hidden])][contains(normalize-space(.), %q)])[1]`, text)))
}

// FitsWidth reports whether the page is no wider than the window.
func (w *Window) FitsWidth() bool {
	w.t.Helper()
	return !Ask(w, chromedp.Evaluate[bool](
		"document.documentElement.scrollWidth > document.documentElement.clientWidth"))
}

// PreferColors sets the color scheme that the user prefers: "light", "dark" or "" for none.
func PreferColors(scheme string) Action {
	return chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	})
}
