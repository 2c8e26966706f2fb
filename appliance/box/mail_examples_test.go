package box_test

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/logs"
	"github.com/esasim/esasim/appliance/metrics"
	"github.com/esasim/esasim/appliance/mta/listener"
)

// A mailDay is a box, and what its mail log says from the beginning.
type mailDay struct {
	t     *testing.T
	box   *box.Box
	clock *clock.Fake
	log   *logs.Follower
	text  strings.Builder
	read  int // of text, in lines
}

// newMailDay starts the lab of a version, with responses and subjects in the log.
func newMailDay(t *testing.T, version string) *mailDay {
	t.Helper()
	topo := *lab(t)
	topo.Appliance.Version = version
	topo.Hosts = slices.Clone(topo.Hosts)
	for i := range topo.Hosts {
		if topo.Hosts[i].Name == "workstation" {
			topo.Hosts[i].Names = []string{"mail.example.net"}
		}
	}
	m := &mailDay{t: t, clock: clock.NewFake(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))}
	doors := map[string]netip.AddrPort{"ssh": loopback, "ftp": loopback, "http": loopback, "https": loopback, "smtp": loopback}
	var err error
	if m.box, err = box.New(box.Options{
		Topology: &topo, Dir: t.TempDir(), HostKey: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)),
		DoorAddrs: doors, Clock: m.clock,
	}); err != nil {
		t.Fatal(err)
	}
	if err := m.box.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.box.Stop(context.Background()) })
	if m.log, err = m.box.Appliance().Logs.Follow(t.Context(), "mail_logs", 1000); err != nil {
		t.Fatal(err)
	}
	m.await("System is coming up.")
	m.read = strings.Count(m.text.String(), "\n")
	return m
}

// converse has a client of an address of the machine say the commands, each after the answer to the
// one before, and returns the answers. It ends when the server closes the connection.
func (m *mailDay) converse(from string, commands ...string) (answers []string) {
	m.t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.DialContext(m.t.Context(), "tcp", m.box.DoorAddrs()["smtp"].String())
	if errors.Is(err, syscall.EADDRNOTAVAIL) {
		m.t.Skip("only Linux has all of 127.0.0.0/8")
	}
	if err != nil {
		m.t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(clock.System().Now().Add(2 * time.Minute))
	in := bufio.NewReader(c)
	for {
		line, err := in.ReadString('\n')
		if err == io.EOF {
			return answers
		}
		if err != nil {
			m.t.Fatalf("after %q: %v", answers, err)
		}
		answers = append(answers, strings.TrimRight(line, "\r\n"))
		if line[3] == ' ' && len(commands) > 0 {
			io.WriteString(c, commands[0]+"\r\n")
			commands = commands[1:]
		}
	}
}

// expect waits until the mail log has these lines after those of the last call. Each is compared to
// the byte, without its time. A client's QUIT and the delivery of its message happen at the same
// time, so the lines about closed connections are compared after the others.
func (m *mailDay) expect(want ...string) {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), 2*time.Minute)
	defer cancel()
	var lines []string
	for {
		lines = strings.Split(strings.TrimSuffix(m.text.String(), "\n"), "\n")
		lines = lines[min(m.read, len(lines)):]
		if len(lines) >= len(want) {
			break
		}
		more, err := m.log.Next(ctx)
		if err != nil {
			m.t.Fatalf("%v; the log has\n%s", err, strings.Join(lines, "\n"))
		}
		m.text.Write(more)
	}
	got := slices.Clone(lines[:len(want)])
	for i, line := range got {
		_, got[i], _ = strings.Cut(line, " Info: ")
	}
	if diff := cmp.Diff(closedLast(want), closedLast(got)); diff != "" {
		m.t.Errorf("the mail log differs:\n%s", diff)
	}
	m.read += len(want)
}

// closedLast returns lines with those about closed connections of clients at the end.
func closedLast(lines []string) []string {
	closed := func(s string) bool { return strings.HasPrefix(s, "ICID") && strings.HasSuffix(s, "close") }
	out := slices.Clone(lines)
	slices.SortStableFunc(out, func(a, b string) int {
		switch {
		case closed(a) == closed(b):
			return 0
		case closed(a):
			return 1
		}
		return -1
	})
	return out
}

// commit changes a section of the configuration.
func commit[T any](m *mailDay, s *config.Section[T], change func(*T)) {
	m.t.Helper()
	store := m.box.Appliance().Config
	d := store.NewDraft()
	if err := s.Edit(d, func(v *T) error { change(v); return nil }); err != nil {
		m.t.Fatal(err)
	}
	if _, err := store.Commit(m.t.Context(), d, config.CommitInfo{}); err != nil {
		m.t.Fatal(err)
	}
}

// message are the commands of a client that sends a message.
func message(from, to, data string) []string {
	return []string{"EHLO mail.example.net", "MAIL FROM:<" + from + ">", "RCPT TO:<" + to + ">", "DATA",
		data + "\r\n.", "QUIT"}
}

// TestMailExamples are the acceptance examples of mail.md section 7 that concern a message from its
// client to the next server. The server's connection is closed five seconds later in a test of
// package delivery. The other examples have tests in listener and delivery, by number, too.
func TestMailExamples(t *testing.T) {
	const mx = "New SMTP DCID 1 interface 10.0.202.7 address 10.0.201.25 port 25"
	const connected = "New SMTP ICID 1 interface Data 1 (10.0.202.7) address 10.0.201.4 reverse dns host mail.example.net verified yes"
	m := newMailDay(t, "14.0.0-698")

	// 1 and 2: a message is delivered; the answer to EHLO.
	answers := m.converse("127.0.0.1", message("a@example.net", "b@example.com", "Message-ID: <1@x>\r\n\r\nhello")...)
	if diff := cmp.Diff([]string{"220 example.com ESMTP", "250-example.com", "250-8BITMIME", "250 SIZE 10485760",
		"250 sender <a@example.net> ok", "250 recipient <b@example.com> ok", "354 go ahead",
		"250 ok:  Message 1 accepted", "221 example.com"}, answers); diff != "" {
		t.Error(diff)
	}
	m.expect(connected, "ICID 1 ACCEPT SG UNKNOWNLIST match sbrs[none] SBRS rfc1918",
		"Start MID 1 ICID 1", "MID 1 ICID 1 From: <a@example.net>", "MID 1 ICID 1 RID 0 To: <b@example.com>",
		"MID 1 ready 133 bytes from <a@example.net>",
		"MID 1 matched all recipients for per-recipient policy DEFAULT in the inbound table", "ICID 1 close",
		"MID 1 queued for delivery", mx, "Delivery start DCID 1 MID 1 to RID [0]",
		"Message done DCID 1 MID 1 to RID [0]", "Message finished MID 1 done")

	// 3, 7 and 8: two recipients of a domain; the response and the subject in the log.
	m = newMailDay(t, "14.0.0-698")
	commit(m, logs.General, func(s *logs.Settings) { s.Response, s.Subject = true, true })
	commands := slices.Insert(message("a@example.net", "b@example.com", "Subject: it's\r\nMessage-ID: <2@x>\r\n\r\nhello"),
		3, "RCPT TO:<c@example.com>")
	m.converse("127.0.0.1", commands...)
	m.expect(connected, "ICID 1 ACCEPT SG UNKNOWNLIST match sbrs[none] SBRS rfc1918",
		"Start MID 1 ICID 1", "MID 1 ICID 1 From: <a@example.net>", "MID 1 ICID 1 RID 0 To: <b@example.com>",
		"MID 1 ICID 1 RID 1 To: <c@example.com>", "MID 1 Subject \"it's\"",
		"MID 1 ready 148 bytes from <a@example.net>",
		"MID 1 matched all recipients for per-recipient policy DEFAULT in the inbound table", "ICID 1 close",
		"MID 1 queued for delivery", mx, "Delivery start DCID 1 MID 1 to RID [0, 1]",
		"Message done DCID 1 MID 1 to RID [0, 1]", "MID 1 RID [0, 1] Response '2.0.0 OK: queued'",
		"Message finished MID 1 done")

	// 4: a refused recipient uses up no RID, and is counted.
	m = newMailDay(t, "14.0.0-698")
	commands = slices.Insert(message("a@example.net", "b@example.com", "Message-ID: <3@x>\r\n\r\nhello"),
		2, "RCPT TO:<x@other.example>")
	if answers := m.converse("127.0.0.1", commands...); answers[5] != "550 #5.1.0 Address rejected." {
		t.Errorf("the answers are %q", answers)
	}
	m.expect(connected, "ICID 1 ACCEPT SG UNKNOWNLIST match sbrs[none] SBRS rfc1918",
		"Start MID 1 ICID 1", "MID 1 ICID 1 From: <a@example.net>",
		"MID 1 ICID 1 To: <x@other.example> Rejected by RAT", "MID 1 ICID 1 RID 0 To: <b@example.com>")
	figures := m.box.Appliance().Metrics.Snapshot()
	if n := figures.Counter(metrics.RejectedRecipients).Uptime; n != 1 {
		t.Errorf("%d rejected recipients are counted", n)
	}
}

// TestRejectedAndRelayedExamples are examples 5 and 6 of mail.md section 7.
func TestRejectedAndRelayedExamples(t *testing.T) {
	m := newMailDay(t, "14.0.0-698")
	// 5: a host with a bad reputation.
	answers := m.converse("127.0.0.3", "QUIT")
	if diff := cmp.Diff([]string{"554-example.com", "554 Your access to this mail system has been rejected due to " +
		"the sending MTA's poor reputation. If you believe that this failure is in error, please contact the " +
		"intended recipient via alternate means.", "221 example.com"}, answers); diff != "" {
		t.Error(diff)
	}
	m.expect("New SMTP ICID 1 interface Data 1 (10.0.202.7) address 198.51.100.66 reverse dns host mail.spam.example verified yes",
		"ICID 1 REJECT SG BLOCKED_LIST match sbrs[-10.0:-3.0] SBRS -9.5 country Netherlands", "ICID 1 close")
	// 6: a host that may send to anybody. What delivery does is not part of the example.
	m.box.Appliance().MTA.SuspendDelivery(t.Context())
	m.expect("Mail delivery suspended.")
	commit(m, listener.Section, func(s *listener.Settings) { s.Listeners[0].SenderBase = false })
	m.converse("127.0.0.2", message("a@example.com", "u@example.net", "Message-ID: <1@x>\r\n\r\nhello")...)
	m.expect("New SMTP ICID 2 interface Data 1 (10.0.202.7) address 10.0.201.50 reverse dns host relay.example.com verified yes",
		"ICID 2 RELAY SG RELAYLIST match 10.0.201.50 SBRS not enabled country not enabled",
		"Start MID 1 ICID 2", "MID 1 ICID 2 From: <a@example.com>", "MID 1 ICID 2 RID 0 To: <u@example.net>",
		"MID 1 ready 159 bytes from <a@example.com>",
		"MID 1 matched all recipients for per-recipient policy DEFAULT in the outbound table", "ICID 2 close",
		"MID 1 queued for delivery")
}

// TestSubjectOfOlderVersions: until 13 the subject is in single quotes, unless it has one (mail.md
// 7.8).
func TestSubjectOfOlderVersions(t *testing.T) {
	m := newMailDay(t, "13.5.1-277")
	commit(m, logs.General, func(s *logs.Settings) { s.Subject = true })
	commit(m, listener.Section, func(s *listener.Settings) { s.Listeners[0].SenderBase = false })
	for n, subject := range []string{"it's", "test"} {
		m.converse("127.0.0.1", message("a@example.net", "b@example.com", "Subject: "+subject+"\r\n\r\nhello")...)
		want := "MID 1 Subject \"it's\""
		if n == 1 {
			want = "MID 2 Subject 'test'"
		}
		m.await(want)
	}
}

// await waits until the mail log has a line.
func (m *mailDay) await(want string) {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), 2*time.Minute)
	defer cancel()
	for !strings.Contains(m.text.String(), " Info: "+want+"\n") {
		more, err := m.log.Next(ctx)
		if err != nil {
			m.t.Fatalf("%v; the log has\n%s\nwant %q", err, &m.text, want)
		}
		m.text.Write(more)
	}
}
