package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/esasim/esasim/appliance/box"
)

// expectCtl runs esasim ctl and compares what it prints with a regular expression.
func (p *program) expectCtl(t *testing.T, want string, args ...string) {
	t.Helper()
	status, out, stderr := p.ctl(t, args...)
	if status != 0 || !regexp.MustCompile(want).MatchString(out) {
		t.Errorf("esasim ctl %q: %d %s%s, want %s", args, status, out, stderr, want)
	}
}

// The tables of the appliance and of hosts, sessions and accounts, for people and as JSON.
func TestCtlTables(t *testing.T) {
	p := start(t, shortHome(t))
	p.expectCtl(t, `(?m)^PROTOCOL +UNREAD .*\n(.*\n)*tcp4 +0 +0 +10\.0\.202\.7:22 +- +LISTEN +ginetd$`, "net", "sockets")
	p.expectCtl(t, `(?m)^tcp4 +0 +0 +10\.0\.201\.5:7 +- +LISTEN`, "net", "sockets", "--host", "server")
	p.expectCtl(t, `(?m)^10\.0\.202\.7 +00:50:56:0a:02:07 +Data 1 +permanent +-$`, "net", "arp")
	p.expectCtl(t, `(?m)^0\.0\.0\.0/0 +10\.0\.202\.1 +UGS +Data 1 +-$`, "net", "routes")
	p.expectCtl(t, `(?m)^Data 1 +up +10\.0\.202\.7/24 2001:db8:202::7/64 +\d+ +\d+ `, "net", "interfaces")
	p.expectCtl(t, `^NAME +ROLE +STATE +KEYS +SESSIONS +FULL NAME\nadmin +Administrator +active +0 +0 +Administrator\n$`, "user", "list")
	p.expectCtl(t, `^No session is open\.\n$`, "session", "list")
	_, out, _ := p.ctl(t, "net", "interfaces", "--json")
	var list []box.Interface
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list) < 3 || list[0].Name != "Data 1" {
		t.Errorf("interfaces as JSON: %v, %s", err, out)
	}
	if got := runFailing(t, p.home, "ctl", "net", "arp", "--host", "nobody"); !regexp.MustCompile(`has no host "nobody", expected one of .*server`).MatchString(got) {
		t.Error(got)
	}
	if got := runFailing(t, p.home, "ctl", "session", "end", "7"); got != "there is no open session 7: esasim ctl session list lists what there is" {
		t.Error(got)
	}
	if got := completions(t, "esasim ctl --socket "+p.ready.Socket+" session end "); !slices.Equal(got, []string{"all"}) {
		t.Errorf("sessions to end: %q", got)
	}
}

// Logs, the configuration and commands, with the exit statuses of commands.
func TestCtlActions(t *testing.T) {
	p := start(t, shortHome(t))
	p.expectCtl(t, `^Username: admin\n`, "run", "whoami")
	p.expectCtl(t, `^\[example\.com\]> \n`, "run", "-a", "new.example.com", "sethostname; commit -y")
	for _, c := range []struct {
		line   string
		status int
	}{{"sethostname", 2}, {"uname", 1}, {"exit", 0}} {
		if status, out, stderr := p.ctl(t, "run", c.line); status != c.status {
			t.Errorf("run %s: %d %s%s", c.line, status, out, stderr)
		}
	}
	p.expectCtl(t, `(?m)^cli_logs +CLI Audit Logs +Information +1 +manual$`, "log", "list")
	p.expectCtl(t, `'whoami'; prompt was '\\nexample\.com> '\n$`, "log", "grep", "whoami", "cli_logs")
	p.expectCtl(t, `^[^\n]*'exit'[^\n]*\n$`, "log", "tail", "cli_logs", "-n", "1")
	p.expectCtl(t, `<hostname>new\.example\.com</hostname>`, "config", "show")
	file := filepath.Join(t.TempDir(), "part.xml")
	if err := os.WriteFile(file, []byte("<config><hostname>newer.example.com</hostname></config>"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.expectCtl(t, `^hostname: new\.example\.com -> newer\.example\.com\n$`, "config", "load", file)
	p.expectCtl(t, `^Revision 2 was committed at `, "config", "commit", "why")
	p.expectCtl(t, `^There are no changes\.\n$`, "config", "changes")
	for _, line := range []string{"power off", "power on", "power reboot", "console off"} {
		p.expectCtl(t, "^$", strings.Fields(line)...)
	}
	p.expectCtl(t, `^on\n$`, "power", "show")
	p.expectCtl(t, `^disconnected\n$`, "console", "show")
	_, now, _ := p.ctl(t, "topology")
	yaml := filepath.Join(t.TempDir(), "now.yaml")
	if err := os.WriteFile(yaml, []byte(now), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, out, stderr := p.run(t, "topology", "check", yaml); status != 0 || !strings.HasSuffix(out, ": good\n") {
		t.Errorf("the topology as it is now: %d %s%s", status, out, stderr)
	}
	p.expectCtl(t, `(?m)^# TYPE esasim_up gauge\nesasim_up 1$`, "metrics")
	if got := runFailing(t, p.home, "ctl", "log", "tail", "no_logs"); !strings.HasPrefix(got, `there is no log "no_logs", expected one of amp, `) {
		t.Error(got)
	}
	if got := completions(t, "esasim ctl --socket "+p.ready.Socket+" log tail mail"); !slices.Equal(got, []string{"mail_logs"}) {
		t.Errorf("logs: %q", got)
	}
}
