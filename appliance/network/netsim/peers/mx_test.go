package peers_test

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim/peers"
	"github.com/esasim/esasim/appliance/network/netsim/vnet"
)

func startMX(t *testing.T, h *vnet.Host, options map[string]string) *peers.MailExchanger {
	t.Helper()
	p := newPeer(t, h, "mx", options)
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	return p.(*peers.MailExchanger)
}

func mustDial(t *testing.T, h *vnet.Host) network.Conn {
	t.Helper()
	c, err := dial(t, h)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// sendAll sends all lines at once and returns all that the server sends until it closes.
func sendAll(t *testing.T, h *vnet.Host, lines ...string) string {
	t.Helper()
	c := mustDial(t, h)
	io.WriteString(c, strings.Join(append(lines, "QUIT", ""), "\r\n"))
	said, err := io.ReadAll(c)
	if err != nil {
		t.Fatalf("%v after %q", err, said)
	}
	return string(said)
}

func TestMXGreets(t *testing.T) {
	for _, test := range []struct {
		options map[string]string
		want    string
	}{
		{nil, "220 localhost ESMTP Service Ready\r\n"},
		{map[string]string{"hostname": "mx.example.com"}, "220 mx.example.com ESMTP Service Ready\r\n"},
		{map[string]string{"banner": "Welcome"}, "220 Welcome\r\n"},
	} {
		h := newHost(t)
		startMX(t, h, test.options)
		if said := sendAll(t, h); said != test.want+"221 2.0.0 Bye\r\n" {
			t.Errorf("%v: said %q", test.options, said)
		}
	}
}

func TestMXWorksWithAForeignClient(t *testing.T) {
	for name, options := range map[string]map[string]string{
		"plain":    {"starttls": "off"},
		"starttls": {"require_tls": "on"},
		"implicit": {"tls": "implicit"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			mx := startMX(t, h, options)
			var c *smtp.Client
			var err error
			trusting := &tls.Config{InsecureSkipVerify: true}
			switch conn := mustDial(t, h); name {
			case "plain":
				c = smtp.NewClient(conn)
			case "starttls":
				c, err = smtp.NewClientStartTLS(conn, trusting)
			case "implicit":
				c = smtp.NewClient(tls.Client(conn, trusting))
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := c.SendMail("a@example.com", []string{"b@example.com"}, strings.NewReader("Subject: Test Message\r\n\r\n.\r\n")); err != nil {
				t.Fatal(err)
			}
			if err := c.Quit(); err != nil {
				t.Error(err)
			}
			got := mx.Messages()
			if len(got) != 1 || got[0].TLS != (name != "plain") || got[0].Subject() != "Test Message" || got[0].Client.Addr() != localhost {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestMXDistinguishesMessagesFromCommands(t *testing.T) {
	h := newHost(t)
	mx := startMX(t, h, map[string]string{"close": "6", "rcpt": "550 no", "times": "1"})
	said := sendAll(t, h, "EHLO me", "MAIL FROM:<a@example.com>", "RCPT TO:<b@example.com>", "RCPT TO:<c@example.com>", "DATA",
		"RCPT TO:<d@example.com>", "STARTTLS", "line\n.", "QUIT", "EHLO again", "..", ".")
	if !strings.HasSuffix(said, "550 no\r\n250 2.1.5 Ok\r\n354 End data with <CR><LF>.<CR><LF>\r\n250 2.0.0 OK: queued\r\n221 2.0.0 Bye\r\n") {
		t.Errorf("said %q", said)
	}
	got := mx.Messages()
	if len(got) != 1 || !strings.HasPrefix(string(got[0].Data()), "RCPT TO:<d@example.com>\r\nSTARTTLS\r\n") {
		t.Errorf("accepted %+v", got)
	}
}

func TestMXSendsErrorRepliesAsOftenAsConfigured(t *testing.T) {
	h := newHost(t)
	mx := startMX(t, h, map[string]string{"connect": "421 4.3.2 later", "times": "2"})
	for _, want := range []string{"421 ", "421 ", "220 "} {
		c := mustDial(t, h)
		line, err := bufio.NewReader(c).ReadString('\n')
		if err != nil || !strings.HasPrefix(line, want) {
			t.Errorf("got %q, %v; want %s", line, err, want)
		}
	}
	r := mx.Report().(peers.MessageReport)
	if r.Connections != 3 || r.Refused["connect"] != 2 || r.Taken != 0 {
		t.Errorf("reports %+v", r)
	}
}

func TestMXClosesInsteadOfReplying(t *testing.T) {
	h := newHost(t)
	startMX(t, h, map[string]string{"close": "1"})
	said := sendAll(t, h, "EHLO me", "MAIL FROM:<a@example.com>")
	if !strings.HasPrefix(said, "220 ") || strings.Contains(said, "250 2.1.0") || strings.Contains(said, "Bye") {
		t.Errorf("said %q", said)
	}
}

func TestMXDelaysReplies(t *testing.T) {
	const delay = 30 * time.Millisecond
	h := newHost(t)
	startMX(t, h, map[string]string{"delay": delay.String()})
	began := clock.System().Mark()
	if said := sendAll(t, h, "EHLO me"); !strings.HasSuffix(said, "Bye\r\n") {
		t.Errorf("said %q", said)
	}
	if took := clock.System().Since(began); took < 2*delay {
		t.Errorf("greeting and answers took %v", took)
	}
}

func TestMXStopsWhileItDelays(t *testing.T) {
	h := newHost(t)
	mx := startMX(t, h, map[string]string{"delay": "1h"})
	mustDial(t, h)
	mx.Stop() // hangs if the delay goes on
}

func TestMXReportsInJSON(t *testing.T) {
	h := newHost(t)
	mx := startMX(t, h, nil)
	if err := smtp.NewClient(mustDial(t, h)).SendMail("a@example.com", []string{"b@example.com"}, strings.NewReader("Subject: x\r\n\r\ntext\r\n")); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(mx.Report())
	for _, part := range []string{`"taken":1`, `"from":"a@example.com"`, `"to":["b@example.com"]`, `"subject":"x"`, `"text":"Subject: x\r\n\r\ntext\r\n"`, `"client":"127.0.0.1:`} {
		if err != nil || !strings.Contains(string(b), part) {
			t.Errorf("%s is missing in %s, %v", part, b, err)
		}
	}
}

func TestMXOptionsAreChecked(t *testing.T) {
	mx, _ := peers.Lookup("mx")
	for option, values := range map[string][2]string{ // good, bad
		"rcpt":        {"450 4.2.0 greylisted", "250 fine"},
		"connect":     {"554", "no"},
		"times":       {"2", "0"},
		"delay":       {"2s", "2"},
		"starttls":    {"off", "maybe"},
		"tls":         {"implicit", "1.3"},
		"require_tls": {"on", ""},
		"close":       {"3", "-1"},
		"size":        {"1000", "1k"},
	} {
		if err := mx.CheckOption(option, values[0]); err != nil {
			t.Error(option, err)
		}
		if err := mx.CheckOption(option, values[1]); err == nil {
			t.Errorf("%s: %q is accepted", option, values[1])
		}
	}
}
