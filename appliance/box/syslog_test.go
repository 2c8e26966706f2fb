package box_test

import (
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/appliancetest"
	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/logs"
	"github.com/esasim/esasim/appliance/logs/syslog"
	"github.com/esasim/esasim/appliance/mail"
	"github.com/esasim/esasim/appliance/tooltest"
	"github.com/esasim/esasim/fixtures"
)

// syslogWorld returns the topology syslog with texts replaced: pairs of old and new.
func syslogWorld(t *testing.T, replace ...string) appliancetest.Option {
	t.Helper()
	_, data, ok := fixtures.Topology("syslog")
	if !ok {
		t.Fatal("there is no topology syslog")
	}
	text := string(data)
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(text, replace[i]) {
			t.Fatalf("the topology has no %q", replace[i])
		}
		text = strings.ReplaceAll(text, replace[i], replace[i+1])
	}
	return appliancetest.TopologyText(text)
}

// A syslogTest is a box of the topology syslog, with its mail exchanger and its syslog server.
type syslogTest struct {
	*appliancetest.Box
	t  *testing.T
	mx *appliancetest.Mail
	in *box.SyslogServer // nil if the server is stopped for good
}

func startSyslogTest(t *testing.T, options ...appliancetest.Option) *syslogTest {
	t.Helper()
	b := appliancetest.Start(t, options...)
	s := &syslogTest{Box: b, t: t, mx: b.Mail("mx")}
	s.in, _ = b.Box.Syslog("log") // some topologies have none
	return s
}

// connectTimeoutFor returns a short timeout for connections to syslog servers if the wanted line
// reports a timeout. Mail keeps its timeouts.
func connectTimeoutFor(want string) appliancetest.Option {
	if !strings.HasSuffix(want, "timed out") {
		return appliancetest.Timeouts(appliance.Timeouts{})
	}
	return appliancetest.Timeouts(appliance.Timeouts{Connect: 300 * time.Millisecond, Mail: mail.DefaultTimeouts()})
}

// mailLog returns the lines of the mail log without their timestamps.
func (s *syslogTest) mailLog() []string {
	s.t.Helper()
	if err := s.Appliance().Logs.Flush(s.t.Context(), "mail_logs"); err != nil {
		s.t.Fatal(err)
	}
	names, _ := fs.Glob(s.Files(), "data/pub/mail_logs/*.@*")
	var lines []string
	for _, n := range names {
		text, _ := fs.ReadFile(s.Files(), n)
		for line := range strings.Lines(string(text)) {
			lines = append(lines, strings.TrimSpace(line[min(25, len(line)):]))
		}
	}
	return lines
}

// mailLogAndDoubts returns the lines of the mail log without their timestamps, except for those that
// say how many messages may be lost, and the number of these: their place among the lines about an
// alert depends on how long its mail takes.
func (s *syslogTest) mailLogAndDoubts() (lines []string, doubts int) {
	s.t.Helper()
	for _, l := range s.mailLog() {
		if strings.HasPrefix(l, "Warning: Subscription ") && strings.HasSuffix(l, " may be lost") {
			doubts++
		} else {
			lines = append(lines, l)
		}
	}
	return lines, doubts
}

// eventually waits until ok returns true. what is for the failure message.
func (s *syslogTest) eventually(what string, ok func() bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 60*time.Second)
	defer cancel()
	for !ok() {
		if clock.System().Sleep(ctx, 5*time.Millisecond) != nil {
			s.t.Fatalf("timed out: %s\n%s\n%q", what, strings.Join(s.mailLog(), "\n"), s.in.Records())
		}
	}
}

const (
	pushError = "Log Error: Subscription Mail_Log: Network error while sending log data to syslog server"
	pushedLog = "    - {name: Mail_Log, type: mail, server: 10.44.167.30, protocol: tcp}\n"
	working   = "- {type: syslogd, options: {protocol: tcp, mss: 1350, after: 4 records, then: reset}}"
)

// critical returns the critical lines of the mail log.
func (s *syslogTest) critical() (lines []string) {
	for _, l := range s.mailLog() {
		if text, ok := strings.CutPrefix(l, "Critical: "); ok {
			lines = append(lines, text)
		}
	}
	return lines
}

// The topology reproduces the attested sequence (A3) by itself: push, reset, error, alert, and
// the line about the alert is the first new record of the next connection. Then it ends, as
// equal alerts are held back.
func TestTopologySyslogReproducesA3(t *testing.T) {
	t.Parallel()
	s := startSyslogTest(t, syslogWorld(t, "Mail_Log", "Mails", "mail.example.com", "ail-gateway-01.corp.example.com"))
	s.eventually("the alert is pushed, and the push fails again", func() bool { return len(s.critical()) == 2 })
	s.eventually("both are reset", func() bool {
		c := s.in.Connections()
		return len(c) == 2 && c[0].End == "reset" && c[1].End == "reset"
	})
	const alert = `A System/Critical alert was sent to alerts@ironport.com with subject ` +
		`"Critical <System> ail-gateway-01.corp.example.com: Log Error: Subscription Mails: Network error while sending l...".`
	stream := string(s.in.Connections()[1].Data)
	var got []string
	for line := range strings.Lines(stream) {
		got = append(got, line[len("<22>Jun 25 08:50:03 "):len(line)-1])
	}
	want := []string{
		"Mails: Info: Begin Logfile", "Mails: Info: Version: 8.0.1-023 SN: A4BADB4712A9-511AA1E",
		"Mails: Info: Time offset from UTC: 7200 seconds", "Mails: Info: " + alert,
	}
	if !slices.Equal(got, want) || len(stream) != 412 {
		t.Errorf("%d bytes:\n%s", len(stream), stream)
	}
	wantLog := []string{
		"Info: Begin Logfile", "Info: Version: 8.0.1-023 SN: A4BADB4712A9-511AA1E", "Info: Time offset from UTC: 7200 seconds",
		"Info: System is coming up.",
		"Critical: " + strings.Replace(pushError, "Mail_Log", "Mails", 1), "Info: " + alert,
		"Critical: " + strings.Replace(pushError, "Mail_Log", "Mails", 1),
	}
	s.eventually("the log says how many messages may be lost", func() bool {
		_, doubts := s.mailLogAndDoubts()
		return doubts == 2
	})
	if log, _ := s.mailLogAndDoubts(); !slices.Equal(log, wantLog) {
		t.Errorf("the mail log is\n%s", strings.Join(log, "\n"))
	}
	mails := s.mx.Messages()
	if len(mails) != 1 || mails[0].Subject() != "Critical <System> ail-gateway-01.corp.example.com: Log Error: Subscription Mails: Network error while sending l..." {
		t.Errorf("%d mails were received: %+v", len(mails), mails)
	}
}

// Each cause of a failing push that the topology offers in a comment has the lines and the alert
// that it should have.
func TestTopologySyslogVariants(t *testing.T) {
	t.Parallel()
	_, data, _ := fixtures.Topology("syslog")
	text := string(data)
	// comment returns the commented-out line that contains a text.
	comment := func(what string) string {
		for line := range strings.Lines(text) {
			if strings.Contains(line, "# ") && strings.Contains(line, what) {
				if _, after, ok := strings.Cut(line, "# - "); ok {
					return "- " + after
				}
				_, after, _ := strings.Cut(line, "# ")
				return after
			}
		}
		t.Fatalf("the topology has no line with %q", what)
		return ""
	}
	const failed = "Log Error: Subscription Mail_Log: Failed to connect to 10.44.167.30: "
	for _, c := range []struct {
		name, server, rule string
		want               string // "": no error
	}{
		{"it works", "# it works", "", ""},
		{"reads slowly", "# reads slowly", "", ""},
		{"accepts and closes", "accepts and closes", "", pushError},
		{"backlog is full", "the backlog is full", "", failed + "Operation timed out"},
		{"firewall", "# it works", "name: firewall", failed + "Operation timed out"},
		{"refuses", "# it works", "name: too busy", failed + "Connection refused"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			replace := []string{working, strings.TrimSpace(comment(c.server))}
			if c.rule != "" {
				replace = append(replace, "\ndoors:\n", "\n"+comment(c.rule)+"\ndoors:\n")
			}
			s := startSyslogTest(t, syslogWorld(t, replace...), connectTimeoutFor(c.want))
			if c.want == "" {
				s.eventually("a record was received", func() bool { return s.in.Total() > 3 })
				if got := s.critical(); len(got) > 0 {
					t.Errorf("the mail log has %q", got)
				}
				return
			}
			s.eventually("the alert was sent", func() bool { return len(s.mx.Messages()) == 1 })
			if got := s.critical(); len(got) == 0 || got[0] != c.want {
				t.Errorf("the mail log has %q", got)
			}
			if got := string(s.mx.Messages()[0].Data()); !strings.Contains(got, c.want) {
				t.Errorf("the mail is\n%s", got)
			}
		})
	}
}

// An IPS resets the connection in mid-stream. Earlier records are delivered.
func TestTopologySyslogWithAnIPS(t *testing.T) {
	t.Parallel()
	s := startSyslogTest(t, syslogWorld(t, working, "- {type: syslogd, options: {protocol: tcp}}",
		"\ndoors:\n", "\nrules: [{name: IPS, action: reset, to: 10.44.167.30/32, protocol: tcp, port: 514, after_records: 5}]\n\ndoors:\n"))
	s.eventually("the first records were received", func() bool { return s.in.Total() >= 4 })
	s.Appliance().Log(appliance.MailLog, appliance.Information, "one more")
	s.eventually("the alert was sent", func() bool { return len(s.mx.Messages()) == 1 })
	if got := s.critical(); len(got) == 0 || got[0] != pushError {
		t.Errorf("the mail log has %q", got)
	}
	if got := s.in.Records(); !strings.HasSuffix(got[4], "one more") {
		t.Errorf("the server has %q", got)
	}
}

// The certificate of a TLS server is checked against the authority of the world.
func TestTopologySyslogOverTLS(t *testing.T) {
	t.Parallel()
	for server, want := range map[string]string{
		"protocol: tls": "",
		"protocol: tls, names: other.example.com": "Log Error: Subscription Mail_Log: Failed to connect to syslog.example.com: The server's certificate is not for this name",
		"protocol: tls, ca: unknown":              "Log Error: Subscription Mail_Log: Failed to connect to syslog.example.com: The server's certificate is not from a trusted authority",
	} {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			s := startSyslogTest(t, syslogWorld(t, working, "- {type: syslogd, options: {"+server+"}}",
				"server: 10.44.167.30, protocol: tcp", "server: syslog.example.com, protocol: tls, verify: true, buffer: 1MiB"))
			if want == "" {
				s.eventually("a record was received", func() bool { return s.in.Total() > 3 })
				return
			}
			s.eventually("the error is logged", func() bool { return len(s.critical()) > 0 })
			if got := s.critical(); got[0] != want {
				t.Errorf("the mail log has %q", got)
			}
		})
	}
}

// The administrator captures the traffic while the log Mails is pushed, to see which side closes
// the connection. With that name, of 5 letters, and a host name of 31, the second connection is
// that of A3: tshark shows its rows, with 47 and 365 bytes and the reset of the server.
func TestCaptureShowsServerReset(t *testing.T) {
	t.Parallel()
	s := startSyslogTest(t, syslogWorld(t, "  logs:\n"+pushedLog, "", "mail.example.com", "ail-gateway-01.corp.example.com"))
	admin := s.Login()
	admin.Type("packetcapture")
	admin.Expect("[]> ")
	admin.Type("start")
	admin.Expect("Success - Packet Capture has started")
	admin.Expect("[]> ")

	d := s.Appliance().Config.NewDraft()
	err := logs.Section.Edit(d, func(v *logs.Subscriptions) error {
		v.Put(mailsTo("10.44.167.30", "Mails"))
		return nil
	})
	if err == nil {
		_, err = s.Appliance().Config.Commit(t.Context(), d, config.CommitInfo{User: "admin"})
	}
	if err != nil {
		t.Fatal(err)
	}
	s.Appliance().Log(appliance.MailLog, appliance.Information, "something to push")
	s.eventually("the push fails, and fails again with the alert's line", func() bool { return len(s.critical()) == 2 })
	admin.Type("stop")
	admin.Expect("Success - Packet Capture has stopped")

	names := s.Captures()
	if len(names) != 1 {
		t.Fatalf("captures: %q", names)
	}
	data, err := fs.ReadFile(s.Files(), names[0])
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "esa.cap")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	tooltest.Need(t, "tshark")
	tshark := func(args ...string) string {
		out, err := exec.Command("tshark", append([]string{"-r", file, "-o", "tcp.relative_sequence_numbers:TRUE"}, args...)...).Output()
		if err != nil {
			t.Fatal("tshark: ", err)
		}
		return string(out)
	}
	streams := strings.Fields(tshark("-Y", "tcp.dstport == 514 && tcp.flags.syn == 1", "-T", "fields", "-e", "tcp.stream"))
	if len(streams) != 2 {
		t.Fatalf("%d connections", len(streams))
	}
	// Besides the attested options there is only what fills the header.
	syns := strings.Fields(tshark("-Y", "tcp.stream == "+streams[1]+" && tcp.flags.syn == 1", "-T", "fields", "-e", "tcp.options"))
	if want := []string{"020405b4" + "01" + "030300" + "0402" + "0000", "02040546"}; !slices.Equal(syns, want) {
		t.Errorf("the SYNs have the options %v, want %v", syns, want)
	}
	if later := strings.TrimSpace(tshark("-Y", "tcp.stream == "+streams[1]+" && tcp.flags.syn == 0 && tcp.hdr_len != 20")); later != "" {
		t.Errorf("later segments have options:\n%s", later)
	}
	if wrong := strings.TrimSpace(tshark("-o", "tcp.check_checksum:TRUE", "-Y", "tcp.checksum.status != 1 && ip.addr == 10.44.167.30")); wrong != "" {
		t.Errorf("segments with wrong checksums:\n%s", wrong)
	}
	got := tshark("-Y", "tcp.stream == "+streams[1], "-T", "fields", "-E", "separator= ", "-e", "ip.src", "-e", "tcp.flags.str", "-e", "tcp.seq", "-e", "tcp.ack", "-e", "tcp.len", "-e", "tcp.window_size_value")
	var rows []string
	for row := range strings.Lines(got) {
		// On a busy machine a segment may be retransmitted.
		if row = strings.ReplaceAll(strings.TrimSpace(row), "·", ""); !slices.Contains(rows, row) {
			rows = append(rows, row)
		}
	}
	want := []string{
		"10.229.24.230 S 0 0 0 16384", "10.44.167.30 AS 0 1 0 32120", "10.229.24.230 A 1 1 0 17550",
		"10.229.24.230 AP 1 1 47 17550", "10.44.167.30 A 1 48 0 32073",
		"10.229.24.230 AP 48 1 365 17550", "10.44.167.30 A 1 413 0 31755", "10.44.167.30 AR 1 413 0 32120",
	}
	// On a busy machine the server may not have read the first record yet.
	for i, row := range rows {
		rows[i] = strings.Replace(row, "A 1 413 0 31708", "A 1 413 0 31755", 1)
	}
	if !slices.Equal(rows, want) {
		t.Errorf("the second connection is\n%s\nwant\n%s", strings.Join(rows, "\n"), strings.Join(want, "\n"))
	}
}

// mailsTo returns a subscription to the mail log that is pushed to a syslog server over TCP.
func mailsTo(server, name string) logs.Subscription {
	kind := logs.Mail.Spec()
	s := logs.NewSubscription(name, kind)
	s.Method = logs.Syslog
	s.Push = logs.SyslogPush{Host: server, Port: syslog.Port, Protocol: "tcp", Facility: kind.Facility}
	return s
}
