package web_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/esasim/esasim/appliance/appliancetest"
	"github.com/esasim/esasim/appliance/browsertest"
	"github.com/esasim/esasim/appliance/capture"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/users"
)

// announced waits until the page tells screen readers something, and returns it.
func (w *window) announced() string {
	w.t.Helper()
	w.Do(chromedp.WaitReady(browsertest.XPath(`//*[@data-announce][text()]`)))
	return browsertest.Ask(w.Window, chromedp.Evaluate[string](
		`document.querySelector("[data-announce]").textContent`))
}

// focused returns the text of the element that has the focus.
func (w *window) focused() string {
	w.t.Helper()
	return browsertest.Ask(w.Window, chromedp.Evaluate[string](`document.activeElement.textContent`))
}

// The page shows changes of other sessions without a reload.
func TestBrowserSeesChangesOfOtherSessions(t *testing.T) {
	box := appliancetest.Start(t)
	w := openWindow(t, box)
	w.login()
	w.choose("Help and Support", "Packet Capture")
	captures := box.Appliance().Captures
	set := captures.Settings()
	set.SizeMB, set.KeepNewest = 7, true
	if err := captures.SetSettings(set); err != nil {
		t.Fatal(err)
	}
	w.Sees("7 MB")
	w.Sees("Run Capture Indefinitely")
	store := func(name string) {
		if err := box.Appliance().Files.WriteFile("data/pub/diagnostic/"+name,
			[]byte("not a capture")); err != nil {
			t.Fatal(err)
		}
	}
	store("one.cap")
	w.Sees("one.cap")
	store("two.cap")
	w.Sees("two.cap")
	w.Do(chromedp.Focus(browsertest.XPath(`//a[text()="one.cap"]`)))
	if err := box.Appliance().Files.Remove("data/pub/diagnostic/one.cap"); err != nil {
		t.Fatal(err)
	}
	w.Do(chromedp.WaitNotPresent(browsertest.XPath(`//a[text()="one.cap"]`)))
	if got := w.focused(); got != "Manage Packet Capture Files" {
		t.Errorf("the file with the focus has gone, and the focus is on %q", got)
	}
}

// A page that was open when its account changed says what has changed.
func TestBrowserFollowsTheAccount(t *testing.T) {
	box := appliancetest.Start(t)
	app := box.Appliance()
	changeJoe := func(change func(*users.Account)) {
		t.Helper()
		if err := users.Section.CommitNow(t.Context(), app.Config, nil, config.CommitInfo{},
			func(v *users.Accounts) error {
				if v.Find("joe") == nil {
					v.List = append(v.List, users.Account{Name: "joe",
						Hash: v.Find(users.FactoryName).Hash})
				}
				change(v.Find("joe"))
				return nil
			}); err != nil {
			t.Fatal(err)
		}
	}
	setRole := func(r users.Role) func(*users.Account) {
		return func(a *users.Account) { a.Role = r }
	}
	changeJoe(setRole(users.Operator))
	w := openWindow(t, box)
	w.loginAs("joe")
	w.choose("Help and Support", "Packet Capture")
	w.press("Edit Settings", "Capture File Size Limit")
	changeJoe(setRole(users.ReadOnlyOperator))
	w.press("Submit", "Your user role (Read-Only Operator) does not permit this page.")
	w.Sees("An administrator has changed your user role to Read-Only Operator.")

	w.press("System Status", "Active Sessions") // it polls
	changeJoe(setRole(users.Operator))
	w.Sees("An administrator has changed your user role to Operator.")
	w.choose("Help and Support", "Packet Capture")
	changeJoe(setRole(users.Guest)) // it polls too
	w.Sees("Your user role (Guest) does not permit this page.")

	changeJoe(setRole(users.Operator))
	w.Do(chromedp.Reload())
	w.press("Edit Settings", "Capture File Size Limit")
	changeJoe(func(a *users.Account) { a.Locked = true })
	w.Do(chromedp.SendKeys(chromedp.CSS("#expression"), "tcp"))
	w.Sees("The session was closed because the account joe was locked. What you have entered is " +
		"kept until you have logged in.")
	w.press("Submit", "The session was closed because the account joe was locked.")
	w.Do(chromedp.WaitVisible(chromedp.CSS("#username")))
}

// A refused form leads to its errors.
func TestBrowserErrorsOfAForm(t *testing.T) {
	box := appliancetest.Start(t)
	w := openWindow(t, box)
	w.login()
	w.choose("Help and Support", "Packet Capture")
	w.press("Edit Settings", "Capture File Size Limit")
	w.Do(chromedp.SetValue(chromedp.CSS("#size"), "0"),
		chromedp.SetValue(chromedp.CSS("#ports"),
			","), chromedp.Click(chromedp.CSS(`input[value="predefined"]`)))
	w.press("Submit", "Some settings are not valid.")
	focus := func() string {
		return browsertest.Ask(w.Window, chromedp.Evaluate[string](`document.activeElement.id`))
	}
	if got := focus(); got != "form-error" {
		t.Errorf("the focus is on %q", got)
	}
	w.Do(chromedp.Click(browsertest.XPath(`//*[@id="form-error"]//a[@href="#ports"]`)))
	if got := focus(); got != "ports" {
		t.Errorf("the link leads to %q", got)
	}
	w.Do(chromedp.SetValue(chromedp.CSS("#size"), "5"),
		chromedp.SetValue(chromedp.CSS("#ports"), "25"), chromedp.Click(chromedp.CSS("#leaveout")))
	w.press("Submit", "Success - Packet Capture settings have been changed.")
	want := "((tcp port 25)) and not (host 10.0.201.4 and (tcp port 80 or tcp port 443))"
	if got := box.Appliance().Captures.Settings().Filter.Expr(); got != want {
		t.Errorf("the filter is %q, want %q", got, want)
	}
	w.press("Edit Settings", "Capture File Size Limit")
	if !browsertest.Ask(w.Window, chromedp.Evaluate[bool](`document.getElementById("leaveout").checked &&
		document.getElementById("expression").value === "(tcp port 25)"`)) {
		t.Error("the form does not show the filter as it was entered")
	}
}

// A capture in progress is followed, and its page says when it has ended. Links of pagers stay in
// their places.
func TestBrowserFollowsACapture(t *testing.T) {
	box := appliancetest.Start(t)
	w := openWindow(t, box)
	w.login()
	w.choose("Help and Support", "Packet Capture")
	w.press("Start Capture", "Status: Capture in progress")
	w.press(filepath.Base(box.Captures()[0]), "in progress")
	w.Do(chromedp.Click(chromedp.CSS("#follow")))
	before := w.text("#packets-title")
	box.Exec("nslookup google.com")
	w.Do(chromedp.WaitVisible(browsertest.XPath(`//*[@id="packets-title"][text()!=%q]`, before)))
	if _, err := box.Appliance().Captures.Stop(capture.GUI); err != nil {
		t.Fatal(err)
	}
	w.Do(chromedp.WaitNotPresent(chromedp.CSS("[data-growing]")))
	if got := w.announced(); got != "The capture has ended." {
		t.Errorf("screen readers are told %q", got)
	}
	w.Do(chromedp.WaitNotVisible(chromedp.CSS("#follow")))

	here := browsertest.Ask(w.Window, chromedp.Evaluate[string](`location.href`))
	w.Visit(here + "/packet/1")
	w.Do(chromedp.WaitVisible(chromedp.CSS("nav.pager")))
	place := `(() => {
		const next = document.querySelector('nav.pager [data-pager="next"]');
		const r = next.getBoundingClientRect();
		return [r.x, r.y].join();
	})()`
	first := browsertest.Ask(w.Window, chromedp.Evaluate[string](place))
	for n := 2; n <= 4; n++ {
		w.Do(chromedp.Click(chromedp.CSS(`nav.pager [data-pager="next"]`)),
			chromedp.WaitVisible(browsertest.XPath(`//h1[text()="Packet %d"]`, n)))
		if got := browsertest.Ask(w.Window, chromedp.Evaluate[string](place)); got != first {
			t.Errorf("packet %d: Next is at %s, before at %s", n, got, first)
		}
		if got := w.focused(); got != "Next ›" {
			t.Errorf("packet %d: the focus is on %q", n, got)
		}
	}
}

// The pages of a packet and of a stream say that their capture is in progress, follow what comes,
// and say when it has ended.
func TestBrowserFollowsAPacketAndAStream(t *testing.T) {
	box := appliancetest.Start(t)
	captures := box.Appliance().Captures
	set := captures.Settings()
	set.Filter = capture.Filter{Kind: capture.Custom, Expression: "tcp port 22"}
	if err := captures.SetSettings(set); err != nil {
		t.Fatal(err)
	}
	list, packet, stream := openWindow(t, box), openWindow(t, box), openWindow(t, box)
	for _, w := range []*window{list, packet, stream} {
		w.login()
	}
	list.choose("Help and Support", "Packet Capture")
	list.press("Start Capture", "Status: Capture in progress")
	cli := box.Login()
	cli.Type("version")
	cli.Expect("Model: ")
	list.press(filepath.Base(box.Captures()[0]), "in progress")
	list.Do(chromedp.Click(chromedp.CSS("#follow")),
		chromedp.WaitVisible(browsertest.XPath(`//td/a[text()="1"]`)),
		chromedp.Click(chromedp.CSS("#follow")))
	file := browsertest.Ask(list.Window, chromedp.Evaluate[string](`location.href`))
	for w, address := range map[*window]string{packet: "/packet/1", stream: "/stream/1"} {
		w.Visit(file + address)
		w.Do(chromedp.WaitVisible(chromedp.CSS("[data-growing]")))
	}
	stream.Do(chromedp.Click(chromedp.CSS("#follow")))
	sent := stream.text(".pair:has(.client)")
	cli.Type("version")
	stream.Do(chromedp.WaitVisible(browsertest.XPath(`//*[@class="pair"][1][normalize-space(.)!=%q]`, sent)))
	if _, err := captures.Stop(capture.GUI); err != nil {
		t.Fatal(err)
	}
	for name, w := range map[string]*window{"packet": packet, "stream": stream, "list": list} {
		w.Do(chromedp.WaitNotPresent(chromedp.CSS("[data-growing]")))
		if got := w.announced(); got != "The capture has ended." {
			t.Errorf("%s: screen readers are told %q", name, got)
		}
	}
}

// Pages fit a window of 320 pixels, and nothing is covered at a zoom of 200 %.
func TestBrowserNarrowWindows(t *testing.T) {
	box := appliancetest.Start(t)
	long := strings.Repeat("long_name_", 6)
	for _, name := range []string{long + "1.cap", long + "2.cap"} {
		if err := box.Appliance().Files.WriteFile("data/pub/diagnostic/"+name,
			[]byte("not a capture")); err != nil {
			t.Fatal(err)
		}
	}
	w := openWindow(t, box)
	w.login()
	w.choose("System Administration", "Log Subscriptions")
	w.press("Add Log Subscription…", "Rollover by Time")
	w.Do(chromedp.SetValue(chromedp.CSS("#name"), long+"log"))
	w.press("Submit", "takes effect when it is committed")
	pages := []string{
		"/monitor/system_status", "/network/ip_interfaces",
		"/system_administration/log_subscriptions", "/system_administration/alerts",
		"/system_administration/log_subscriptions/edit/" + long + "log",
		"/system_administration/log_subscriptions/files/gui_logs",
		"/help_and_support/packet_capture", "/help_and_support/packet_capture/settings",
		"/help_and_support/online_help", "/commit",
	}
	base := "https://" + box.DoorAddrs()["https"].String()
	for _, size := range []struct{ width, height int64 }{{320, 640}, {390, 844}, {640, 450},
		{1280, 900}} {
		w.Do(chromedp.EmulateViewport(size.width, size.height))
		for _, p := range pages {
			w.Visit(base + p)
			w.Do(chromedp.WaitVisible(chromedp.CSS("main")))
			wide := browsertest.Ask(w.Window, chromedp.Evaluate[int](`document.documentElement.scrollWidth -
				document.documentElement.clientWidth`))
			if wide > 0 {
				t.Errorf("%s is %d pixels wider than a window of %d", p, wide, size.width)
			}
			if covered := browsertest.Ask(w.Window, chromedp.Evaluate[string](coveredControls)); covered != "" {
				t.Errorf("%s in a window of %dx%d: covered are %s", p, size.width, size.height,
					covered)
			}
		}
	}
}

// coveredControls is a script that focuses each control of the page and returns the names of
// those that something covers.
const coveredControls = `[...document.querySelectorAll(
	"main a, main button, main input, main select")].filter(e => {
  if (!e.checkVisibility({ visibilityProperty: true })) return false;
  e.focus();
  const r = e.getClientRects()[0], x = r.x + Math.min(r.width / 2, 8), y = r.y + r.height / 2;
  const top = document.elementFromPoint(x, y);
  return !(top && (top === e || e.contains(top) || top.contains(e) || top.tagName === "LABEL"));
}).map(e => e.name || e.textContent).join("; ")`

// Landmarks of the same kind have different names on every page.
func TestBrowserLandmarks(t *testing.T) {
	box := appliancetest.Start(t)
	w := openWindow(t, box)
	w.login()
	w.choose("Help and Support", "Packet Capture")
	w.press("Start Capture", "Status: Capture in progress")
	for range 20 {
		box.Exec("nslookup google.com")
	}
	w.press("Stop Capture", "Success - Packet Capture has stopped.")
	file := "/help_and_support/packet_capture/view/" + filepath.Base(box.Captures()[0])
	base := "https://" + box.DoorAddrs()["https"].String()
	for _, p := range []string{"/monitor/system_status", "/network/ip_interfaces",
		"/help_and_support/packet_capture", file, file + "/packet/1", file + "/stream/1"} {
		w.Visit(base + p)
		w.Do(chromedp.WaitVisible(chromedp.CSS("main")))
		same := browsertest.Ask(w.Window, chromedp.Evaluate[string](`(() => {
			const seen = new Set(), same = [];
			const marks = "nav, section, form[role=search], [role=region]";
			for (const e of document.querySelectorAll(marks)) {
				const by = document.getElementById(e.getAttribute("aria-labelledby"));
				const name = e.getAttribute("aria-label") || by?.textContent;
				const key = ((e.getAttribute("role") || e.tagName) + " " + name).replace(/^SECTION/, "region");
				if (seen.has(key)) same.push(key);
				seen.add(key);
			}
			return same.join("; ");
		})()`))
		if same != "" {
			t.Errorf("%s has several landmarks called %s", p, same)
		}
	}
}

// Pages without forms are refreshed, and their notices end with what they are about.
func TestBrowserRefreshesPages(t *testing.T) {
	box := appliancetest.Start(t)
	w := openWindow(t, box)
	w.login()
	w.Do(chromedp.WaitNotPresent(browsertest.XPath(`//td[text()="CLI"]`)))
	box.Login()
	w.Do(chromedp.WaitVisible(browsertest.XPath(`//td[text()="CLI"]`))) // without a reload

	w.choose("System Administration", "Alerts")
	w.press("Add Recipient…", "Alert Classes")
	w.Do(chromedp.SendKeys(chromedp.CSS("#address"), "joe@example.com"))
	w.press("Submit", "The alert recipient joe@example.com takes effect when the change is "+
		"committed.")
	// This is a form of another tab.
	browsertest.Ask(w.Window, chromedp.Evaluate[bool](`fetch("/commit", {
		method: "POST", body: new URLSearchParams({action: "abandon"}),
	}).then(() => true)`, chromedp.EvalAwaitPromise))
	w.Do(chromedp.WaitNotPresent(browsertest.XPath(`//main/*[contains(., "takes effect when")]`)),
		chromedp.WaitVisible(browsertest.XPath(`//a[text()="No Changes Pending"]`)))
	w.Sees("No recipients are configured")
}

// Forms and menus are not printed.
func TestBrowserPrintStyle(t *testing.T) {
	box := appliancetest.Start(t)
	w := openWindow(t, box)
	w.login()
	w.choose("Help and Support", "Packet Capture")
	w.Do(chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia,
			emulation.SetEmulatedMediaParams{Media: "print"})
		return err
	}))
	w.Do(chromedp.WaitNotVisible(chromedp.CSS("nav.menus")),
		chromedp.WaitNotVisible(browsertest.XPath(`//button[text()="Start Capture"]`)),
		chromedp.WaitVisible(browsertest.XPath(`//h1[text()="Packet Capture"]`)))
}
