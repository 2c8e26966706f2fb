package listener

import (
	"strings"
	"testing"
	"time"
)

// withPolicy starts a Server whose clients come under the given default parameters.
func withPolicy(t *testing.T, p Parameters) *fixture {
	return newFixture(t, func(s *Settings) { s.Listeners[0].Hosts.Default = p })
}

// TestBanners: a policy can change the code, the host name and the text of the banner, and those of
// a rejection, with variables in the texts (mail.md 3.1, 4.1).
func TestBanners(t *testing.T) {
	custom := Parameters{BannerCode: ptr(221), BannerHost: ptr("mx.example.com"), Banner: ptr("$Group $RemoteIP $Hostname $HATEntry $OrgID")}
	b := withPolicy(t, custom)
	b.dial("192.0.2.9", "221-mx.example.com ESMTP", "221 UNKNOWNLIST 192.0.2.9 Unknown sbrs[none] None").quit()

	custom = Parameters{BannerHost: ptr("")}
	withPolicy(t, custom).dial("192.0.2.9", "220 ESMTP").quit()

	custom = Parameters{RejectCode: ptr(550), RejectBanner: ptr("No mail from $RemoteIP")}
	b = newFixture(t, func(s *Settings) {
		s.Listeners[0].Hosts.Default, s.Listeners[0].Hosts.Last = custom, "REJECT"
		s.Listeners[0].Hosts.Groups = nil
	})
	b.dial("192.0.2.9", "550-esa.example.com", "550 No mail from 192.0.2.9").quit()
	b.expectLog(connected(1)[0], "ICID 1 REJECT SG None match ALL SBRS None", "ICID 1 close")
}

// TestPlainEntries: an entry that is no group has an action of its own; the log names no group.
func TestPlainEntries(t *testing.T) {
	b := newFixture(t, func(s *Settings) {
		hosts, _, err := ParseHosts("192.0.2.9\n    REJECT (one host)\nALL\n    ACCEPT\n")
		if err != nil {
			t.Fatal(err)
		}
		s.Listeners[0].Hosts = hosts
	})
	b.dial("192.0.2.9", "554-esa.example.com", "554 "+standardRejection).quit()
	b.dial("192.0.2.10").quit()
	if got := b.log(); !strings.Contains(got, "\nICID 1 REJECT SG None match 192.0.2.9 SBRS None\n") ||
		!strings.Contains(got, "\nICID 2 ACCEPT SG None match ALL SBRS None\n") {
		t.Errorf("the mail log has\n%s", got)
	}
}

// TestCustomAnswers: limits and the verification of senders answer with the code and the text of the
// policy.
func TestCustomAnswers(t *testing.T) {
	b := withPolicy(t, Parameters{
		MaxRecipientsPerHour: ptr(1), PerHourCode: ptr(421), PerHourText: ptr("Slowly, $RemoteIP"),
		MaxInvalidPerHour: ptr(1), InvalidCode: ptr(554), InvalidText: ptr("No guessing, $EnvelopeSender"),
		VerifySender: ptr(true), MalformedCode: ptr(550), MalformedText: ptr("Who is $EnvelopeSender"),
		NoDomainCode: ptr(551), NoDomainText: ptr("No domain of $EnvelopeSender"),
		UnresolvedCode: ptr(450), UnresolvedText: ptr("Later, $EnvelopeSender"),
	})
	b.dns.addrs = map[string]string{"host.example": "192.0.2.26"}
	b.dns.fails = map[string]bool{"slow.example": true}
	c := b.dial("192.0.2.9")
	c.say("HELO x", "250 esa.example.com")
	c.say("MAIL FROM:<joe>", "550 Who is joe")
	c.say("MAIL FROM:<a@nx.example>", "551 No domain of a@nx.example")
	c.say("MAIL FROM:<a@slow.example>", "450 Later, a@slow.example")
	c.say("MAIL FROM:<a@host.example>", "250 sender <a@host.example> ok")
	c.say("RCPT TO:<b@example.com>", "250 recipient <b@example.com> ok")
	c.say("RCPT TO:<c@example.com>", "421 Slowly, 192.0.2.9")
	c.say("RCPT TO:<b@x.example>", "550 #5.1.0 Address rejected.")
	c.say("RCPT TO:<c@x.example>", "554 No guessing, a@host.example")
	c.closed()
}

// TestRateOfSenders: recipients of one envelope sender are limited, over all connections and from any
// address, and the administrator is told once for each interval. The null sender has no limit.
func TestRateOfSenders(t *testing.T) {
	b := withPolicy(t, Parameters{MaxRecipientsPerSender: ptr(2), SenderInterval: ptr(30)})
	mail := func(from, client string, answers ...string) {
		t.Helper()
		c := b.dial(client)
		c.say("HELO x", "250 esa.example.com")
		c.say("MAIL FROM:<"+from+">", "250 sender <"+from+"> ok")
		for _, a := range answers {
			c.say("RCPT TO:<b@example.com>", a)
		}
		c.quit()
	}
	const ok, no = "250 recipient <b@example.com> ok", "452 Too many recipients received from the sender"
	mail("a@example.net", "192.0.2.9", ok)
	mail("A@Example.net", "192.0.2.10", ok, no, no)
	mail("b@example.net", "192.0.2.10", ok, ok, no)
	mail("", "192.0.2.9", ok, ok, ok)
	b.clock.Advance(30 * time.Minute)
	mail("a@example.net", "192.0.2.9", ok, ok, no)
	alert := func(from string) string {
		return "System is rate limiting Envelope Sender <" + from + "> due to high volume of messages"
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	want := []string{alert("A@Example.net"), alert("b@example.net"), alert("a@example.net")}
	if strings.Join(b.alerts, "\n") != strings.Join(want, "\n") {
		t.Errorf("the alerts are %q, want %q", b.alerts, want)
	}
}

// TestListenerSettings: a listener has a limit of connections of its own, a default domain, and need
// not add Received fields.
func TestListenerSettings(t *testing.T) {
	b := newFixture(t, func(s *Settings) {
		l := &s.Listeners[0]
		l.MaxConnections, l.OmitReceived, l.DefaultDomain = 1, true, "example.com"
	})
	c := b.dial("192.0.2.9")
	b.dial("192.0.2.10", "421 #4.4.5 Too many connections to this listener").closed()
	c.say("HELO x", "250 esa.example.com")
	c.say("MAIL FROM:<a>", "250 sender <a@example.com> ok")
	c.say("RCPT TO:<b>", "250 recipient <b@example.com> ok")
	c.say("DATA", "354 go ahead")
	c.say("Message-ID: <1@x>\r\n\r\n.", "250 ok:  Message 1 accepted")
	c.quit()
	b.awaitClosed(1)
	if got := b.body(1); got != "Message-ID: <1@x>\r\n\r\n" {
		t.Errorf("the queue has %q", got)
	}
	b.dial("192.0.2.10").quit()
}
