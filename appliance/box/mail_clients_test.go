package box_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/appliancetest"
	"github.com/esasim/esasim/appliance/capture"
	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/mta"
	"github.com/esasim/esasim/appliance/mta/listener"
	"github.com/esasim/esasim/appliance/network/netsim/peers"
	"github.com/esasim/esasim/appliance/tooltest"
	"github.com/esasim/esasim/appliance/users"
)

// These tests drive the mail system with clients and servers that are not part of this project.

// clientTimeout bounds each step.
const clientTimeout = 2 * time.Minute

// A clientBox is a box whose listener offers TLS and authentication.
type clientBox struct {
	*appliancetest.Box
	t testing.TB
	// arrived is how many messages have been awaited at the mail server of example.com.
	arrived int
}

func startClientBox(t testing.TB, options ...appliancetest.Option) *clientBox {
	t.Helper()
	b := &clientBox{Box: appliancetest.Start(t, options...), t: t}
	store := b.Appliance().Config
	err := listener.Section.CommitNow(t.Context(), store, nil, config.CommitInfo{},
		func(s *listener.Settings) error {
			mode := listener.Preferred
			p := &s.Listeners[0].Hosts.Default
			p.TLS, p.Auth = &mode, &mode
			return nil
		})
	if err != nil {
		t.Fatal(err)
	}
	hash, err := users.HashPassphrase("s3cret pass")
	if err == nil {
		err = mta.SMTPUsers.CommitNow(t.Context(), store, nil, config.CommitInfo{},
			func(l *mta.SMTPUserList) error {
				l.List = append(l.List, mta.SMTPUser{Name: "ann", Hash: hash})
				return nil
			})
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// door returns the address of the SMTP door.
func (b *clientBox) door() string { return b.DoorAddrs()["smtp"].String() }

// next returns the next message that the mail server of example.com has received.
func (b *clientBox) next() peers.Message {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), clientTimeout)
	defer cancel()
	b.arrived++
	list, err := b.Mail("mail").Await(ctx, b.arrived)
	if err != nil {
		b.t.Fatal(err)
	}
	return list[b.arrived-1]
}

// runClient runs a program, which must succeed, and returns its output.
func runClient(t testing.TB, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), clientTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return string(out)
}

// TestSwaks sends mail with swaks in all the ways that people test a mail gateway with.
func TestSwaks(t *testing.T) {
	t.Parallel()
	tooltest.Need(t, "swaks", "perl")
	if exec.Command("perl", "-MNet::SSLeay", "-e", "1").Run() != nil {
		tooltest.SkipOrFail(t, "Perl's module Net::SSLeay is not installed, which swaks needs for TLS")
	}
	b := startClientBox(t)
	received := regexp.MustCompile(`\A(?:Message-Id: \S+\r\n)?Received: from unknown \(HELO client\.example\.net\) \(\[10\.0\.201\.4\]\)\r\n  by example\.com with (\S+); `)
	big := strings.Repeat(strings.Repeat("x", 70)+"\n", 8<<20/71)
	file := filepath.Join(t.TempDir(), "big.eml")
	if err := os.WriteFile(file, []byte("Subject: big\n\n"+big), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		args []string
		said string // a line of the conversation
		with string // the protocol in the Received field
		to   string
		text string // in the message
	}{
		{"plain", []string{"--to", "joe@example.com", "--body", "hello"}, "<-  250 ok:  Message 1 accepted",
			"ESMTP", "joe@example.com", "\r\nhello\r\n"},
		{"several recipients", []string{"--to", "joe@example.com,sue@example.com", "--body", "hello"},
			"<-  250 recipient <sue@example.com> ok", "ESMTP", "joe@example.com sue@example.com", "hello"},
		{"STARTTLS", []string{"--to", "joe@example.com", "--tls", "--body", "secret"}, "<-  220 Go ahead with TLS",
			"ESMTP/TLS/", "joe@example.com", "secret"},
		{"AUTH PLAIN", []string{"--to", "joe@example.com", "--tls", "--auth", "PLAIN", "--auth-user", "ann",
			"--auth-password", "s3cret pass"}, "<~  235 ", "ESMTP/TLS/", "joe@example.com", ""},
		{"AUTH LOGIN", []string{"--to", "joe@example.com", "--auth", "LOGIN", "--auth-user", "ann",
			"--auth-password", "s3cret pass"}, "<-  235 ", "ESMTP", "joe@example.com", ""},
		{"8 bit", []string{"--to", "joe@example.com", "--add-header", "Content-Type: text/plain; charset=utf-8",
			"--body", "Grüße aus Zürich"}, "<-  250-8BITMIME", "ESMTP", "joe@example.com", "\r\nGrüße aus Zürich\r\n"},
		{"big", []string{"--to", "joe@example.com", "--data", "@" + file, "--suppress-data"}, "",
			"ESMTP", "joe@example.com", strings.ReplaceAll(big, "\n", "\r\n")},
	} {
		out := runClient(t, "swaks", append([]string{"--server", b.door(), "--from", "ann@example.net",
			"--helo", "client.example.net"}, test.args...)...)
		if !strings.Contains(out, test.said) {
			t.Errorf("%s: the conversation has no %q:\n%s", test.name, test.said, out)
		}
		m := b.next()
		with := received.FindSubmatch(m.Data())
		switch {
		case with == nil || !strings.HasPrefix(string(with[1]), test.with):
			t.Errorf("%s: the message begins with\n%.200s", test.name, m.Data())
		case m.From != "ann@example.net" || strings.Join(m.To, " ") != test.to:
			t.Errorf("%s: from %s to %v", test.name, m.From, m.To)
		case !bytes.Contains(m.Data(), []byte(test.text)):
			t.Errorf("%s: the text of %d bytes has changed", test.name, len(m.Data()))
		}
	}
}

// smtplibScript sends three messages and prints the replies as smtplib returns them. A user who has
// authenticated may send to anybody.
const smtplibScript = `
import smtplib, ssl, sys
host, port = sys.argv[1].split(":")
with smtplib.SMTP(host, int(port), local_hostname="client.example.net", timeout=100) as s:
    s.ehlo()
    print(sorted(s.esmtp_features))
    s.starttls(context=ssl._create_unverified_context())
    s.login("ann", "s3cret pass")
    print(s.sendmail("ann@example.net", ["joe@example.com", "jim@example.net"],
        "Subject: one\r\n\r\n.dot\r\n..\r\n"))
with smtplib.SMTP(host, int(port), timeout=100) as s:
    print(s.sendmail("ann@example.net", ["joe@example.com", "x@other.example"],
        "Subject: two\r\n\r\nend"))
    try:
        s.sendmail("ann@example.net", ["x@other.example"], "Subject: three\r\n\r\n")
    except smtplib.SMTPRecipientsRefused as e:
        print(e.recipients)
    s.sendmail("ann@example.net", "joe@example.com", "Subject: four\r\n\r\nend")
`

// TestPythonSMTPLib: Python's client understands what the listener says.
func TestPythonSMTPLib(t *testing.T) {
	t.Parallel()
	tooltest.Need(t, "python3")
	b := startClientBox(t)
	out := runClient(t, "python3", "-c", smtplibScript, b.door())
	want := "['8bitmime', 'auth', 'size', 'starttls']\n{}\n" +
		"{'x@other.example': (550, b'#5.1.0 Address rejected.')}\n" +
		"{'x@other.example': (550, b'#5.1.0 Address rejected.')}\n"
	if out != want {
		t.Errorf("smtplib says\n%swant\n%s", out, want)
	}
	for _, end := range []string{
		"Subject: one\r\n\r\n.dot\r\n..\r\n", "Subject: two\r\n\r\nend\r\n", "Subject: four\r\n\r\nend\r\n",
	} {
		if m := b.next(); !bytes.HasSuffix(m.Data(), []byte(end)) {
			t.Errorf("a message is\n%s\nwithout the end %q", m.Data(), end)
		}
	}
}

// TestPostfixAtBothEnds: a message passes from one Postfix to the appliance, by the door smtp, and
// from there to another Postfix, by a back door that stands for the mail server of example.com.
func TestPostfixAtBothEnds(t *testing.T) {
	t.Parallel()
	mailbox, err := os.MkdirTemp("", "esasim-mailbox") // Postfix's users cannot enter t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(mailbox) })
	if err := os.Chmod(mailbox, 0o777); err != nil {
		t.Fatal(err)
	}
	server, serverLog := startPostfix(t, "mydestination =\nvirtual_mailbox_domains = example.com\n"+
		"virtual_mailbox_maps = static:joe/\nvirtual_mailbox_base = "+mailbox+"\n"+
		"virtual_uid_maps = static:65534\nvirtual_gid_maps = static:65534\n")
	_, port, _ := net.SplitHostPort(server)
	b := startClientBox(t, appliancetest.TopologyText(fmt.Sprintf(nextHopOutside, port)))
	client, clientLog := startPostfix(t, "mydestination =\nrelay_domains = example.com\n"+
		"smtp_tls_security_level = encrypt\nrelayhost = ["+strings.Replace(b.door(), ":", "]:", 1)+"\n")
	logs := func() string {
		var all []byte
		for _, name := range []string{clientLog, serverLog} {
			text, _ := os.ReadFile(name) // a missing log is an empty one
			all = append(append(all, text...), '\n')
		}
		return string(all)
	}
	err = smtp.SendMail(client, nil, "ann@example.net", []string{"joe@example.com"},
		[]byte("Subject: through three\r\n\r\n.dot\r\nend\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), clientTimeout)
	defer cancel()
	var files []string
	for len(files) == 0 {
		if clock.System().Sleep(ctx, 5*time.Millisecond) != nil {
			t.Fatalf("the message has not arrived:\n%s", logs())
		}
		if files, err = filepath.Glob(filepath.Join(mailbox, "joe", "new", "*")); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	checkPath(t, string(text))
}

// checkPath checks the Received fields of a message that three servers have passed on.
func checkPath(t *testing.T, text string) {
	t.Helper()
	want := regexp.MustCompile(`(?s)\nReceived: from esa\.example\.com .*by postfix\.example\.net .*` +
		`\nReceived: from .*\n  by esa\.example\.com with ESMTP/TLS/\S+; .*` +
		`\nReceived: from .*by postfix\.example\.net .*\nSubject: through three\n.*\n\n\.dot\nend\n\z`)
	if !want.MatchString(text) {
		t.Errorf("the message is\n%s", text)
	}
}

// nextHopOutside is a topology in which a real server takes the mail of example.com.
const nextHopOutside = `
about: The mail server of example.com is outside.
appliance:
  hostname: esa.example.com
  model: C100V
  serial: 421F6D8FB9C75E19C425-C9AEA81B2B70
  version: 14.0.0-698
  dns: [192.0.2.53]
  interfaces:
    - {name: Data 1, device: nic1, addresses: [192.0.2.25/24], gateway: 192.0.2.1}
hosts:
  - {name: resolver, wire: Data 1, addresses: [192.0.2.53], services: [{type: dns}]}
  - {name: client, addresses: [198.51.100.7]}
  - {name: mail, names: [mx.example.com], addresses: [198.51.100.25]}
mail:
  - {domain: example.com, preference: 10, host: mx.example.com}
doors:
  in:
    - {listen: "127.0.0.1:0", interface: Data 1, service: ssh}
    - {listen: "127.0.0.1:0", interface: Data 1, service: smtp}
  seen_as:
    - {from: 0.0.0.0/0, as: 198.51.100.7}
    - {from: "::/0", as: 198.51.100.7}
  out:
    - {address: 198.51.100.25, port: 25, to: 127.0.0.1, to_port: %s}
`

// TestCapturedMail: tshark reads a capture of a message on its way in and out, finds nothing wrong
// with a frame, and sees both SMTP conversations.
func TestCapturedMail(t *testing.T) {
	t.Parallel()
	tooltest.Need(t, "tshark")
	b := startClientBox(t)
	captures := b.Appliance().Captures
	settings := capture.FactorySettings()
	settings.Filter = capture.Filter{Kind: capture.Custom, Expression: "tcp port 25"}
	if err := captures.SetSettings(settings); err != nil {
		t.Fatal(err)
	}
	admin := b.Login()
	admin.Type("packetcapture")
	admin.Expect("[]> ")
	admin.Type("start")
	admin.Expect("Success - Packet Capture has started")
	if err := sendPlain(b.door(), "Subject: captured\r\n\r\n"+strings.Repeat("0123456789\r\n", 1000)); err != nil {
		t.Fatal(err)
	}
	b.awaitLog("DCID 1 close")
	admin.Type("stop")
	admin.Expect("Success - Packet Capture has stopped")

	names := b.Captures()
	if len(names) != 1 {
		t.Fatalf("captures: %q", names)
	}
	data, err := fs.ReadFile(b.Files(), names[0])
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "mail.cap")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	const warning = "0x600000"
	if wrong := runTshark(t, "-r", file, "-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE",
		"-Y", "_ws.malformed || _ws.expert.severity >= "+warning+" || tcp.checksum.status != 1 || ip.checksum.status != 1",
	); wrong != "" {
		t.Errorf("tshark finds fault with\n%s", wrong)
	}
	got := runTshark(t, "-r", file, "-Y", "smtp.req.command", "-T", "fields", "-e", "ip.src", "-e", "smtp.req.command")
	for _, from := range []string{"10.0.201.4", "10.0.202.7"} {
		var commands []string
		for line := range strings.Lines(got) {
			if src, command, _ := strings.Cut(strings.TrimSpace(line), "\t"); src == from {
				commands = append(commands, command)
			}
		}
		if list := strings.Join(commands, " "); !strings.HasSuffix(list, "EHLO MAIL RCPT DATA QUIT") {
			t.Errorf("tshark sees the commands %q of %s", list, from)
		}
	}
}

// sendPlain sends a message to joe@example.com without TLS, even if it is offered.
func sendPlain(server, message string) error {
	c, err := smtp.Dial(server)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := errors.Join(c.Mail("ann@example.net"), c.Rcpt("joe@example.com")); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, message)
	return errors.Join(err, w.Close(), c.Quit())
}

// awaitLog waits until the mail log has a line with this text.
func (b *clientBox) awaitLog(text string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), clientTimeout)
	defer cancel()
	f, err := b.Appliance().Logs.Follow(ctx, "mail_logs", 1000)
	if err != nil {
		b.t.Fatal(err)
	}
	var all bytes.Buffer
	for !strings.Contains(all.String(), text) {
		lines, err := f.Next(ctx)
		if err != nil {
			b.t.Fatalf("%v; the mail log is\n%s", err, &all)
		}
		all.Write(lines)
	}
}

// runTshark runs tshark and returns its output without what it says about itself.
func runTshark(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "tshark", args...).Output()
	if err != nil {
		t.Fatal("tshark: ", err)
	}
	return string(out)
}
