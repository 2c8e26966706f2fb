package delivery

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/mta/queue"
	"github.com/esasim/esasim/appliance/resolver"
)

func closes(dcid int) string { return fmt.Sprintf("DCID %d close", dcid) }

// TestHardBounce: a recipient who does not exist bounces, and the sender gets a message about it
// (mail.md 7.16, 7.17).
func TestHardBounce(t *testing.T) {
	b := newFixture(t, func(f *config.Factory) {
		Routes.SetFactory(f, RouteList{List: []Route{
			{Domain: "example.net", Hosts: []RouteHost{{Name: "[127.0.0.1]", Port: 26}}},
		}})
	})
	b.serve(first, map[string]string{"RCPT TO:<b@": "550 5.1.1 no such user"})
	m := b.serve("127.0.0.1:26", nil)
	b.submit("a@example.net", "b@example.com", "c@example.com")
	b.expect(text(opened, 1, "127.0.0.1"), "Delivery start DCID 1 MID 1 to RID [0, 1]",
		"Message done DCID 1 MID 1 to RID [1]", "MID 1 RID [1] Response '2.0.0 Ok: queued as X'",
		"Bounced: DCID 1 MID 1 to RID 0 - 5.1.0 - Unknown address error ('550', ['5.1.1 no such user']) []",
		"Start MID 2 ICID 0", "MID 2 was generated for bounce of MID 1", "MID 2 ICID 0 From: <>",
		"MID 2 ICID 0 RID 0 To: <a@example.net>", "MID 2 ready ~ bytes from <>", "MID 2 queued for delivery",
		"Message finished MID 1 done",
		"New SMTP DCID 2 interface 127.0.0.1 address 127.0.0.1 port 26",
		"Delivery start DCID 2 MID 2 to RID [0]", "Message done DCID 2 MID 2 to RID [0]",
		"MID 2 RID [0] Response '2.0.0 Ok: queued as X'", "Message finished MID 2 done")
	for _, want := range []string{
		"MAIL FROM:<>\nRCPT TO:<a@example.net>\nMessage-Id: <", "$2@esa.example.com>\r\n",
		"From: \"Mail Delivery System\" <MAILER-DAEMON@esa.example.com>\r\nTo: <a@example.net>\r\nSubject: Delivery Status Notification (Failure)\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=\"",
		"\r\ncontent-type: text/plain;\r\n    charset=\"utf-8\"\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nThe following message to <b@example.com> was undeliverable.\r\nThe reason for the problem:\r\n5.1.0 - Unknown address error 550-'5.1.1 no such user'\r\n",
		"\r\ncontent-type: message/delivery-status\r\n\r\nReporting-MTA: dns; esa.example.com\r\n\r\nFinal-Recipient: rfc822;b@example.com\r\nAction: failed\r\nStatus: 5.0.0 (permanent failure)\r\nRemote-MTA: dns; [127.0.0.1]\r\nDiagnostic-Code: smtp; 5.1.0 - Unknown address error 550-'5.1.1 no such user' (delivery attempts: 0)\r\n\r\n",
		"\r\ncontent-type: message/rfc822\r\n\r\nSubject: test\r\n\r\n.hello\r\n",
	} {
		if got := m.messages(); len(got) != 1 || !strings.Contains(got[0], want) {
			t.Errorf("the sender got\n%q\nwithout\n%q", got, want)
		}
	}
}

// TestDoubleBounce: a bounce message that bounces ends there (mail.md 7.21).
func TestDoubleBounce(t *testing.T) {
	b := newFixture(t, nil)
	b.serve(first, map[string]string{"RCPT": "501 5.5.4 Invalid Address"})
	b.submit("", "b@example.com")
	b.expect(text(opened, 1, "127.0.0.1"), "Delivery start DCID 1 MID 1 to RID [0]",
		"Double bounce: MID 1 to 0 - 5.1.0 - Unknown address error 501-'5.5.4 Invalid Address'",
		"Message finished MID 1 done")
	if mid, _, _ := b.queue.LastIDs(); mid != 1 {
		t.Errorf("the last MID is %d, want 1", mid)
	}
}

// TestSoftBounce: delivery is retried a minute after a temporary (4xx) refusal (mail.md 7.18).
func TestSoftBounce(t *testing.T) {
	b := newFixture(t, nil)
	m := b.serve(first, map[string]string{"RCPT": "452 4.3.1 Insufficient system resources"})
	b.submit("a@example.net", "b@example.com")
	b.expect(text(opened, 1, "127.0.0.1"), "Delivery start DCID 1 MID 1 to RID [0]",
		"Delayed: DCID 1 MID 1 to RID 0 - 4.3.1 - Mail system full ('452', ['4.3.1 Insufficient system resources']) []",
		"Message 1 to RID [0] pending till Mon Mar 31 20:01:23 2003")
	if env, _ := b.queue.Message(1); env.Recipients[0].Attempts != 1 || env.Recipients[0].Last.Code != 452 {
		t.Errorf("the recipient is %+v", env.Recipients[0])
	}
	b.awaitIdle("example.com")
	b.advance(idleTime)
	b.expect(closes(1))
	b.awaitTimer("example.com")
	m.set("none", "")
	b.advance(55 * time.Second)
	b.expect(text(opened, 2, "127.0.0.1"), "Delivery start DCID 2 MID 1 to RID [0]",
		"Message done DCID 2 MID 1 to RID [0]", "MID 1 RID [0] Response '2.0.0 Ok: queued as X'",
		"Message finished MID 1 done")
}

// TestRetries: the time between tries doubles up to the profile's longest; then the recipient
// expires.
func TestRetries(t *testing.T) {
	profile := DefaultProfile()
	profile.MaxRetry, profile.MaxRetries, profile.Send = 200, 3, false
	b := newFixture(t, func(f *config.Factory) { Profiles.SetFactory(f, ProfileList{Default: profile}) })
	b.serve(first, map[string]string{"MAIL": "451 later"})
	b.submit("a@example.net", "b@example.com")
	for i, wait := range []time.Duration{60, 120, 200} {
		due := b.clock.Now().Add(wait * time.Second)
		b.expect(text(opened, i+1, "127.0.0.1"), text("Delivery start DCID %d MID 1 to RID [0]", i+1),
			text("Delayed: DCID %d MID 1 to RID 0 - 4.1.0 - Unknown address error ('451', ['later']) []", i+1),
			"Message 1 to RID [0] pending till "+due.Format("Mon Jan _2 15:04:05 2006"))
		b.awaitIdle("example.com")
		b.advance(idleTime)
		b.expect(closes(i + 1))
		b.awaitTimer("example.com")
		b.advance(wait*time.Second - idleTime)
	}
	b.expect(text(opened, 4, "127.0.0.1"), "Delivery start DCID 4 MID 1 to RID [0]",
		"Bounced: DCID 4 MID 1 to RID 0 - 5.4.7 - Delivery expired (message too old) ('000', ['timeout']) []",
		"Message finished MID 1 done")
}

// TestHostDown: mail for a host that cannot be reached waits for it, and bounces when it is too old
// (mail.md 7.20).
func TestHostDown(t *testing.T) {
	profile := DefaultProfile()
	profile.MaxTime, profile.Send = 150, false
	b := newFixture(t, func(f *config.Factory) { Profiles.SetFactory(f, ProfileList{Default: profile}) })
	refused := func(dcid int) string {
		return text("Connection Error: DCID %d domain: example.com IP: 127.0.0.1 port: 25 details: "+
			"[Errno 61] Connection refused interface: 192.0.2.1 reason: network error", dcid)
	}
	b.submit("a@example.net", "b@example.com")
	b.expect(refused(1))
	b.awaitTimer("example.com")
	if d := b.destinations["example.com"]; !d.down || !d.hold.Equal(b.clock.Now().Add(time.Minute)) {
		t.Errorf("the destination is down: %v, and waits until %v", d.down, d.hold)
	}
	b.advance(time.Minute)
	b.expect(refused(2))
	b.awaitTimer("example.com")
	if s := b.queue.Stats(); s.Unattempted != 1 {
		t.Errorf("%d recipients are unattempted, want 1", s.Unattempted)
	}
	b.advance(2 * time.Minute)
	b.expect("Bounced: DCID 0 MID 1 to RID 0 - 5.4.7 - Delivery expired (message too old) ('000', ['timeout']) []",
		"Message finished MID 1 done")
}

// TestNextHost: if a host cannot be reached, or refuses for now, the next one by preference is
// asked.
func TestNextHost(t *testing.T) {
	two := []resolver.MX{{Preference: 10, Host: "mx.example.com"}, {Preference: 20, Host: "mx2.example.com"}}
	t.Run("unreachable", func(t *testing.T) {
		b := newFixture(t, nil)
		b.zone.mx["example.com"], b.zone.addrs["mx2.example.com"] = two, "127.0.0.2"
		b.serve("127.0.0.2:25", nil)
		b.submit("a@example.net", "b@example.com")
		b.expect("Connection Error: DCID 1 domain: example.com IP: 127.0.0.1 port: 25 ~",
			"New SMTP DCID 2 interface ~ address 127.0.0.2 port 25", "Delivery start DCID 2 MID 1 to RID [0]",
			"Message done DCID 2 MID 1 to RID [0]", "MID 1 RID [0] Response ~", "Message finished MID 1 done")
	})
	t.Run("refusing", func(t *testing.T) {
		b := newFixture(t, nil)
		b.zone.mx["example.com"], b.zone.addrs["mx2.example.com"] = two, "127.0.0.2"
		b.serve(first, map[string]string{"RCPT TO:<c@": "450 busy", "RCPT TO:<d@": "550 no"})
		b.serve("127.0.0.2:25", map[string]string{"RCPT": "451 also busy"})
		b.submit("", "b@example.com", "c@example.com", "d@example.com")
		b.expect("New SMTP DCID 1 ~", "Delivery start DCID 1 MID 1 to RID [0, 1, 2]",
			"Message done DCID 1 MID 1 to RID [0]", "MID 1 RID [0] Response ~",
			"Double bounce: MID 1 to 2 - 5.1.0 - Unknown address error 550-'no'",
			"DCID 1 close",
			"New SMTP DCID 2 ~", "Delivery start DCID 2 MID 1 to RID [1]",
			"Delayed: DCID 2 MID 1 to RID 1 - 4.1.0 - Unknown address error ('451', ['also busy']) []",
			"Message 1 to RID [1] pending till ~")
	})
}

// TestConnectionLost: a server that goes away during a delivery is a network problem.
func TestConnectionLost(t *testing.T) {
	b := newFixture(t, nil)
	b.serve(first, map[string]string{"end": ""})
	b.submit("a@example.net", "b@example.com")
	b.expect(text(opened, 1, "127.0.0.1"), "Delivery start DCID 1 MID 1 to RID [0]",
		"Connection Error: DCID 1 domain: example.com IP: 127.0.0.1 port: 25 details: [Errno 54] Connection reset by peer interface: 127.0.0.1 reason: network error",
		closes(1),
		"Delayed: DCID 1 MID 1 to RID 0 - 4.4.0 - Other network problem ('000', ['[Errno 54] Connection reset by peer']) []",
		"Message 1 to RID [0] pending till ~")
}

// TestRefusals: the code of a failure follows the reply and the step (mail.md 1.6).
func TestRefusals(t *testing.T) {
	for _, test := range []struct{ command, answer, want string }{
		{"greeting", "554 go away", "Double bounce: MID 1 to 0 - 5.3.0 - Other mail system problem 554-'go away'"},
		{"greeting", "421 4.3.2 try again later", "Delayed: DCID 1 MID 1 to RID 0 - 4.3.2 - Not accepting messages at this time ('421', ['4.3.2 try again later']) []"},
		{"DATA", "554 no", "Double bounce: MID 1 to 0 - 5.3.0 - Other mail system problem 554-'no'"},
		{"end", "550-spam\n550 found", `Double bounce: MID 1 to 0 - 5.3.0 - Other mail system problem 550-'spam\nfound'`},
		{"end", "451 later", "Delayed: DCID 1 MID 1 to RID 0 - 4.3.0 - Other mail system problem ('451', ['later']) []"},
		{"MAIL", "553 5.1.8 who", "Double bounce: MID 1 to 0 - 5.1.0 - Unknown address error 553-'5.1.8 who'"},
	} {
		t.Run(test.command+test.answer[:3], func(t *testing.T) {
			b := newFixture(t, nil)
			b.serve(first, map[string]string{test.command: test.answer})
			b.submit("", "b@example.com")
			b.expect(text(opened, 1, "127.0.0.1"))
			if test.command == "greeting" {
				b.expect(closes(1))
			} else {
				b.expect("Delivery start DCID 1 MID 1 to RID [0]")
			}
			b.expect(test.want)
		})
	}
}

// TestLookups: a domain that does not exist bounces, one that cannot be looked up waits (mail.md
// 7.19).
func TestLookups(t *testing.T) {
	t.Run("no domain", func(t *testing.T) {
		b := newFixture(t, nil)
		b.submit("", "b@nx.example")
		b.expect("Double bounce: MID 1 to 0 - 5.1.2 - Bad destination host 000-'DNS Hard Error looking up nx.example (MX):  NXDomain'",
			"Message finished MID 1 done")
	})
	t.Run("no answer", func(t *testing.T) {
		b := newFixture(t, nil)
		b.zone.fails = true
		b.submit("", "b@example.com")
		b.expect("DNS Temporary Failure example.com MX - unable to reach nameserver")
		b.awaitTimer("example.com")
	})
	t.Run("no MX", func(t *testing.T) {
		b := newFixture(t, nil)
		b.zone.addrs["host.example"] = "127.0.0.1"
		b.serve(first, nil)
		b.submit("", "b@host.example")
		b.expect(text(opened, 1, "127.0.0.1"))
	})
	t.Run("address", func(t *testing.T) {
		b := newFixture(t, nil)
		b.serve(first, nil)
		b.submit("", "b@[127.0.0.1]")
		b.expect(text(opened, 1, "127.0.0.1"))
	})
}

// TestRoutes: a route replaces DNS, by priority; /dev/null discards; mail for a route that does not
// resolve waits.
func TestRoutes(t *testing.T) {
	b := newFixture(t, func(f *config.Factory) {
		Routes.SetFactory(f, RouteList{List: []Route{
			{Domain: ".example.com", Hosts: []RouteHost{{Name: "127.0.0.1", Port: 27, Priority: 5}, {Name: "127.0.0.1", Port: 26}}},
			{Domain: "example.com"},
			{Domain: "void.example", Discard: true},
			{Domain: "lost.example", Hosts: []RouteHost{{Name: "nowhere.example"}}},
		}})
	})
	b.serve(first, nil)
	b.serve("127.0.0.1:26", nil)
	b.submit("", "b@sub.example.com")
	b.expect("New SMTP DCID 1 interface 127.0.0.1 address 127.0.0.1 port 26", "Delivery start ~", "Message done ~", "MID 1 ~", "Message finished ~")
	b.submit("", "b@example.com")
	b.expect(text(opened, 2, "127.0.0.1"), "Delivery start ~", "Message done ~", "MID 2 ~", "Message finished ~")
	b.submit("", "b@void.example")
	b.expect("Message deleted MID 3 to RID [0]", "Message finished MID 3 done")
	b.submit("", "b@lost.example")
	b.expect("DNS failure for SMTP route destination nowhere.example")
}

// TestLimits: a connection has no more messages, a destination no more connections and recipients
// than its control allows.
func TestLimits(t *testing.T) {
	t.Run("messages", func(t *testing.T) {
		limits := DefaultDestination()
		limits.MaxConnections, limits.MaxMessages = 1, 1
		b := newFixture(t, func(f *config.Factory) { Destinations.SetFactory(f, DestinationList{Default: limits}) })
		b.serve(first, nil)
		b.submit("", "b@example.com")
		b.submit("", "b@example.com")
		b.expect(text(opened, 1, "127.0.0.1"), "Delivery start DCID 1 MID 1 ~", "Message done ~", "MID 1 ~", "Message finished ~",
			closes(1), text(opened, 2, "127.0.0.1"), "Delivery start DCID 2 MID 2 ~")
	})
	t.Run("recipients", func(t *testing.T) {
		limits := DefaultDestination()
		limits.RecipientLimit, limits.Minutes = 2, 10
		b := newFixture(t, func(f *config.Factory) { Destinations.SetFactory(f, DestinationList{Default: limits}) })
		m := b.serve(first, nil)
		b.submit("", "a@example.com", "b@example.com", "c@example.com")
		b.expect(text(opened, 1, "127.0.0.1"), "Delivery start DCID 1 MID 1 to RID [0, 1]", "Message done ~", "MID 1 ~")
		b.awaitIdle("example.com")
		b.advance(idleTime)
		b.expect(closes(1))
		b.awaitTimer("example.com")
		if n := len(m.messages()); n != 1 {
			t.Fatalf("%d messages arrived within the period", n)
		}
		b.advance(10 * time.Minute)
		b.expect(text(opened, 2, "127.0.0.1"), "Delivery start DCID 2 MID 1 to RID [2]")
	})
}

// TestRestart: what was not delivered before a stop is delivered after the next start.
func TestRestart(t *testing.T) {
	b := newFixture(t, nil)
	if err := b.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.submit("", "b@example.com")
	b.serve(first, nil)
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.expect(text(opened, 1, "127.0.0.1"), "Delivery start DCID 1 MID 1 to RID [0]")
}

// TestAdministrator: suspended mail waits; chosen recipients are deleted, bounced or redirected.
func TestAdministrator(t *testing.T) {
	b := newFixture(t, nil)
	b.Suspend(t.Context())
	m := b.serve(first, nil)
	b.submit("", "b@example.com", "c@other.example")
	b.submit("a@example.net", "d@example.com")
	if n, r := b.Delete(t.Context(), Selection{Domain: "Other.example"}); n != 1 || r != 1 {
		t.Errorf("%d messages and %d recipients were deleted", n, r)
	}
	b.expect("Mail delivery suspended.", "Message deleted MID 1 to RID [1]")
	if n, r := b.Bounce(t.Context(), Selection{Sender: "A@example.net"}); n != 1 || r != 1 {
		t.Errorf("%d messages and %d recipients were bounced", n, r)
	}
	b.expect("Bounced: DCID 0 MID 2 to RID 0 - 5.0.0 - Other address status ('000', ['Bounced by administrator']) []",
		"Start MID 3 ICID 0", "MID 3 was generated for bounce of MID 2", "MID 3 ICID 0 From: <>",
		"MID 3 ICID 0 RID 0 To: <a@example.net>", "MID 3 ready ~", "MID 3 queued for delivery", "Message finished MID 2 done")
	if n := b.Redirect(t.Context(), "[127.0.0.1]"); n != 2 {
		t.Errorf("%d recipients were redirected", n)
	}
	if len(m.messages()) > 0 {
		t.Error("mail was delivered while delivery was suspended")
	}
	b.Resume()
	b.expect("Mail delivery resumed.", text(opened, 1, "127.0.0.1"), "Delivery start DCID 1 MID 1 to RID [0]", "Message done ~", "MID 1 ~",
		"Message finished MID 1 done", "Delivery start DCID 1 MID 3 to RID [0]", "Message done ~", "MID 3 ~",
		"Message finished MID 3 done")
	if got := m.messages(); len(got) != 2 || !strings.HasPrefix(got[0], "MAIL FROM:<>\nRCPT TO:<b@example.com>\n") {
		t.Errorf("the host got %q, want messages to their original recipients", got)
	}
}

// TestRedirectedMailPassesTheWorkQueue: a message that has not passed the work queue is redirected,
// and not delivered before it has.
func TestRedirectedMailPassesTheWorkQueue(t *testing.T) {
	f := newFixture(t, nil)
	in, err := f.queue.Create(f.queue.NextMID())
	if err != nil {
		t.Fatal(err)
	}
	env := queue.Envelope{MID: 1, Received: f.clock.Now(), Recipients: []queue.Recipient{{Address: "b@example.com"}}}
	if err := in.Commit(t.Context(), env); err != nil {
		t.Fatal(err)
	}
	if n := f.Redirect(t.Context(), "[127.0.0.1]"); n != 1 {
		t.Errorf("%d recipients were redirected, want 1", n)
	}
	env, _ = f.queue.Message(1)
	if d := f.destinations["[127.0.0.1]"]; d != nil || env.Recipients[0].Host != "[127.0.0.1]" {
		t.Errorf("the message is %+v, and in the line of %+v", env, d)
	}
}

// TestDeliverNow: recipients that wait are tried at once.
func TestDeliverNow(t *testing.T) {
	b := newFixture(t, nil)
	m := b.serve(first, map[string]string{"RCPT": "451 later"})
	b.submit("", "b@example.com")
	b.expect(text(opened, 1, "127.0.0.1"), "Delivery start ~", "Delayed: ~", "Message 1 to RID [0] pending ~")
	m.set("none", "")
	b.DeliverNow("example.COM")
	b.expect("Delivery start DCID 1 MID 1 to RID [0]", "Message done ~")
}

// TestSuspendWaits: a connection that is kept for more messages ends when deliveries are suspended.
func TestSuspendWaits(t *testing.T) {
	b := newFixture(t, nil)
	b.serve(first, nil)
	b.submit("", "b@example.com")
	b.expect(text(opened, 1, "127.0.0.1"), "Delivery start ~", "Message done ~", "MID 1 ~", "Message finished MID 1 done")
	if !b.Suspend(t.Context()) || b.Suspend(t.Context()) {
		t.Error("Suspend does not say whether it changed anything")
	}
	b.expect(closes(1), "Mail delivery suspended.")
	b.submit("", "b@example.com")
	if !b.Resume() {
		t.Error("Resume does not say that it changed something")
	}
	b.expect("Mail delivery resumed.", text(opened, 2, "127.0.0.1"))
}

// TestCutOffMailIsDeliveredAfterResume: deliveries that a suspension cuts off are not forgotten.
func TestCutOffMailIsDeliveredAfterResume(t *testing.T) {
	f := newFixture(t, nil)
	m := f.serve(first, map[string]string{"RCPT": "hold"})
	f.submit("", "b@example.com")
	f.expect(text(opened, 1, "127.0.0.1"), "Delivery start DCID 1 MID 1 to RID [0]")
	<-m.held
	ended, end := context.WithCancel(t.Context())
	end()
	if !f.Suspend(ended) {
		t.Error("Suspend does not say that it changed something")
	}
	f.expect("DCID 1 close", "Mail delivery suspended.")
	m.set("none", "")
	f.Resume()
	f.expect("Mail delivery resumed.", text(opened, 2, "127.0.0.1"), "Delivery start DCID 2 MID 1 to RID [0]",
		"Message done DCID 2 MID 1 to RID [0]")
}

// TestSuspendEndsWhenResumed: a Suspend that waits for deliveries ends when they are resumed, and
// does not cut them off.
func TestSuspendEndsWhenResumed(t *testing.T) {
	f := newFixture(t, nil)
	m := f.serve(first, map[string]string{"RCPT": "hold"})
	f.submit("", "b@example.com")
	f.expect(text(opened, 1, "127.0.0.1"), "Delivery start DCID 1 MID 1 to RID [0]")
	<-m.held
	waiting, end := context.WithCancel(t.Context())
	done := make(chan bool)
	go func() { done <- f.Suspend(waiting) }()
	f.await(func() bool { return f.suspended })
	f.Resume()
	<-done
	end()
	if f.Suspended() {
		t.Error("deliveries are suspended although they were resumed")
	}
	f.await(func() bool { return f.connections == 1 })
}

// TestRaisedLimitIsUsedAtOnce: destinations that wait for room go on when a commit makes room.
func TestRaisedLimitIsUsedAtOnce(t *testing.T) {
	f := newFixture(t, func(c *config.Factory) { Config.SetFactory(c, Settings{MaxConnections: 1, MaxTLSConnections: 1}) })
	f.zone.addrs["other.example"] = "127.0.0.1"
	m := f.serve(first, map[string]string{"RCPT": "hold"})
	f.submit("", "b@example.com")
	f.expect(text(opened, 1, "127.0.0.1"), "Delivery start DCID 1 MID 1 to RID [0]")
	<-m.held
	f.submit("", "b@other.example")
	f.await(func() bool { return f.crowded })
	m.set("none", "")
	d := f.config.NewDraft()
	Config.Set(d, Settings{MaxConnections: 5, MaxTLSConnections: 5})
	if _, err := f.config.Commit(t.Context(), d, config.CommitInfo{}); err != nil {
		t.Fatal(err)
	}
	f.Reschedule()
	f.expect(text(opened, 2, "127.0.0.1"), "Delivery start DCID 2 MID 2 to RID [0]", "Message done ~")
}

// TestFullQueueBouncesWithoutNotice: recipients that must bounce are finished although the queue has
// no room for a message to their sender.
func TestFullQueueBouncesWithoutNotice(t *testing.T) {
	f := newFixtureWithQuota(t, 400, nil)
	f.submit("a@example.net", "b@nx.example")
	f.expect("Bounced: DCID 0 MID 1 to RID 0 - 5.1.2 ~", "Message finished MID 1 done")
	if s := f.queue.Stats(); s.Messages != 0 {
		t.Errorf("%d messages are in the queue", s.Messages)
	}
}

// TestDestinationsAreForgotten: a destination with a recipient limit is forgotten when its period is
// over.
func TestDestinationsAreForgotten(t *testing.T) {
	limits := DefaultDestination()
	limits.RecipientLimit, limits.Minutes = 5, 10
	f := newFixture(t, func(c *config.Factory) { Destinations.SetFactory(c, DestinationList{Default: limits}) })
	f.submit("", "b@nx.example")
	f.expect("Double bounce: ~", "Message finished MID 1 done")
	f.await(func() bool { d := f.destinations["nx.example"]; return d != nil && d.stopTimer != nil })
	f.clock.Advance(10 * time.Minute)
	f.await(func() bool { return len(f.destinations) == 0 })
}
