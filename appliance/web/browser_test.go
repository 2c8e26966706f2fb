package web_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/pkg/sftp"

	"github.com/esasim/esasim/appliance/appliancetest"
	"github.com/esasim/esasim/appliance/browsertest"
	"github.com/esasim/esasim/appliance/capture"
)

// A window is a browser that shows an appliance's page.
type window struct {
	*browsertest.Window
	t *testing.T
}

// openWindow starts a browser and opens an appliance's page in it.
func openWindow(t *testing.T, box *appliancetest.Box) *window {
	t.Helper()
	w := &window{browsertest.Open(t), t}
	w.Visit("https://" + box.DoorAddrs()["https"].String() + "/")
	return w
}

// login logs the factory account in.
func (w *window) login() {
	w.t.Helper()
	w.loginAs(appliancetest.User)
}

// loginAs logs an account in that has the factory passphrase.
func (w *window) loginAs(name string) {
	w.t.Helper()
	w.Do(
		chromedp.SendKeys(chromedp.CSS("#username"), name),
		chromedp.SendKeys(chromedp.CSS("#password"), appliancetest.Passphrase+"\r"),
		chromedp.WaitVisible(chromedp.CSS("nav.menus")),
	)
}

// choose clicks an item of a menu.
func (w *window) choose(menu, item string) {
	w.t.Helper()
	w.Do(chromedp.Click(browsertest.XPath(`//summary[text()=%q]`, menu)),
		chromedp.Click(browsertest.XPath(`//nav//a[text()=%q]`,
			item)), chromedp.WaitVisible(browsertest.XPath(`//h1[text()=%q]`, item)))
}

// press clicks a button or a link, and waits for a text on the next page.
func (w *window) press(button, then string) {
	w.t.Helper()
	w.Do(chromedp.Click(browsertest.XPath(`//main//*[(self::button or self::a) and normalize-space(.)=%q]`,
		button)))
	w.Sees(then)
}

// text returns the text of a part of the page.
func (w *window) text(selector string) string {
	w.t.Helper()
	return browsertest.Ask(w.Window, chromedp.Text(chromedp.CSS(selector)))
}

// sizes are the windows of which picture takes screenshots.
var sizes = map[string]struct {
	width, height int64
	touch         bool
}{"desktop": {1280, 900, false}, "phone": {390, 844, true}}

// picture takes screenshots of the page for people: into the directory that ESASIM_SCREENSHOTS
// names, or among the test's artifacts (go test -artifacts). It fails if the page is wider than a
// window.
func (w *window) picture(name string) {
	w.t.Helper()
	for size, s := range sizes {
		for _, scheme := range []string{"light", "dark"} {
			if scheme == "dark" && size == "phone" && !strings.HasPrefix(name, "07") {
				continue
			}
			options := []chromedp.EmulateViewportOption{}
			if s.touch {
				options = append(options, chromedp.EmulateMobile, chromedp.EmulateTouch)
			}
			w.Do(chromedp.EmulateViewport(s.width, s.height, options...), browsertest.PreferColors(scheme))
			png := browsertest.Ask(w.Window, chromedp.FullScreenshot(100))
			if !w.FitsWidth() {
				w.t.Errorf("%s is wider than a %s", name, size)
			}
			w.keep(fmt.Sprintf("%s-%s-%s", name, size, scheme), png)
		}
	}
	w.Do(chromedp.EmulateViewport(1280, 900), browsertest.PreferColors(""))
}

// The browser does what the document says about packet captures, and gets the same bytes as SFTP
// (B6 to B8, B14 to B23).
func TestBrowserCapturesPackets(t *testing.T) {
	box := appliancetest.Start(t)
	w := openWindow(t, box)
	w.picture("01-login")
	w.login()
	w.picture("02-status")
	w.choose("Help and Support", "Packet Capture")
	w.picture("03-capture-idle")

	w.press("Start Capture", "Status: Capture in progress")
	before := w.text(`[data-show="size"]`)
	w.Do(chromedp.WaitVisible(browsertest.XPath(`//*[@data-show="size"][text()!=%q]`, before)))
	w.picture("04-capture-running")
	box.Exec("version")
	w.press("Stop Capture", "Success - Packet Capture has stopped.")

	w.press("Edit Settings", "Capture File Size Limit")
	w.Do(chromedp.SetValue(chromedp.CSS("#size"), "20"),
		chromedp.Click(chromedp.CSS(`input[name="duration"][value="time"]`)),
		chromedp.SetValue(chromedp.CSS("#time"), "5m 30s"),
		chromedp.SendKeys(chromedp.CSS("#expression"), "ip host 10.1.1.1 or or"))
	w.Sees("The filter is not valid at character 21: syntax error.")
	w.picture("05-settings-bad-filter")
	w.press("Submit", "Some settings are not valid.")
	w.Do(chromedp.Clear(chromedp.CSS("#expression")),
		chromedp.SendKeys(chromedp.CSS("#expression"), "ip host 10.1.1.1"))
	w.Sees("The filter is valid.")
	w.press("Submit", "Success - Packet Capture settings have been changed.")
	if s := box.Appliance().Captures.Settings(); s.SizeMB != 20 || s.Duration != 330*time.Second ||
		s.FilterText() != "ip host 10.1.1.1" {
		t.Errorf("the settings are %+v", s)
	}
	w.picture("06-capture-files")

	name := filepath.Base(box.Captures()[0])
	got, want := w.download(name), fetchSFTP(t, box, "/data/pub/diagnostic/"+name)
	if !bytes.Equal(got, want) || len(want) < 1000 {
		t.Errorf("the browser has %d bytes, sftp %d", len(got), len(want))
	}

	w.press(name, "packets in")
	w.picture("07-packets")
	w.Do(chromedp.SendKeys(chromedp.CSS("#filter"),
		"tcp[tcpflags] & tcp-syn != 0 and dst port 22\r"))
	w.Do(chromedp.WaitVisible(browsertest.XPath(`//h2[starts-with(., "1 of ")]`)))
	w.Do(chromedp.Click(chromedp.CSS(`.packets tbody a`)),
		chromedp.WaitVisible(chromedp.CSS(`.dump`)))
	w.picture("08-packet")
	w.press("Follow TCP Stream", "SSH-2.0-")
	w.picture("09-stream")

	w.choose("Help and Support", "Packet Capture")
	w.Do(chromedp.Click(browsertest.XPath(`//input[@name="file"][@value=%q]`, name)))
	w.press("Delete Selected Files", "Are you sure you want to delete this file?")
	w.picture("10-delete")
	w.press("Delete", "Success - 1 packet capture file has been deleted.")
	if left := box.Captures(); len(left) != 0 {
		t.Errorf("%v are left", left)
	}

	w.choose("Network", "IP Interfaces")
	w.picture("11-interfaces")
	w.menus()
	w.administer(box)
	w.choose("Help and Support", "Online Help")
	w.Do(chromedp.SendKeys(chromedp.CSS("#search"), "Packet Capture\r"))
	w.Sees("Topics with “Packet Capture”")
	w.press("Running a Packet Capture", "To start a capture")
	w.picture("12-help")
	w.Do(chromedp.Click(browsertest.XPath(`//summary[text()="Options"]`)),
		chromedp.Click(browsertest.XPath(`//button[text()="Log Out"]`)),
		chromedp.WaitVisible(chromedp.CSS("#username")))
}

// menus takes screenshots of open menus. Escape and focus elsewhere close menus.
func (w *window) menus() {
	w.t.Helper()
	help := browsertest.XPath(`//summary[text()="Help and Support"]`)
	w.Do(chromedp.Click(help))
	w.keep("19-menu-desktop", browsertest.Ask(w.Window, chromedp.FullScreenshot(100)))
	closed := chromedp.WaitVisible(browsertest.XPath(
		`//details[not(@open)]/summary[text()="Help and Support"]`))
	w.Do(chromedp.KeyEvent(kb.Escape), closed)
	w.Do(chromedp.Click(help), chromedp.Focus(chromedp.CSS("#main")), closed) // as the Tab key does
	w.Do(chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile, chromedp.EmulateTouch),
		chromedp.Click(chromedp.CSS(".drawer")), chromedp.Click(help))
	w.keep("19-menu-phone", browsertest.Ask(w.Window, chromedp.FullScreenshot(100)))
	w.Do(chromedp.EmulateViewport(1280, 900), chromedp.Click(help))
}

// keep writes a screenshot.
func (w *window) keep(name string, png []byte) {
	w.t.Helper()
	dir := os.Getenv("ESASIM_SCREENSHOTS")
	if dir == "" {
		dir = w.t.ArtifactDir()
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// administer adds a log and an alert recipient, and commits them.
func (w *window) administer(box *appliancetest.Box) {
	w.t.Helper()
	w.choose("System Administration", "Log Subscriptions")
	w.picture("13-logs")
	w.press("Add Log Subscription…", "Rollover by Time")
	syslog := chromedp.CSS(`input[name="method"][value="syslog"]`)
	w.pick("type", "bounce")
	w.Do(chromedp.WaitNotVisible(syslog), chromedp.WaitVisible(chromedp.CSS("#bouncebytes")))
	w.pick("type", "mail")
	w.Do(chromedp.WaitVisible(syslog))
	w.Do(chromedp.SetValue(chromedp.CSS("#name"), "Mail_Log"),
		chromedp.Click(chromedp.CSS(`input[name="method"][value="syslog"]`)),
		// The method has unfolded this field.
		chromedp.SendKeys(chromedp.CSS("#pushhost"), "10.0.201.5"))
	w.picture("14-log")
	w.press("Submit", "The log subscription Mail_Log takes effect when it is committed.")
	w.Do(chromedp.Click(browsertest.XPath(`//a[text()="Files"][@aria-label="Files of gui_logs"]`)))
	w.Sees("Files of gui_logs")
	w.picture("15-log-files")
	w.choose("System Administration", "Alerts")
	w.press("Add Recipient…", "Alert Classes")
	w.Do(chromedp.SendKeys(chromedp.CSS("#address"), "joe@example.com"))
	w.picture("16-recipient")
	w.press("Submit", "The alert recipient joe@example.com takes effect when the change is "+
		"committed.")
	w.picture("17-alerts")
	w.Do(chromedp.Click(browsertest.XPath(`//a[text()="Commit Changes »"]`)),
		chromedp.SendKeys(chromedp.CSS("#comment"), "logs and alerts"))
	w.picture("18-commit")
	w.press("Commit Changes", "Success - Your changes have been committed.")
	if last, _ := box.Appliance().Config.LastCommit(); last.Comment != "logs and alerts" ||
		last.User != appliancetest.User {
		w.t.Errorf("the last commit is %+v", last)
	}
}

// pick selects an option of a list, as a user does.
func (w *window) pick(id, value string) {
	w.t.Helper()
	browsertest.Ask(w.Window, chromedp.Evaluate[bool](fmt.Sprintf(`(() => {
		const s = document.getElementById(%q);
		s.value = %q;
		return s.dispatchEvent(new Event("change"));
	})()`, id, value)))
}

// download downloads a file with the page's button and returns what the browser has stored.
func (w *window) download(name string) []byte {
	w.t.Helper()
	dir := w.t.TempDir()
	ctx, cancel := context.WithTimeout(w.Context(), browsertest.StepTimeout)
	defer cancel()
	progress := chromedp.BrowserEvents(ctx, browser.DownloadProgress)
	w.Do(
		chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
			on := true
			_, err := chromedp.CallBrowser(ctx, browser.SetDownloadBehavior,
				browser.SetDownloadBehaviorParams{
					Behavior: browser.SetDownloadBehaviorBehaviorAllow, DownloadPath: dir,
					EventsEnabled: &on,
				})
			return err
		}),
		chromedp.Click(browsertest.XPath(`//input[@name="file"][@value=%q]`, name)),
		chromedp.Click(browsertest.XPath(`//button[text()="Download File"]`)),
	)
	for e, err := range progress {
		if err != nil {
			w.t.Fatal(err)
		}
		if e.State == browser.DownloadProgressStateCanceled {
			w.t.Fatal("the download was cancelled")
		}
		if e.State == browser.DownloadProgressStateCompleted {
			break
		}
	}
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		w.t.Fatal(err)
	}
	return data
}

// fetchSFTP returns a file that SFTP gets.
func fetchSFTP(t *testing.T, box *appliancetest.Box, name string) []byte {
	t.Helper()
	conn, err := box.Dial(appliancetest.User, appliancetest.Passphrase)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client, err := sftp.NewClient(conn)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	f, err := client.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Two browsers and the command line use captures at the same time (B20 to B22).
func TestTwoBrowsersAndTheCommandLine(t *testing.T) {
	box := appliancetest.Start(t)
	one, two := openWindow(t, box), openWindow(t, box)
	for _, w := range []*window{one, two} {
		w.login()
		w.choose("Help and Support", "Packet Capture")
	}
	cli := box.Login()
	cli.Type("packetcapture")
	cli.Expect("- START")
	cli.Expect("[]> ")
	cli.Type("start")
	cli.Expect("Success - Packet Capture has started")
	for _, w := range []*window{one, two} {
		// The page is not reloaded.
		w.Sees("A packet capture that was started with the command packetcapture is in progress.")
		w.Do(chromedp.WaitNotVisible(browsertest.XPath(`//button[text()="Start Capture"]`)))
		w.Sees("Status: No packet capture in progress")
		if got := w.announced(); !strings.Contains(got, "with the command packetcapture") {
			t.Errorf("screen readers are told %q", got)
		}
	}
	cli.Type("stop")
	cli.Expect("Success - Packet Capture has stopped")
	one.Do(chromedp.WaitVisible(browsertest.XPath(`//button[text()="Start Capture"]`)))
	one.Do(chromedp.WaitVisible(browsertest.XPath(`//*[@id="list"]//a[contains(., ".cap")]`)))

	one.press("Start Capture", "Status: Capture in progress")
	two.Sees("Status: Capture in progress") // without a reload
	if got := two.announced(); got != "A packet capture is in progress." {
		t.Errorf("screen readers are told %q", got)
	}
	one.Do(chromedp.Click(browsertest.XPath(`//input[@name="file"]`)))
	one.Do(chromedp.Focus(browsertest.XPath(`//button[text()="Stop Capture"]`)))
	cli.Type("start")
	cli.Expect("A packet capture that was started in the GUI is in progress.")
	two.press("Stop Capture", "Success - Packet Capture has stopped.")
	one.Sees("Status: No packet capture in progress") // without a reload
	if text := one.text("main"); strings.Contains(text, "has started") {
		t.Errorf("the page still says that the capture has started:\n%s", text)
	}
	if got := one.focused(); got != "Current Packet Capture" {
		t.Errorf("the button with the focus has gone, and the focus is on %q", got)
	}
	if !browsertest.Ask(one.Window, chromedp.Evaluate[bool](`document.querySelector('input[name="file"]').checked`)) {
		t.Error("a box is no longer ticked")
	}
	if s := box.Appliance().Captures.Status(capture.GUI); s.Reason != capture.ByUser {
		t.Errorf("the capture: %+v", s)
	}
}

// The front door to HTTP redirects to the real address of the front door to HTTPS.
func TestHTTPDoorRedirectsToTheHTTPSDoor(t *testing.T) {
	box := appliancetest.Start(t)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
	r, err := client.Get("http://" + box.DoorAddrs()["http"].String() + "/login")
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	got, want := r.Header.Get("Location"), "https://"+box.DoorAddrs()["https"].String()+"/login"
	if r.StatusCode != http.StatusFound || got != want {
		t.Errorf("%d to %q, want %q", r.StatusCode, got, want)
	}
}

// A form that is sent after the session has expired is filled in again after the login.
func TestFormSurvivesALogin(t *testing.T) {
	box := appliancetest.Start(t)
	w := openWindow(t, box)
	w.login()
	w.choose("Help and Support", "Packet Capture")
	w.press("Edit Settings", "Capture File Size Limit")
	w.Do(chromedp.SetValue(chromedp.CSS("#size"), "20"),
		chromedp.SendKeys(chromedp.CSS("#ports"), "25"))
	box.Exec("diagnostic services webui restart")
	w.Do(chromedp.SendKeys(chromedp.CSS("#expression"), "tcp"))
	w.Sees("Your session has expired.")
	w.Do(chromedp.SendKeys(chromedp.CSS("#expression"), strings.Repeat(kb.Backspace, 3)),
		chromedp.Click(chromedp.CSS(`input[value="predefined"]`)),
		chromedp.Click(browsertest.XPath(`//button[text()="Submit"]`)))
	w.Sees("Your session has expired. Log in again.")
	w.login()
	w.Sees("Edit Packet Capture Settings")
	w.press("Submit", "Success - Packet Capture settings have been changed.")
	if s := box.Appliance().Captures.Settings(); s.SizeMB != 20 ||
		s.FilterText() != "(tcp port 25)" {
		t.Errorf("the settings are %+v", s)
	}
}

// A page that polls notices a restart of the process, and the login leads back to the page.
func TestBrowserAfterARestart(t *testing.T) {
	box := appliancetest.Start(t)
	w := openWindow(t, box)
	w.login()
	w.choose("Help and Support", "Packet Capture")
	w.press("Start Capture", "Status: Capture in progress")
	box.Exec("diagnostic services webui restart")
	w.Do(chromedp.WaitVisible(chromedp.CSS("#username")))
	w.login()
	w.Sees("Status: Capture in progress")
	w.press("Stop Capture", "Success - Packet Capture has stopped.")
}
