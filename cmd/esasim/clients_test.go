package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/esasim/esasim/appliance/tooltest"
)

// These tests drive the program with clients that are not part of this project.

// execute runs a command in dir and returns its standard output. If the command fails, the
// test fails.
func execute(t *testing.T, dir, stdin, name string, args ...string) string {
	t.Helper()
	out, err := tryExecute(t, dir, stdin, name, args...)
	if err != nil {
		t.Fatalf("%s %q: %v", name, args, err)
	}
	return out
}

func tryExecute(t *testing.T, dir, stdin, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*testTimeout)
	defer cancel()
	c := exec.CommandContext(ctx, name, args...)
	c.Dir = dir
	c.Stdin = strings.NewReader(stdin)
	var out, stderr bytes.Buffer
	c.Stdout, c.Stderr = &out, &stderr
	if err := c.Run(); err != nil {
		return out.String(), fmt.Errorf("%w\n%s%s", err, out.String(), stderr.String())
	}
	return out.String(), nil
}

// sshArgs returns the arguments that ssh, sftp and scp have in common. portFlag is the flag
// for the port, which differs.
func sshArgs(p *program, portFlag string) []string {
	_, port, _ := net.SplitHostPort(p.ssh)
	return []string{"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", portFlag, port}
}

// withPassphrase returns the arguments of sshpass that run a command line and type the
// factory passphrase.
func withPassphrase(args ...string) []string {
	return append([]string{"-p", "ironport"}, args...)
}

func sshCommand(p *program, args ...string) []string {
	return withPassphrase(append(append([]string{"ssh"}, sshArgs(p, "-p")...), append([]string{"admin@127.0.0.1"}, args...)...)...)
}

// captureScript is an expect script with two sessions, as in the document: one captures
// packets while the other sends a ping (B9, B10, B51).
const captureScript = `
set timeout 120
proc want {text} {
    expect {
        -ex $text {}
        timeout { send_user "\nwant: $text\n"; exit 1 }
        eof     { send_user "\nended, want: $text\n"; exit 1 }
    }
}
proc login {} {
    global command spawn_id
    eval spawn -noecho $command
    want "assword:"
    send "ironport\r"
    want "example.com> "
    return $spawn_id
}
set command [lrange $argv 0 end]
set first [login]
set second [login]
set spawn_id $first
send "packetcapture\r"
want "\[\]> "
send "start\r"
want "Success - Packet Capture has started"
want "\[\]> "
set spawn_id $second
send "ping google.com\r"
want "Press Ctrl-C to stop."
want "icmp_seq=2 ttl=56 time="
send "\003"
want "--- google.com ping statistics ---"
want "0.0% packet loss"
want "example.com> "
set spawn_id $first
send "stop\r"
want "Success - Packet Capture has stopped"
want "\[\]> "
send "\r"
want "example.com> "
send "exit\r"
expect eof
set spawn_id $second
send "exit\r"
expect eof
`

// A capture of two sessions is the same file however a client fetches it, and tcpdump and
// tshark read it.
func TestCaptureWithRealClients(t *testing.T) {
	tooltest.Need(t, "expect", "ssh", "sftp", "scp", "sshpass", "curl", "lftp", "tcpdump", "tshark")
	p := start(t, t.TempDir(), "--ephemeral")
	dir := t.TempDir()
	script := filepath.Join(dir, "story")
	if err := os.WriteFile(script, []byte(captureScript), 0o600); err != nil {
		t.Fatal(err)
	}
	execute(t, dir, "", "expect", append(append([]string{"-f", script, "ssh", "-o", "PubkeyAuthentication=no"}, sshArgs(p, "-p")...), "admin@127.0.0.1")...)

	fetched := map[string]string{}
	fetch := func(client string, name string, args ...string) {
		t.Helper()
		into := filepath.Join(dir, client)
		if err := os.Mkdir(into, 0o700); err != nil {
			t.Fatal(err)
		}
		execute(t, into, "", name, args...)
		files, err := filepath.Glob(filepath.Join(into, "C100V-421F6D8FB9C75E19C425-C9AEA81B2B70-*.cap"))
		if err != nil || len(files) != 1 {
			t.Fatalf("%s fetched %q", client, files)
		}
		text, err := os.ReadFile(files[0])
		if err != nil {
			t.Fatal(err)
		}
		fetched[client] = string(text)
	}
	far := "admin@127.0.0.1:/data/pub/diagnostic/"
	fetch("sftp", "sshpass", withPassphrase(append(append([]string{"sftp"}, sshArgs(p, "-P")...), far+"*.cap")...)...)
	fetch("scp", "sshpass", withPassphrase(append(append([]string{"scp"}, sshArgs(p, "-P")...), far+"*.cap", ".")...)...)
	fetch("scp-O", "sshpass", withPassphrase(append(append([]string{"scp", "-O"}, sshArgs(p, "-P")...), "admin@127.0.0.1:/var/log/diagnostic/*.cap", ".")...)...)
	fetch("lftp", "lftp", "-u", "admin,ironport", "-e", "mget /diagnostic/*.cap; exit", "ftp://"+p.ftp)
	fetch("lftp-active", "lftp", "-u", "admin,ironport", "-e", "set ftp:passive-mode off; mget /captures/*.cap; exit", "ftp://"+p.ftp)
	list := execute(t, dir, "", "curl", "-sS", "--list-only", "--user", "admin:ironport", "ftp://"+p.ftp+"/diagnostic/")
	fetch("curl", "curl", "-sS", "-O", "--user", "admin:ironport", "ftp://"+p.ftp+"/diagnostic/"+strings.TrimSpace(list))
	for client, text := range fetched {
		if text != fetched["sftp"] {
			t.Errorf("the file that %s fetched differs from the file that sftp fetched", client)
		}
	}

	file := filepath.Join(dir, "sftp", strings.TrimSpace(list))
	for filter, least := range map[string]int{
		"tcp port 22 and host 10.0.202.7":     10,
		"udp dst port 53 and dst 10.0.202.53": 1,
		"icmp[icmptype] == icmp-echo":         3,
		"icmp[icmptype] == icmp-echoreply":    3,
		"arp and host 10.0.202.53":            2,
		"src 216.58.194.206 and ip[8] == 56":  3,
	} {
		if n := strings.Count(execute(t, dir, "", "tcpdump", "-nr", file, filter), "\n"); n < least {
			t.Errorf("tcpdump finds %d frames of %q, want at least %d", n, filter, least)
		}
	}
	bad := execute(t, dir, "", "tshark", "-r", file,
		"-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE",
		"-Y", "_ws.malformed || ip.checksum.status == 0 || tcp.checksum.status == 0 || udp.checksum.status == 0 || icmp.checksum.status == 0 || frame.time_delta < 0")
	if bad != "" {
		t.Errorf("tshark reports these frames:\n%s", bad)
	}
}

func TestCommandLineOverSSH(t *testing.T) {
	tooltest.Need(t, "ssh", "sshpass")
	p := start(t, t.TempDir(), "--ephemeral")
	if out := execute(t, "", "", "sshpass", sshCommand(p, "version")...); !strings.Contains(out, "\nVersion: 14.0.0-698\n") {
		t.Errorf("ssh admin@esa version:\n%s", out)
	}
	_, err := tryExecute(t, "", "", "sshpass", sshCommand(p, "uname -a")...)
	if err == nil || !strings.Contains(err.Error(), "exit status 1") || !strings.Contains(err.Error(), "Unknown command or missing feature key: uname") {
		t.Errorf("ssh admin@esa uname -a: %v", err)
	}
	if out := execute(t, "", "", "sshpass", sshCommand(p, `sethostname esa.example.org; commit "a name" N`)...); strings.TrimSpace(out) != "" {
		t.Errorf("success is silent, but printed %q", out)
	}
	if out := execute(t, "", "whoami\nexit\n", "sshpass", sshCommand(p)...); !strings.Contains(out, "Username: admin") || !strings.Contains(out, "esa.example.org> ") {
		t.Errorf("ssh admin@esa < script:\n%s", out)
	}
}

// A script on standard input can paste a configuration and run further commands.
func TestScriptPastesConfiguration(t *testing.T) {
	tooltest.Need(t, "ssh", "sshpass")
	p := start(t, t.TempDir(), "--ephemeral")
	script := "loadconfig\n1\n<config>\n<hostname>pasted.example.org</hostname>\n</config>\n\x04\ncommit \"pasted\" N\nexit\n"
	out := execute(t, "", script, "sshpass", sshCommand(p)...)
	if !strings.Contains(out, "active.") || !strings.Contains(out, "pasted.example.org> ") {
		t.Errorf("loadconfig in a script:\n%s", out)
	}
}

// Without a terminal, ping ends after ten echo requests.
func TestPingWithoutTerminal(t *testing.T) {
	tooltest.Need(t, "ssh", "sshpass")
	p := start(t, t.TempDir(), "--ephemeral")
	out := execute(t, "", "", "sshpass", sshCommand(p, "ping 10.0.202.1")...)
	if !strings.Contains(out, "10 packets transmitted, 10 packets received, 0.0% packet loss") {
		t.Errorf("ping:\n%s", out)
	}
}

// A client can fetch a capture that is still running, and the capture shows that client.
// After kill -9 the file on disk is a valid capture.
func TestCaptureInProgressAndAfterKill(t *testing.T) {
	tooltest.Need(t, "ssh", "sshpass", "scp", "tcpdump")
	home := t.TempDir()
	p := start(t, home)
	session := exec.Command("sshpass", withPassphrase(append(append([]string{"ssh", "-tt"}, sshArgs(p, "-p")...), "admin@127.0.0.1")...)...)
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
	t.Cleanup(func() { session.Process.Kill(); session.Wait() })
	fmt.Fprint(in, "packetcapture\rstart\r")
	output := make([]byte, 0, 1<<16)
	for !bytes.Contains(output, []byte("has started")) {
		b := make([]byte, 4096)
		n, err := out.Read(b)
		if err != nil {
			t.Fatalf("the session ended: %v\n%s", err, output)
		}
		output = append(output, b[:n]...)
	}
	dir := t.TempDir()
	eventually(t, p, "a capture in progress shows the client that fetches it", func() bool { // packets are written some 50 ms after they arrive
		execute(t, dir, "", "sshpass", withPassphrase(append(append([]string{"scp"}, sshArgs(p, "-P")...), "admin@127.0.0.1:/data/pub/captures/*.cap", "running.cap")...)...)
		return strings.Contains(execute(t, dir, "", "tcpdump", "-nr", "running.cap"), "10.0.202.7.22")
	})
	p.stop(t, syscall.SIGKILL)
	files, err := filepath.Glob(filepath.Join(p.ready.Data, "appliance", "files", "data", "pub", "diagnostic", "*.cap"))
	if err != nil || len(files) != 1 {
		t.Fatalf("after kill -9: %q", files)
	}
	if text := execute(t, dir, "", "tcpdump", "-nr", files[0]); !strings.Contains(text, "10.0.202.7.22") {
		t.Errorf("a capture after kill -9:\n%s", text)
	}
}

// The program needs no other file: it runs in an empty root directory.
func TestProgramInEmptyRoot(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root may change its root")
	}
	tooltest.Need(t, "chroot", "go")
	if err := exec.Command("chroot", "/", "true").Run(); err != nil {
		t.Skip("the machine does not allow chroot: ", err)
	}
	root := t.TempDir()
	build := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(root, "esasim"), ".") // as .ci/run does
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	if err := os.Mkdir(filepath.Join(root, "tmp"), 0o1777); err != nil {
		t.Fatal(err)
	}
	c := exec.Command("chroot", root, "/esasim", "--ephemeral", "--ssh", "127.0.0.1:0", "--ftp", "127.0.0.1:0", "--http", "127.0.0.1:0", "--https", "127.0.0.1:0", "--smtp", "127.0.0.1:0")
	c.Env = []string{"XDG_STATE_HOME=/state"}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.Stderr = os.Stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	text := make([]byte, 0, 4096)
	for !bytes.Contains(text, []byte("stops the appliance.")) {
		b := make([]byte, 1024)
		n, err := out.Read(b)
		text = append(text, b[:n]...)
		if err != nil {
			t.Fatalf("in an empty root: %v %v\n%s", err, c.Wait(), text)
		}
	}
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil {
		t.Errorf("in an empty root: %v", err)
	}
	port := regexp.MustCompile(`ssh -p ([0-9]+) `).FindSubmatch(text)
	if port == nil {
		t.Fatalf("it printed:\n%s", text)
	}
	if n, err := strconv.Atoi(string(port[1])); err != nil || n == 0 {
		t.Errorf("port %s", port[1])
	}
}
