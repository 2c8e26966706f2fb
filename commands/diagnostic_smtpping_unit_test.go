package commands_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/appliancetest"
	"github.com/esasim/esasim/appliance/mail"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// smtpTopology is a world with one mail exchanger. Its type and options are to be filled in.
const smtpTopology = `
appliance:
  hostname: esa.example.com
  model: C100V
  serial: 000000000001-0000001
  version: 14.0.0-698
  dns: [192.0.2.53]
  ntp: []
  interfaces:
    - {name: Data 1, device: nic1, addresses: [192.0.2.7/24], gateway: 192.0.2.1}
hosts:
  - {name: resolver, wire: Data 1, addresses: [192.0.2.53], services: [{type: dns}]}
  - {name: client, addresses: [198.51.100.7]}
  - name: mx
    wire: Data 1
    names: [mx.example.com]
    addresses: [192.0.2.25]
    services:
      - {type: %s, port: 25, options: {%s}}
doors:
  in: [{listen: "127.0.0.1:0", interface: Data 1, service: ssh}]
  seen_as: [{from: 127.0.0.0/8, as: 198.51.100.7}]
`

// smtpBox starts a box whose mail exchanger is a peer of the given type with options.
func smtpBox(t *testing.T, kind, options string, limits mail.Timeouts) *appliancetest.Box {
	t.Helper()
	return appliancetest.Start(t,
		appliancetest.TopologyText(fmt.Sprintf(smtpTopology, kind, options)),
		appliancetest.Timeouts(appliance.Timeouts{Mail: limits}))
}

// startSMTPPing starts a test that sends a message.
func startSMTPPing(b *appliancetest.Box, host string) *appliancetest.Session {
	s := b.Login()
	for _, line := range []string{"diagnostic", "network", "smtpping", host, "", "y", "", "", "", "test", "."} {
		s.Type(line)
	}
	s.Expect("Starting SMTP test of host " + host + ".\n")
	return s
}

// smtpReport returns the output of a test, without the time in its last line.
func smtpReport(s *appliancetest.Session) string {
	return strings.TrimSuffix(s.Expect("Total time elapsed "), " Total time elapsed ")
}

const (
	smtpResolved  = "Resolved 'mx.example.com' to 192.0.2.25.\n"
	smtpConnected = smtpResolved + "Connection to 192.0.2.25 succeeded.\n"
)

func TestSMTPPingReportsFailedStep(t *testing.T) {
	const greeted = smtpConnected + "Command EHLO succeeded\n"
	const sent = greeted + "Command MAIL FROM succeeded.\nCommand RCPT TO succeeded.\n"
	for options, want := range map[string]string{
		`connect: "554 no"`:                 smtpConnected + "The greeting of the server failed with a permanent error: 554 no\nTest failed.",
		`connect: "421 4.3.2 later"`:        smtpConnected + "The greeting of the server failed with a temporary error: 421 4.3.2 later\nTest failed.",
		`ehlo: "450 busy"`:                  smtpConnected + "Command EHLO failed with a temporary error: 450 busy\nTest failed.",
		`ehlo: "502 what", helo: "550 no"`:  smtpConnected + "Command HELO failed with a permanent error: 550 no\nTest failed.",
		`mail: "553 5.1.8 no such domain"`:  greeted + "Command MAIL FROM failed with a permanent error: 553 5.1.8 no such domain\nTest failed.",
		`rcpt: "450 4.2.0 greylisted"`:      greeted + "Command MAIL FROM succeeded.\nCommand RCPT TO failed with a temporary error: 450 4.2.0 greylisted\nTest failed.",
		`data: "452 4.3.1 full"`:            sent + "Command DATA failed with a temporary error: 452 4.3.1 full\nTest failed.",
		`end: "554 5.7.1 spam"`:             sent + "Command DATA succeeded.\nThe message body failed with a permanent error: 554 5.7.1 spam\nTest failed.",
		`size: 10`:                          greeted + "Command MAIL FROM failed with a permanent error: 552 5.3.4 Max message size exceeded\nTest failed.",
		`close: 2`:                          greeted + "Command MAIL FROM succeeded.\nCommand RCPT TO failed. The server closed the connection.\nTest failed.",
		`require_tls: on`:                   greeted + "Command MAIL FROM failed with a permanent error: 530 5.7.0 Must issue a STARTTLS command first\nThe server takes mail over TLS only (STARTTLS).\nTest failed.",
		`ehlo: "502 5.5.1 not implemented"`: smtpConnected + "Command HELO succeeded.\nCommand MAIL FROM succeeded.\nCommand RCPT TO succeeded.\nCommand DATA succeeded.\nMessage body accepted.\nTest complete.",
	} {
		t.Run(options, func(t *testing.T) {
			b := smtpBox(t, "mx", options, mail.Timeouts{})
			if diff := cmp.Diff(want, smtpReport(startSMTPPing(b, "mx.example.com"))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSMTPPingReportsSilentServer(t *testing.T) {
	for _, test := range []struct{ kind, options, want string }{
		{"sink", "", "The greeting of the server failed. The server did not answer in time.\nTest failed."},
		{"mx", "tls: implicit", "The server does not greet: it speaks TLS only.\nTest failed."},
		{"echo", "", "The greeting of the server failed. The server did not answer in time.\nTest failed."},
	} {
		limits := mail.DefaultTimeouts()
		limits.Greeting = 50 * time.Millisecond
		if test.kind != "mx" { // the server does not answer TLS either
			limits.Command = limits.Greeting
		}
		b := smtpBox(t, test.kind, test.options, limits)
		if diff := cmp.Diff(smtpConnected+test.want, smtpReport(startSMTPPing(b, "mx.example.com"))); diff != "" {
			t.Errorf("%s: %s", test.kind, diff)
		}
	}
}

// A firewall drops the packets, then resets the connection, then is gone.
func TestSMTPPingTimesOutAndRecovers(t *testing.T) {
	limits := mail.DefaultTimeouts()
	limits.Connect = time.Second
	b := appliancetest.Start(t, appliancetest.Timeouts(appliance.Timeouts{Mail: limits}))
	const resolved = "Resolved 'mx2.example.net' to 10.0.201.27.\n"
	for _, step := range []struct {
		rule *topology.Rule
		want string
	}{
		{&topology.Rule{Action: "drop", Protocol: "tcp", Port: 25}, "Unable to connect to 10.0.201.27.\nThe connection attempt timed out.\nTest failed."},
		{&topology.Rule{Action: "reset", Protocol: "tcp", Port: 25}, "Unable to connect to 10.0.201.27.\nThe connection was refused.\nTest failed."},
		{nil, "Connection to 10.0.201.27 succeeded.\nCommand EHLO succeeded\nCommand MAIL FROM succeeded.\nCommand RCPT TO succeeded.\nCommand DATA succeeded.\nMessage body accepted.\nTest complete."},
	} {
		faults := b.World().Faults()
		faults.Clear()
		if step.rule != nil {
			if _, err := faults.Add(*step.rule); err != nil {
				t.Fatal(err)
			}
		}
		s := startSMTPPing(b, "mx2.example.net")
		if diff := cmp.Diff(resolved+step.want, smtpReport(s)); diff != "" {
			t.Error(diff)
		}
		s.Close()
	}
}

func TestSMTPPingSendsEnteredMessage(t *testing.T) {
	b := smtpBox(t, "mx", "", mail.Timeouts{})
	s := b.Login()
	for _, line := range []string{"diagnostic", "network", "smtpping", "mx.example.com", "", "y", "joe@example.com", "ann@example.com", "Greetings", "one", "", "..", ".three", "."} {
		s.Type(line)
	}
	s.Expect("Test complete.")
	mails := b.Mail("mx").Messages()
	if len(mails) != 1 {
		t.Fatalf("the server received %d mails, want 1", len(mails))
	}
	m := mails[0]
	if m.From != "joe@example.com" || !slices.Equal(m.To, []string{"ann@example.com"}) || m.Subject() != "Greetings" || m.Hello != "esa.example.com" || m.TLS {
		t.Errorf("the envelope is %+v", m)
	}
	if _, body, _ := strings.Cut(string(m.Data()), "\r\n\r\n"); body != "one\r\n\r\n..\r\n.three\r\n" {
		t.Errorf("the body is %q", body)
	}
}

// Ctrl-C ends a waiting test and closes its connection.
func TestInterruptClosesSMTPPingConnection(t *testing.T) {
	b := smtpBox(t, "sink", "", mail.Timeouts{})
	s := startSMTPPing(b, "mx.example.com")
	s.Expect(smtpConnected)
	s.Keys("\x03")
	s.Expect("esa.example.com> ")
	sockets, err := b.Appliance().Net.Sockets()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range sockets {
		if c.Remote.Port() == 25 && c.State == "ESTABLISHED" {
			t.Errorf("a connection is left: %+v", c)
		}
	}
}
