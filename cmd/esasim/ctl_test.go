package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// run runs esasim with other arguments for a program's user, and returns its exit status
// and output.
func (p *program) run(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	c := command(t, p.home, args...)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Run(); c.ProcessState == nil {
		t.Fatal(err)
	}
	return c.ProcessState.ExitCode(), out.String(), errs.String()
}

// ctl runs esasim ctl for a program's user, and returns its exit status and output.
func (p *program) ctl(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	return p.run(t, append([]string{"ctl"}, args...)...)
}

// shortHome returns a home directory with a name that leaves room for a socket's path.
func shortHome(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "esa")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestCtl(t *testing.T) {
	p := start(t, shortHome(t), "--ctl", "127.0.0.1:0")
	for _, c := range []struct{ line, want string }{
		{"fault list", "There are no faults.\n"},
		{"fault add drop --to 10.0.202.7 --port 25 --protocol tcp --connections 2", "1\n"},
		{"fault add delay 200ms --jitter 20ms --host 216.58.194.206 --after 1h --name slow", "2\n"},
		{"fault list", "" +
			"ID  STATE    LEFT  PACKETS  CONNECTIONS  FAULT\n" +
			"2   waiting  TIME  0        0            delay 200ms jitter 20ms host 216.58.194.206 after 1h0m0s (slow)\n" +
			"1   acting   -  0        0            drop to 10.0.202.7 protocol tcp port 25 connections 2\n"},
		{"fault remove 2", ""},
		{"fault add loss 30% --path google --json", `{
  "id": 3,
  "rule": {
    "action": "loss",
    "loss": 0.3,
    "path": "google"
  },
  "state": "acting",
  "packets": 0,
  "connections": 0
}
`},
		{"fault remove all", ""},
		{"fault list --json", "[]\n"},
		{"fault put gone drop --protocol udp --port 53", "4\n"},
		{"fault put gone drop --protocol udp --port 53", "4\n"},
		{"fault update gone protocol=tcp port= direction=out", ""},
		{"fault disable gone", ""},
		{"fault show 4", "" +
			"ID  STATE     LEFT  PACKETS  CONNECTIONS  FAULT\n" +
			"4   disabled  -  0        0            drop protocol tcp direction out (gone)\n"},
		{"fault enable 4", ""},
		{"fault remove gone", ""},
		{"preset add dns-gone", ""},
		{"preset add dns-gone", ""},
		{"fault list", "" +
			"ID  STATE   LEFT  PACKETS  CONNECTIONS  FAULT\n" +
			"6   acting  -  0        0            drop protocol udp port 53 direction out (dns-gone/1)\n" +
			"5   acting  -  0        0            drop protocol tcp port 53 direction out (dns-gone/2)\n"},
		{"preset remove dns-gone", ""},
		{"fault list", "There are no faults.\n"},
		{"peer stop server/echo", ""},
		{"peer show server/echo", "server/echo, echo on host server, stopped\nlistens on 10.0.201.5:7\n"},
		{"peer start server/echo", ""},
		{"mail list mail", "The server has received no mail.\n"},
		{"mail list mail2/mx --json", "{\n  \"received\": 0,\n  \"dropped\": 0,\n  \"messages\": []\n}\n"},
		{"guard list", "No address has failed logins.\n"},
		{"guard list --json", "[]\n"},
		{"guard free all", ""},
		{"clock set 2015-06-25T08:50:03Z", "2015-06-25 01:50:03 -0700 (America/Los_Angeles)\n"},
	} {
		status, out, stderr := p.ctl(t, strings.Fields(c.line)...)
		out = regexp.MustCompile(`(LEFT|-|waiting  [0-9hms.]+) +`).ReplaceAllString(out, "$1  ")
		out = regexp.MustCompile(`waiting  (1h0m|59m)[0-9.]+s`).ReplaceAllString(out, "waiting  TIME")
		if status != 0 || out != c.want || stderr != "" {
			t.Errorf("esasim ctl %s: %d %s\n%s, want\n%s", c.line, status, stderr, out, c.want)
		}
	}
	_, list, _ := p.ctl(t, "peer", "list")
	if lines := strings.Split(list, "\n"); strings.Join(strings.Fields(lines[0]), " ") != "NAME TYPE STATE ADDRESSES" || !slices.ContainsFunc(lines, func(l string) bool {
		return strings.Join(strings.Fields(l), " ") == "resolver/dns dns running 10.0.202.53:53 [2001:db8:202::53]:53"
	}) {
		t.Errorf("peer list:\n%s", list)
	}
	for _, where := range [][]string{{"--addr", p.ready.Ctl}, {"--socket", p.ready.Socket}, {"--socket", p.ready.Data}} {
		if status, out, stderr := p.ctl(t, append(where, "clock", "advance", "2h")...); status != 0 || !strings.HasPrefix(out, "2015-06-25 0") {
			t.Errorf("with %q: %d %s%s", where, status, out, stderr)
		}
	}
	if !strings.Contains(p.out, "esasim ctl --socket "+p.ready.Socket) || !strings.Contains(p.out, "esasim ctl --addr "+p.ready.Ctl) {
		t.Errorf("at start it printed:\n%s", p.out)
	}
}

func TestCtlRefusals(t *testing.T) {
	home := shortHome(t)
	start(t, home)
	for line, want := range map[string]string{
		"ctl fault add burn":                       `action: "burn" is no action, expected drop,`,
		"ctl fault add drop 30%":                   `drop 30%: only delay, loss and rate take an amount`,
		"ctl fault add drop --for 0s":              `for 0, expected more than 0; without this key there is no limit`,
		"ctl fault add drop --connections 0":       `connections 0, expected more than 0; without this key there is no limit`,
		"ctl fault add delay":                      `delay: no delay, expected one such as 200ms`,
		"ctl fault add drop --port 25":             `port 25 without a protocol that has ports`,
		"ctl fault add drop --color red":           `unknown flag --color: see esasim help ctl fault add`,
		"ctl fault remove one":                     `there is no fault called "one": esasim ctl fault list lists what there is`,
		"ctl fault put 7 drop":                     `name: there is no fault 7, and a name for a new one has something else than digits`,
		"ctl fault update one delay":               `"delay" changes nothing: expected a key and a value, such as delay=300ms`,
		"ctl fault set /nowhere/x":                 `open /nowhere/x`,
		"ctl preset add burn":                      `there is no preset "burn": esasim ctl preset list lists what there is`,
		"ctl fault remove 7":                       `there is no fault 7: esasim ctl fault list lists what there is`,
		"ctl peer show nobody":                     `no server "nobody": esasim ctl peer list lists what there is`,
		"ctl mail list nobody":                     `there is no mail server "nobody", expected one of mail, mail2`,
		"ctl clock set tomorrow":                   `"tomorrow" is not a time: expected one such as 2015-06-25T08:50:03Z`,
		"ctl clock advance much":                   `much`,
		"ctl --socket /nowhere/x fault list":       `no appliance answers at /nowhere/x: connect: no such file or directory: start one with esasim, or name one with --socket or --addr`,
		"ctl --addr 127.0.0.1:1 fault list":        `no appliance answers at 127.0.0.1:1`,
		"ctl --addr [::1]:1 --socket y fault list": `--socket and --addr can't be used together`,
		"ctl guard free 10.0.201.99":               `the address 10.0.201.99 has no failed logins: esasim ctl guard list lists what there is`,
		"ctl guard free bob":                       `"bob" is not an address: expected one such as 10.0.201.4`,
		"ctl":                                      `expected one of "fault", "preset", "peer", "mail", "net", ...`,
		"--ephemeral --ctl 0.0.0.0:0 --ssh 127.0.0.1:0 --ftp 127.0.0.1:0 --http 127.0.0.1:0 --https 127.0.0.1:0": `other machines can connect to 0.0.0.0: expected a loopback address`,
	} {
		if got := runFailing(t, home, strings.Fields(line)...); !strings.Contains(got, want) {
			t.Errorf("esasim %s says %q, want %q in it", line, got, want)
		}
	}
}

// The faults of a file replace all others, and the verbs about the API need no knowledge of it.
func TestCtlFiles(t *testing.T) {
	p := start(t, shortHome(t))
	p.ctl(t, "fault", "add", "drop", "--path", "google")
	file := filepath.Join(t.TempDir(), "faults.json")
	rules := `[{"name": "x", "action": "delay", "delay": "1s"}, {"action": "drop", "enabled": false}]`
	if err := os.WriteFile(file, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	status, out, stderr := p.ctl(t, "fault", "set", file, "--json")
	var list []netsim.Fault
	if err := json.Unmarshal([]byte(out), &list); status != 0 || err != nil || len(list) != 2 || list[1].State != "disabled" {
		t.Errorf("%d %s%s, %v", status, out, stderr, err)
	}
	if _, out, _ := p.ctl(t, "preset", "list"); !strings.Contains(out, "dns-gone             -      DNS servers do not answer.\n") {
		t.Errorf("preset list:\n%s", out)
	}
	if _, out, _ := p.ctl(t, "api", "list"); !regexp.MustCompile(`(?m)^GET +/v1/faults/\{fault\} +Returns one fault`).MatchString(out) {
		t.Errorf("api list:\n%s", out)
	}
	if _, out, _ := p.ctl(t, "api", "version"); !strings.HasSuffix(out, ", C100V, AsyncOS 14.0.0-698\n") {
		t.Errorf("api version: %s", out)
	}
	if _, out, _ := p.ctl(t, "api", "openapi"); !strings.HasPrefix(out, "openapi: 3.1.0\n") {
		t.Errorf("api openapi: %.100s", out)
	}
}

// Waits, events and resets from the command line: each end has an exit status of its own, and the
// record of the run has what happened.
func TestCtlEvents(t *testing.T) {
	record := filepath.Join(t.TempDir(), "events.jsonl")
	p := start(t, shortHome(t), "--record", record)
	if status, out, stderr := p.ctl(t, "wait", "boot", "--since", "all"); status != 0 || !strings.Contains(out, " appliance.up {}") {
		t.Errorf("wait boot: %d %s%s", status, out, stderr)
	}
	if status, out, stderr := p.ctl(t, "wait", "log", "coming up", "--since", "all", "--json"); status != 0 || !strings.Contains(out, `"kind": "log.line"`) {
		t.Errorf("wait log: %d %s%s", status, out, stderr)
	}
	if status, _, stderr := p.ctl(t, "wait", "alert", "--timeout", "1ms"); status != 2 || stderr != "esasim: alert did not happen within 1ms\n" {
		t.Errorf("wait in vain: %d %s", status, stderr)
	}
	if status, _, stderr := p.ctl(t, "wait", "rain"); status != 1 || !strings.Contains(stderr, "nothing to wait for") {
		t.Errorf("wait for rain: %d %s", status, stderr)
	}
	if status, out, stderr := p.ctl(t, "events", "--kind", "appliance.up", "--since", "all", "--count", "1", "--json"); status != 0 || !strings.Contains(out, `"kind":"appliance.up"`) {
		t.Errorf("events: %d %s%s", status, out, stderr)
	}
	p.ctl(t, "fault", "add", "drop", "--path", "google")
	if status, _, stderr := p.ctl(t, "reset"); status != 1 || !strings.Contains(stderr, "confirm it with --confirm") {
		t.Errorf("reset of what lasts: %d %s", status, stderr)
	}
	if status, out, stderr := p.ctl(t, "reset", "--confirm"); status != 0 || !strings.HasPrefix(out, "The simulator was reset in ") {
		t.Errorf("reset: %d %s%s", status, out, stderr)
	}
	if _, out, _ := p.ctl(t, "fault", "list"); out != "There are no faults.\n" {
		t.Errorf("faults after the reset:\n%s", out)
	}
	p.stop(t, os.Interrupt)
	text, err := os.ReadFile(record)
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"appliance.up", "world.reset", "appliance.down"} {
		if !strings.Contains(string(text), `"kind":"`+kind+`"`) {
			t.Errorf("the record has no %s", kind)
		}
	}
}

// If the path of the control socket is too long, the program starts without one and says so.
func TestSocketPathTooLong(t *testing.T) {
	data := filepath.Join(t.TempDir(), strings.Repeat("d", 120))
	p := start(t, t.TempDir(), "--data", data)
	if p.ready.Socket != "" || !strings.Contains(p.out, "ctl   no socket: the path of a socket may have ") {
		t.Errorf("socket %q; at start it printed:\n%s", p.ready.Socket, p.out)
	}
}

func TestEveryRuleKeyHasAFlag(t *testing.T) {
	var a addFault
	v := reflect.ValueOf(&a).Elem()
	for i := range v.NumField() {
		if v.Field(i).Kind() == reflect.String {
			v.Field(i).SetString("x")
		}
	}
	var set []string
	for _, action := range []string{"delay", "loss", "rate"} {
		a.Action = action
		keys, err := a.keys()
		if err != nil {
			t.Fatal(err)
		}
		for k := range keys {
			set = append(set, k)
		}
	}
	for i := range reflect.TypeFor[topology.Rule]().NumField() {
		if key := reflect.TypeFor[topology.Rule]().Field(i).Tag.Get("yaml"); !slices.Contains(set, key) {
			t.Errorf("no flag sets the key %s", key)
		}
	}
}

// A negative time is an argument wherever it stands, and no other argument is changed.
func TestNegativeShift(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"ctl clock advance -2h", "ctl clock advance \u22122h"},
		{"ctl clock advance -.5s --socket x", "ctl clock advance \u2212.5s --socket x"},
		{"ctl clock advance --socket x -90s", "ctl clock advance --socket x \u221290s"},
		{"ctl clock advance -- -1h", "ctl clock advance -- \u22121h"},
		{"ctl clock advance -h", "ctl clock advance -h"},
		{"ctl fault add delay -5ms", "ctl fault add delay -5ms"},
		{"advance -2h", "advance -2h"},
	} {
		args := strings.Fields(c.args)
		if got := strings.Join(protectShift(args), " "); got != c.want {
			t.Errorf("%s: %s, want %s", c.args, got, c.want)
		}
		if strings.Join(args, " ") != c.args {
			t.Errorf("%s: the arguments were changed", c.args)
		}
	}
	var s shift
	if err := s.UnmarshalText([]byte(minus + "2h")); err != nil || s.Duration != -2*time.Hour {
		t.Errorf("%v, %v", s, err)
	}
	if err := s.UnmarshalText([]byte(minus + "2x")); err == nil || !strings.Contains(err.Error(), `"-2x"`) {
		t.Errorf("error %v", err)
	}
}
