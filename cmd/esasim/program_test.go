package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/esasim/esasim/fixtures"
	"github.com/esasim/esasim/shell/shelltest"
)

// The tests of this package run the program as a process. The test binary acts as the program
// if this variable is set.
const runAsProgram = "ESASIM_TEST_BE_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(countPrompt) != "" {
		os.Exit(runCounting())
	}
	if os.Getenv(runAsProgram) != "" {
		os.Exit(run(os.Args[1:], stdio{os.Stdin, os.Stdout, os.Stderr}))
	}
	os.Exit(m.Run())
}

// testTimeout bounds waits; a test that succeeds does not reach it.
const testTimeout = 2 * time.Minute

// A program is a running process of the program.
type program struct {
	*exec.Cmd
	ready     ready
	ssh, ftp  string // addresses
	home      string
	out       string       // up to the end of the announcement
	last      bytes.Buffer // the rest of it; read once the program has ended
	readyFile string
	err       bytes.Buffer
	ended     chan struct{}
	waitErr   error
}

// command returns the program with a home directory of its own, not yet started.
func command(t *testing.T, home string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(self, args...)
	c.Env = append(os.Environ(), runAsProgram+"=1", "HOME="+home, "XDG_STATE_HOME=", "TMPDIR="+home)
	return c
}

// start runs "esasim serve ARGS" on free ports until the test ends.
func start(t *testing.T, home string, args ...string) *program {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ready.json")
	args = append([]string{"serve", "--ssh", "127.0.0.1:0", "--ftp", "127.0.0.1:0", "--http", "127.0.0.1:0", "--https", "127.0.0.1:0", "--smtp", "127.0.0.1:0", "--ready", file}, args...)
	return launch(t, home, file, command(t, home, args...))
}

// launch runs a command of the program, which writes a ready file, until the test ends.
func launch(t *testing.T, home, file string, c *exec.Cmd) *program {
	t.Helper()
	p := &program{Cmd: c, home: home, readyFile: file, ended: make(chan struct{})}
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.Stderr = &p.err
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Process.Kill()
		<-p.ended
	})
	kill := time.AfterFunc(testTimeout, func() { p.Process.Kill() })
	for lines := bufio.NewReader(out); err == nil && !strings.Contains(p.out, "stops the appliance."); {
		var line string
		line, err = lines.ReadString('\n')
		p.out += line
	}
	kill.Stop()
	go func() {
		io.Copy(&p.last, out)
		p.waitErr = p.Wait()
		close(p.ended)
	}()
	if err != nil {
		<-p.ended
		t.Fatalf("the program ended: %v\n%s", p.waitErr, p.err.String())
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &p.ready); err != nil {
		t.Fatal(err)
	}
	p.ssh, p.ftp = p.ready.Addresses["ssh"], p.ready.Addresses["ftp"]
	return p
}

// stop sends a signal and returns the exit status.
func (p *program) stop(t *testing.T, s os.Signal) int {
	t.Helper()
	if err := p.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.ended:
	case <-time.After(testTimeout):
		t.Fatalf("the program does not end after signal %v", s)
	}
	return p.ProcessState.ExitCode()
}

// runFailing runs the program, which must fail with one line on standard error, and returns
// that line without the program's name.
func runFailing(t *testing.T, home string, args ...string) string {
	t.Helper()
	c := command(t, home, args...)
	var out, stderr bytes.Buffer
	c.Stdout, c.Stderr = &out, &stderr
	err := c.Run()
	if c.ProcessState == nil || c.ProcessState.ExitCode() != 1 {
		t.Errorf("esasim %q: %v, want exit status 1", args, err)
	}
	text := stderr.String()
	if !strings.HasPrefix(text, "esasim: ") || strings.Count(text, "\n") != 1 {
		t.Errorf("esasim %q says %q, want one line", args, text)
	}
	return strings.TrimSuffix(strings.TrimPrefix(text, "esasim: "), "\n")
}

func TestRefusalsAreOneLine(t *testing.T) {
	home := t.TempDir()
	running := start(t, home)
	bad := filepath.Join(home, "bad.yaml")
	if err := os.WriteFile(bad, []byte("appliance:\n  hostname: esa.example.com\n  color: grey\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	named := filepath.Join(home, "named.yaml")
	_, minimal, _ := fixtures.Topology("minimal")
	if err := os.WriteFile(named, regexp.MustCompile(`(?s)\ndoors:.*`).ReplaceAll(minimal, []byte(`
doors:
  in:
    - {name: second, listen: "`+running.ssh+`", interface: Data 1, service: ssh}
  seen_as: [{from: 0.0.0.0/0, as: 198.51.100.7}]
`)), 0o600); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(home, "other")
	if err := os.MkdirAll(other, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(other, "precious"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--topology", bad}, bad + ":3:3: "},
		{[]string{"topology", "check", bad}, bad + ":3:3: "},
		{[]string{"--topology", "atlantis"}, `no topology "atlantis"`},
		{[]string{"--ephemeral", "--ssh", running.ssh}, "the door ssh cannot listen on " + running.ssh + ": address already in use:" +
			" choose another address with --ssh, or let all doors take free ports with --ports auto"},
		{[]string{"--ephemeral", "--ports", "auto", "--ssh", running.ssh, "--ftp", running.ftp}, "doors: ssh cannot listen on " + running.ssh +
			": address already in use; ftp cannot listen on " + running.ftp +
			": address already in use: choose another address with --ssh and --ftp, or"},
		{[]string{"--ephemeral", "--ports", "auto", "--ssh", "192.0.2.1:2222"}, "the door ssh cannot listen on 192.0.2.1:2222: cannot assign requested address: choose another address with --ssh"},
		{[]string{"--ephemeral", "--topology", named}, "the door second cannot listen on " + running.ssh + ": address already in use: choose another address in " + named},
		{[]string{"--ephemeral", "--ssh", "127.0.0.1:0", "--ftp", "127.0.0.1:0", "--http", "127.0.0.1:0", "--https", "127.0.0.1:0", "--smtp", "127.0.0.1:0", "--ready", "/nowhere/x"}, "there is no directory /nowhere: create it first"},
		{[]string{"--ephemeral", "--ssh", "127.0.0.1:0", "--ftp", "127.0.0.1:0", "--http", "127.0.0.1:0", "--https", "127.0.0.1:0", "--smtp", "127.0.0.1:0", "--ctl", running.ssh}, "address already in use: choose another address with --ctl"},
		{[]string{"--ephemeral", "--ports", "auto", "--ftp", running.ftp, "--ctl", running.ssh}, "the door ftp cannot listen on " + running.ftp +
			": address already in use: choose another address with --ftp, or let all doors take free ports with --ports auto; open the control port: "},
		{[]string{"--ephemeral", "--ftp", "nonsense"}, "nonsense"},
		{[]string{"--ssh", "127.0.0.1:0"}, fmt.Sprintf("in use by process %d: stop it, or choose another directory with --data, or none with --ephemeral", running.Process.Pid)},
		{[]string{"--data", other}, "precious"},
		{[]string{"--data", filepath.Join(home, "new"), "--ephemeral"}, "--data and --ephemeral can't be used together"},
		{[]string{"--data", running.ready.Data, "--topology", "minimal"}, "in use by process "},
		{[]string{"--ftp-passive", "9-1"}, "9-1"},
		{[]string{"--ftp-public", "2001:db8::1"}, `expected an IPv4 address, such as 192.0.2.1, but got "2001:db8::1"`},
		{[]string{"--log-level", "loud"}, `expected debug, info, warn or error, but got "loud"`},
		{[]string{"--color"}, "unknown flag --color: see esasim help serve"},
		{[]string{"burn"}, "unexpected argument burn: see esasim help"},
		{[]string{"topology", "burn"}, "unexpected argument burn: see esasim help topology"},
	} {
		if got := runFailing(t, home, c.args...); !strings.Contains(got, c.want) {
			t.Errorf("esasim %q says %q, want %q in it", c.args, got, c.want)
		}
	}
	if left, err := os.ReadDir(other); err != nil || len(left) != 1 {
		t.Errorf("in the directory that was refused: %v, %v", left, err)
	}
}

func TestDataDirBelongsToOneTopology(t *testing.T) {
	home := t.TempDir()
	p := start(t, home)
	if status := p.stop(t, syscall.SIGTERM); status != 0 {
		t.Fatalf("exit status %d\n%s", status, p.err.String())
	}
	if got := runFailing(t, home, "--data", p.ready.Data, "--topology", "minimal"); !strings.Contains(got, "belongs to topology lab") {
		t.Errorf("the program says %q", got)
	}
}

func TestSignalsStopTheProgram(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		p := start(t, t.TempDir())
		if !strings.Contains(p.out, "ssh -p ") || !strings.Contains(p.out, p.ready.Data) {
			t.Errorf("at start it printed:\n%s", p.out)
		}
		if _, err := os.Stat(p.readyFile); err != nil {
			t.Error(err)
		}
		if status := p.stop(t, s); status != 0 {
			t.Errorf("%v: exit status %d\n%s", s, status, p.err.String())
		}
		if last := p.last.String(); !strings.Contains(last, "The appliance stops.") {
			t.Errorf("%v: at the end it printed %q", s, last)
		}
		if _, err := os.Stat(p.readyFile); !os.IsNotExist(err) {
			t.Errorf("%v: the file of --ready: %v", s, err)
		}
	}
}

// The data of an ephemeral run is removed at its end. The data of a killed one is removed when
// the next one starts.
func TestEphemeralDataIsRemoved(t *testing.T) {
	home := t.TempDir()
	left := func() []string {
		names, err := filepath.Glob(filepath.Join(home, "*"))
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	p := start(t, home, "--ephemeral")
	if len(left()) != 1 {
		t.Fatalf("during a run there is %q", left())
	}
	p.stop(t, syscall.SIGKILL)
	if len(left()) != 1 {
		t.Fatalf("after a killed run there is %q", left())
	}
	p = start(t, home, "--ephemeral")
	if names := left(); len(names) != 1 || names[0] != p.ready.Data {
		t.Errorf("during the next run there is %q", names)
	}
	if status := p.stop(t, syscall.SIGTERM); status != 0 || len(left()) != 0 {
		t.Errorf("exit status %d, left %q\n%s", status, left(), p.err.String())
	}
}

// The host key is kept if the data is removed, and is the same for every topology.
func TestHostKeyBelongsToTheUser(t *testing.T) {
	home := t.TempDir()
	first := start(t, home)
	first.stop(t, syscall.SIGTERM)
	if err := os.RemoveAll(first.ready.Data); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{nil, {"--topology", "minimal"}, {"--ephemeral"}} {
		p := start(t, home, args...)
		if p.ready.HostKey != first.ready.HostKey {
			t.Errorf("%q has another host key", args)
		}
		p.stop(t, syscall.SIGTERM)
	}
}

func TestBuiltInTopologies(t *testing.T) {
	var out, stderr bytes.Buffer
	if status := run([]string{"topology", "list"}, stdio{nil, &out, &stderr}); status != 0 {
		t.Fatal(stderr.String())
	}
	if !strings.HasPrefix(out.String(), "lab ") {
		t.Errorf("topology list:\n%s", out.String())
	}
	for line := range strings.Lines(out.String()) {
		name := strings.Fields(line)[0]
		if status := run([]string{"topology", "check", name}, stdio{nil, &out, &stderr}); status != 0 {
			t.Errorf("%s: %s", name, stderr.String())
		}
	}
}

// A door to an interface without an address may be intended: it is a warning, not an error.
func TestTopologyCheckWarns(t *testing.T) {
	_, lab, _ := fixtures.Topology("lab")
	file := filepath.Join(t.TempDir(), "mine.yaml")
	changed := bytes.Replace(lab, []byte("interface: Data 1, service: ssh"), []byte("interface: Data 2, service: ssh"), 1)
	if err := os.WriteFile(file, changed, 0o600); err != nil {
		t.Fatal(err)
	}
	var out, stderr bytes.Buffer
	status := run([]string{"topology", "check", file}, stdio{nil, &out, &stderr})
	want := "warning: " + file + ": doors.in[0].interface: Data 2 has no address, so this door stays shut until the appliance is given one\n" +
		file + ": good\n"
	if status != 0 || out.String() != want {
		t.Errorf("status %d, %s%s\nwant %s", status, out.String(), stderr.String(), want)
	}
}

func TestSessionsAreNotifiedOfTheEndOfTheProgram(t *testing.T) {
	p := start(t, t.TempDir(), "--ephemeral")
	client, err := shelltest.Dial(p.ssh, "admin", "ironport")
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	conn, err := client.Shell(80, 24)
	if err != nil {
		t.Fatal(err)
	}
	player := shelltest.NewPlayer(conn)
	defer player.Close()
	if err := player.SkipWelcome(testTimeout); err != nil {
		t.Fatal(err)
	}
	if status := p.stop(t, syscall.SIGTERM); status != 0 {
		t.Errorf("exit status %d", status)
	}
	if err := player.Play("example.com> \n\nThe system is going down.\n", testTimeout); err != nil {
		t.Error(err)
	}
}

// The serial console asks for a login, and the program ends when its input ends.
func TestConsole(t *testing.T) {
	c := command(t, t.TempDir(), "--console", "--ephemeral", "--ssh", "127.0.0.1:0", "--ftp", "127.0.0.1:0", "--http", "127.0.0.1:0", "--https", "127.0.0.1:0", "--smtp", "127.0.0.1:0")
	c.Stdin = strings.NewReader("admin\nwrong\nadmin\nironport\nwho\nexit\n")
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"AsyncOS example.com (ttyv0)\n\nlogin: ", "Password:", "Login incorrect", "Welcome to the Cisco C100V", "  console  ", "cli\n"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%q is not on the console:\n%s", want, out)
		}
	}
}
