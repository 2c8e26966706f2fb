package web

import (
	"bytes"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/capture"
	"github.com/esasim/esasim/appliance/files"
	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/appliance/users"
)

const capturesPath = "/help_and_support/packet_capture"

// store puts a file among the captures.
func (s *testSite) store(name string, data []byte) {
	s.t.Helper()
	if err := s.appliance.Files.WriteFile(path.Join(files.Diagnostic, name), data); err != nil {
		s.t.Fatal(err)
	}
}

func TestStartWatchAndStopACapture(t *testing.T) { // B6, B7, B15
	s := newTestSite(t)
	b := s.login("admin")
	expectPage(t, b.get(capturesPath), http.StatusOK, "No packet capture in progress",
		"Start Capture", "There are no packet capture files.")
	expectRedirect(t, b.post(capturesPath+"/start"), capturesPath)
	s.clock.Advance(4 * time.Second)
	expectPage(t, b.get(capturesPath), http.StatusOK, "Success - Packet Capture has started.",
		"Status: Capture in progress (Duration = <span data-show=\"duration\">4s</span>)",
		"C100V-421F6D8FB9C75E19C425-C9AEA81B2B70-20150625-085003.cap", "Stop Capture",
		"in progress")
	expectPage(t, b.get(capturesPath+"/status"), http.StatusOK, `"state":"running","duration":"4s"`,
		`"size":"24 B","packets":"0","dropped":"0"`)
	expectRedirect(t, b.post(capturesPath+"/stop"), capturesPath)
	expectPage(t, b.get(capturesPath), http.StatusOK, "Success - Packet Capture has stopped.",
		"No packet capture in progress", "20150625-085003.cap", "24 B")
	expectRedirect(t, b.post(capturesPath+"/stop"), capturesPath)
	expectPage(t, b.get(capturesPath), http.StatusOK,
		`role="alert">No packet capture is in progress.`)
}

func TestNoticesAppearOnceOnTheirOwnPage(t *testing.T) {
	s := newTestSite(t)
	b := s.login("admin")
	b.post(capturesPath + "/start")
	if w := b.get("/monitor/system_status"); strings.Contains(w.Body.String(), "has started") {
		t.Error("the page of another tab shows the notice")
	}
	expectPage(t, b.get(capturesPath), http.StatusOK, "Success - Packet Capture has started.")
	if w := b.get(capturesPath); strings.Contains(w.Body.String(), "has started") {
		t.Error("the notice is shown twice")
	}
}

func TestPollingPageLearnsOfACapture(t *testing.T) { // B15
	s := newTestSite(t)
	b := s.login("admin")
	expectPage(t, b.get(capturesPath), http.StatusOK, `data-live="`+capturesPath+`/status"`,
		`data-when="running" hidden`, `data-when="idle">`)
	expectPage(t, b.get(capturesPath+"/list"), http.StatusOK, "There are no packet capture files.")
	s.login("admin").post(capturesPath + "/start")
	expectPage(t, b.get(capturesPath+"/status"), http.StatusOK, `"state":"running"`)
	w := b.get(capturesPath + "/list")
	if expectPage(t, w, http.StatusOK,
		`name="file" value="C100V-`); strings.Contains(w.Body.String(), "<html") {
		t.Error("the list is a page of its own")
	}
	s.clock.Advance(29 * time.Minute)
	expectPage(t, b.get(capturesPath+"/list"), http.StatusOK)
	s.clock.Advance(time.Minute)
	if w := b.get(capturesPath + "/list"); w.Code != http.StatusUnauthorized {
		t.Errorf("background requests keep the session: %d", w.Code)
	}
}

func TestReachingALimitIsNotShownAsAnError(t *testing.T) {
	s := newTestSite(t)
	b := s.login("admin")
	set := s.appliance.Captures.Settings()
	set.Duration = time.Minute
	if err := s.appliance.Captures.SetSettings(set); err != nil {
		t.Fatal(err)
	}
	b.post(capturesPath + "/start")
	b.get(capturesPath) // this shows the notice
	s.clock.Advance(time.Minute)
	// it waits for the end
	if st, err := s.appliance.Captures.Stop(capture.GUI); st.Reason != capture.DurationReached &&
		err == nil {
		t.Fatalf("%+v", st)
	}
	expectPage(t, b.get(capturesPath), http.StatusOK,
		`<p class="notice plain" data-last>The last capture ended: its time limit was reached.`)
	expectPage(t, b.get(capturesPath+"/status"), http.StatusOK,
		`"last":"The last capture ended: its time limit was reached.","failed":false`)
}

func TestCaptureSurvivesLogout(t *testing.T) { // B8
	s := newTestSite(t)
	b := s.login("admin")
	b.post(capturesPath + "/start")
	b.post("/logout")
	expectPage(t, s.login("admin").get(capturesPath), http.StatusOK, "Status: Capture in progress")
}

func TestCapturesOfOtherSidesAreNotShown(t *testing.T) { // B20, B22
	s := newTestSite(t)
	b := s.login("admin")
	for side, where := range map[capture.Side]string{
		capture.CLI:     "with the command packetcapture",
		capture.TCPDump: "in the menu tcpdump of the command line",
	} {
		if _, err := s.appliance.Captures.Start(t.Context(),
			capture.Owner{Side: side}); err != nil {
			t.Fatal(err)
		}
		w := b.get(capturesPath)
		if expectPage(t, w, http.StatusOK, "No packet capture in progress",
			"There are no packet capture files."); strings.Contains(w.Body.String(), ".cap\"") {
			t.Errorf("the page shows the capture:\n%s", w.Body)
		}
		expectRedirect(t, b.post(capturesPath+"/start"), capturesPath)
		expectPage(t, b.get(capturesPath), http.StatusOK,
			"A packet capture that was started "+where+" is in progress. Only one capture can "+
				"run at a time: it must be stopped there first.")
		st, err := s.appliance.Captures.Stop(side)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.appliance.Files.Remove(path.Join(files.Diagnostic, st.File)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDownloadReturnsTheFile(t *testing.T) { // B16
	s := newTestSite(t)
	b := s.login("admin")
	data := bytes.Repeat([]byte("capture "), 100_000)
	s.store("a b.cap", data)
	expectRedirect(t, b.post(capturesPath+"/files", "action", "download", "file", "a b.cap"),
		capturesPath+"/files/a%20b.cap")
	w := b.get(capturesPath + "/files/a%20b.cap")
	if h := w.Header(); !bytes.Equal(w.Body.Bytes(), data) ||
		h.Get("Content-Disposition") != `attachment; filename="a b.cap"` ||
		h.Get("Content-Type") != "application/vnd.tcpdump.pcap" {
		t.Errorf("%d bytes, %v", w.Body.Len(), h)
	}
	part := b.request("GET", capturesPath+"/files/a%20b.cap", nil, func(r *http.Request) {
		r.Header.Set("Range", "bytes=8-15")
	})
	expectPage(t, part, http.StatusPartialContent, "capture ")
	expectRedirect(t, b.post(capturesPath+"/files", "action", "download"), capturesPath)
	expectPage(t, b.get(capturesPath), http.StatusOK, "Choose the files to download.")
}

func TestNoNameLeadsOutOfTheDirectory(t *testing.T) {
	s := newTestSite(t)
	b := s.login("admin")
	s.store("a.cap", []byte("x"))
	if err := s.appliance.Files.WriteFile("data/pub/secret.cap", []byte("secret")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"..%2Fsecret.cap", "..%2f..%2f..%2fetc%2fpasswd", "%2e%2e%2fsecret.cap", "..\\secret.cap",
		"%2Fdata%2Fpub%2Fsecret.cap",
		"a.cap%00", "a.cap%2F..%2Fa.cap", "a.cap/../../secret.cap", "%FF", ".", "..", "a.cap%20",
		"A.CAP",
	} {
		for _, below := range []string{"/files/", "/view/"} {
			w := b.request("GET", capturesPath+"/x", nil, func(r *http.Request) {
				r.URL.Opaque, r.RequestURI = "", capturesPath+below+name
				r.URL.Path, r.URL.RawPath = unescaped(capturesPath+below+name),
					capturesPath+below+name
			})
			if w.Code == http.StatusOK || strings.Contains(w.Body.String(), "secret\n") {
				t.Errorf("%s%s: %d\n%s", below, name, w.Code, w.Body)
			}
		}
		expectRedirect(t, b.post(capturesPath+"/files", "action", "download", "file",
			unescaped(name)), capturesPath)
		expectRedirect(t, b.post(capturesPath+"/delete", "file", unescaped(name)), capturesPath)
	}
	for _, name := range []string{"data/pub/secret.cap", "data/pub/diagnostic/a.cap"} {
		if _, err := s.appliance.Files.Stat(name); err != nil {
			t.Error(err)
		}
	}
}

func unescaped(s string) string {
	u, err := url.PathUnescape(s)
	if err != nil {
		return s
	}
	return u
}

func TestFilesAreDeletedAfterAQuestion(t *testing.T) { // B17
	s := newTestSite(t)
	b := s.login("admin")
	for _, name := range []string{"a.cap", "b.cap", "c.cap"} {
		s.store(name, []byte("x"))
	}
	expectRedirect(t, b.post(capturesPath+"/files", "action", "delete"), capturesPath)
	expectPage(t, b.get(capturesPath), http.StatusOK, "Choose the files to delete.")
	question := capturesPath + "/delete?file=a.cap&file=b.cap"
	expectRedirect(t, b.post(capturesPath+"/files", "action", "delete", "file", "a.cap", "file",
		"b.cap"), question)
	expectPage(t, b.get(question), http.StatusOK, "<title>Delete Packet Capture Files - ",
		"Are you sure you want to delete these 2 files?", "a.cap", "b.cap")
	expectPage(t, b.get(capturesPath), http.StatusOK, "c.cap", "b.cap", "a.cap")
	expectRedirect(t, b.post(capturesPath+"/delete", "file", "a.cap", "file", "b.cap"),
		capturesPath)
	w := b.get(capturesPath)
	if expectPage(t, w, http.StatusOK, "Success - 2 packet capture files have been deleted.",
		"c.cap"); strings.Contains(w.Body.String(), "a.cap") {
		t.Error("a.cap is left")
	}
	expectRedirect(t, b.get(question), capturesPath) // with the Back button
	expectPage(t, b.get(capturesPath), http.StatusOK,
		"There is no such packet capture file. It may have been deleted.")
}

func TestTheFileThatGrowsIsNotDeleted(t *testing.T) {
	s := newTestSite(t)
	b := s.login("admin")
	b.post(capturesPath + "/start")
	running := s.appliance.Captures.Status(capture.GUI).File
	for _, method := range []string{"GET", "POST"} {
		expectRedirect(t, b.request(method, capturesPath+"/delete?file="+running, nil, nil),
			capturesPath)
		expectPage(t, b.get(capturesPath), http.StatusOK,
			"belongs to the capture in progress. Stop the capture first.", running)
	}
}

func TestTooManySelectedFiles(t *testing.T) {
	b := newTestSite(t).login("admin")
	expectRedirect(t, b.post(capturesPath+"/files", "action", "delete", "file",
		strings.Repeat("a", maxNames)), capturesPath)
	expectPage(t, b.get(capturesPath), http.StatusOK,
		"These are too many files to delete at once. Choose fewer.")
}

func TestEditSettings(t *testing.T) { // B12, B13, B18
	s := newTestSite(t)
	b := s.login("admin")
	expectPage(t, b.get(capturesPath+"/settings"), http.StatusOK, `name="size" value="200"`,
		`value="size" checked`, `value="Data 1" checked`, `value="Data 2">`,
		`name="filter" value="" checked`)
	expectRedirect(t, b.post(capturesPath+"/settings", "size", "20", "duration", "time", "time",
		"5m 30s", "keep", "y", "interface", "Data 1", "interface", "Data 2",
		"filter", "predefined", "ports", "25, 587", "clients", "10.1.1.1", "servers",
		"10.1.1.2, 2001:db8::1"), capturesPath)
	expectPage(t, b.get(capturesPath), http.StatusOK, "settings have been changed",
		"20 MB (keep the newest data)", "Run Capture Until Time Elapsed Reaches 5m 30s", "All",
		"(tcp port 25 or tcp port 587) and (host 10.1.1.1) and (host 10.1.1.2 or host 2001:db8::1)")
	expectRedirect(t, b.post(capturesPath+"/settings", "size", "1", "duration", "none", "interface",
		"Data 2", "filter", "custom", "expression", " ip host 10.1.1.1 "), capturesPath)
	expectPage(t, b.get(capturesPath), http.StatusOK, "1 MB", "Run Capture Indefinitely", "Data 2",
		"ip host 10.1.1.1")
	// What the other kinds of filters had is still there.
	expectPage(t, b.get(capturesPath+"/settings"), http.StatusOK, `value="25, 587"`,
		`value="10.1.1.1"`, `value="ip host 10.1.1.1"`)
}

func TestInvalidSettingsAreMarked(t *testing.T) {
	s := newTestSite(t)
	b := s.login("admin")
	old := s.appliance.Captures.Settings()
	good := map[string]string{"size": "20", "duration": "size", "interface": "Data 1", "filter": ""}
	for _, c := range []struct {
		field, value string
		more         [2]string
		says         string
	}{
		{"size", "0", [2]string{}, "The size limit must be a number from 1 to 200."},
		{"size", "201", [2]string{}, "The size limit must be a number from 1 to 200."},
		{"size", "x\"><script>", [2]string{}, `value="x&#34;&gt;&lt;script&gt;"`},
		{"duration", "", [2]string{}, "Choose how long the capture runs."},
		{"duration", "time", [2]string{"time", "soon"},
			"The duration must be given as in 120s, 5m 30s or 4h"},
		{"interface", "", [2]string{}, "The interface  does not exist."},
		{"interface", "lo0", [2]string{}, "The interface lo0 does not exist."},
		{"filter", "other", [2]string{}, "Choose a filter."},
		{"filter", "predefined", [2]string{"ports", "25, x"},
			"&#34;x&#34; is not valid: a port must be a number from 1 to 65535, with /udp or " +
				"/any after it"},
		{"filter", "predefined", [2]string{"servers", "10.1.1"},
			"an address must be IPv4 or IPv6."},
		{"filter", "predefined", [2]string{"ports", ","},
			`id="ports-error">&#34;,&#34; is not valid: a port must be`},
		{"filter", "predefined", [2]string{"ports", " , ,"}, `id="ports-error">`},
		{"filter", "predefined", [2]string{"clients", ","}, `id="clients-error">`},
		{"filter", "predefined", [2]string{"servers", ","}, `id="servers-error">`},
		{"filter", "predefined", [2]string{},
			"Enter a port, a client or a server. To record everything, choose No Filters."},
		{"filter", "", [2]string{"ports", "25"},
			"This is used with Predefined Filters only. Choose that, or take this back."},
		{"filter", "predefined", [2]string{"expression", "tcp"},
			"This is used with Custom Filter only."},
		{"duration", "size", [2]string{"time", "4h"},
			"This is used with Run Capture Until Time Elapsed Reaches only."},
		{"duration", "size", [2]string{"keep", "y"},
			"This is used with Run Capture Until Time Elapsed Reaches only."},
		{"filter", "custom", [2]string{}, "Enter a filter."},
		{"filter", "custom", [2]string{"expression", "ip host 10.1.1.1 or or"},
			`The filter is not valid at character 21: syntax error.<span class="code where">ip host 10.1.1.1 or <mark>or</mark></span>`},
	} {
		form := url.Values{}
		for k, v := range good {
			form.Set(k, v)
		}
		form.Set(c.field, c.value)
		if c.more[0] != "" {
			form.Set(c.more[0], c.more[1])
		}
		expectPage(t, b.request("POST", capturesPath+"/settings", form, nil),
			http.StatusUnprocessableEntity, "Some settings are not valid.", c.says)
	}
	if got := s.appliance.Captures.Settings(); got.SizeMB != old.SizeMB ||
		got.Filter.Kind != old.Filter.Kind {
		t.Errorf("%+v", got)
	}
}

func TestAllInvalidFieldsAreMarkedAtOnce(t *testing.T) {
	b := newTestSite(t).login("admin")
	expectPage(t, b.post(capturesPath+"/settings", "size", "x", "duration", "time", "time", "soon",
		"interface", "lo0", "filter", "custom", "expression", "tcp port"),
		http.StatusUnprocessableEntity, `id="size-error"`, `id="time-error"`, "The interface lo0 "+
			"does not exist.", "The filter is not valid at character 9")
	expectPage(t, b.post(capturesPath+"/settings", "size", "20", "duration", "size", "interface",
		"Data 1", "filter", "predefined", "clients", "10.1.1.1", "servers", "2001:db8::1"),
		http.StatusUnprocessableEntity,
		`id="servers-error">The filter selects no packet: the clients have IPv4 addresses and the servers IPv6 addresses, or vice versa.`)
}

func TestUnchangedFieldsOfUnusedChoicesAreAccepted(t *testing.T) {
	s := newTestSite(t)
	b := s.login("admin")
	expectRedirect(t, b.post(capturesPath+"/settings", "size", "20", "duration", "size",
		"interface", "Data 1", "filter", "predefined", "ports", "25"), capturesPath)
	expectRedirect(t, b.post(capturesPath+"/settings", "size", "20", "duration", "size",
		"interface", "Data 1", "filter", "", "ports", "25"), capturesPath)
	if f := s.appliance.Captures.Settings().Filter; f.Kind != capture.NoFilter ||
		len(f.Ports) != 1 {
		t.Errorf("%+v", f)
	}
}

// A form does not silently undo what another session has changed since the form was opened.
func TestSettingsThatWereChangedElsewhere(t *testing.T) {
	s := newTestSite(t)
	b := s.login("admin")
	was := func() string {
		t.Helper()
		m := regexp.MustCompile(`name="was" value="([0-9a-f]+)"`).FindStringSubmatch(
			b.get(capturesPath + "/settings").Body.String())
		if m == nil {
			t.Fatal("the form has no revision of the settings")
		}
		return m[1]
	}
	form := []string{"size", "20", "duration", "size", "interface", "Data 1", "filter", "", "was"}
	opened := was()
	set := s.appliance.Captures.Settings()
	set.SizeMB, set.KeepNewest = 7, true
	if err := s.appliance.Captures.SetSettings(set); err != nil {
		t.Fatal(err)
	}
	expectPage(t, b.post(capturesPath+"/settings", append(form, opened)...),
		http.StatusUnprocessableEntity, `id="form-error"`,
		"changed elsewhere since this form was opened",
		"Capture File Size Limit: 7 MB; Capture Duration: Run Capture Indefinitely;",
		`name="was" value="`+was()+`"`, `name="size" value="20"`)
	if got := s.appliance.Captures.Settings().SizeMB; got != 7 {
		t.Errorf("the size limit is %d MB", got)
	}
	expectRedirect(t, b.post(capturesPath+"/settings", append(form, was())...), capturesPath)
}

func TestSettingsFormSaysThatACaptureIsInProgress(t *testing.T) {
	for _, side := range []capture.Side{capture.GUI, capture.CLI} {
		s := newTestSite(t)
		b := s.login("admin")
		_, err := s.appliance.Captures.Start(t.Context(), capture.Owner{Side: side})
		if err != nil {
			t.Fatal(err)
		}
		expectPage(t, b.get(capturesPath+"/settings"), http.StatusOK,
			"A capture is in progress. It keeps the settings with which it was started")
	}
}

func TestFilterCheckWhileTyping(t *testing.T) {
	b := newTestSite(t).login("admin")
	for expr, want := range map[string]string{
		"":                        `{"ok":true,"text":""`,
		"ip host 10.1.1.1":        `{"ok":true,"text":"The filter is valid."`,
		"host not.yet.known":      `{"ok":true,"text":"The filter is valid. Names of hosts in it are looked up when the settings are saved."`,
		"ip host 10.1.1.1 or or":  `{"ok":false,"text":"The filter is not valid at character 21: syntax error.","before":"ip host 10.1.1.1 or ","fault":"or","after":""}`,
		"tcp port":                `"before":"tcp port","fault":"","after":""}`,
		"ï tcp":                   `{"ok":false`,
		"port 99999 and tcp":      `"before":"port ","fault":"99999","after":" and tcp"}`,
		strings.Repeat("(", 5000): `"text":"The filter must not be longer than 4096 characters."`,
		strings.Repeat("(", 4000): `{"ok":false`,
	} {
		expectPage(t, b.get(capturesPath+"/check?filter="+url.QueryEscape(expr)), http.StatusOK,
			want)
	}
}

func TestCapturePageHasTheRolesOfItsCommand(t *testing.T) {
	s := newTestSite(t)
	for role, may := range map[users.Role]bool{
		users.Administrator: true, users.Operator: true, users.ReadOnlyOperator: false,
		users.Guest: false, users.Technician: false, users.HelpDesk: false,
	} {
		name := "my-" + strings.ToLower(strings.ReplaceAll(role.String(), " ", "-"))
		s.addUser(name, role)
		b := s.login(name)
		shown := strings.Contains(b.get("/monitor/system_status").Body.String(), capturesPath)
		code := b.get(capturesPath).Code
		started := b.post(capturesPath+"/start").Code == http.StatusSeeOther
		if shown != may || (code == http.StatusOK) != may || started != may {
			t.Errorf("%s: in the menu %v, page %d, start %v", role, shown, code, started)
		}
		if !may && code != http.StatusForbidden {
			t.Errorf("%s: %d", role, code)
		}
	}
}

func TestMalformedRequests(t *testing.T) {
	s := newTestSite(t)
	b := s.login("admin")
	huge := url.Values{"expression": {strings.Repeat("x", 1<<20)}}
	expectPage(t, b.request("POST", capturesPath+"/settings", huge, nil),
		http.StatusRequestEntityTooLarge, "The form is too large.")
	expectPage(t, s.browser().request("POST", "/login", huge, nil),
		http.StatusRequestEntityTooLarge, "The form is too large.")
	expectPage(t, b.request("POST", capturesPath+"/settings", nil, func(r *http.Request) {
		r.URL.RawQuery = "%zz"
	}), http.StatusBadRequest, "The form cannot be read.")
	expectPage(t, b.post(capturesPath+"/files", "action", "explode"), http.StatusBadRequest)
	expectPage(t, b.get("/nowhere"), http.StatusNotFound, "There is no such page.")
	expectPage(t, b.get(capturesPath+"/files/"+strings.Repeat("a", 3000)), http.StatusNotFound)
	expectPage(t, b.get("/assets/none.css"), http.StatusNotFound)
}

func TestPageHasTheWholeWarning(t *testing.T) { // B31
	s := newTestSite(t)
	b := s.login("admin")
	for _, target := range []string{capturesPath, capturesPath + "/settings",
		"/help_and_support/online_help?topic=running_a_packet_capture"} {
		expectPage(t, b.get(target), http.StatusOK, capture.Warning)
	}
	s.appliance.Product.Version = product.Version{Major: 6}
	expectPage(t, b.get("/help_and_support/online_help?topic=capturing_packets"), http.StatusOK,
		capture.Warning)
}

func TestSettingsDuringACaptureSayWhenTheyTakeEffect(t *testing.T) {
	s := newTestSite(t)
	b := s.login("admin")
	save := func() {
		b.post(capturesPath+"/settings", "size", "20", "duration", "size", "interface", "Data 1",
			"filter", "predefined", "ports", "25, 53/udp, 514/any")
	}
	save()
	if w := b.get(capturesPath); strings.Contains(w.Body.String(), "with the next capture:") {
		t.Error("the page speaks of a capture in progress, and there is none")
	}
	b.post(capturesPath + "/start")
	expectPage(t, b.get(capturesPath+"/settings"), http.StatusOK,
		"changes take effect with the next capture.", `value="25, 53/udp, 514/any"`)
	save()
	expectPage(t, b.get(capturesPath), http.StatusOK,
		"settings have been changed. They take effect with the next capture: the capture in "+
			"progress keeps the settings with which it was started.")
}

func TestLeaveOutTheOwnSession(t *testing.T) {
	s := newTestSite(t)
	b := s.login("admin")
	form := func(more ...string) []string {
		return append([]string{"size", "20", "duration", "size", "interface", "Data 1", "leaveout",
			"y"}, more...)
	}
	const own = "host 10.0.201.4 and (tcp port 80 or tcp port 443)"
	for want, more := range map[string][]string{
		"not (" + own + ")":                     {"filter", ""},
		"((tcp port 25)) and not (" + own + ")": {"filter", "predefined", "ports", "25"},
		"(udp or icmp) and not (" + own + ")":   {"filter", "custom", "expression", "udp or icmp"},
	} {
		expectRedirect(t, b.post(capturesPath+"/settings", form(more...)...), capturesPath)
		if got := s.appliance.Captures.Settings().Filter.Expr(); got != want {
			t.Errorf("the filter is %q, want %q", got, want)
		}
		expectPage(t, b.get(capturesPath+"/settings"), http.StatusOK,
			`name="leaveout" value="y" checked`)
	}
	expectPage(t, b.post(capturesPath+"/settings",
		form("filter", "custom", "expression",
			"tcp port")...), http.StatusUnprocessableEntity, `value="tcp port"`,
		`name="leaveout" value="y" checked`)
}
