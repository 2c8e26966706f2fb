package main

import (
	"bufio"
	"bytes"
	"encoding/json"
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

// The tests of this package run the program as others do: as a process. The test
// binary is the program when this variable is set.
const runAsProgram = "ESASIM_TEST_BE_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(runAsProgram) != "" {
		os.Exit(run(os.Args[1:], stdio{os.Stdin, os.Stdout, os.Stderr}))
	}
	os.Exit(m.Run())
}

// patience is for failing only.
const testTimeout = 30 * time.Second

// A program is the program, running.
type program struct {
	*exec.Cmd
	ready    ready
	ssh, ftp string // addresses
	home     string
	out      string // up to the end of the announcement
	err      bytes.Buffer
	ended    chan struct{}
	waitErr  error
}

// command is the program with a home of its own, not yet started.
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

// start runs "esasim ARGS" on free ports until the test ends.
func start(t *testing.T, home string, args ...string) *program {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ready.json")
	args = append([]string{"serve", "--ssh", "127.0.0.1:0", "--ftp", "127.0.0.1:0", "--http", "127.0.0.1:0", "--https", "127.0.0.1:0", "--ready", file}, args...)
	p := &program{Cmd: command(t, home, args...), home: home, ended: make(chan struct{})}
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
		io.Copy(io.Discard, out)
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
		t.Fatalf("the program does not end after %v", s)
	}
	return p.ProcessState.ExitCode()
}

// fails runs the program and returns what it says when it refuses to start.
func runFailing(t *testing.T, home string, args ...string) string {
	t.Helper()
	c := command(t, home, args...)
	var out, complaint bytes.Buffer
	c.Stdout, c.Stderr = &out, &complaint
	err := c.Run()
	if c.ProcessState == nil || c.ProcessState.ExitCode() != 1 {
		t.Errorf("esasim %q: %v, want exit status 1", args, err)
	}
	text := complaint.String()
	if !strings.HasPrefix(text, "esasim: ") || strings.Count(text, "\n") != 1 {
		t.Errorf("esasim %q says %q, want one line", args, text)
	}
	return strings.TrimSuffix(strings.TrimPrefix(text, "esasim: "), "\n")
}

func TestRefusalsAreOneLine(t *testing.T) {
	home := t.TempDir()
	running := start(t, home)
	bad := filepath.Join(home, "bad.yaml")
	if err := os.WriteFile(bad, []byte("appliance:\n  hostname: esa.example.com\n  colour: grey\n"), 0o600); err != nil {
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
		{[]string{"--ephemeral", "--ssh", running.ssh}, "the door ssh cannot listen on " + running.ssh + ": address already in use: if another appliance runs," +
			" choose free ports for this one with --ssh 127.0.0.1:0 --ftp 127.0.0.1:0 --http 127.0.0.1:0 --https 127.0.0.1:0"},
		{[]string{"--ephemeral", "--ssh", "192.0.2.1:2222"}, "the door ssh cannot listen on 192.0.2.1:2222: cannot assign requested address: choose another address with --ssh"},
		{[]string{"--ephemeral", "--topology", named}, "the door second cannot listen on " + running.ssh + ": address already in use: choose another address in " + named},
		{[]string{"--ephemeral", "--ssh", "127.0.0.1:0", "--ftp", "127.0.0.1:0", "--http", "127.0.0.1:0", "--https", "127.0.0.1:0", "--ready", "/nowhere/x"}, "there is no directory /nowhere: create it first"},
		{[]string{"--ephemeral", "--ssh", "127.0.0.1:0", "--ftp", "127.0.0.1:0", "--http", "127.0.0.1:0", "--https", "127.0.0.1:0", "--ctl", running.ssh}, "address already in use: choose another address with --ctl"},
		{[]string{"--ephemeral", "--ftp", "nonsense"}, "nonsense"},
		{[]string{"--ssh", "127.0.0.1:0"}, "in use by another process: stop that one, or choose another directory with --data, or none with --ephemeral"},
		{[]string{"--data", other}, "precious"},
		{[]string{"--data", filepath.Join(home, "new"), "--ephemeral"}, "--data and --ephemeral can't be used together"},
		{[]string{"--data", running.ready.Data, "--topology", "minimal"}, "in use by another process"},
		{[]string{"--ftp-passive", "9-1"}, "9-1"},
		{[]string{"--ftp-public", "2001:db8::1"}, `expected an IPv4 address, such as 192.0.2.1, but got "2001:db8::1"`},
		{[]string{"--log-level", "loud"}, `expected debug, info, warn or error, but got "loud"`},
		{[]string{"--colour"}, "unknown flag --colour: see esasim help serve"},
		{[]string{"burn"}, "unexpected argument burn: see esasim help"},
		{[]string{"topology", "burn"}, "unexpected argument burn: see esasim help topology"},
	} {
		if got := runFailing(t, home, c.args...); !strings.Contains(got, c.want) {
			t.Errorf("esasim %q says %q, want %q in it", c.args, got, c.want)
		}
	}
	if left, err := os.ReadDir(other); err != nil || len(left) != 1 {
		t.Errorf("in a directory that was refused: %v, %v", left, err)
	}
}

func TestDataBelongsToOneTopology(t *testing.T) {
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
		if status := p.stop(t, s); status != 0 {
			t.Errorf("%v: exit status %d\n%s", s, status, p.err.String())
		}
	}
}

// An ephemeral run leaves nothing; what a killed one left goes at the next start.
func TestEphemeralLeavesNothing(t *testing.T) {
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
		t.Fatalf("a run has %q", left())
	}
	p.stop(t, syscall.SIGKILL)
	if len(left()) != 1 {
		t.Fatalf("a killed run left %q", left())
	}
	p = start(t, home, "--ephemeral")
	if names := left(); len(names) != 1 || names[0] != p.ready.Data {
		t.Errorf("the next run has %q", names)
	}
	if status := p.stop(t, syscall.SIGTERM); status != 0 || len(left()) != 0 {
		t.Errorf("exit status %d, left %q\n%s", status, left(), p.err.String())
	}
}

// The host key outlives the data, and is the same for every topology.
func TestHostKeyIsTheUsers(t *testing.T) {
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

func TestTopologiesThatAreBuiltIn(t *testing.T) {
	var out, complaint bytes.Buffer
	if status := run([]string{"topology", "list"}, stdio{nil, &out, &complaint}); status != 0 {
		t.Fatal(complaint.String())
	}
	if !strings.HasPrefix(out.String(), "lab ") {
		t.Errorf("topology list:\n%s", out.String())
	}
	for line := range strings.Lines(out.String()) {
		name := strings.Fields(line)[0]
		if status := run([]string{"topology", "check", name}, stdio{nil, &out, &complaint}); status != 0 {
			t.Errorf("%s: %s", name, complaint.String())
		}
	}
}

// A door to an interface without an address may be meant: it is no error.
func TestATopologyThatMayBeMistaken(t *testing.T) {
	_, lab, _ := fixtures.Topology("lab")
	file := filepath.Join(t.TempDir(), "mine.yaml")
	changed := bytes.Replace(lab, []byte("interface: Data 1, service: ssh"), []byte("interface: Data 2, service: ssh"), 1)
	if err := os.WriteFile(file, changed, 0o600); err != nil {
		t.Fatal(err)
	}
	var out, complaint bytes.Buffer
	status := run([]string{"topology", "check", file}, stdio{nil, &out, &complaint})
	want := "warning: " + file + ": doors.in[0].interface: Data 2 has no address, so this door stays shut until the appliance is given one\n" +
		file + ": good\n"
	if status != 0 || out.String() != want {
		t.Errorf("status %d, %s%s\nwant %s", status, out.String(), complaint.String(), want)
	}
}

// Sessions hear why they end.
func TestSessionsAreToldOfTheEnd(t *testing.T) {
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

// The serial console has a login of its own, and the end of its input is the end.
func TestConsole(t *testing.T) {
	c := command(t, t.TempDir(), "--console", "--ephemeral", "--ssh", "127.0.0.1:0", "--ftp", "127.0.0.1:0", "--http", "127.0.0.1:0", "--https", "127.0.0.1:0")
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
