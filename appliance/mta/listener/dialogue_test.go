package listener

import (
	"encoding/base64"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"
)

// connected are the lines about a connection from 192.0.2.9 that DNS knows nothing about.
func connected(icid int) []string {
	return []string{
		fmt.Sprintf("New SMTP ICID %d interface Management (192.0.2.1) address 192.0.2.9 reverse dns host unknown verified no", icid),
		fmt.Sprintf("ICID %d ACCEPT SG UNKNOWNLIST match sbrs[none] SBRS None", icid),
	}
}

func TestMessageIsAccepted(t *testing.T) {
	b := newFixture(t, nil)
	b.dns.names = map[string]string{"192.0.2.9": "mail.example.net"}
	b.dns.addrs = map[string]string{"mail.example.net": "192.0.2.9"}
	b.dns.texts = map[string]string{"9.2.0.192.rf.senderbase.org": "score=5.6 country=United States"}
	c := b.dial("192.0.2.9")
	c.say("EHLO mail.example.net", "250-esa.example.com", "250-8BITMIME", "250 SIZE 10485760")
	c.say("MAIL FROM:<a@example.net> SIZE=100 BODY=8BITMIME", "250 sender <a@example.net> ok")
	c.say("RCPT TO:<b@example.com>", "250 recipient <b@example.com> ok")
	c.say("rcpt to: <c@example.com>", "250 recipient <c@example.com> ok")
	c.say("DATA", "354 go ahead")
	c.say("Message-ID: <1@x>\r\nSubject: =?utf-8?q?caf=C3=A9?=\r\n\r\n..dot\r\nend\r\n.", "250 ok:  Message 1 accepted")
	c.quit()
	want := "Received: from mail.example.net ([192.0.2.9])\r\n  by esa.example.com with ESMTP; 13 Oct 2019 20:55:53 -0700\r\n" +
		"Message-ID: <1@x>\r\nSubject: =?utf-8?q?caf=C3=A9?=\r\n\r\n.dot\r\nend\r\n"
	if got := b.body(1); got != want {
		t.Errorf("the queue has\n%q\nwant\n%q", got, want)
	}
	b.expectLog(
		"New SMTP ICID 1 interface Management (192.0.2.1) address 192.0.2.9 reverse dns host mail.example.net verified yes",
		"ICID 1 ACCEPT SG UNKNOWNLIST match sbrs[-1.0:10.0] SBRS 5.6 country United States",
		"Start MID 1 ICID 1",
		"MID 1 ICID 1 From: <a@example.net>",
		"MID 1 ICID 1 RID 0 To: <b@example.com>",
		"MID 1 ICID 1 RID 1 To: <c@example.com>",
		"MID 1 Message-ID '<1@x>'",
		`MID 1 Subject "café"`,
		fmt.Sprintf("MID 1 ready %d bytes from <a@example.net>", len(want)),
		"ICID 1 close",
	)
	env, ok := b.queue.Message(1)
	if !ok || env.From != "a@example.net" || len(env.Recipients) != 2 || env.RemoteHost != "mail.example.net" ||
		env.Listener != "IncomingMail" || env.Outgoing || !env.EightBit || env.Size != int64(len(want)) {
		t.Errorf("the envelope is %+v, %v", env, ok)
	}
}

// TestBodies: the end of a message is CRLF "." CRLF and nothing else; all line ends become CRLF.
func TestBodies(t *testing.T) {
	long := strings.Repeat("x", 10_000)
	for name, test := range map[string]struct{ sent, want string }{
		"empty":                   {".\r\n", "\r\n"},
		"without header":          {"hello\r\n.\r\n", "\r\nhello\r\n"},
		"without body":            {"Subject: s\r\n.\r\n", "Subject: s\r\n\r\n"},
		"bare LF":                 {"A: b\n\nx\ny\r\n.\r\n", "A: b\r\n\r\nx\r\ny\r\n"},
		"bare CR":                 {"A: b\r\n\r\nx\ry\r\n.\r\n", "A: b\r\n\r\nx\r\ny\r\n"},
		"LF . LF":                 {"A: b\r\n\r\nx\n.\nMAIL FROM:<e@f>\r\n.\r\n", "A: b\r\n\r\nx\r\n.\r\nMAIL FROM:<e@f>\r\n"},
		"LF . CRLF":               {"A: b\r\n\r\nx\n.\r\nMAIL\r\n.\r\n", "A: b\r\n\r\nx\r\n.\r\nMAIL\r\n"},
		"CR . CR":                 {"A: b\r\n\r\nx\r.\rMAIL\r\n.\r\n", "A: b\r\n\r\nx\r\n.\r\nMAIL\r\n"},
		"CRLF . LF":               {"A: b\r\n\r\nx\r\n.\nMAIL\r\n.\r\n", "A: b\r\n\r\nx\r\n\r\nMAIL\r\n"},
		"CRLF . CR":               {"A: b\r\n\r\nx\r\n.\rMAIL\r\n.\r\n", "A: b\r\n\r\nx\r\n\r\nMAIL\r\n"},
		"CR CRLF . CRLF":          {"A: b\r\n\r\nx\r\r\n.\r\n", "A: b\r\n\r\nx\r\n\r\n"},
		"NUL and 8-bit":           {"A: b\r\n\r\n\x00\xff\r\n.\r\n", "A: b\r\n\r\n\x00\xff\r\n"},
		"dots":                    {"A: b\r\n\r\n...\r\n..\r\n.x\r\n.\r\n", "A: b\r\n\r\n..\r\n.\r\nx\r\n"},
		"a long line":             {"A: b\r\n\r\n" + long + "\r\n.\r\n", "A: b\r\n\r\n" + long + "\r\n"},
		"a long line in a header": {"A: " + long + "\r\n\r\n.\r\n", "A: " + long + "\r\n\r\n"},
		"CR at a buffer's end":    {"A: b\r\n\r\n" + strings.Repeat("x", 4086) + "\r\ny\r\n.\r\n", "A: b\r\n\r\n" + strings.Repeat("x", 4086) + "\r\ny\r\n"},
		"folded":                  {"A: b\r\n c\r\n\r\n.\r\n", "A: b\r\n c\r\n\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newFixture(t, nil)
			c := b.dial("192.0.2.9")
			c.begin()
			c.send(test.sent)
			c.expect("250 ok:  Message 1 accepted")
			c.quit()
			if got, want := b.body(1), own(1, false)+test.want; got != want {
				t.Errorf("the queue has\n%q\nwant\n%q", got, want)
			}
		})
	}
}

// TestCarriageReturnAtAnyBoundary: a line end is seen as one, wherever the reader's buffer ends.
func TestCarriageReturnAtAnyBoundary(t *testing.T) {
	b := newFixture(t, func(s *Settings) { s.Listeners[0].BareLineEnds = RejectLineEnds })
	c := b.dial("192.0.2.9")
	c.begin()
	want := own(1, false) + "A: b\r\n\r\n"
	c.send("A: b\r\n\r\n")
	for n := 4080; n < 4100; n++ {
		c.send(strings.Repeat("x", n) + "\r\n")
		want += strings.Repeat("x", n) + "\r\n"
	}
	c.say(".", "250 ok:  Message 1 accepted")
	c.quit()
	if b.body(1) != want {
		t.Error("the queue has another message than the one that was sent")
	}
}

// TestRefusedMessages: the whole message is read before it is refused, and the session goes on.
func TestRefusedMessages(t *testing.T) {
	small := func(s *Settings) {
		s.Listeners[0].Hosts.Default.MaxMessageSize = ptr[int64](1000)
		s.Listeners[0].BareLineEnds = RejectLineEnds
		s.Limits.HeaderLines = 10
	}
	for name, test := range map[string]struct{ sent, answer string }{
		"size":         {strings.Repeat("x", 1200), "552 #5.3.4 message size exceeds limit"},
		"header":       {strings.Repeat("A: b\r\n", 11), "552 #5.3.4 message header size exceeds limit"},
		"bare LF":      {"A: b\r\n\r\nx\ny", "554 message body contains illegal bare CR/LF characters."},
		"bare CR":      {"A: b\r\n\r\nx\ry", "554 message body contains illegal bare CR/LF characters."},
		"LF in header": {"A: b\nB: c", "554 message body contains illegal bare CR/LF characters."},
	} {
		t.Run(name, func(t *testing.T) {
			b := newFixture(t, small)
			c := b.dial("192.0.2.9")
			c.begin()
			c.say(test.sent+"\r\n.", test.answer)
			c.say("NOOP", "250 ok")
			c.quit()
			b.expectLog(append(connected(1), "Start MID 1 ICID 1", "MID 1 ICID 1 From: <a@example.net>",
				"MID 1 ICID 1 RID 0 To: <b@example.com>", "Message aborted MID 1 Receiving aborted",
				"Message finished MID 1 aborted", "ICID 1 close")...)
			if n := b.queue.Stats().Messages; n != 0 {
				t.Errorf("%d messages are in the queue", n)
			}
		})
	}
}

func TestTooManyHops(t *testing.T) {
	b := newFixture(t, nil)
	c := b.dial("192.0.2.9")
	c.begin()
	c.say(strings.Repeat("Received: x\r\n", 101)+"\r\n.", "554 Too many hops")
	c.quit()
}

// TestTarpit: a client that sends more than twice the limit is cut off (mail.md 7.10).
func TestTarpit(t *testing.T) {
	b := newFixture(t, func(s *Settings) { s.Listeners[0].Hosts.Default.MaxMessageSize = ptr[int64](1000) })
	c := b.dial("192.0.2.9")
	c.begin()
	c.send(strings.Repeat("x", 2100) + "\r\n")
	c.expect("552 #5.3.4 message size exceeds limit", "552 #5.3.4 message size exceeds limit")
	c.closed()
	b.expectLog(append(connected(1), "Start MID 1 ICID 1", "MID 1 ICID 1 From: <a@example.net>",
		"MID 1 ICID 1 RID 0 To: <b@example.com>",
		"ICID 1 Receiving Failed: Message >2X Max Size. Entering Denial-of-Service tarpit mode",
		"Message aborted MID 1 Receiving aborted", "Message finished MID 1 aborted", "ICID 1 close")...)
}

// TestRecipients: the table decides, and a refused recipient uses up no RID (mail.md 7.4).
func TestRecipients(t *testing.T) {
	b := newFixture(t, func(s *Settings) {
		s.Listeners[0].Recipients = RecipientTable{Entries: []RecipientEntry{
			{Address: "example.com"}, {Address: ".example.com", Reject: true},
			{Address: "gone@example.com", Reject: true, Code: 551, Reply: "Moved away"},
			{Address: "hello@", Code: 252, Reply: "Try it"},
		}}
	})
	c := b.dial("192.0.2.9")
	c.say("HELO x", "250 esa.example.com")
	c.say("RCPT TO:<b@example.com>", "503 #5.5.1 MAIL first")
	c.say("MAIL FROM:<>", "250 sender <> ok")
	c.say("DATA", "503 #5.5.1 RCPT first")
	c.say("RCPT TO:<x@other.example>", "550 #5.1.0 Address rejected.")
	c.say("RCPT TO:<x@sub.example.com>", "550 #5.1.0 Address rejected.")
	c.say("RCPT TO:<Gone@Example.com>", "551 Moved away")
	c.say("RCPT TO:<nodomain>", "550 #5.1.0 Address rejected.")
	c.say("RCPT TO:<hello@anywhere.example>", "252 Try it")
	c.say("RCPT TO:<B@EXAMPLE.COM>", "250 recipient <B@EXAMPLE.COM> ok")
	c.say("RCPT TO:<>", "501 #5.5.2 syntax error TO:<>")
	c.say("RSET", "250 reset")
	c.quit()
	b.expectLog(append(connected(1), "Start MID 1 ICID 1", "MID 1 ICID 1 From: <>",
		"MID 1 ICID 1 To: <x@other.example> Rejected by RAT",
		"MID 1 ICID 1 To: <x@sub.example.com> Rejected by RAT",
		"MID 1 ICID 1 To: <Gone@Example.com> Rejected by RAT",
		"MID 1 ICID 1 To: <nodomain> Rejected by RAT",
		"MID 1 ICID 1 RID 0 To: <hello@anywhere.example>",
		"MID 1 ICID 1 RID 1 To: <B@EXAMPLE.COM>",
		"Message aborted MID 1 Receiving aborted by sender", "Message finished MID 1 aborted",
		"ICID 1 close")...)
}

// TestListOfRecipients: with a list of the addresses that exist, others are refused.
func TestListOfRecipients(t *testing.T) {
	b := newFixture(t, func(s *Settings) { s.Listeners[0].Recipients.Known = []string{"b@example.com"} })
	c := b.dial("192.0.2.9")
	c.say("HELO x", "250 esa.example.com")
	c.say("MAIL FROM:<a@example.net>", "250 sender <a@example.net> ok")
	c.say("RCPT TO:<c@example.com>", "550 #5.1.0 Address rejected.")
	c.say("RCPT TO:<B@Example.com>", "250 recipient <B@Example.com> ok")
	c.quit()
}

// TestRejectedHost: a host with a bad reputation is told so, and nothing else (mail.md 7.5).
func TestRejectedHost(t *testing.T) {
	b := newFixture(t, nil)
	b.dns.texts = map[string]string{"9.2.0.192.rf.senderbase.org": "score=-9.5"}
	refusal := []string{"554-esa.example.com", "554 Your access to this mail system has been rejected due to the sending MTA's poor reputation. If you believe that this failure is in error, please contact the intended recipient via alternate means."}
	c := b.dial("192.0.2.9", refusal...)
	c.say("EHLO x", refusal...)
	c.say("MAIL FROM:<a@b.example>", refusal...)
	c.quit()
	b.expectLog(connected(1)[0], "ICID 1 REJECT SG BLOCKED_LIST match sbrs[-10.0:-3.0] SBRS -9.5", "ICID 1 close")
}

// TestRejectedHostLeaves: that such a client ends the connection is no loss (mail.md 1.2).
func TestRejectedHostLeaves(t *testing.T) {
	b := newFixture(t, nil)
	b.dns.texts = map[string]string{"9.2.0.192.rf.senderbase.org": "score=-9.5"}
	c := b.dial("192.0.2.9", "554-esa.example.com", "554 "+standardRejection)
	c.conn.Close()
	b.awaitClosed(1)
	b.expectLog(connected(1)[0], "ICID 1 REJECT SG BLOCKED_LIST match sbrs[-10.0:-3.0] SBRS -9.5", "ICID 1 close")
}

// TestRefusedConnection: TCPREFUSE resets the connection and uses up no ICID.
func TestRefusedConnection(t *testing.T) {
	b := newFixture(t, func(s *Settings) {
		hosts := &s.Listeners[0].Hosts
		hosts.Policies = append(hosts.Policies, Policy{Name: "REFUSED", Action: TCPRefuse})
		hosts.Groups[0] = SenderGroup{Name: "NEVER", Policy: "REFUSED", Entries: []Entry{{Host: "192.0.2.0/28"}}}
	})
	conn := b.listener.dial(t, mustAddrPort("192.0.2.9:40000"))
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(testTimeout))
	if _, err := conn.Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Errorf("reading ends with %v, want a reset", err)
	}
	b.dial("192.0.2.77").quit()
	b.expectLog(append([]string{"ICID 0 TCPREFUSE SG NEVER match 192.0.2.0/28 SBRS None"},
		replaced(connected(1), "192.0.2.9", "192.0.2.77", "ICID 1 close")...)...)
}

// TestRelay: hosts of RELAYLIST may send to anybody (mail.md 7.6).
func TestRelay(t *testing.T) {
	b := newFixture(t, func(s *Settings) {
		s.Listeners[0].Hosts.Groups[0].Entries = []Entry{{Host: "192.0.2.50"}}
		s.Listeners[0].SenderBase = false
	})
	c := b.dial("192.0.2.50")
	c.say("EHLO x", "250-esa.example.com", "250-8BITMIME", "250 SIZE 104857600")
	c.say("MAIL FROM:<a@example.com>", "250 sender <a@example.com> ok")
	c.say("RCPT TO:<u@outside.example>", "250 recipient <u@outside.example> ok")
	c.say("DATA", "354 go ahead")
	c.say(".", "250 ok:  Message 1 accepted")
	c.quit()
	if !strings.Contains(b.log(), "\nICID 1 RELAY SG RELAYLIST match 192.0.2.50 SBRS not enabled country not enabled\n") {
		t.Errorf("the mail log has\n%s", b.log())
	}
	if env, _ := b.queue.Message(1); !env.Outgoing {
		t.Error("a message of a relay is not outgoing")
	}
}

// TestSenders: with verification, the sender's domain must be able to receive mail (mail.md 7.9).
func TestSenders(t *testing.T) {
	b := newFixture(t, func(s *Settings) { s.Listeners[0].Hosts.Default.VerifySender = ptr(true) })
	b.dns.mx = map[string]string{"good.example": "mx.good.example", "broken.example": "mx.nowhere.example"}
	b.dns.addrs = map[string]string{"mx.good.example": "192.0.2.25", "host.example": "192.0.2.26"}
	b.dns.fails = map[string]bool{"slow.example": true}
	c := b.dial("192.0.2.9")
	c.say("HELO x", "250 esa.example.com")
	for _, test := range []struct{ from, answer string }{
		{"a@nx.example", "553 #5.1.8 Domain of sender address <a@nx.example> does not exist"},
		{"a@broken.example", "553 #5.1.8 Domain of sender address <a@broken.example> does not exist"},
		{"a@slow.example", "451 #4.1.8 Domain of sender address <a@slow.example> does not resolve"},
		{"a", "553 #5.5.4 Domain required for sender address"},
	} {
		c.say("MAIL FROM:<"+test.from+">", test.answer)
	}
	for _, from := range []string{"", "a@good.example", "a@host.example"} {
		c.say("MAIL FROM:<"+from+">", "250 sender <"+from+"> ok")
		c.say("RSET", "250 reset")
	}
	c.quit()
	want := append(connected(1),
		"ICID 1 Address: <a@nx.example> sender rejected, envelope sender domain does not exist",
		"ICID 1 Address: <a@broken.example> sender rejected, envelope sender domain does not exist",
		"ICID 1 Address: <a@slow.example> sender rejected, envelope sender domain could not be resolved",
		"ICID 1 Address: <a> sender rejected, envelope sender domain missing")
	if got := b.log(); !strings.HasPrefix(got, strings.Join(want, "\n")+"\nStart MID 1 ICID 1\n") {
		t.Errorf("the mail log has\n%s", got)
	}
}

// TestSyntax: unknown commands and wrong arguments get an error. The fifth unknown command ends
// the session (mail.md 7.12).
func TestSyntax(t *testing.T) {
	b := newFixture(t, nil)
	c := b.dial("192.0.2.9")
	c.say("EHLO", "501 #5.0.0 EHLO requires domain address")
	c.say("helo x", "250 esa.example.com")
	c.say("noop", "250 ok")
	c.say("VRFY x", "252 Cannot VRFY user, but will accept message and attempt delivery")
	for _, bad := range []string{"FROM:", "TO:<a@b>", "FROM:<a@b", "FROM:<a b@c>", "FROM:<a@>", "FROM:<@b>",
		"FROM:<a@b>SIZE=1", "FROM:<a@b> SIZE=x", "FROM:<a@b> FOO=1", "FROM:<a@b> BODY=9BIT",
		"FROM:<" + strings.Repeat("x", 320) + "@b>"} {
		c.send("MAIL " + bad + "\r\n")
		line, err := c.in.ReadString('\n')
		if err != nil || !strings.HasPrefix(line, "501 #5.5.2 syntax error ") {
			t.Errorf("MAIL %s is answered by %q, %v", bad, line, err)
		}
	}
	c.say("MAIL FROM:<a@b> SIZE=10485761", "552 size limit exceeded")
	c.say("MAIL FROM:<a@b> SIZE=99999999999999999999", "552 size limit exceeded")
	c.say("MAIL FROM: <\"a >b\"@c> SIZE=10485760", "250 sender <\"a >b\"@c> ok")
	c.say("MAIL FROM:<a@b>", "503 #5.5.0 MAIL transaction already in progress")
	c.say("AUTH PLAIN", "503 #5.3.3 AUTH not available")
	c.say(strings.Repeat("x", 9000), "500 Line too long")
	for range 3 {
		c.say("FOO", "500 #5.5.1 command not recognized")
	}
	c.say("STARTTLS", "500 #5.5.1 command not recognized", "421 Exceeded bad SMTP command limit, disconnecting")
	c.closed()
}

// TestBareLineEndsOfCommands: commands may end with a bare LF.
func TestBareLineEndsOfCommands(t *testing.T) {
	b := newFixture(t, nil)
	c := b.dial("192.0.2.9")
	c.send("HELO x\nNOOP\n")
	c.expect("250 esa.example.com", "250 ok")
	c.quit()
}

// TestClientVanishes: what the log says about a client that goes without QUIT depends on what it has
// done (mail.md 7.13).
func TestClientVanishes(t *testing.T) {
	b := newFixture(t, nil)
	c := b.dial("192.0.2.9")
	c.begin()
	c.send("half a message")
	c.conn.Close()
	b.awaitClosed(1)
	b.dial("192.0.2.9").conn.Close()
	b.awaitClosed(2)
	b.expectLog(append(append(connected(1), "Start MID 1 ICID 1", "MID 1 ICID 1 From: <a@example.net>",
		"MID 1 ICID 1 RID 0 To: <b@example.com>", "ICID 1 lost", "Message aborted MID 1 Receiving aborted",
		"Message finished MID 1 aborted", "ICID 1 close"), append(connected(2),
		"ICID 2 Connection from 192.0.2.9 on interface Management (192.0.2.1) lost after 0 seconds (DNS query took 0 seconds), before any commands were received",
		"ICID 2 close")...)...)
}

// TestTimeLimits: a client of a public listener has five minutes for a message, and twelve in all
// (mail.md 4.5, 7.15).
func TestTimeLimits(t *testing.T) {
	t.Run("idle", func(t *testing.T) {
		b := newFixture(t, nil)
		c := b.dial("192.0.2.9")
		c.say("HELO x", "250 esa.example.com")
		b.clock.Advance(5 * time.Minute)
		c.expect("421 Timed out waiting for successful message injection, disconnecting.")
		c.closed()
		b.expectLog(append(connected(1),
			"ICID 1 disconnected address 192.0.2.9, no messages injected within timeout period", "ICID 1 close")...)
	})
	t.Run("total", func(t *testing.T) {
		b := newFixture(t, nil)
		c := b.dial("192.0.2.9")
		c.begin()
		c.say(".", "250 ok:  Message 1 accepted")
		b.clock.Advance(11 * time.Minute)
		c.say("NOOP", "250 ok")
		b.clock.Advance(time.Minute)
		c.expect("421 Exceeded allowable connection time, disconnecting.")
		c.closed()
	})
}

// TestLimits: each limit of a mail flow policy has its answer.
func TestLimits(t *testing.T) {
	t.Run("connections", func(t *testing.T) {
		b := newFixture(t, func(s *Settings) {
			s.Listeners[0].Hosts.Default.MaxConnections = ptr(1)
			s.Limits.Connections = 2
		})
		first := b.dial("192.0.2.9")
		b.dial("192.0.2.9", "421 #4.4.5 Too many connections from your host").closed()
		b.dial("192.0.2.10")
		b.dial("192.0.2.11", "421 #4.4.5 Too many connections to this host").closed()
		first.quit()
		b.awaitClosed(1)
		b.dial("192.0.2.9").quit()
	})
	t.Run("messages", func(t *testing.T) {
		b := newFixture(t, func(s *Settings) { s.Listeners[0].Hosts.Default.MaxMessages = ptr(1) })
		c := b.dial("192.0.2.9")
		c.begin()
		c.say(".", "250 ok:  Message 1 accepted")
		c.say("MAIL FROM:<a@b>", "421 #4.x.2 Too many messages for this session")
		c.closed()
	})
	t.Run("recipients", func(t *testing.T) {
		b := newFixture(t, func(s *Settings) {
			s.Listeners[0].Hosts.Default.MaxRecipients = ptr(2)
			s.Listeners[0].Hosts.Default.MaxRecipientsPerHour = ptr(3)
		})
		c := b.dial("192.0.2.9")
		c.say("HELO x", "250 esa.example.com")
		for range 2 {
			c.say("MAIL FROM:<a@b>", "250 sender <a@b> ok")
			c.say("RCPT TO:<1@example.com>", "250 recipient <1@example.com> ok")
			if b.log(); strings.Contains(b.log(), "MID 2") {
				c.say("RCPT TO:<2@example.com>", "452 Too many recipients received this hour")
				break
			}
			c.say("RCPT TO:<2@example.com>", "250 recipient <2@example.com> ok")
			c.say("RCPT TO:<3@example.com>", "452 #4.5.3 Too many recipients")
			c.say("RSET", "250 reset")
		}
		if !strings.HasSuffix(b.log(), "MID 2 ICID 1 To: <2@example.com> Rejected by Receiving Control") {
			t.Errorf("the mail log has\n%s", b.log())
		}
		b.clock.Advance(time.Hour) // another hour, another connection
		c.conn.Close()
		b.awaitClosed(1)
		c = b.dial("192.0.2.9")
		c.say("HELO x", "250 esa.example.com")
		c.say("MAIL FROM:<a@b>", "250 sender <a@b> ok")
		c.say("RCPT TO:<1@example.com>", "250 recipient <1@example.com> ok")
	})
	t.Run("guesses", func(t *testing.T) {
		b := newFixture(t, func(s *Settings) { s.Listeners[0].Hosts.Default.MaxInvalidPerHour = ptr(1) })
		c := b.dial("192.0.2.9")
		c.say("HELO x", "250 esa.example.com")
		c.say("MAIL FROM:<a@b>", "250 sender <a@b> ok")
		c.say("RCPT TO:<1@x.example>", "550 #5.1.0 Address rejected.")
		c.say("RCPT TO:<2@x.example>", "550 Too many invalid recipients")
		c.closed()
		if !strings.Contains(b.log(), "LDAP: Dropping connection due to potential Directory Harvest Attack from host=('192.0.2.9', None), dhap_limit=1, sender_group=UNKNOWNLIST, listener=IncomingMail, reverse_dns=('192.0.2.9', None, 0), sender=a@b, rcpt=2@x.example") {
			t.Errorf("the mail log has\n%s", b.log())
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		const alert = "Potential Directory Harvest Attack detected.  See the system mail logs for more information about this attack."
		if len(b.alerts) != 1 || b.alerts[0] != alert {
			t.Errorf("the alerts are %q", b.alerts)
		}
	})
	t.Run("resources", func(t *testing.T) {
		b := newFixture(t, nil)
		b.low = true
		c := b.dial("192.0.2.9")
		c.say("HELO x", "250 esa.example.com")
		c.say("MAIL FROM:<a@b>", "452 #4.3.1 server resources low - try again later")
		c.quit()
	})
}

// TestAuthentication: PLAIN and LOGIN, in one step or in several. A user who has authenticated may
// send to anybody.
func TestAuthentication(t *testing.T) {
	b := newFixture(t, func(s *Settings) { s.Listeners[0].Hosts.Default.Auth = ptr(Required) })
	encode := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	session := func(f func(c *client)) {
		c := b.dial("192.0.2.9")
		c.say("EHLO x", "250-esa.example.com", "250-8BITMIME", "250-SIZE 10485760", "250 AUTH PLAIN LOGIN")
		f(c)
		c.quit()
	}
	good := encode("\x00joe\x00secret")
	session(func(c *client) {
		c.say("MAIL FROM:<a@b>", "530 Authentication required")
		c.say("AUTH", "501 #5.5.4 Invalid arguments to AUTH command")
		c.say("AUTH GSSAPI", "504 #5.5.1 AUTH mechanism GSSAPI is not available")
		c.say("AUTH PLAIN !!!", "501 #5.5.4 Invalid arguments to AUTH command")
		c.say("AUTH PLAIN "+encode("\x00joe\x00wrong"), "535 #5.7.8 Authentication failed")
		c.say("AUTH PLAIN "+good, "235 #2.0.0 OK Authenticated")
		c.say("AUTH PLAIN "+good, "503 #5.5.0 Already authenticated")
		c.say("MAIL FROM:<a@b>", "250 sender <a@b> ok")
		c.say("RCPT TO:<u@anywhere.example>", "250 recipient <u@anywhere.example> ok")
	})
	session(func(c *client) {
		c.say("AUTH PLAIN", "334 ")
		c.say("*", "501 #5.5.4 Invalid arguments to AUTH command")
		c.say("AUTH LOGIN", "334 "+encode("Username:"))
		c.say(encode("joe"), "334 "+encode("Password:"))
		c.say(encode("secret"), "235 #2.0.0 OK Authenticated")
	})
}

// TestSuspendedListener: a suspended listener refuses connections until it is resumed (mail.md
// 7.25). Sessions that are there have some time.
func TestSuspendedListener(t *testing.T) {
	b := newFixture(t, nil)
	c := b.dial("192.0.2.9")
	done := make(chan []string, 1)
	ctx, cancel := contextWithCancel(t)
	go func() { done <- b.Suspend(ctx, "incomingmail") }()
	for !b.Suspended("IncomingMail") {
		runtime.Gosched()
	}
	b.dial("192.0.2.10", "421 esa.example.com Service not available, closing transaction channel").closed()
	c.say("HELO x", "250 esa.example.com")
	cancel()
	c.expect("421 esa.example.com Service not available, closing transaction channel")
	c.closed()
	if got := <-done; len(got) != 1 || got[0] != "IncomingMail" {
		t.Errorf("%v were suspended", got)
	}
	if got := b.Resume(); len(got) != 1 {
		t.Errorf("%v were resumed", got)
	}
	b.dial("192.0.2.9").quit()
}

func isTimeout(err error) bool {
	e, ok := err.(net.Error)
	return ok && e.Timeout()
}
