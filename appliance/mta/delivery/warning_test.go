package delivery

import (
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/resolver"
)

// warned are the lines about a warning.
func warned(mid, of string) []string {
	return []string{
		"Start MID " + mid + " ICID 0", "MID " + mid + " was generated for delay warning of MID " + of,
		"MID " + mid + " ICID 0 From: <>", "MID " + mid + " ICID 0 RID 0 To: <a@example.net>",
		"MID " + mid + " ready ~ bytes from <>", "MID " + mid + " queued for delivery",
	}
}

// TestDelayWarning: the sender is warned when a message was deferred for the interval of the bounce
// profile, as often as the profile says, also over a restart.
func TestDelayWarning(t *testing.T) {
	p := DefaultProfile()
	p.Warn, p.WarnInterval, p.MaxWarnings = true, 100, 2
	f := newFixture(t, func(c *config.Factory) { Profiles.SetFactory(c, ProfileList{Default: p}) })
	f.zone.mx["example.net"] = []resolver.MX{{Preference: 10, Host: "mx.example.net"}}
	f.zone.addrs["mx.example.net"] = "127.0.0.2"
	m := f.serve(first, map[string]string{"RCPT": "451 4.7.1 later"})
	senders := f.serve("127.0.0.2:25", nil)
	f.submit("a@example.net", "b@example.com")
	const delayed = "Delayed: DCID ~ MID 1 to RID 0 - 4.1.0 - Unknown address error ('451', ['4.7.1 later']) []"
	attempt := func(dcid string, more ...string) {
		t.Helper()
		f.expect(append([]string{"New SMTP DCID " + dcid + " ~", "Delivery start DCID " + dcid + " MID 1 to RID [0]",
			delayed, "Message 1 to RID [0] pending ~"}, more...)...)
	}
	next := func(wait time.Duration) {
		t.Helper()
		f.awaitIdle("example.com")
		f.advance(5 * time.Second) // the connections are closed
		f.await(func() bool { return f.connections == 0 })
		if err := f.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		f.mu.Lock()
		f.lines = nil
		f.mu.Unlock()
		f.advance(wait - 5*time.Second)
		if err := f.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	attempt("1")
	next(60 * time.Second)
	attempt("2") // t=60: no warning is due
	next(120 * time.Second)
	attempt("3", warned("2", "1")...) // t=180: the first one
	f.await(func() bool { d := f.destinations["example.net"]; return d != nil && d.waiting > 0 })
	next(240 * time.Second)
	attempt("5", warned("3", "1")...) // t=420: the second one
	f.await(func() bool { d := f.destinations["example.net"]; return d != nil && d.waiting > 0 })
	next(480 * time.Second)
	attempt("7") // no third one
	m.set("none", "")
	got := senders.messages()
	if len(got) != 2 {
		t.Fatalf("the sender got %d messages, want 2", len(got))
	}
	text := strings.ReplaceAll(got[0], "\r\n", "\n")
	for _, part := range []string{
		"MAIL FROM:<>\nRCPT TO:<a@example.net>\n", "Subject: Delivery Status Notification (Delay)\n",
		"The following message to <b@example.com> has been delayed.\nThe reason for the problem:\n4.1.0 - Unknown address error 451-'4.7.1 later'\n",
		"Final-Recipient: rfc822;b@example.com\nAction: delayed\nStatus: 4.0.0 (temporary failure)\n" +
			"Remote-MTA: dns; [127.0.0.1]\nDiagnostic-Code: smtp; 4.1.0 - Unknown address error 451-'4.7.1 later' " +
			"(delivery attempts: 2)\nWill-Retry-Until: Thu, 03 Apr 2003 20:00:23 +0000\n\n",
		"Subject: test\n",
	} {
		if !strings.Contains(text, part) {
			t.Errorf("the warning has no %q:\n%s", part, text)
		}
	}
}

// TestNoDelayWarning: neither a server that is down nor a first attempt nor a bounce message is a
// reason for a warning.
func TestNoDelayWarning(t *testing.T) {
	p := DefaultProfile()
	p.Warn, p.WarnInterval, p.MaxWarnings = true, MinWarnInterval, 5
	f := newFixture(t, func(c *config.Factory) { Profiles.SetFactory(c, ProfileList{Default: p}) })
	f.submit("a@example.net", "b@example.com")
	f.expect("Connection Error: ~")
	f.awaitTimer("example.com")
	f.advance(time.Hour)
	f.expect("Connection Error: ~")
	f.awaitTimer("example.com")
	f.serve(first, map[string]string{"RCPT": "451 later"})
	f.submit("", "c@example.com")
	f.advance(2 * time.Hour)
	f.expect("New SMTP DCID 3 ~", "Delivery start DCID 3 MID 1 ~", "Delayed: ~", "Message 1 to RID [0] pending ~",
		"Delivery start DCID 3 MID 2 ~", "Delayed: ~", "Message 2 to RID [0] pending ~")
	f.DeliverNow("")
	f.expect("Delivery start DCID 3 MID 1 ~", "Delayed: ~", "Message 1 to RID [0] pending ~")
	f.expect(warned("3", "1")...)
	f.await(func() bool { return f.destinations["example.com"].line.has(2, 0) })
}
