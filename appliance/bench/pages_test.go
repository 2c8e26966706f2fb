package bench_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/esasim/esasim/appliance/appliancetest"
)

// TestFaultsPage adds, disables, enables and removes faults, and presets.
func TestFaultsPage(t *testing.T) {
	b, c := open(t)
	has(t, c.get("/faults"), "The network has no faults.", `aria-label="Break: DNS servers do not answer."`)
	text := c.post("/faults/add", "action", "refuse", "protocol", "tcp", "port", "25", "connections", "2",
		"for", "1h", "name", "mail-off")
	has(t, text, "<strong>mail-off</strong>", "refuse protocol tcp port 25 connections 2 for 1h0m0s", "left",
		`<a href="/?at=host%2fmail#panel">mail</a>`)
	has(t, c.post("/faults/change", "fault", "1", "do", "disable"), "<td>disabled")
	has(t, c.post("/faults/change", "fault", "1", "do", "enable"), "<td>acting")
	has(t, c.post("/faults/preset", "preset", "dns-gone", "on", "yes"), `aria-label="Repair: DNS servers do not answer."`)
	if n := len(b.Faults().List()); n != 3 {
		t.Errorf("%d faults, want 3", n)
	}
	c.post("/faults/preset", "preset", "dns-gone", "on", "no")
	if text := c.post("/faults/change", "fault", "1", "do", "remove"); len(b.Faults().List()) != 0 {
		t.Errorf("faults are left:\n%s", text)
	}
	if status, _ := c.try("/faults/change", "fault", "9", "do", "remove"); status != http.StatusNotFound {
		t.Errorf("a fault that is not there: %d", status)
	}
	c.post("/faults/preset", "preset", "lossy-link", "on", "yes")
	has(t, c.post("/faults/clear"), "The network has no faults.")
}

// TestServersPage stops and starts a server, and shows syslog records.
func TestServersPage(t *testing.T) {
	b, c := open(t, appliancetest.Topology("syslog"))
	name := ""
	for _, s := range b.World().Servers() {
		if s.Type == "syslogd" {
			name = s.Name
		}
	}
	has(t, c.get("/servers"), `<a href="/servers/of/`+name+`">`)
	has(t, c.get("/servers/of/"+name), "<h2>Connections</h2>", "<h2>Records</h2>")
	text := c.post("/servers/switch", "server", name, "do", "stop", "back", "/servers/of/"+name)
	has(t, text, "stopped", "Start the server")
	has(t, c.post("/servers/switch", "server", name, "do", "start", "back", "https://elsewhere.example/"), `aria-label="Stop `+name)
	if status, _ := c.do(http.MethodGet, "/servers/of/nobody", nil); status != http.StatusNotFound {
		t.Errorf("a server that is not there: %d", status)
	}
}

// TestMailPages show a message as content, headers and source, and forget it.
func TestMailPages(t *testing.T) {
	b, c := open(t)
	message := "From: ann@example.net\r\nTo: joe@example.com\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n" +
		"\r\n<script>alert(1)</script> hello\r\n"
	sendMail(t, b, message)
	has(t, c.get("/mail/mail"), `<a href="/mail/mail/1">Grüße</a>`, "ann@example.net", "1 message.")
	text := c.get("/mail/mail/1")
	has(t, text, "&lt;script&gt;alert(1)&lt;/script&gt; hello", "text/plain")
	if strings.Contains(text, "<script>alert") {
		t.Error("the page contains the message's script")
	}
	has(t, c.get("/mail/mail/1?as=headers"), `<th scope="row">Subject</th><td>Grüße</td>`)
	has(t, c.get("/mail/mail/1?as=source"), "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=")
	if raw := c.get("/mail/mail/1/raw"); !strings.Contains(raw, "\r\n\r\n<script>alert(1)</script> hello\r\n") {
		t.Errorf("the file is %q", raw)
	}
	has(t, c.post("/mail/mail/clear"), "0 messages.")
}

// TestWorldPage sets the clock and resets the world.
func TestWorldPage(t *testing.T) {
	b, c := open(t)
	has(t, c.get("/world"), "up</span> since")
	has(t, c.post("/world/clock", "time", "2030-05-17 08:30:00"), "2030-05-17 08:30:")
	has(t, c.post("/world/advance", "by", "24h"), "2030-05-18 08:30:")
	for text, fields := range map[string][]string{
		"is not a time: expected":      {"/world/clock", "time", "tomorrow"},
		"cannot be set to the year":    {"/world/clock", "time", "1812-01-01 00:00"},
		"is not a time span: expected": {"/world/advance", "by", "much"},
	} {
		status, page := c.try(fields[0], fields[1:]...)
		if status != http.StatusBadRequest {
			t.Errorf("%v: %d", fields, status)
		}
		has(t, page, text)
	}
	c.post("/faults/preset", "preset", "dns-gone", "on", "yes")
	has(t, c.post("/world/reset"), "The world is as it was after the start. That took ")
	if n := len(b.Faults().List()); n != 0 || b.Now().Year() == 2030 {
		t.Errorf("after the reset: %d faults, %v", n, b.Now())
	}
}

// TestSnapshots saves, restores, downloads and removes one.
func TestSnapshots(t *testing.T) {
	b, c := open(t)
	c.post("/faults/preset", "preset", "dns-gone", "on", "yes")
	has(t, c.post("/world/snapshot", "name", "dns-is-gone"), "The snapshot dns-is-gone was saved.",
		`aria-label="Restore dns-is-gone"`)
	c.post("/faults/clear")
	has(t, c.post("/world/restore", "name", "dns-is-gone"), "The world is as in the snapshot dns-is-gone.")
	if n := len(b.Faults().List()); n != 2 {
		t.Errorf("%d faults after the snapshot was restored, want 2", n)
	}
	if file := c.get("/world/snapshots/dns-is-gone"); len(file) < 1024 {
		t.Errorf("the file of the snapshot has %d bytes", len(file))
	}
	for path, want := range map[string]string{
		"/world/snapshot": "is no name of a snapshot", "/world/restore": "there is no snapshot",
		"/world/remove": "there is no snapshot",
	} {
		status, text := c.try(path, "name", "7")
		if status != http.StatusBadRequest && status != http.StatusNotFound {
			t.Errorf("%s: %d", path, status)
		}
		has(t, text, want)
	}
	if text := c.post("/world/remove", "name", "dns-is-gone"); strings.Contains(text, "Restore dns") {
		t.Error("the snapshot is still there")
	}
}

// TestPagesOfAnApplianceThatIsOff: they say so, and work again when it is on.
func TestPagesOfAnApplianceThatIsOff(t *testing.T) {
	b, c := open(t)
	if err := b.PowerOff(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/", "/faults", "/servers", "/packets", "/events", "/tables", "/world", "/mail/mail"} {
		if status, text := c.do(http.MethodGet, path, nil); status >= 500 && status != http.StatusServiceUnavailable {
			t.Errorf("%s: %d\n%s", path, status, text)
		}
	}
	has(t, c.get("/world"), `<strong class="bad">`)
	if err := b.PowerOn(t.Context()); err != nil {
		t.Fatal(err)
	}
	has(t, c.get("/world"), "up</span> since")
	has(t, c.get("/tables"), "LISTEN")
}
