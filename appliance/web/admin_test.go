package web

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/esasim/esasim/appliance/alert"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/logs"
	"github.com/esasim/esasim/appliance/users"
)

const (
	logsPath   = "/system_administration/log_subscriptions"
	alertsPath = "/system_administration/alerts"
)

// syslogForm is the form of the log Mail_Log of the first document.
var syslogForm = []string{
	"type", "mail", "name", "Mail_Log", "level", "3", "maxsize", "10485760", "maxfiles", "10",
	"schedule", "none", "method", "syslog",
	"pushhost", "10.44.167.30", "pushport", "514", "protocol", "tcp", "facility", "mail",
}

func TestLogSubscriptionTakesEffectWithCommit(t *testing.T) {
	s := newTestSite(t)
	b := s.login("admin")
	expectPage(t, b.get(logsPath), http.StatusOK, "No Changes Pending", "mail_logs", "Rollover Now")
	expectRedirect(t, b.post(logsPath+"/add", syslogForm...), logsPath)
	expectPage(t, b.get(logsPath), http.StatusOK, "Commit Changes »",
		"The log subscription Mail_Log takes effect when it is committed.",
		"Mail_Log", "IronPort Text Mail Logs", "Syslog Push to 10.44.167.30", "not committed")
	if logs.Section.Get(s.appliance.Config.Committed()).List[0].Name == "Mail_Log" {
		t.Error("the log has taken effect without a commit")
	}
	other := s.login("admin") // each session has a draft of its own
	if w := other.get(logsPath); strings.Contains(w.Body.String(), "Mail_Log") {
		t.Error("another session shows the log")
	}
	expectPage(t, b.get("/commit"), http.StatusOK, "log_subscription Mail_Log: added",
		"retrieval: syslog", `name="comment"`)
	expectRedirect(t, b.post("/commit", "action", "commit", "comment", "push the mail log", "keep",
		"y"), "/commit")
	expectPage(t, b.get("/commit"), http.StatusOK, "No Changes Pending",
		"Success - Your changes have been committed.")
	running := logs.Section.Get(s.appliance.Config.Committed())
	if l := running.Find("Mail_Log"); l == nil || l.Push.Host != "10.44.167.30" ||
		l.Push.Protocol != "tcp" || l.File != "mail_logs" {
		t.Errorf("committed: %+v", l)
	}
	if last, _ := s.appliance.Config.LastCommit(); last.User != "admin" ||
		last.Comment != "push the mail log" {
		t.Errorf("%+v", last)
	}
	if n := len(s.logged("system_logs", "User admin commit changes: push the mail log")); n != 1 {
		t.Errorf("the system log has it %d times", n)
	}
}

func TestEditAndDeleteALogSubscription(t *testing.T) {
	s := newTestSite(t)
	b := s.login("admin")
	expectPage(t, b.get(logsPath+"/edit/mail_logs"), http.StatusOK, "Edit mail_logs",
		`value="10485760"`)
	expectRedirect(t, b.post(logsPath+"/edit/mail_logs", "level", "4", "file", "post", "hostsuffix",
		"y", "maxsize", "204800", "maxfiles", "5", "alert", "y",
		"schedule", "weekly", "day", "Friday", "clock", "23:30", "method", "manual"), logsPath)
	expectPage(t, b.get(logsPath), http.StatusOK, "mail_logs", "Friday, 23:30", "200.0 K, 5 files")
	expectPage(t, b.get(logsPath+"/delete/status"), http.StatusOK,
		"Are you sure you want to delete the log subscription &#34;status&#34;?")
	expectRedirect(t, b.post(logsPath+"/delete/status"), logsPath)
	expectPage(t, b.get("/commit"), http.StatusOK, "log_subscription mail_logs", "level: 3 → 4",
		"log_subscription status: removed")
	expectRedirect(t, b.post("/commit", "action", "abandon"), "/commit")
	expectPage(t, b.get("/commit"), http.StatusOK, "The changes have been abandoned.",
		"No changes are pending.")
	expectPage(t, b.post(logsPath+"/delete/nothing"), http.StatusNotFound,
		"There is no such log subscription.")
	expectPage(t, b.get(logsPath+"/edit/nothing"), http.StatusNotFound)
}

func TestInvalidLogSubscriptionsAreRefused(t *testing.T) {
	s := newTestSite(t)
	b := s.login("admin")
	for _, c := range []struct{ field, value, says string }{
		{"name", "", "A name is required."},
		{"name", "../x", "The name must consist of letters"},
		{"name", "diagnostic", "The name diagnostic is reserved."},
		{"name", "MAIL_LOGS", "The name is already in use."},
		{"level", "9", "The level must be from 1 to 5."},
		{"maxsize", "much", "The maximum file size must be from"},
		{"maxfiles", "0", "The number of files must be from 1 to 1000."},
		{"schedule", "hourly", "There is no roll-over"},
		{"method", "pigeon", "There is no retrieval method"},
		{"pushhost", "", "A host name or an IP address is required."},
		{"pushport", "70000", "The port of the syslog server must be from 1 to 65535."},
		{"protocol", "sctp", "The protocol of a syslog push is udp or tcp."},
		{"facility", "none", "There is no syslog facility"},
	} {
		form := append([]string{}, syslogForm...)
		for i := 0; i < len(form); i += 2 {
			if form[i] == c.field {
				form[i+1] = c.value
			}
		}
		expectPage(t, b.post(logsPath+"/add", form...), http.StatusUnprocessableEntity,
			`role="alert">Some settings are not valid.`, `id="`+c.field+`-error">`+c.says)
	}
	expectPage(t, b.post(logsPath+"/add", "type", "none", "name", "x"), http.StatusBadRequest)
	expectPage(t, b.get(logsPath), http.StatusOK, "No Changes Pending")
}

func TestAllInvalidFieldsOfALogAreMarked(t *testing.T) {
	b := newTestSite(t).login("admin")
	w := b.post(logsPath+"/add", "type", "mail", "name", "a b", "level", "3", "maxsize", "1g",
		"maxfiles", "none", "schedule", "daily", "clock", "25:00",
		"method", "syslog", "pushhost", "a b", "pushport", "514", "protocol", "tcp", "facility", "",
		"maxmessage", "7")
	expectPage(t, w, http.StatusUnprocessableEntity,
		`value="a b" maxlength="64" required autocomplete="off" spellcheck="false" aria-invalid="true" aria-describedby="name-error"`,
		`value="1g" aria-invalid="true"`, `value="none" aria-invalid="true"`,
		`value="25:00" aria-invalid="true"`,
		`<details data-needs="push" data-choice="method" data-choices="syslog" open>`,
		`value="a b" aria-invalid="true"`, `value="7" aria-invalid="true"`)
	if strings.Contains(w.Body.String(), "<option selected>mail</option>") {
		t.Error("the type's default has become a fixed facility")
	}
}

func TestFieldsOfUnusedMethodsAreRefused(t *testing.T) {
	b := newTestSite(t).login("admin")
	for field, value := range map[string]string{
		"pushhost": "10.0.0.1", "remotehost": "10.0.0.1", "remoteport": "2222",
		"remotepassword": "x", "remotewait": "60", "seconds": "3600", "clock": "01:00",
		"bouncebytes": "5", "debughost": "example.net", "debugsessions": "7",
	} {
		expectPage(t, b.post(logsPath+"/add", "type", "mail", "name", "x", "level", "3", "maxsize",
			"10m", "maxfiles", "10", "schedule", "none", "method", "manual", field, value),
			http.StatusUnprocessableEntity, `id="`+field+`-error">This is used with `)
	}
}

func TestLogFormFollowsTheType(t *testing.T) {
	s := newTestSite(t)
	b := s.login("admin")
	w := b.get(logsPath + "/add")
	expectPage(t, w, http.StatusOK, `<option value="mail" data-has="push "`,
		`<option value="bounce" data-has=" bounces"`,
		`<option value="injection_debug" data-has="push debug"`,
		`name="file" value="" maxlength="64" spellcheck="false" placeholder="the type's own"`,
		`<option value="">the type's default</option>`)
	if strings.Contains(w.Body.String(), "<option selected>mail</option>") {
		t.Error("the facility of the mail logs is chosen for every type")
	}
	add := func(kind, name string, more ...string) *httptest.ResponseRecorder {
		return b.post(logsPath+"/add", append([]string{"type", kind, "name", name, "level", "3",
			"file", "", "maxsize", "10m", "maxfiles", "10", "schedule", "none", "clock", "00:00"},
			more...)...)
	}
	expectRedirect(t, add("bounce", "mine", "bouncebytes", "", "method", "manual"), logsPath)
	expectRedirect(t, add("bounce", "mine2", "method", "manual"), logsPath)
	expectRedirect(t, add("system", "pushed", "method", "syslog", "pushhost", "10.0.0.1",
		"pushport", "514", "protocol", "udp", "facility", ""), logsPath)
	expectRedirect(t, add("injection_debug", "watched", "debughost", "10.0.201.4-9",
		"debugsessions", "3", "method", "manual"), logsPath)
	expectPage(t, add("domain_debug", "other", "debughost", "a b", "debugsessions", "0", "method",
		"manual"), http.StatusUnprocessableEntity, `id="debughost-error"`, `id="debugsessions-error"`)
	list := logs.Section.Get(s.site.sessionsDraft(t))
	if l := list.Find("watched"); l == nil || l.DebugHost != "10.0.201.4-9" || l.DebugSessions != 3 {
		t.Errorf("%+v", l)
	}
	if l := list.Find("mine"); l == nil || l.File != "bounces" || l.BounceBytes != 0 ||
		l.MaxSize != 10<<20 {
		t.Errorf("%+v", l)
	}
	if l := list.Find("pushed"); l == nil || l.File != "system_logs" ||
		l.Push.Facility != "daemon" {
		t.Errorf("%+v", l)
	}
	expectPage(t, add("bounce", "mine3", "method", "syslog", "pushhost", "10.0.0.1"),
		http.StatusUnprocessableEntity,
		`id="method-error">Bounce Logs cannot be pushed to a syslog server.`)
}

// sessionsDraft returns the draft of the only session.
func (s *site) sessionsDraft(t *testing.T) *config.Draft {
	t.Helper()
	for _, one := range s.sessions.open {
		return one.draft
	}
	t.Fatal("there is no session")
	return nil
}

func TestParseSize(t *testing.T) { // logs.md 1.3
	for text, want := range map[string]int64{"100k": 100 << 10, "1m": 1 << 20, " 1 M ": 1 << 20,
		"5": 5, "1g": -1, "k": -1, "-1k": -1, "99999999999999999m": -1, "": -1} {
		if got := parseSize(text); got != want {
			t.Errorf("%q is %d, want %d", text, got, want)
		}
	}
}

func TestInvalidPortKeepsTheOtherFields(t *testing.T) {
	s := newTestSite(t)
	b := s.login("admin")
	form := append([]string{}, syslogForm...)
	for i := 0; i < len(form); i += 2 {
		switch form[i] {
		case "pushport":
			form[i+1] = "many"
		case "protocol":
			form[i+1] = "tcp"
		case "facility":
			form[i+1] = "local3"
		}
	}
	expectPage(t, b.post(logsPath+"/add", form...), http.StatusUnprocessableEntity,
		`<option value="tcp" selected>`, "<option selected>local3</option>")
}

func TestInvalidSCPPortIsRefused(t *testing.T) {
	s := newTestSite(t)
	b := s.login("admin")
	for port, says := range map[string]string{"many": "The port must be from 1 to 65535.",
		"0": "The port must be", "70000": "The port must be"} {
		expectPage(t, b.post(logsPath+"/add", "type", "mail", "name", "pushed", "level", "3",
			"maxsize", "1048576", "maxfiles", "10", "schedule", "none",
			"method", "scp_push", "remotehost", "10.0.201.6", "remoteuser", "logs", "remoteport",
			port), http.StatusUnprocessableEntity, `role="alert">`, says)
	}
}

// ftpForm is the form of a log whose files are sent to an FTP server.
var ftpForm = []string{
	"type", "mail", "name", "sent", "level", "3", "maxsize", "10m", "maxfiles", "10", "schedule",
	"none", "method", "ftp_push",
	"remotehost", "ftp.example.com", "remoteuser", "logs", "remotepassword", "s3cret", "remotewait",
	"3600",
}

// withFields returns a copy of a form in which some fields are changed or added.
func withFields(form []string, pairs ...string) []string {
	all := slices.Clone(form)
	for i := 0; i < len(pairs); i += 2 {
		if at := slices.Index(all, pairs[i]); at >= 0 {
			all[at+1] = pairs[i+1]
		} else {
			all = append(all, pairs[i:i+2]...)
		}
	}
	return all
}

func TestStoredPassphraseBelongsToServerAndUser(t *testing.T) {
	s := newTestSite(t)
	b := s.login("admin")
	stored := func() string {
		list := logs.Section.Get(s.site.sessionsDraft(t))
		return list.Find("sent").Remote.Password
	}
	expectRedirect(t, b.post(logsPath+"/add", ftpForm...), logsPath)
	edit := logsPath + "/edit/sent"
	expectRedirect(t, b.post(edit, withFields(ftpForm, "remotepassword", "", "remotedir",
		"incoming")...), logsPath)
	if got := stored(); got != "s3cret" {
		t.Errorf("with another directory the passphrase is %q", got)
	}
	for field, value := range map[string]string{"remotehost": "evil.example.com",
		"remoteuser": "eve"} {
		w := b.post(edit, withFields(ftpForm, "remotepassword", "", field, value)...)
		expectPage(t, w, http.StatusUnprocessableEntity,
			`id="remotepassword-error">The passphrase that is stored belongs to another server or user.`)
		if strings.Contains(w.Body.String(), `placeholder="unchanged"`) {
			t.Errorf("with another %s the form says that the passphrase is unchanged", field)
		}
	}
	expectRedirect(t, b.post(edit, withFields(ftpForm, "remotepassword", "other", "remotehost",
		"ftp2.example.com")...), logsPath)
	if got := stored(); got != "other" {
		t.Errorf("with another server and its passphrase the stored one is %q", got)
	}
}

func TestRefusedFormDoesNotReturnThePassphrase(t *testing.T) {
	b := newTestSite(t).login("admin")
	w := b.post(logsPath+"/add", withFields(ftpForm, "maxfiles", "none")...)
	expectPage(t, w, http.StatusUnprocessableEntity,
		`id="remotepassword-error">Enter the passphrase again: it is not sent back.`)
	if text := w.Body.String(); strings.Contains(text, `placeholder="unchanged"`) ||
		strings.Contains(text, "s3cret") {
		t.Error("the form says that the passphrase is unchanged, or contains it")
	}
}

func TestUploadInterval(t *testing.T) { // as in logconfig
	s := newTestSite(t)
	b := s.login("admin")
	sent := func() logs.Subscription {
		list := logs.Section.Get(s.site.sessionsDraft(t))
		return *list.Find("sent")
	}
	expectPage(t, b.get(logsPath+"/add"), http.StatusOK,
		"Maximum time to wait before transferring, in seconds",
		`name="remotewait" class="short" inputmode="numeric" value="3600"`)
	expectRedirect(t, b.post(logsPath+"/add", withFields(ftpForm, "remotewait", "600")...),
		logsPath)
	if l := sent(); l.Schedule != logs.Interval || l.IntervalSeconds != 600 {
		t.Errorf("the rollover is %s, %d", l.Schedule, l.IntervalSeconds)
	}
	expectPage(t, b.get(logsPath+"/edit/sent"), http.StatusOK, `value="none" checked`,
		`name="remotewait" class="short" inputmode="numeric" value="600"`)
	for _, wait := range []string{"", "59", "soon", "31536001"} {
		expectPage(t, b.post(logsPath+"/edit/sent", withFields(ftpForm, "remotewait", wait)...),
			http.StatusUnprocessableEntity,
			`id="remotewait-error">The time must be from 60 to 31536000 seconds.`)
	}
	expectRedirect(t, b.post(logsPath+"/edit/sent", "level", "3", "maxsize", "10m", "maxfiles",
		"10", "schedule", "none", "method", "manual", "remotewait", "600"), logsPath)
	if l := sent(); l.Schedule != logs.NoSchedule || l.IntervalSeconds != 0 {
		t.Errorf("without an upload the rollover is %s, %d", l.Schedule, l.IntervalSeconds)
	}
}

func TestRolloverIntervalBecomesTheUploadInterval(t *testing.T) {
	s := newTestSite(t)
	b := s.login("admin")
	timed := withFields(ftpForm, "method", "manual", "remotehost", "", "remoteuser", "",
		"remotepassword", "", "schedule", "interval", "seconds", "7200", "remotewait", "3600")
	expectRedirect(t, b.post(logsPath+"/add", timed...), logsPath)
	expectPage(t, b.get(logsPath), http.StatusOK, "sent", "Every 2h<")
	expectPage(t, b.get(logsPath+"/edit/sent"), http.StatusOK, `value="interval" checked`,
		`name="remotewait" class="short" inputmode="numeric" value="7200"`)
	expectRedirect(t, b.post(logsPath+"/edit/sent",
		withFields(ftpForm, "schedule", "interval", "seconds", "7200", "remotewait",
			"7200")...), logsPath)
	list := logs.Section.Get(s.site.sessionsDraft(t))
	if l := list.Find("sent"); l.Method != logs.FTPPush || l.IntervalSeconds != 7200 {
		t.Errorf("%s, %d", l.Method, l.IntervalSeconds)
	}
}

func TestUploadsHaveNoOtherRollover(t *testing.T) {
	b := newTestSite(t).login("admin")
	expectPage(t, b.post(logsPath+"/add", withFields(ftpForm, "remotewait", "600", "schedule",
		"daily")...), http.StatusUnprocessableEntity,
		`value="daily" checked`,
		`id="schedule-error">FTP Push and SCP Push have a time of their own, which is below.`)
}

func TestRollOverAndDownloadLogFiles(t *testing.T) {
	s := newTestSite(t)
	b := s.login("admin")
	expectRedirect(t, b.post(logsPath+"/rollover", "log", "gui_logs", "log", "authentication"),
		logsPath)
	expectPage(t, b.get(logsPath), http.StatusOK, "Success - 2 logs have been rolled over.")
	expectPage(t, b.get(logsPath+"/files/gui_logs"), http.StatusOK, "gui_logs.@20150625T085004.c",
		"current", "gui_logs.@20150625T085003.s")
	w := b.get(logsPath + "/files/gui_logs/gui_logs.@20150625T085003.s")
	expectPage(t, w, http.StatusOK, "Info: Begin Logfile", "POST /login", "Info: End Logfile")
	want := `attachment; filename="gui_logs.@20150625T085003.s"`
	if got := w.Header().Get("Content-Disposition"); got != want {
		t.Error(got)
	}
	expectRedirect(t, b.post(logsPath+"/rollover"), logsPath)
	expectPage(t, b.get(logsPath), http.StatusOK, "Choose the logs to roll over.")
	expectRedirect(t, b.post(logsPath+"/rollover", "log", "nothing"), logsPath)
	for _, bad := range []string{"/files/diagnostic", "/files/..%2Fdiagnostic",
		"/files/gui_logs/..%2F..%2Fconfiguration", "/files/gui_logs/gui_logs.current%00",
		"/files/nothing/x"} {
		expectPage(t, b.get(logsPath+bad), http.StatusNotFound)
	}
}

func TestAlertRecipients(t *testing.T) {
	s := newTestSite(t)
	b := s.login("admin")
	expectPage(t, b.get(alertsPath), http.StatusOK, "No recipients are configured", "300 seconds",
		"There are no alerts.")
	expectRedirect(t, b.post(alertsPath+"/recipient", "address", "joe@example.com", "class",
		"System", "class", "Hardware", "severity", "Critical"), alertsPath)
	all := []string{"address", "ann@example.com"}
	for _, c := range alert.Classes() {
		all = append(all, "class", string(c))
	}
	for _, v := range alert.Severities() {
		all = append(all, "severity", string(v))
	}
	expectRedirect(t, b.post(alertsPath+"/recipient", all...), alertsPath)
	expectPage(t, b.get(alertsPath), http.StatusOK, "joe@example.com", "System, Hardware",
		"Critical", "ann@example.com", "All", "All")
	expectPage(t, b.get(alertsPath+"/recipient?address=joe@example.com"), http.StatusOK,
		`value="System" checked`, `value="Updater">`)
	expectRedirect(t, b.post(alertsPath+"/recipient", "old", "joe@example.com", "address",
		"joe@example.org", "class", "Updater", "severity", "Warning"), alertsPath)
	expectPage(t, b.get(alertsPath), http.StatusOK, "joe@example.org", "Updater", "Warning",
		"ann@example.com")
	expectPage(t, b.get(alertsPath+"/recipient?address=joe@example.com"), http.StatusNotFound)
}

func TestCheckAndDeleteAlertRecipients(t *testing.T) {
	s := newTestSite(t)
	b := s.login("admin")
	add := func(pairs ...string) *httptest.ResponseRecorder {
		return b.post(alertsPath+"/recipient", pairs...)
	}
	add("address", "joe@example.com", "class", "System", "severity", "Critical")
	expectPage(t, add("address", "nonsense", "class", "System", "severity", "Critical"),
		http.StatusUnprocessableEntity, "must be a mail address")
	expectPage(t, add("address", "JOE@example.com", "class", "System", "severity", "Critical"),
		http.StatusUnprocessableEntity, "already")
	expectPage(t, add("address", "ann@example.com", "severity", "Critical"),
		http.StatusUnprocessableEntity, "at least one alert class")
	w := add("address", "ann")
	if expectPage(t, w, http.StatusUnprocessableEntity, `id="address-error"`, `id="class-error"`,
		`id="severity-error"`); strings.Contains(w.Body.String(), "checked") {
		t.Error("boxes are ticked that the user had not ticked")
	}
	expectPage(t, add("address", "ann@example.com", "class", "Weather", "severity", "Critical"),
		http.StatusUnprocessableEntity, "There is no alert class")
	expectPage(t, b.get(alertsPath+"/delete?address=joe@example.com"), http.StatusOK,
		"Are you sure you want to delete the alert recipient joe@example.com?",
		`name="address" value="joe@example.com"`)
	expectRedirect(t, b.post(alertsPath+"/delete", "address", "joe@example.com"), alertsPath)
	expectPage(t, b.get(alertsPath), http.StatusOK, "No Changes Pending",
		"No recipients are configured")
}

func TestAlertSettings(t *testing.T) {
	s := newTestSite(t)
	b := s.login("admin")
	expectRedirect(t, b.post(alertsPath+"/settings", "from", "esa@example.com", "initial", "60",
		"maximum", "600", "stored", "20", "autosupport", "y"), alertsPath)
	expectPage(t, b.get(alertsPath), http.StatusOK, "Commit Changes »", "esa@example.com",
		"60 seconds", "600 seconds", "20", "Enabled")
	for field, value := range map[string]string{"from": "nobody", "initial": "x", "maximum": "1",
		"stored": "0"} {
		form := map[string]string{"from": "", "initial": "60", "maximum": "600", "stored": "20"}
		form[field] = value
		var pairs []string
		for k, v := range form {
			pairs = append(pairs, k, v)
		}
		expectPage(t, b.post(alertsPath+"/settings", pairs...), http.StatusUnprocessableEntity,
			`role="alert">Some settings are not valid.`, `value="`+value+`"`,
			`id="`+field+`-error">The `)
	}
	expectPage(t, b.post(alertsPath+"/settings", "from", "nobody", "initial", "x", "maximum", "600",
		"stored", "y"), http.StatusUnprocessableEntity,
		`id="from-error"`, `id="initial-error"`, `value="600">`, `id="stored-error"`)
	s.appliance.Alerts.Raise(alert.System, alert.Critical, "Something <b>broke</b>")
	expectPage(t, b.get(alertsPath), http.StatusOK, "Stored Alerts", "System", "Critical",
		"Something &lt;b&gt;broke&lt;/b&gt;")
}

func TestCommitConflict(t *testing.T) {
	s := newTestSite(t)
	one, two := s.login("admin"), s.login("admin")
	one.post(logsPath+"/add", syslogForm...)
	two.post(logsPath+"/delete/status", "sure", "yes")
	expectRedirect(t, one.post("/commit", "action", "commit"), "/commit")
	expectPage(t, two.post("/commit", "action", "commit"), http.StatusConflict,
		"another session has meanwhile changed log_subscriptions")
	expectPage(t, two.post("/commit", "action", "commit", "comment", "a\x01b"),
		http.StatusUnprocessableEntity, "must not contain control characters")
}

func TestRolesOfLogsAndAlerts(t *testing.T) {
	s := newTestSite(t)
	s.addUser("reader", users.ReadOnlyOperator)
	s.addUser("visitor", users.Guest)
	reader, visitor := s.login("reader"), s.login("visitor")
	w := reader.get(logsPath)
	if expectPage(t, w, http.StatusOK, "mail_logs"); strings.Contains(w.Body.String(),
		"Rollover Now") || strings.Contains(w.Body.String(), "/edit/") {
		t.Error("the page offers actions that the role does not permit")
	}
	expectPage(t, reader.get(logsPath+"/files/authentication"), http.StatusOK,
		"authentication.@20150625T085003.c")
	expectPage(t, visitor.get(logsPath+"/files/authentication"), http.StatusForbidden)
	for _, b := range []*browser{reader, visitor} {
		expectPage(t, b.get(alertsPath), http.StatusOK, "Stored Alerts")
		for _, target := range []string{logsPath + "/rollover", logsPath + "/add",
			logsPath + "/delete/status", alertsPath + "/recipient", alertsPath +
				"/settings", alertsPath + "/delete", "/commit"} {
			expectPage(t, b.post(target, "log", "status"), http.StatusForbidden)
		}
	}
	if _, changes := s.appliance.Config.LastCommit(); len(changes) > 1 {
		t.Errorf("%v", changes)
	}
}
