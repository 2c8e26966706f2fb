package control_test

import (
	"bytes"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/traffic"
)

// A mailbox is listed, a message is shown, and both are as the document says.
func TestMailboxAndMessage(t *testing.T) {
	socket, _ := serve(t, startBox(t, nil))
	c := dialControl(t, "unix", socket)
	ctx := within(t)
	if m, err := c.Mailbox(ctx, "mail"); err != nil || m.Received != 0 || len(m.Messages) != 0 {
		t.Fatalf("before the first message: %+v, %v", m, err)
	}
	_, cursor, err := c.EventsSince(ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	a, err := c.SendMail(ctx, traffic.Request{
		From: "ann@example.net", To: []string{"joe@example.com"}, Subject: "a report", Body: "see below",
		Attachments: []traffic.Attachment{{Name: "report.bin", Data: []byte("figures")}},
	})
	if err != nil || !a.Complete {
		t.Fatalf("send: %+v, %v", a, err)
	}
	if _, err := c.Wait(ctx, "mail", "a report", strconv.FormatUint(cursor, 10), time.Minute); err != nil {
		t.Fatal(err)
	}
	box, err := c.Mailbox(ctx, "mail")
	if err != nil || box.Received != 1 || box.Dropped != 0 || len(box.Messages) != 1 {
		t.Fatalf("mailbox %+v, %v", box, err)
	}
	s := box.Messages[0]
	if s.ID != 1 || s.Subject != "a report" || s.From != "ann@example.net" || len(s.To) != 1 ||
		s.To[0] != "joe@example.com" || s.Size == 0 || !s.Client.IsValid() || s.Hello == "" || s.Time.IsZero() {
		t.Errorf("summary %+v", s)
	}
	for _, id := range []string{"1", "last"} {
		m, err := c.Message(ctx, "mail", id)
		if err != nil || m.ID != s.ID || m.Size != s.Size || len(m.Parts) != 2 {
			t.Fatalf("message %s: %+v, %v", id, m, err)
		}
		if !strings.Contains(m.Parts[0].Text, "see below") || m.Parts[1].Name != "report.bin" {
			t.Errorf("parts of message %s: %+v", id, m.Parts)
		}
	}
	var raw bytes.Buffer
	if err := c.CopyMessage(ctx, "mail", "last", &raw); err != nil || int64(raw.Len()) != s.Size {
		t.Errorf("the raw message has %d bytes, want %d, %v", raw.Len(), s.Size, err)
	}
	if _, err := c.Message(ctx, "mail", "2"); err == nil {
		t.Error("a message that was not received is shown")
	}
	if err := c.ClearMailbox(ctx, "mail"); err != nil {
		t.Fatal(err)
	}
	if m, err := c.Mailbox(ctx, "mail"); err != nil || len(m.Messages) != 0 {
		t.Errorf("after the clear: %+v, %v", m, err)
	}
}
