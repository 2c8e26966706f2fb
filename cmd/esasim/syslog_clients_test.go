package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/tooltest"
	"github.com/esasim/esasim/fixtures"
)

// These tests investigate from outside, as the syslog document does: with ssh, sftp and
// tshark, and with servers on the loopback interface of this machine.

// syslogTopology writes the topology syslog to a file, with texts replaced. replace holds
// pairs of an old and a new text.
func syslogTopology(t *testing.T, replace ...string) string {
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
	file := filepath.Join(t.TempDir(), "topology.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// fetchFile returns the content of a file of the appliance, which sftp fetches.
func fetchFile(t *testing.T, p *program, name string) string {
	t.Helper()
	dir := t.TempDir()
	execute(t, dir, "", "sshpass", withPassphrase(append(append([]string{"sftp"}, sshArgs(p, "-P")...), "admin@127.0.0.1:"+name, "got")...)...)
	text, err := os.ReadFile(filepath.Join(dir, "got"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// readPeer reads the state of a simulated server, and what the server has received.
func readPeer(t *testing.T, p *program, name string, into any) {
	t.Helper()
	_, text, stderr := p.ctl(t, "peer", "show", name, "--json", "--socket", p.ready.Socket)
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatal(err, text, stderr)
	}
	if strings.Contains(text, `\u003c`) {
		t.Errorf("the output escapes characters that people have to read:\n%s", text)
	}
}

// eventually waits until ok returns true. If it does not in time, the test fails.
func eventually(t *testing.T, p *program, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*testTimeout)
	defer cancel()
	for !ok() {
		if clock.System().Sleep(ctx, 20*time.Millisecond) != nil {
			t.Fatalf("not in time: %s\n%s", what, p.err.String())
		}
	}
}

// resetScript is an expect script: it starts a capture and the push of a log, and stops the
// capture when the line about the alert has been pushed, too.
const resetScript = `
set timeout 120
proc want {text} {
    expect {
        -ex $text {}
        timeout { send_user "\nwant: $text\n"; exit 1 }
        eof     { send_user "\nended, want: $text\n"; exit 1 }
    }
}
proc say {text prompt} { send -- "$text\r"; want $prompt }
proc login {} {
    global command spawn_id
    eval spawn -noecho $command
    want "assword:"
    say "ironport" "example.com> "
    return $spawn_id
}
set command [lrange $argv 0 end]
set capturing [login]
set working [login]
set spawn_id $capturing
say "packetcapture" "\[\]> "
say "start" "Success - Packet Capture has started"
want "\[\]> "
set spawn_id $working
say "logconfig" "\[\]> "
say "new" "\[1\]> "
say "1" "Please enter the name for the log:"
want "\[\]> "
say "Mails" "Log level:"
want "\[3\]> "
say "" "Choose the method to retrieve the logs."
want "\[1\]> "
say "Syslog Push" "Hostname to deliver the logs:"
want "\[\]> "
say "10.44.167.30" "Which protocol do you want to use to transfer the log data?"
want "\[1\]> "
say "TCP" "Which facility do you want the log data to be sent as?"
want "\[3\]> "
say "" "Choose the operation you want to perform:"
want "\[\]> "
say "setup" "\[60\]> "
say "6" "\[N\]> "
say "" "\[N\]> "
say "" "\[N\]> "
say "" "Choose the operation you want to perform:"
want "\[\]> "
say "" "example.com> "
say "commit" "\[\]> "
say "push" "example.com> "
say "tail mail_logs" "Press Ctrl-C to stop."
want "Critical: Log Error: Subscription Mails: Network error"
want "alert was sent to"
want "Critical: Log Error: Subscription Mails: Network error"
send "\003"
want "example.com> "
send "exit\r"
expect eof
set spawn_id $capturing
say "stop" "Success - Packet Capture has stopped"
want "\[\]> "
say "" "example.com> "
send "exit\r"
expect eof
`

// A capture answers the question "Why are there network errors?" as in the document. The name
// of the log has 5 letters and that of the host 31, so that the TCP segments are as long as
// those in the document (A26).
func TestSyslogResetWithRealClients(t *testing.T) {
	tooltest.Need(t, "expect", "ssh", "sftp", "sshpass", "tshark")
	const host = "ail-gateway-01.corp.example.com"
	p := start(t, shortHome(t), "--topology", syslogTopology(t,
		"  logs:\n    - {name: Mail_Log, type: mail, server: 10.44.167.30, protocol: tcp}\n", "",
		"mail.example.com", host))
	dir := t.TempDir()
	script := filepath.Join(dir, "story")
	if err := os.WriteFile(script, []byte(resetScript), 0o600); err != nil {
		t.Fatal(err)
	}
	execute(t, dir, "", "expect", append(append([]string{"-f", script, "ssh", "-o", "PubkeyAuthentication=no"}, sshArgs(p, "-p")...), "admin@127.0.0.1")...)

	file := filepath.Join(dir, "esa.cap")
	if err := os.WriteFile(file, []byte(fetchFile(t, p, "/diagnostic/*.cap")), 0o600); err != nil {
		t.Fatal(err)
	}
	tshark := func(filter string, fields ...string) (rows []string) {
		args := []string{"-r", file, "-o", "tcp.relative_sequence_numbers:TRUE", "-Y", filter, "-T", "fields", "-E", "separator= "}
		for _, f := range fields {
			args = append(args, "-e", f)
		}
		for row := range strings.Lines(execute(t, dir, "", "tshark", args...)) {
			rows = append(rows, strings.ReplaceAll(strings.TrimSpace(row), "·", ""))
		}
		return rows
	}
	streams := tshark("tcp.dstport == 514 && tcp.flags.syn == 1", "tcp.stream")
	if len(streams) < 2 {
		t.Fatalf("%d connections to the syslog server", len(streams))
	}
	of := "tcp.stream == " + streams[1]
	const esa, server = "10.229.24.230", "10.44.167.30"
	want := []string{
		esa + " S 0 0 0", server + " AS 0 1 0", esa + " A 1 1 0", esa + " AP 1 1 47", server + " A 1 48 0",
		esa + " AP 48 1 365", server + " A 1 413 0", server + " AR 1 413 0",
	}
	if got := tshark(of, "ip.src", "tcp.flags.str", "tcp.seq", "tcp.ack", "tcp.len"); !slices.Equal(got, want) {
		t.Errorf("the connection is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}

	const alert = `"Critical <System> ` + host + `: Log Error: Subscription Mails: Network error while sending l..."`
	stream, err := hex.DecodeString(strings.Join(tshark(of+" && tcp.len > 0", "tcp.payload"), ""))
	if err != nil {
		t.Fatal(err)
	}
	records := regexp.MustCompile(`(?m)^<22>[A-Z][a-z]{2} [ 1-3][0-9] [0-9:]{8} `).ReplaceAllString(string(stream), "")
	if want := "Mails: Info: Begin Logfile\n" +
		"Mails: Info: Version: 8.0.1-023 SN: A4BADB4712A9-511AA1E\n" +
		"Mails: Info: Time offset from UTC: 7200 seconds\n" +
		"Mails: Info: A System/Critical alert was sent to alerts@ironport.com with subject " + alert + ".\n"; records != want {
		t.Errorf("the stream is\n%s\nwant\n%s", stream, want)
	}
	log := fetchFile(t, p, "/mail_logs/mail_logs.current")
	if !strings.Contains(log, " Critical: Log Error: Subscription Mails: Network error while sending log data to syslog server\n") {
		t.Errorf("the mail log is\n%s", log)
	}
	var mails struct {
		Report struct{ Mails []struct{ Subject string } }
	}
	readPeer(t, p, "mx/mx", &mails)
	if got := mails.Report.Mails; len(got) != 1 || got[0].Subject != strings.Trim(alert, `"`) {
		t.Errorf("the mail exchanger has %+v", got)
	}
}

// commandsEntered returns how many commands "nNUMBER" a log contains. Their numbers must be
// from 1 on, each once and in order.
func commandsEntered(t *testing.T, what, text string) int {
	t.Helper()
	last := 0
	for _, m := range regexp.MustCompile(`entered 'n([0-9]+)'`).FindAllStringSubmatch(text, -1) {
		if m[1] != strconv.Itoa(last+1) {
			t.Fatalf("%s: after command %d comes %s", what, last, m[1])
		}
		last++
	}
	return last
}

// After kill -9 the files of a log consist of whole lines, and the next start continues with
// the queue on disk: in order, without a gap, and nothing twice.
func TestQueueAfterKill(t *testing.T) {
	tooltest.Need(t, "ssh", "sshpass")
	file := syslogTopology(t, "- {name: Mail_Log, type: mail, server: 10.44.167.30, protocol: tcp}",
		"- {name: commands, type: cli, server: 10.44.167.30, protocol: tcp, buffer: 1MiB}",
		", after: 4 records, then: reset", "",
		"\ndoors:\n", "\nrules: [{action: refuse, to: 10.44.167.30/32, protocol: tcp, port: 514}]\n\ndoors:\n")
	home := shortHome(t)
	data := filepath.Join(home, "data")
	p := start(t, home, "--topology", file, "--data", data)
	session := exec.Command("sshpass", sshCommand(p)...)
	in, err := session.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := session.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { session.Process.Kill(); session.Wait() })
	on := func(pattern string) (text string) {
		names, err := filepath.Glob(filepath.Join(data, "appliance", pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range names {
			b, err := os.ReadFile(n)
			if err != nil {
				t.Fatal(err)
			}
			text += string(b)
		}
		return text
	}
	const files, queue, enough = "files/data/pub/commands/*.@*", "state/syslog/commands/*.queue", 200
	for n := range enough {
		fmt.Fprintf(in, "n%d\n", n+1)
	}
	seen := "entered 'n" + strconv.Itoa(enough) + "'"
	eventually(t, p, "200 commands are on disk", func() bool { return strings.Contains(on(files), seen) && strings.Contains(on(queue), seen) })
	go func() {
		for n := enough + 1; err == nil; n++ { // until the session ends
			_, err = fmt.Fprintf(in, "n%d\n", n)
		}
	}()
	eventually(t, p, "further commands are on disk", func() bool { return strings.Contains(on(files), "entered 'n"+strconv.Itoa(enough+50)+"'") })
	p.stop(t, syscall.SIGKILL)

	again := start(t, home, "--topology", file, "--data", data)
	log := on(files)
	for line := range strings.Lines(log) {
		if !regexp.MustCompile(`^[A-Z][a-z]{2} [A-Z][a-z]{2} [ 1-3][0-9] [0-9:]{8} [0-9]{4} Info: .*\n$`).MatchString(line) {
			t.Errorf("not a whole line: %q", line)
		}
	}
	if n := commandsEntered(t, "the log", log); n < enough {
		t.Errorf("the log has %d commands", n)
	}
	if status, _, stderr := again.ctl(t, "fault", "remove", "all", "--socket", again.ready.Socket); status != 0 {
		t.Fatal(stderr)
	}
	execute(t, "", "last\nexit\n", "sshpass", sshCommand(again)...)
	var received struct{ Report struct{ Records []string } }
	eventually(t, again, "the last command is pushed", func() bool {
		readPeer(t, again, "log/syslogd", &received)
		r := received.Report.Records
		return len(r) > 0 && strings.Contains(strings.Join(r, "\n"), "entered 'last'")
	})
	if n := commandsEntered(t, "the server", strings.Join(received.Report.Records, "\n")); n < enough {
		t.Errorf("the server has %d commands", n)
	}
}

// When kill -9 ends the program, the log has every command that was answered before, even while
// uploads keep the disk busy.
func TestAnsweredCommandsAreInTheLogAfterKill(t *testing.T) {
	tooltest.Need(t, "ssh", "scp", "sshpass")
	home := shortHome(t)
	data := filepath.Join(home, "data")
	big := filepath.Join(t.TempDir(), "big")
	if err := os.WriteFile(big, make([]byte, 4<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	last := 0 // number of the last command
	for range 3 {
		p := start(t, home, "--data", data)
		upload := exec.Command("sshpass", withPassphrase(append(append([]string{"scp"},
			sshArgs(p, "-P")...), big, big, big, big, "admin@127.0.0.1:/configuration/")...)...)
		if err := upload.Start(); err != nil {
			t.Fatal(err)
		}
		session := exec.Command("sshpass", sshCommand(p)...)
		in, err := session.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := session.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := session.Start(); err != nil {
			t.Fatal(err)
		}
		answers := bufio.NewReader(out)
		for range 300 {
			last++
			fmt.Fprintf(in, "n%d\n", last)
			for line := ""; !strings.Contains(line, fmt.Sprintf("n%d", last)); {
				if line, err = answers.ReadString('\n'); err != nil {
					t.Fatal(err)
				}
			}
		}
		p.stop(t, syscall.SIGKILL)
		_ = session.Wait()
		_ = upload.Wait()
		names, err := filepath.Glob(filepath.Join(data, "appliance/files/data/pub/cli_logs/*.@*"))
		if err != nil || len(names) != 1 {
			t.Fatal(names, err)
		}
		log, err := os.ReadFile(names[0])
		if err != nil {
			t.Fatal(err)
		}
		if n := commandsEntered(t, "the log", string(log)); n != last {
			t.Fatalf("the log has %d of the %d commands that were answered", n, last)
		}
	}
}

// Servers of this machine take the place of the simulated ones: a syslog server that resets
// the connection after four records, and a mail exchanger.
func TestSyslogResetWithRealServers(t *testing.T) {
	listen := func(serve func(c *net.TCPConn)) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		var serving sync.WaitGroup
		t.Cleanup(func() { l.Close(); serving.Wait() })
		serving.Go(func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				serving.Go(func() {
					defer c.Close()
					c.SetDeadline(time.Now().Add(testTimeout))
					serve(c.(*net.TCPConn))
				})
			}
		})
		_, port, _ := net.SplitHostPort(l.Addr().String())
		return port
	}
	streams := make(chan string, 100)
	syslogd := listen(func(c *net.TCPConn) {
		text, r := "", bufio.NewReader(c)
		for range 4 {
			line, err := r.ReadString('\n')
			if text += line; err != nil {
				break
			}
		}
		streams <- text
		c.SetLinger(0)
	})
	mails := make(chan string, 100)
	mx := listen(func(c *net.TCPConn) {
		io.WriteString(c, "220 mx.ironport.com ESMTP\r\n")
		for r := bufio.NewReader(c); ; {
			line, err := r.ReadString('\n')
			switch word, _, _ := strings.Cut(strings.TrimSpace(line), " "); {
			case err != nil:
				return
			case word == "DATA":
				io.WriteString(c, "354 go ahead\r\n")
				text := ""
				for line != ".\r\n" && err == nil {
					text += line
					line, err = r.ReadString('\n')
				}
				mails <- text
				fallthrough
			default:
				io.WriteString(c, "250 ok\r\n")
			case word == "QUIT":
				io.WriteString(c, "221 bye\r\n")
				return
			}
		}
	})
	const line = "out: [{address: 10.44.167.30, port: 514, to: 127.0.0.1, to_port: 5514}, {address: 10.44.168.25, port: 25, to: 127.0.0.1, to_port: 2526}]"
	p := start(t, shortHome(t), "--ephemeral", "--topology", syslogTopology(t,
		"# "+line, strings.NewReplacer("5514", syslogd, "2526", mx).Replace(line)))
	within := func(what string, c chan string) string {
		t.Helper()
		select {
		case text := <-c:
			return text
		case <-time.After(testTimeout):
			t.Fatalf("%s does not arrive\n%s", what, p.err.String())
			return ""
		}
	}
	if got := within("a stream", streams); !strings.HasSuffix(got, " Mail_Log: Info: System is coming up.\n") {
		t.Errorf("the first stream:\n%s", got)
	}
	const subject = "Critical <System> mail.example.com: Log Error: Subscription Mail_Log: Network error while sendin..."
	if got := within("the alert", mails); !strings.Contains(got, "\r\nSubject: "+subject+"\r\n") {
		t.Errorf("the mail:\n%s", got)
	}
	if got := within("the alert's line", streams); !strings.HasSuffix(got, " Mail_Log: Info: A System/Critical alert was sent to alerts@ironport.com with subject \""+subject+"\".\n") {
		t.Errorf("the second stream:\n%s", got)
	}
}
