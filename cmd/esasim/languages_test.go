package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/tooltest"
	"github.com/esasim/esasim/fixtures"
)

// clientsPage is the page of examples in all languages.
const clientsPage = "fixtures/clients/README.md"

// A need is something that people ask for, with lines in each language that do it.
type need struct {
	title    string
	examples map[string][]string // "sh", "python", "go": the blocks of the page
}

// needs returns the needs of the page.
func needs(t *testing.T) []need {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, clientsPage))
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```(sh|python|go)\n(.*?)```")
	var list []need
	for _, section := range strings.Split(string(text), "\n### ")[1:] {
		title, body, _ := strings.Cut(section, "\n")
		n := need{title, map[string][]string{}}
		for _, m := range block.FindAllStringSubmatch(body, -1) {
			n.examples[m[1]] = append(n.examples[m[1]], m[2])
		}
		list = append(list, n)
	}
	return list
}

// Each need takes at most three lines, in each language.
func TestWhatPeopleAskForIsShort(t *testing.T) {
	list := needs(t)
	if len(list) != 10 {
		t.Errorf("the page has %d needs, want 10", len(list))
	}
	tests, err := os.ReadFile(filepath.Join(root, "appliance/appliancetest/needs_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	goTests := withoutIndents(string(tests))
	for _, n := range list {
		for language, blocks := range n.examples {
			for _, b := range blocks {
				if lines := strings.Count(b, "\n"); lines > 3 {
					t.Errorf("%s: %d lines in %s", n.title, lines, language)
				}
				if language == "go" && !strings.Contains(goTests, withoutIndents(b)) {
					t.Errorf("%s: appliance/appliancetest/needs_test.go does not run\n%s", n.title, b)
				}
			}
		}
		if n.examples["sh"] == nil || n.examples["python"] == nil {
			t.Errorf("%s: examples are missing", n.title)
		}
	}
}

// withoutIndents returns lines of Go without the space at their beginnings.
func withoutIndents(text string) string {
	return regexp.MustCompile(`(?m)^\s+`).ReplaceAllString(text, "")
}

// clientDir returns a directory with what "esasim client" prints, and with a program called esasim.
func clientDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for language, file := range map[string]string{"python": "esasim.py", "shell": "esasim.sh"} {
		out, err := command(t, dir, "client", language).Output()
		if err != nil || string(out) != fixtures.Client(language) || len(out) == 0 {
			t.Fatalf("esasim client %s: %v, %d bytes", language, err, len(out))
		}
		writeFile(t, filepath.Join(dir, file), string(out))
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "esasim"), "#!/bin/sh\n"+runAsProgram+"=1 exec '"+self+"' \"$@\"\n")
	return dir
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

// runIn runs a program in a directory of clientDir, in an environment of its own.
func runIn(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	return tryExecute(t, dir, "", "env", append([]string{
		"ESASIM=" + filepath.Join(dir, "esasim"), "HOME=" + dir, "TMPDIR=" + dir, "XDG_STATE_HOME=",
		"PYTHONDONTWRITEBYTECODE=1", "ESASIM_SOCKET=",
	}, args...)...)
}

// expectEmpty checks that a client has left nothing of its own in its directory.
func expectEmpty(t *testing.T, dir string) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(dir, "esasim*-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left: %q, %v", left, err)
	}
}

// The examples for shells run in several shells.
func TestExamplesForShells(t *testing.T) {
	for _, shell := range []string{"bash", "dash"} {
		t.Run(shell, func(t *testing.T) {
			path := tooltest.Path(t, shell)
			dir := clientDir(t)
			var normal, alert strings.Builder
			for _, n := range needs(t) {
				script := &normal
				switch {
				case strings.Contains(n.title, "alert"):
					script = &alert
				case strings.Contains(n.title, "CI"):
					continue // see TestExampleForCI
				}
				fmt.Fprintf(script, "echo '== %s'\n%sesa_reset\n", n.title, n.examples["sh"][0])
			}
			for flags, script := range map[string]string{
				"--clock-rate 600": normal.String(), "--topology syslog": alert.String(),
			} {
				out, err := runIn(t, dir, path, "-euc", ". ./esasim.sh\nesa_start "+flags+"\n"+script+"esa_stop\n")
				if err != nil {
					t.Errorf("%s: %v\n%s", flags, err, out)
				}
			}
			expectEmpty(t, dir)
		})
	}
}

// The functions for shells say what is wrong.
func TestFunctionsForShells(t *testing.T) {
	dir := clientDir(t)
	out, err := runIn(t, dir, tooltest.Path(t, "dash", "sh"), "-c", `
. ./esasim.sh
esa_start --topology nowhere 2>/dev/null || echo "not started"
esa_start
esa_start 2>&1
esa_address telnet 2>&1
esa_port ssh | grep -qx '[0-9][0-9]*' && echo port
esa_wait log never --timeout 1ms 2>/dev/null; echo $?
esa version --json 2>/dev/null >/dev/null
pid=$ESA_PID; esa_stop; esa_stop
kill -0 $pid 2>/dev/null || echo stopped
`)
	want := "not started\nesa_start: an appliance runs already: esa_stop stops it\nesa_address: there is no door telnet\nport\n2\nstopped\n"
	if err != nil || out != want {
		t.Errorf("%v, %s\nwant\n%s", err, out, want)
	}
	expectEmpty(t, dir)
}

// The functions for shells save a state, and return to it.
func TestSnapshotsForShells(t *testing.T) {
	dir := clientDir(t)
	out, err := runIn(t, dir, tooltest.Path(t, "dash", "sh"), "-euc", `
. ./esasim.sh
esa_start
esa fault put saved drop --path google >/dev/null
esa snapshot save prepared >/dev/null
esa snapshot get prepared -w prepared.tar >/dev/null
esa fault remove all >/dev/null
esa_reset --to prepared
esa fault list | grep -o 'drop .*google' | cut -d ' ' -f 1
esa_wait world.reset --timeout 10s >/dev/null || echo "no reset after $ESA_CURSOR"
esa snapshot remove prepared >/dev/null
esa_reset --to prepared 2>/dev/null || echo "not restored"
esa snapshot put copy prepared.tar >/dev/null
esa_reset
esa fault list
esa_reset --to copy
esa fault list | grep -o 'drop .*google' | cut -d ' ' -f 1
esa_stop
`)
	want := "drop\nnot restored\nThere are no faults.\ndrop\n"
	if err != nil || out != want {
		t.Errorf("%v, %s\nwant\n%s", err, out, want)
	}
	expectEmpty(t, dir)
}

// The examples in Python run.
func TestExamplesInPython(t *testing.T) {
	python := tooltest.Path(t, "python3")
	dir := clientDir(t)
	var normal, alert strings.Builder
	for _, n := range needs(t) {
		script := &normal
		switch {
		case strings.Contains(n.title, "alert"):
			script = &alert
		case strings.Contains(n.title, "CI"):
			continue
		}
		for line := range strings.Lines(n.examples["python"][0]) {
			script.WriteString("    " + line)
		}
		script.WriteString("    esa.reset()\n")
	}
	for start, script := range map[string]string{
		`esasim.Esa(flags=["--clock-rate", "600"])`: normal.String(), `esasim.Esa(topology="syslog")`: alert.String(),
	} {
		out, err := runIn(t, dir, python, "-W", "error", "-c", "import esasim\nwith "+start+" as esa:\n"+script)
		if err != nil {
			t.Errorf("%s: %v\n%s", start, err, out)
		}
	}
	expectEmpty(t, dir)
}

// pytest returns the command that runs pytest, which not every Python has.
func pytest(t *testing.T) []string {
	t.Helper()
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(name, "-m", "pytest", "--version").Run() == nil {
			return []string{name, "-m", "pytest"}
		}
	}
	tooltest.SkipOrFail(t, "pytest is not installed")
	return nil
}

// With pytest, tests share a process that is reset between them.
func TestExampleForCI(t *testing.T) {
	run := pytest(t)
	dir := clientDir(t)
	for _, n := range needs(t) {
		if strings.Contains(n.title, "CI") {
			writeFile(t, filepath.Join(dir, "conftest.py"), n.examples["python"][0])
			writeFile(t, filepath.Join(dir, "test_example.py"), n.examples["python"][1])
		}
	}
	writeFile(t, filepath.Join(dir, "test_more.py"), pythonTests)
	out, err := runIn(t, dir, append(run, "-q", "-p", "no:cacheprovider", "-W", "error")...)
	if err != nil || !strings.Contains(out, " passed") {
		t.Errorf("%v\n%s", err, out)
	}
	expectEmpty(t, dir)
}

// pythonTests are tests of the client in Python.
const pythonTests = `
import datetime
import inspect
import re
import pytest
import esasim

seen = []

def test_first(esa):
    seen.append(esa.process.pid)
    esa.fault("drop", path="google", name="mine")
    assert esa.health()

def test_second(esa):
    assert seen == [esa.process.pid], "the tests do not share a process"
    assert esa.faults() == []

def test_errors_are_typed(esa):
    with pytest.raises(esasim.BadRequest, match="a delay of 2h0m0s") as e:
        esa.fault("delay", "2h")
    assert (e.value.field, e.value.value, e.value.status) == ("delay", "2h", 400)
    with pytest.raises(esasim.NotFound):
        esa.get_fault("nobody")
    with pytest.raises(TimeoutError):
        esa.wait("log", "never", timeout=0.01)
    with pytest.raises(esasim.EsasimError, match="expected one of ftp, http, https, smtp, ssh"):
        esa.address("telnet")
    with pytest.raises(esasim.EsasimError, match="there is no syslog server 'mail'"):
        esa.syslog("mail")

def test_faults(esa):
    f = esa.fault("refuse", to="10.0.201.25", protocol="tcp", port=25)
    assert esa.get_fault(f)["packets"] == 0
    assert esa.update_fault(f, enabled=False)["state"] == "disabled"
    esa.remove_fault(f)
    assert esa.set_faults([{"action": "drop", "path": "google"}])[0]["rule"]["path"] == "google"
    esa.clear_faults()
    assert esa.preset("dns-gone")["active"]
    esa.remove_preset("dns-gone")
    assert esa.faults() == [] and len(esa.presets()) > 5

def test_servers_and_mail(esa):
    box = esa.mail("mail")
    rule = box.rule("delay", "1ms", stage="connect")
    assert len(box.rules()) == 1
    box.remove_rule(rule)
    box.clear_rules()
    assert esa.stop_server("mail2/mx")["running"] is False
    assert esa.start_server("mail2/mx")["running"] is True
    esa.send_mail("joe@example.com", subject="hello", from_="ann@example.net")
    assert box.wait("hello")["from"] == "ann@example.net"
    assert b"Subject: hello\r\n" in box.raw() and len(box.messages()) == 1
    box.clear()
    assert box.messages() == []

def test_clock(esa):
    esa.stop_server("time/ntp")
    esa.set_clock(datetime.datetime(2015, 6, 25, 8, 50, 3, tzinfo=datetime.timezone.utc))
    assert esa.advance(3600)["time"].startswith("2015-06-25T02:5")
    assert "zone" in esa.clock()

def test_events(esa):
    now = esa.now()
    esa.send_mail("joe@example.com", subject="hello")
    for event in esa.events(kind="server.mail", since=now):
        assert event["fields"]["subject"] == "hello"
        break
    assert esa.wait("mail", since=now)["cursor"] > now

def test_appliance(esa):
    assert "Model: C100V" in esa.run("version")["output"]
    assert any("version" in line for line in esa.log("cli_logs"))

def test_snapshots(esa):
    esa.fault("drop", path="google", name="saved")
    assert esa.snapshot("prepared")["name"] == "prepared"
    file = esa.api.get_snapshot("prepared")
    esa.clear_faults()
    esa.run("sethostname other.example.com; commit -y")
    before = esa.now()
    assert esa.reset(to="prepared")["cursor"] >= before
    assert esa.get_fault("saved")["rule"]["path"] == "google"
    assert "other.example.com" not in esa.run("sethostname", answers=[""])["output"]
    esa.api.remove_snapshot("prepared")
    with pytest.raises(esasim.NotFound, match="prepared"):
        esa.reset(to="prepared")
    assert esa.api.put_snapshot("copy", body=file)["name"] == "copy"
    assert [s["name"] for s in esa.api.list_snapshots()] == ["copy"]
    esa.reset()
    assert esa.faults() == []
    esa.reset(to="copy")
    assert esa.get_fault("saved")["rule"]["path"] == "google"
    esa.api.remove_snapshot("copy")

def test_captures(esa):
    esa.capture("resolver", "dns", filter="udp port 53")
    esa.run("nslookup google.com")
    esa.api.stop_capture("dns")
    assert esa.capture_file("dns")[:4] == b"\x0a\x0d\x0d\x0a"
    esa.api.remove_capture("dns")
    with esa.live("resolver") as packets:
        esa.run("dnsflush")
        esa.run("nslookup google.com")
        assert packets.read(4) == b"\x0a\x0d\x0d\x0a"

def test_every_request_is_a_method(esa):
    for request in esa.requests():
        method = getattr(esa.api, esasim._snake(request["name"]))
        if "{" in request["path"]:
            with pytest.raises(TypeError, match="is missing"):
                method()
    assert "put_fault" in dir(esa.api)
    assert esa.api.put_fault("slow", body={"action": "delay", "delay": "1s"})["rule"]["name"] == "slow"
    with pytest.raises(AttributeError, match="no request burn"):
        esa.api.burn()

def test_start_that_fails():
    with pytest.raises(esasim.StartError, match='there is no topology "nowhere"'):
        esasim.Esa(topology="nowhere")
    with pytest.raises(esasim.StartError, match="/nowhere/esasim does not start"):
        esasim.Esa(binary="/nowhere/esasim")

def test_syslog():
    with esasim.Esa(topology="syslog") as esa:
        assert esa.syslog("log").wait("")
        assert esa.syslog("log").records() and esa.syslog("log").connections()
`

// With --with-parent, the program ends when its standard input is closed, and when the process that
// started it is killed, even if a child of that one keeps the pipe open.
func TestWithParent(t *testing.T) {
	t.Run("input", func(t *testing.T) {
		home := t.TempDir()
		c := command(t, home, "--ephemeral", "--ports", "auto", "--with-parent")
		in, err := c.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		kill := time.AfterFunc(testTimeout, func() { c.Process.Kill() })
		defer kill.Stop()
		if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		in.Close()
		io.Copy(io.Discard, out)
		if err := c.Wait(); err != nil {
			t.Error(err)
		}
		expectEmpty(t, home)
	})
	t.Run("process", func(t *testing.T) {
		sh := tooltest.Path(t, "sh")
		dir := clientDir(t)
		parent := exec.Command("env", "ESASIM="+filepath.Join(dir, "esasim"), "HOME="+dir, "TMPDIR="+dir, sh, "-c",
			". ./esasim.sh; esa_start; (read -r line </dev/tty || sleep 1000) 2>/dev/null & echo $ESA_PID $!; wait")
		parent.Dir = dir
		out, err := parent.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := parent.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(out)
		line, err := lines.ReadString('\n')
		pids := strings.Fields(line)
		if err != nil || len(pids) != 2 {
			t.Fatalf("the script prints %q, %v", line, err)
		}
		child, err := strconv.Atoi(pids[1])
		if err != nil {
			t.Fatal(err)
		}
		defer syscall.Kill(child, syscall.SIGKILL)
		parent.Process.Kill()
		program, err := strconv.Atoi(pids[0])
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
		defer cancel()
		for processRuns(program) {
			if clock.System().Sleep(ctx, time.Millisecond) != nil {
				syscall.Kill(program, syscall.SIGKILL)
				t.Fatal("the program goes on after its parent")
			}
		}
		parent.Wait()
		expectEmpty(t, dir)
	})
}

// processRuns reports whether a process exists that has not ended. One that has ended may be left as
// a zombie, if nobody waits for it.
func processRuns(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(text), ") ")
	return err != nil || !strings.HasPrefix(rest, "Z")
}
