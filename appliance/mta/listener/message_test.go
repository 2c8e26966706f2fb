package listener

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/textproto"
	"runtime"
	"strings"
	"testing"
	"time"
)

const minute = time.Minute

// TestAnswerToEHLO: the extensions stand in their order, each if it is allowed (mail.md 7.2).
func TestAnswerToEHLO(t *testing.T) {
	for _, test := range []struct {
		p    Parameters
		want []string
	}{
		{Parameters{}, []string{"250-esa.example.com", "250-8BITMIME", "250 SIZE 10485760"}},
		{Parameters{MaxMessageSize: ptr[int64](1000), TLS: ptr(Preferred)},
			[]string{"250-esa.example.com", "250-8BITMIME", "250-SIZE 1000", "250 STARTTLS"}},
		{Parameters{Auth: ptr(Preferred), TLS: ptr(Required)},
			[]string{"250-esa.example.com", "250-8BITMIME", "250-SIZE 10485760", "250-AUTH PLAIN LOGIN", "250 STARTTLS"}},
		{Parameters{Auth: ptr(Preferred), AuthNeedsTLS: ptr(true), TLS: ptr(Preferred)},
			[]string{"250-esa.example.com", "250-8BITMIME", "250-SIZE 10485760", "250 STARTTLS"}},
	} {
		c := withPolicy(t, test.p).dial("192.0.2.9")
		c.say("EHLO x", test.want...)
		c.quit()
	}
}

// TestSizeToTheByte: a message of 10 MB is accepted and one byte more is not, however the client
// declares it; more than twice as much ends the connection (mail.md 7.10).
func TestSizeToTheByte(t *testing.T) {
	const limit = 10 << 20
	b := newFixture(t, nil)
	c := b.dial("192.0.2.9")
	c.say("EHLO x", "250-esa.example.com", "250-8BITMIME", "250 SIZE 10485760")
	send := func(n int, answers ...string) {
		t.Helper()
		c.say(fmt.Sprintf("MAIL FROM:<a@example.net> SIZE=%d", limit), "250 sender <a@example.net> ok")
		c.say("RCPT TO:<b@example.com>", "250 recipient <b@example.com> ok")
		c.say("DATA", "354 go ahead")
		head := "A: b\r\n\r\n"
		c.send(head + strings.Repeat("x", n-len(head)-2) + "\r\n")
		if len(answers) == 1 {
			c.send(".\r\n")
		}
		c.expect(answers...)
	}
	send(limit, "250 ok:  Message 1 accepted")
	send(limit+1, "552 #5.3.4 message size exceeds limit")
	c.say(fmt.Sprintf("MAIL FROM:<a@example.net> SIZE=%d", limit+1), "552 size limit exceeded")
	send(2*limit, "552 #5.3.4 message size exceeds limit")
	send(2*limit+1, "552 #5.3.4 message size exceeds limit", "552 #5.3.4 message size exceeds limit")
	c.closed()
	want := "ICID 1 Receiving Failed: Message >2X Max Size. Entering Denial-of-Service tarpit mode\n" +
		"Message aborted MID 4 Receiving aborted\nMessage finished MID 4 aborted\nICID 1 close"
	if got := b.log(); !strings.HasSuffix(got, want) {
		t.Errorf("the mail log ends with\n%s", got[max(0, len(got)-500):])
	}
}

// TestHeaderLines: a header of 1,000 lines is accepted and one of 1,001 is not (mail.md 7.11).
func TestHeaderLines(t *testing.T) {
	for lines, answer := range map[int]string{
		1000: "250 ok:  Message 1 accepted", 1001: "552 #5.3.4 message header size exceeds limit",
	} {
		c := newFixture(t, nil).dial("192.0.2.9")
		c.begin()
		c.say(strings.Repeat("A: b\r\n", lines-1)+" folded\r\n\r\n.", answer)
		c.quit()
	}
}

// TestAbortedBySender: RSET and QUIT end a message that has begun, and the log says that the client
// did it (mail.md 7.14).
func TestAbortedBySender(t *testing.T) {
	b := newFixture(t, nil)
	c := b.dial("192.0.2.9")
	c.say("HELO x", "250 esa.example.com")
	want := connected(1)
	for mid := 1; mid <= 2; mid++ {
		c.say("MAIL FROM:<a@example.net>", "250 sender <a@example.net> ok")
		c.say("RCPT TO:<b@example.com>", "250 recipient <b@example.com> ok")
		if mid == 1 {
			c.say("RSET", "250 reset")
		}
		for _, line := range []string{"Start MID %d ICID 1", "MID %d ICID 1 From: <a@example.net>",
			"MID %d ICID 1 RID 0 To: <b@example.com>", "Message aborted MID %d Receiving aborted by sender",
			"Message finished MID %d aborted"} {
			want = append(want, fmt.Sprintf(line, mid))
		}
	}
	c.quit()
	b.expectLog(append(want, "ICID 1 close")...)
}

// TestThousandRecipients: all of them are accepted, logged and queued, in their order.
func TestThousandRecipients(t *testing.T) {
	const n = 1000
	b := withPolicy(t, Parameters{MaxRecipients: ptr(n)})
	c := b.dial("192.0.2.9")
	c.say("HELO x", "250 esa.example.com")
	c.say("MAIL FROM:<a@example.net>", "250 sender <a@example.net> ok")
	for i := range n {
		c.say(fmt.Sprintf("RCPT TO:<u%d@example.com>", i), fmt.Sprintf("250 recipient <u%d@example.com> ok", i))
	}
	c.say("RCPT TO:<more@example.com>", "452 #4.5.3 Too many recipients")
	c.say("DATA", "354 go ahead")
	c.say(".", "250 ok:  Message 1 accepted")
	c.quit()
	env, _ := b.queue.Message(1)
	for i := range n {
		to := fmt.Sprintf("u%d@example.com", i)
		if len(env.Recipients) != n || env.Recipients[i].RID != i || env.Recipients[i].Address != to ||
			!strings.Contains(b.log(), fmt.Sprintf("MID 1 ICID 1 RID %d To: <%s>\n", i, to)) {
			t.Fatalf("recipient %d of %d is missing", i, len(env.Recipients))
		}
	}
}

// TestLargeMessageIsStreamed: a message of 100 MB is on disk as it was sent, and is never held in
// memory: taking it allocates a small part of its size.
func TestLargeMessageIsStreamed(t *testing.T) {
	const size = 100 << 20
	b := withPolicy(t, Parameters{MaxMessageSize: ptr[int64](size)})
	c := b.dial("192.0.2.9")
	c.begin()
	head, line := []byte("Message-ID: <1@x>\r\n\r\n"), bytes.Repeat([]byte("0123456789abcde"), 5)
	block := bytes.Repeat(append(line[:70:70], "\r\n"...), 1000)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	sent := len(head)
	c.conn.Write(head)
	for sent+len(block) <= size {
		n, err := c.conn.Write(block)
		if err != nil {
			t.Fatal(err)
		}
		sent += n
	}
	c.conn.SetDeadline(time.Now().Add(10 * minute)) // syncing may take long beside other tests
	c.say(".", "250 ok:  Message 1 accepted")
	runtime.ReadMemStats(&after)
	c.quit()
	if n := after.TotalAlloc - before.TotalAlloc; n > size/4 {
		t.Errorf("%d bytes were allocated for %d", n, sent)
	}
	r, err := b.queue.Body(1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	in := bufio.NewReader(r)
	if _, err := in.Discard(len(own(1, true)) + len(head)); err != nil {
		t.Fatal(err)
	}
	stored, got := len(head), make([]byte, len(block))
	for {
		if _, err := io.ReadFull(in, got); err == io.EOF {
			break
		} else if err != nil || !bytes.Equal(got, block) {
			t.Fatalf("the queue has another message after %d bytes, %v", stored, err)
		}
		stored += len(got)
	}
	if stored != sent {
		t.Errorf("the queue has %d bytes of %d", stored, sent)
	}
}

// TestSmuggling: SMTP smuggling is impossible. Whatever a client sends in place of CRLF . CRLF, what
// follows is a part of its message, here and, because line ends are cleaned and dots are doubled, at
// any server behind this one, however that one reads line ends.
func TestSmuggling(t *testing.T) {
	const smuggled = "MAIL FROM:<forged@example.com>\r\nRCPT TO:<victim@example.com>\r\nDATA\r\nSubject: forged\r\n\r\nforged"
	ends := []string{"\r\n.\r", "\r\n.\n", "\n.\r\n", "\n.\n", "\n.\r", "\r.\r\n", "\r.\r", "\r.\n", "\r\n.\r\r\n",
		"\r\n.\x00\r\n", "\r\n\x00.\r\n", "\r\n. \r\n", "\n\n.\r\r\n", "\r\n..\r\n", "\n\r.\r\n"}
	for _, treat := range []BareLineEnds{CleanLineEnds, RejectLineEnds} {
		for _, end := range ends {
			b := newFixture(t, func(s *Settings) { s.Listeners[0].BareLineEnds = treat })
			c := b.dial("192.0.2.9")
			c.begin()
			c.send("Subject: innocent\r\n\r\nhello" + end + smuggled + "\r\n.\r\n")
			answer, err := c.in.ReadString('\n')
			if err != nil || answer != "250 ok:  Message 1 accepted\r\n" &&
				answer != "554 message body contains illegal bare CR/LF characters.\r\n" {
				t.Errorf("%q: the message is answered with %q, %v", end, answer, err)
			}
			c.quit() // there is no second answer
			if n := strings.Count(b.log(), "Start MID"); n != 1 {
				t.Errorf("%q: %d messages were begun", end, n)
			}
			if answer[0] != '2' {
				continue
			}
			var wire bytes.Buffer // as delivery sends it
			buffered := bufio.NewWriter(&wire)
			w := textproto.NewWriter(buffered).DotWriter()
			io.WriteString(w, b.body(1))
			w.Close()
			buffered.Flush()
			text, ok := strings.CutSuffix(wire.String(), "\r\n.\r\n")
			naive := strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n") + "\n"
			if !ok || strings.Contains(naive, "\n.\n") || !strings.Contains(text, "forged@example.com") {
				t.Errorf("%q: another server gets %q", end, wire.String())
			}
		}
	}
}
