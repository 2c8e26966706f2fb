package listener

import (
	"bufio"
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/mta/queue"
)

// FuzzDialogue: whatever a client sends, the session ends, each answer has a code, and the queue has
// whole messages only: in none of them a line end other than CRLF.
func FuzzDialogue(f *testing.F) {
	for _, seed := range []string{
		"EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@example.com>\r\nDATA\r\nA: b\r\n\r\nx\r\n.\r\nQUIT\r\n",
		"HELO x\nMAIL FROM:a@b SIZE=3\nRCPT TO:<@x:c@example.com>\nDATA\n\n.\n\r\n.\r\nRSET\r\n",
		"AUTH PLAIN AGpvZQBzZWNyZXQ=\r\nAUTH LOGIN\r\n*\r\nVRFY\r\nSTARTTLS\r\n\x00\xff\r\n",
	} {
		f.Add([]byte(seed))
	}
	b := newFixture(f, func(s *Settings) {
		s.Listeners[0].Hosts.Default.Auth = ptr(Preferred)
		s.Listeners[0].Hosts.Default.MaxInvalidPerHour = ptr(0)
	})
	f.Fuzz(func(t *testing.T, sent []byte) {
		b.t = t
		c := b.dial("192.0.2.9")
		defer c.conn.Close()
		go func() {
			c.conn.Write(sent) //nolint:errcheck // the server may have closed the connection
			c.conn.(interface{ CloseWrite() error }).CloseWrite()
		}()
		c.conn.SetDeadline(time.Now().Add(testTimeout))
		answers := bufio.NewScanner(c.in)
		answers.Buffer(nil, 1<<20)
		for answers.Scan() {
			line := answers.Text()
			if len(line) < 4 || line[0] < '2' || line[0] > '5' || line[3] != ' ' && line[3] != '-' {
				t.Errorf("the answer %q has no code", line)
			}
		}
		if err := answers.Err(); err != nil && isTimeout(err) {
			t.Fatal("the session does not end")
		}
		b.queue.Each(func(env *queue.Envelope) bool {
			r, err := b.queue.Body(env.MID)
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(r)
			r.Close()
			rest := bytes.ReplaceAll(text, []byte("\r\n"), nil)
			if err != nil || bytes.ContainsAny(rest, "\r\n") || !bytes.HasSuffix(text, []byte("\r\n")) {
				t.Errorf("message %d is %q, %v", env.MID, text, err)
			}
			return true
		})
		b.empty()
	})
}

// empty deletes all messages of the queue.
func (b *fixture) empty() {
	var list []queue.Envelope
	b.queue.Each(func(env *queue.Envelope) bool {
		list = append(list, *env)
		return true
	})
	for _, env := range list {
		for _, r := range env.Recipients {
			if _, err := b.queue.Update(b.t.Context(), env.MID, queue.Deleted(r.RID)); err != nil {
				b.t.Fatal(err)
			}
		}
	}
}
