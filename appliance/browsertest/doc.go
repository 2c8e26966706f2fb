// Package browsertest drives a real browser in tests of web pages.
//
// A Window is a headless Chromium with cookies of its own:
//
//	w := browsertest.Open(t)
//	w.Visit("http://127.0.0.1:8080/")
//	w.Sees("Packet Capture")
//	w.Do(chromedp.Click(browsertest.XPath(`//button[text()=%q]`, "Start")))
//	title := browsertest.Ask(w, chromedp.Evaluate[string]("document.title"))
//
// Each step waits until the page allows it. A step that fails fails the test with the text of the
// page. On a machine without Chromium the test is skipped, as tooltest.Path decides.
package browsertest
