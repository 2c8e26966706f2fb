package box_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/smtp"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/appliancetest"
	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/logs"
	"github.com/esasim/esasim/appliance/mta/delivery"
	"github.com/esasim/esasim/appliance/network"
)

// mailDayWorld has senders and mail servers of all kinds. The serial number is that of hardware,
// because public parsers of log headers expect its length.
const mailDayWorld = `
about: Senders and mail servers of all kinds.
appliance:
  hostname: esa.example.com
  model: C370
  serial: A4BADB4712A9-511AA1E
  version: %s
  dns: [192.0.2.53]
  relays: [198.51.100.50]
  interfaces:
    - {name: Data 1, device: nic1, addresses: [192.0.2.25/24], gateway: 192.0.2.1}
hosts:
  - {name: resolver, wire: Data 1, addresses: [192.0.2.53], services: [{type: dns}]}
  - {name: sender, names: [mail.example.net], addresses: [198.51.100.9], services: [{type: mx}]}
  - {name: relay, addresses: [198.51.100.50]}
  - {name: spammer, addresses: [203.0.113.66]}
  - {name: own, names: [mx.example.com], addresses: [198.51.100.20], services: [{type: mx}]}
  - name: hard
    names: [mx.hard.example]
    addresses: [198.51.100.21]
    services: [{type: mx, options: {rcpt: "550 5.1.1 no such user"}}]
  - name: soft
    names: [mx.soft.example]
    addresses: [198.51.100.22]
    services: [{type: mx, options: {rcpt: "452 4.3.1 Insufficient system resources", times: 1}}]
  - {name: down, names: [mx.down.example], addresses: [198.51.100.23]}
  - name: broken
    names: [mx.broken.example]
    addresses: [198.51.100.24]
    services: [{type: mx, options: {rcpt: "501 5.5.4 Invalid Address"}}]
  - {name: secure, names: [mx.secure.example], addresses: [198.51.100.25], services: [{type: mx}]}
mail:
  - {domain: example.com, preference: 10, host: mx.example.com}
  - {domain: example.net, preference: 10, host: mail.example.net}
  - {domain: hard.example, preference: 10, host: mx.hard.example}
  - {domain: soft.example, preference: 10, host: mx.soft.example}
  - {domain: down.example, preference: 10, host: mx.down.example}
  - {domain: broken.example, preference: 10, host: mx.broken.example}
  - {domain: secure.example, preference: 10, host: mx.secure.example}
reputation:
  - {network: 198.51.100.0/24, score: 5.6, country: United States}
  - {network: 203.0.113.0/24, score: -9.5, country: Netherlands}
doors:
  in:
    - {listen: "127.0.0.1:0", interface: Data 1, service: ssh}
  seen_as:
    - {from: 0.0.0.0/0, as: 198.51.100.50}
    - {from: "::/0", as: 198.51.100.50}
`

// The hosts that send mail.
var (
	senderHost  = netip.MustParseAddr("198.51.100.9")
	relayHost   = netip.MustParseAddr("198.51.100.50")
	spammerHost = netip.MustParseAddr("203.0.113.66")
)

// A dayRecorder is a box whose logs about mail are recorded.
type dayRecorder struct {
	*clientBox
	clock *clock.Fake
}

// recordMailDay has mail accepted, rejected, aborted, delivered, delayed and bounced, with and without
// TLS, and returns the text of the logs about it.
func recordMailDay(t *testing.T, version string) map[string]string {
	t.Helper()
	now := clock.NewFake(time.Date(2026, 6, 9, 8, 0, 0, 0, time.UTC))
	d := &dayRecorder{clock: now, clientBox: startClientBox(t, appliancetest.Clock(now),
		appliancetest.TopologyText(fmt.Sprintf(mailDayWorld, version)))}
	d.configure()

	d.send(senderHost, false, "ann@example.net", "it's new", "joe@example.com", "sue@example.com", "x@other.example")
	d.awaitLog("Message finished MID 1 done")
	d.begin(senderHost, func(c *smtp.Client) error { return errors.Join(c.Reset(), c.Quit()) })
	d.awaitLog("Message finished MID 2 aborted")
	d.begin(senderHost, func(*smtp.Client) error { return nil })
	d.awaitLog("Message finished MID 3 aborted")
	if _, err := smtp.NewClient(d.dial(spammerHost), "esa.example.com"); err == nil {
		t.Fatal("the spammer is not rejected")
	}
	d.awaitLog(" REJECT SG ")
	d.send(relayHost, true, "ann@example.com", "over TLS", "bob@secure.example")
	d.awaitLog("Message finished MID 4 done")
	d.send(relayHost, false, "ann@example.net", "hard", "bob@hard.example")
	d.awaitLog("Message finished MID 6 done") // the bounce message
	d.send(relayHost, false, "ann@broken.example", "twice", "bob@hard.example")
	d.awaitLog("Message finished MID 8 done")
	d.send(relayHost, false, "ann@example.net", "soft", "bob@soft.example")
	d.awaitLog("Message 9 to RID [0] pending till")
	d.clock.Advance(61 * time.Second)
	d.awaitLog("Message finished MID 9 done")
	d.send(relayHost, false, "ann@example.net", "nowhere", "bob@nx.example")
	d.awaitLog("Message finished MID 11 done")
	d.send(relayHost, false, "ann@example.net", "down", "bob@down.example")
	d.awaitLog("Connection Error: ")
	d.awaitIdleConnections()
	return map[string]string{
		"mail_logs": d.text("mail_logs", "Connection Error: "),
		"bounces":   d.text("bounces", "nx.example"),
		"status":    d.text("status", "Status: "),
	}
}

var (
	opened = regexp.MustCompile(`New SMTP DCID \d+ `)
	closed = regexp.MustCompile(` DCID \d+ close\n`)
)

// awaitIdleConnections lets time pass until all connections to mail servers have been closed for want
// of messages. A connection may become idle only after some time has passed.
func (d *dayRecorder) awaitIdleConnections() {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), clientTimeout)
	defer cancel()
	for {
		d.clock.Advance(6 * time.Second)
		text := d.text("mail_logs", "Connection Error: ")
		if len(opened.FindAllString(text, -1)) == len(closed.FindAllString(text, -1)) {
			return
		}
		if clock.System().Sleep(ctx, 5*time.Millisecond) != nil {
			d.t.Fatalf("connections stay open:\n%s", text)
		}
	}
}

// configure has the logs tell more, and one destination require TLS.
func (d *dayRecorder) configure() {
	d.t.Helper()
	store := d.Appliance().Config
	err := logs.General.CommitNow(d.t.Context(), store, nil, config.CommitInfo{}, func(s *logs.Settings) error {
		s.MessageID, s.Subject, s.Response = true, true, true
		return nil
	})
	if err == nil {
		err = delivery.Destinations.CommitNow(d.t.Context(), store, nil, config.CommitInfo{},
			func(l *delivery.DestinationList) error {
				secure := delivery.DefaultDestination()
				secure.Domain, secure.TLS = "secure.example", delivery.TLSRequired
				l.List = append(l.List, secure)
				return nil
			})
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

// dial connects a simulated host to the listener.
func (d *dayRecorder) dial(from netip.Addr) network.Conn {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), clientTimeout)
	defer cancel()
	c, err := d.World().Hosts().Dial(ctx, network.DialConfig{
		Local: netip.AddrPortFrom(from, 0), Remote: netip.MustParseAddrPort("192.0.2.25:25"),
	})
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(c.Abort)
	return c
}

// begin has a host begin a message, end as the function says, and reset the connection.
func (d *dayRecorder) begin(from netip.Addr, end func(*smtp.Client) error) {
	d.t.Helper()
	conn := d.dial(from)
	c, err := smtp.NewClient(conn, "esa.example.com")
	if err == nil {
		err = errors.Join(c.Mail("ann@example.net"), c.Rcpt("joe@example.com"), end(c))
	}
	if err != nil {
		d.t.Fatal(err)
	}
	conn.Abort()
}

// send has a host send a message. Recipients of other.example are refused.
func (d *dayRecorder) send(from netip.Addr, overTLS bool, sender, subject string, to ...string) {
	d.t.Helper()
	c, err := smtp.NewClient(d.dial(from), "esa.example.com")
	if err != nil {
		d.t.Fatal(err)
	}
	if overTLS {
		if err := c.StartTLS(&tls.Config{InsecureSkipVerify: true}); err != nil { //nolint:gosec // a test
			d.t.Fatal(err)
		}
	}
	err = c.Mail(sender)
	for _, address := range to {
		refused := c.Rcpt(address)
		if strings.HasSuffix(address, "@other.example") != (refused != nil) {
			d.t.Fatalf("the answer to the recipient %s is %v", address, refused)
		}
	}
	w, derr := c.Data()
	if err = errors.Join(err, derr); err != nil {
		d.t.Fatal(err)
	}
	_, err = io.WriteString(w, "Subject: "+subject+"\r\n\r\nhello\r\n")
	if err = errors.Join(err, w.Close(), c.Quit()); err != nil {
		d.t.Fatal(err)
	}
}

// text waits until a log has a text, and returns the whole log.
func (d *dayRecorder) text(log, until string) string {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), clientTimeout)
	defer cancel()
	f, err := d.Appliance().Logs.Follow(ctx, log, 1000)
	if err != nil {
		d.t.Fatal(err)
	}
	var all bytes.Buffer
	for !strings.Contains(all.String(), until) {
		lines, err := f.Next(ctx)
		if err != nil {
			d.t.Fatalf("%v; the log is\n%s", err, &all)
		}
		all.Write(lines)
	}
	return all.String()
}
