package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/esasim/esasim/appliance/control"
)

// health runs esasim health for a program's user, and returns its exit status and output.
func (p *program) health(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	return p.run(t, append([]string{"health"}, args...)...)
}

func TestHealthOfAnApplianceThatRuns(t *testing.T) {
	p := start(t, shortHome(t), "--ctl", "127.0.0.1:0")
	for _, args := range [][]string{
		nil, {"--topology", "lab"}, {"--socket", p.ready.Data}, {"--addr", p.ready.Ctl}, {"--all", "--addr", p.ready.Ctl},
	} {
		status, stdout, stderr := p.health(t, args...)
		if status != 0 || stderr != "" || !strings.HasPrefix(stdout, "up since 20") || !strings.Contains(stdout, "\n  ssh   10.0.202.7:22\n") {
			t.Errorf("esasim health %q: %d %s\n%s", args, status, stderr, stdout)
		}
	}
	if status, stdout, _ := p.health(t, "--all"); status != 0 || !strings.HasPrefix(stdout, p.ready.Socket+": up since 20") {
		t.Errorf("esasim health --all: %d %s", status, stdout)
	}
	var h control.Health
	_, stdout, _ := p.health(t, "--json")
	if err := json.Unmarshal([]byte(stdout), &h); err != nil || h.Status != "up" || len(h.Services) != 5 {
		t.Errorf("as JSON: %v\n%s", err, stdout)
	}
}

func TestHealthWithoutAnAppliance(t *testing.T) {
	home := shortHome(t)
	if got := runFailing(t, home, "health"); !strings.HasPrefix(got, "no appliance answers at "+filepath.Join(home, ".local", "state", "esasim", "lab", "ctl.sock")) {
		t.Errorf("esasim health says %q", got)
	}
	if got := runFailing(t, home, "health", "--all"); got != "no appliance runs: start one with esasim, or name it with --socket or --addr" {
		t.Errorf("esasim health --all says %q", got)
	}
}

// --all finds an appliance whose data directory is not that of topology lab, and ignores the
// socket of a process that was killed.
func TestHealthOfAll(t *testing.T) {
	p := start(t, shortHome(t), "--ephemeral")
	if status, _, stderr := p.health(t); status != 1 || !strings.Contains(stderr, "no appliance answers at ") {
		t.Errorf("the appliance of topology lab in its usual directory: %d %s", status, stderr)
	}
	status, stdout, stderr := p.health(t, "--all")
	if status != 0 || stderr != "" || !strings.HasPrefix(stdout, p.ready.Socket+": up since ") {
		t.Errorf("all: %d %s%s", status, stdout, stderr)
	}
	if err := p.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-p.ended
	if status, _, stderr := p.health(t, "--all"); status != 1 || !strings.Contains(stderr, "no appliance runs") {
		t.Errorf("after kill -9: %d %s", status, stderr)
	}
}
