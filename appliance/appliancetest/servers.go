package appliancetest

import (
	"context"
	"testing"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/network/netsim/peers"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/appliance/traffic"
)

// Handles of simulated servers. A server is called like its host, such as "mail" in topology lab, or
// HOST/TYPE if the host has several servers of that sort. If there is no such server, the test fails
// with the names that there are; if the name is that of another server, also with what it is.

// A Mail is a simulated mail server of a box. Its methods are those of a box.MailServer, except that
// the test fails instead of getting an error.
type Mail struct {
	*box.MailServer
	t testing.TB
}

// Mail returns the mail server of that name.
func (b *Box) Mail(server string) *Mail {
	b.t.Helper()
	m, err := b.Box.Mail(server)
	check(b.t, err)
	return &Mail{m, b.t}
}

// check fails the test if there is an error.
func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal("appliancetest: ", err)
	}
}

// Wait waits for a message for which match returns true, which may have arrived already, and
// returns the first one. A nil match accepts every message. If none arrives until ctx ends or a
// minute has passed, the test fails.
func (m *Mail) Wait(ctx context.Context, match func(peers.Message) bool, limits ...Limit) peers.Message {
	m.t.Helper()
	ctx, cancel := limited(ctx, limits)
	defer cancel()
	message, err := m.MailServer.Wait(ctx, match)
	check(m.t, err)
	return message
}

// AddRule adds a rule, which makes the server misbehave until the rule is removed or exhausted, and
// returns it with its number. If the rule has a mistake, the test fails.
func (m *Mail) AddRule(r topology.MailRule) peers.MailRuleState {
	m.t.Helper()
	state, err := m.MailServer.AddRule(r)
	if err != nil {
		m.t.Fatal("appliancetest: mail rule: ", err)
	}
	return state
}

// Stop stops the server as if it had crashed: see box.SimulatedServer.Stop.
func (m *Mail) Stop() { stopServer(m.t, m.SimulatedServer) }

// Start starts the server after Stop.
func (m *Mail) Start() { startServer(m.t, m.SimulatedServer) }

func stopServer(t testing.TB, s box.SimulatedServer) {
	t.Helper()
	check(t, s.Stop())
}

func startServer(t testing.TB, s box.SimulatedServer) {
	t.Helper()
	check(t, s.Start(t.Context()))
}

// A Syslog is a simulated syslog server of a box. Its methods are those of a box.SyslogServer, except
// that the test fails instead of getting an error.
type Syslog struct {
	*box.SyslogServer
	t testing.TB
}

// Syslog returns the syslog server of that name.
func (b *Box) Syslog(server string) *Syslog {
	b.t.Helper()
	s, err := b.Box.Syslog(server)
	check(b.t, err)
	return &Syslog{s, b.t}
}

// Wait waits for a record for which match returns true, which may have arrived already, and returns
// the first one. A nil match accepts every record. If none arrives until ctx ends or a minute has
// passed, the test fails.
func (s *Syslog) Wait(ctx context.Context, match func(record string) bool, limits ...Limit) string {
	s.t.Helper()
	ctx, cancel := limited(ctx, limits)
	defer cancel()
	record, err := s.SyslogServer.Wait(ctx, match)
	check(s.t, err)
	return record
}

// Stop stops the server as if it had crashed: see box.SimulatedServer.Stop.
func (s *Syslog) Stop() { stopServer(s.t, s.SimulatedServer) }

// Start starts the server after Stop.
func (s *Syslog) Start() { startServer(s.t, s.SimulatedServer) }

// A DNS is a simulated DNS server of a box. Its methods are those of a box.DNSServer, except that the
// test fails instead of getting an error.
type DNS struct {
	*box.DNSServer
	t testing.TB
}

// DNS returns the DNS server of that name.
func (b *Box) DNS(server string) *DNS {
	b.t.Helper()
	s, err := b.Box.DNS(server)
	check(b.t, err)
	return &DNS{s, b.t}
}

// Wait waits for a query for which match returns true, which may have been answered already, and
// returns the first one. A nil match accepts every query. If there is none until ctx ends or a minute
// has passed, the test fails.
func (s *DNS) Wait(ctx context.Context, match func(peers.DNSQuery) bool, limits ...Limit) peers.DNSQuery {
	s.t.Helper()
	ctx, cancel := limited(ctx, limits)
	defer cancel()
	query, err := s.DNSServer.Wait(ctx, match)
	check(s.t, err)
	return query
}

// Stop stops the server as if it had crashed: see box.SimulatedServer.Stop.
func (s *DNS) Stop() { stopServer(s.t, s.SimulatedServer) }

// Start starts the server after Stop.
func (s *DNS) Start() { startServer(s.t, s.SimulatedServer) }

// Send sends a message from a simulated host to the appliance. If the appliance does not accept it for
// all recipients, the test fails.
//
//	box.Send(t, traffic.Request{To: []string{"joe@example.com"}, Subject: "hello"})
func (b *Box) Send(t testing.TB, r traffic.Request) traffic.Answer {
	t.Helper()
	ctx, cancel := limited(t.Context(), nil)
	defer cancel()
	answer, err := b.SendMail(ctx, r)
	switch {
	case err != nil:
		t.Fatal("appliancetest: send: ", err)
	case !answer.Accepted || !answer.Complete:
		t.Fatalf("appliancetest: the message was not accepted: %s", answer.Error)
	}
	return answer
}

// NTP returns the NTP server of that name.
func (b *Box) NTP(server string) *box.NTPServer {
	b.t.Helper()
	s, err := b.Box.NTP(server)
	check(b.t, err)
	return s
}

// Uploads returns the server of that name which receives files by FTP or SCP.
func (b *Box) Uploads(server string) *box.UploadServer {
	b.t.Helper()
	s, err := b.Box.Uploads(server)
	check(b.t, err)
	return s
}
