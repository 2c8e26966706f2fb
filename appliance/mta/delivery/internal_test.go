package delivery

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/mta/queue"
)

const alertSubject = "Critical <System> esa.example.com: text"

// alert puts an alert of an age into the queue and has it delivered.
func (b *fixture) alert(to string, age time.Duration) {
	b.t.Helper()
	in, err := b.queue.Create(b.queue.NextMID())
	if err != nil {
		b.t.Fatal(err)
	}
	io.WriteString(in, "Subject: "+alertSubject+"\r\n\r\ntext\r\n")
	mid, _, _ := b.queue.LastIDs()
	env := queue.Envelope{
		MID: mid, From: "alert@esa.example.com", Recipients: []queue.Recipient{{Address: to}},
		Received: b.clock.Now().Add(-age), Stage: queue.Delivery, Internal: InternalSMTP("System/Critical alert"),
	}
	if err := in.Commit(b.t.Context(), env); err != nil {
		b.t.Fatal(err)
	}
	b.Enqueue(mid)
}

func attempting(to string, n int) string {
	return fmt.Sprintf("Internal SMTP system attempting to send a message to %s with subject '%s' (attempt #%d).",
		to, alertSubject, n)
}

func alertSent(to string) []string {
	return []string{
		"Internal SMTP system successfully sent a message to " + to + " with subject '" + alertSubject + "'.",
		"A System/Critical alert was sent to " + to + ` with subject "` + alertSubject + `".`,
	}
}

func notSent(to, reason string) []string {
	return []string{
		"Internal SMTP giving up on message to " + to + " with subject '" + alertSubject + "': " + reason + ".",
		"Error while sending alert: Unable to send System/Critical alert to " + to + ` with subject "` + alertSubject + `".`,
	}
}

// TestAlertIsSent: the log has the lines of the internal SMTP system about an alert, and no others
// (logs.md 4.4).
func TestAlertIsSent(t *testing.T) {
	f := newFixture(t, nil)
	m := f.serve(first, nil)
	f.alert("joe@example.com", 0)
	f.expect(append([]string{attempting("joe@example.com", 0)}, alertSent("joe@example.com")...)...)
	// Other mail for the same domain has a connection of its own, which the log tells of.
	f.submit("a@example.net", "b@example.com")
	f.expect(text(opened, 2, "127.0.0.1"), "Delivery start DCID 2 MID 2 to RID [0]")
	if got := m.messages(); !strings.HasPrefix(got[0], "MAIL FROM:<alert@esa.example.com>\nRCPT TO:<joe@example.com>\n") {
		t.Errorf("the server got %q", got)
	}
}

// TestAlertIsTriedAgain: a server that cannot be reached, and one that refuses an alert for now, get
// it later.
func TestAlertIsTriedAgain(t *testing.T) {
	f := newFixture(t, nil)
	f.alert("joe@example.com", 0)
	f.expect(attempting("joe@example.com", 0),
		"Internal SMTP Error: Failed to send message to host 127.0.0.1:25 for recipient joe@example.com: Connection refused.")
	f.awaitTimer(internalKey("example.com"))
	m := f.serve(first, map[string]string{"RCPT": "450 it isn't there"})
	f.advance(time.Minute)
	f.expect(attempting("joe@example.com", 1),
		`Internal SMTP Error: Failed to send message to host 127.0.0.1:25 for recipient joe@example.com: `+
			`Unexpected SMTP response "450", expecting code starting with "2", response was ['it isn\'t there'].`)
	m.set("none", "")
	f.await(func() bool { return f.destinations[internalKey("example.com")].line.has(1, 0) })
	f.DeliverNow("")
	f.expect(append([]string{attempting("joe@example.com", 1)}, alertSent("joe@example.com")...)...)
}

// TestAlertIsGivenUp: an alert that is refused for good, or for a whole day, is given up. Nobody gets
// a bounce message.
func TestAlertIsGivenUp(t *testing.T) {
	for name, c := range map[string]struct {
		to, answer string
		age        time.Duration
		want       []string
		reason     string
	}{
		"no such domain": {to: "joe@nx.example", reason: "Unrecoverable error", want: []string{
			attempting("joe@nx.example", 0),
			"Internal SMTP Error: Failed to find a mail exchanger of nx.example for recipient joe@nx.example: No such host or domain."}},
		"refused": {to: "joe@example.com", answer: "553 #5.1.8 no", reason: "Unrecoverable error", want: []string{
			attempting("joe@example.com", 0),
			`Internal SMTP Error: Failed to send message to host 127.0.0.1:25 for recipient joe@example.com: ` +
				`Unexpected SMTP response "553", expecting code starting with "2", response was ['#5.1.8 no'].`}},
		"too old": {to: "joe@example.com", age: 24 * time.Hour, reason: "Too many failed attempts"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, nil)
			f.serve(first, map[string]string{"MAIL": c.answer})
			f.alert(c.to, c.age)
			f.expect(append(c.want, notSent(c.to, c.reason)...)...)
			if n := f.queue.Stats().Messages; n != 0 {
				t.Errorf("%d messages are in the queue", n)
			}
		})
	}
}

// TestDeletedAlertIsGivenUp: an administrator deletes an alert like other mail.
func TestDeletedAlertIsGivenUp(t *testing.T) {
	f := newFixture(t, nil)
	f.alert("joe@example.com", 0)
	f.expect(attempting("joe@example.com", 0), "Internal SMTP Error: ~")
	f.awaitTimer(internalKey("example.com"))
	if n, _ := f.Delete(t.Context(), Selection{Domain: "example.com"}); n != 1 {
		t.Errorf("%d messages were deleted", n)
	}
	f.expect(notSent("joe@example.com", "Deleted by an administrator")...)
}

// TestAlertIsSentWhileDeliveriesAreSuspended: other mail waits, alerts do not, and Suspend does not
// wait for them.
func TestAlertIsSentWhileDeliveriesAreSuspended(t *testing.T) {
	f := newFixture(t, nil)
	f.serve(first, nil)
	f.alert("joe@example.com", 0)
	f.expect(append([]string{attempting("joe@example.com", 0)}, alertSent("joe@example.com")...)...)
	f.awaitIdle(internalKey("example.com"))
	f.Suspend(t.Context())
	f.expect("Mail delivery suspended.")
	f.submit("a@example.net", "b@example.com")
	f.alert("joe@example.com", 0)
	f.expect(append([]string{attempting("joe@example.com", 0)}, alertSent("joe@example.com")...)...)
	if s := f.queue.Stats(); s.Messages != 1 {
		t.Errorf("%d messages are in the queue, want the one that is suspended", s.Messages)
	}
}
