package listener

import (
	"regexp"
	"strings"
	"testing"
)

// TestGeneratedMessageID: a message without Message-ID gets one that ends with its MID in base 32,
// in the header and in the log (mail.md 7.23).
func TestGeneratedMessageID(t *testing.T) {
	b := newFixture(t, nil)
	for range 202 {
		b.queue.NextMID()
	}
	c := b.dial("192.0.2.9")
	c.say("HELO mail.example.net", "250 esa.example.com")
	c.say("MAIL FROM:<a@example.net>", "250 sender <a@example.net> ok")
	c.say("RCPT TO:<b@example.com>", "250 recipient <b@example.com> ok")
	c.say("DATA", "354 go ahead")
	c.say("Subject: s\r\n\r\ntext\r\n.", "250 ok:  Message 203 accepted")
	c.quit()
	id := regexp.MustCompile(`\A(?s:Message-Id: (<[0-9a-f]{6}\$6b@esa\.example\.com>)\r\n.*)`)
	m := id.FindStringSubmatch(b.body(203))
	if m == nil {
		t.Fatalf("the queue has\n%q", b.body(203))
	}
	want := "\nMID 203 Message-ID '" + m[1] + "'\n"
	if got := b.log(); !strings.Contains(got, want) {
		t.Errorf("the mail log has\n%s\nwithout%s", got, want)
	}
}
