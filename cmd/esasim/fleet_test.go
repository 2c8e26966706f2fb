package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/crypto/ssh"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/fleet"
)

// A fleetProgram is a running process of esasim fleet.
type fleetProgram struct {
	*exec.Cmd
	ready     string                     // the file of the inventory
	inventory map[string]fleet.Appliance // by name, after the start
	out       string                     // the announcement
	ended     chan struct{}
}

// startFleet runs "esasim fleet ARGS" until the test ends, on free ports unless ARGS has other doors.
func startFleet(t *testing.T, home string, args ...string) *fleetProgram {
	t.Helper()
	file := filepath.Join(t.TempDir(), "inventory.json")
	if !slices.Contains(args, "--doors") {
		args = append(args, "--doors", "127.0.0.1:0")
	}
	args = append([]string{"fleet", "--ready", file}, args...)
	p := &fleetProgram{Cmd: command(t, home, args...), ended: make(chan struct{})}
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	p.Stderr = &stderr
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	killed := time.AfterFunc(testTimeout, func() { p.Process.Kill() })
	for lines := bufio.NewReader(out); err == nil && !strings.Contains(p.out, "stops the appliances."); {
		var line string
		line, err = lines.ReadString('\n')
		p.out += line
	}
	killed.Stop()
	go func() {
		p.Wait() //nolint:errcheck // tests look at the exit status
		close(p.ended)
	}()
	if err != nil {
		<-p.ended
		t.Fatalf("the program ended: %s", stderr.String())
	}
	p.ready = file
	p.inventory = p.readInventory(t)
	return p
}

// readInventory returns what the file of the inventory says now, by name.
func (p *fleetProgram) readInventory(t *testing.T) map[string]fleet.Appliance {
	t.Helper()
	text, err := os.ReadFile(p.ready)
	var read struct{ Appliances []fleet.Appliance }
	if err == nil {
		err = json.Unmarshal(text, &read)
	}
	if err != nil {
		t.Fatal(err)
	}
	list := map[string]fleet.Appliance{}
	for _, a := range read.Appliances {
		list[a.Name] = a
	}
	return list
}

// awaitInventory waits until the file of the inventory says something.
func awaitInventory(t *testing.T, p *fleetProgram, what string, says func(map[string]fleet.Appliance) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	for !says(p.readInventory(t)) {
		if clock.System().Sleep(ctx, 10*time.Millisecond) != nil {
			t.Fatalf("the file does not say that %s: %+v", what, p.readInventory(t))
		}
	}
}

func (p *fleetProgram) kill() {
	p.Process.Kill() //nolint:errcheck // it may have ended
	<-p.ended
}

const fiveOffices = `
defaults: {topology: minimal}
appliances: [{name: edge, count: 3}, {name: hub, count: 2}]
`

func writeFleet(t *testing.T, text string) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "offices.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// The shards of a fleet are processes that know nothing of each other: when one is killed, sessions on
// the appliances of the others go on. One that is started again has the same appliances: names, serial
// numbers, host keys, addresses of doors, and data.
func TestShardsOfAFleet(t *testing.T) {
	home, file := t.TempDir(), writeFleet(t, fiveOffices)
	const shards = 3
	run := func(n int) *fleetProgram {
		// The loopback addresses belong to this process, so that the ports are free.
		doors := fmt.Sprintf("127.%d.%d.%d:2222", 100+n, 1+os.Getpid()>>8&0x7f, 1+os.Getpid()&0x7f)
		return startFleet(t, home, file, "--shard", fmt.Sprintf("%d/%d", n, shards), "--doors", doors)
	}
	var running [shards]*fleetProgram
	serials, keys, addresses := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for n := range running {
		running[n] = run(n)
		for _, a := range running[n].inventory {
			serials[a.Serial], keys[a.HostKey], addresses[a.Doors["ssh"].String()] = true, true, true
		}
	}
	if len(serials) != 5 || len(keys) != 5 || len(addresses) != 5 {
		t.Errorf("5 appliances have %d serial numbers, %d keys, %d addresses", len(serials), len(keys), len(addresses))
	}
	before := running[0].inventory
	hub, ok := before["hub-1"]
	other, has := running[1].inventory["hub-2"]
	if !ok || !has {
		t.Fatalf("the shards have %v and %v", before, running[1].inventory)
	}
	execAt(t, hub.Doors["ssh"].String(), "sethostname kept.example.com; commit kept")
	session := dialAt(t, other.Doors["ssh"].String())

	running[0].kill()
	runOn(t, session, "version")
	execAt(t, running[2].inventory["edge-3"].Doors["ssh"].String(), "version")
	again := run(0)
	hub.HostName = "kept.example.com"
	before["hub-1"] = hub
	for name, a := range before {
		if diff := cmp.Diff(a, again.inventory[name], cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
			t.Errorf("%s after a restart of its shard (-before +after):\n%s", name, diff)
		}
	}
	if len(again.inventory) != len(before) {
		t.Errorf("the shard had %d appliances, and has %d", len(before), len(again.inventory))
	}
	if out := execAt(t, hub.Doors["ssh"].String(), "showconfig"); !strings.Contains(out, "kept.example.com") {
		t.Error("hub-1 has lost its configuration")
	}
	runOn(t, session, "version")
}

// The verbs of esasim ctl are about one appliance of a fleet, or about all.
func TestControlOfAFleet(t *testing.T) {
	home := t.TempDir()
	p := startFleet(t, home, "--count", "3", "--topology", "minimal", "--data", filepath.Join(home, "data"))
	ctl := func(args ...string) string {
		t.Helper()
		args = append([]string{"ctl", "--socket", filepath.Join(home, "data")}, args...)
		out, err := command(t, home, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("esasim %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	ctl("--appliance", "esa-2", "fault", "add", "drop", "--to", "192.0.2.53")
	if out := ctl("--appliance", "esa-1", "fault", "list"); !strings.Contains(out, "There are no faults.") {
		t.Errorf("a fault of esa-2 is one of esa-1:\n%s", out)
	}
	ctl("fleet", "stop", "esa-3")
	if out := ctl("fleet", "list"); !strings.Contains(out, "esa-3  stopped") || !strings.Contains(out, "esa-2  running") {
		t.Errorf("fleet list:\n%s", out)
	}
	awaitInventory(t, p, "esa-3 is stopped", func(list map[string]fleet.Appliance) bool {
		return list["esa-3"].State == fleet.Stopped
	})
	ctl("fleet", "start", "esa-3")
	ctl("--appliance", "esa-2", "run", "sethostname moved.example.com; commit moved")
	if out := ctl("fleet", "list", "--json"); !strings.Contains(out, `"hostname": "moved.example.com"`) {
		t.Errorf("fleet list --json has an old host name:\n%s", out)
	}
	awaitInventory(t, p, "esa-2 is called moved.example.com and esa-3 runs", func(list map[string]fleet.Appliance) bool {
		return list["esa-2"].HostName == "moved.example.com" && list["esa-3"].State == fleet.Running
	})
	if out := ctl("fleet", "list", "--format", "oxidized"); strings.Count(out, ":asyncos:") != 3 {
		t.Errorf("router.db:\n%s", out)
	}
	out, err := command(t, home, "ctl", "--socket", filepath.Join(home, "data"), "fault", "list").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "esasim ctl --appliance NAME") {
		t.Errorf("a question about no appliance: %v\n%s", err, out)
	}
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-p.ended
	if status := p.ProcessState.ExitCode(); status != 0 {
		t.Errorf("exit status %d after SIGTERM", status)
	}
}

// The example of a fleet with a network runs: its appliances are neighbors, and a fault of the network
// is one between them.
func TestFleetThatSharesANetwork(t *testing.T) {
	home := t.TempDir()
	text, err := command(t, home, "deploy", "fleet").Output()
	if err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(home, "data")
	p := startFleet(t, home, writeFleet(t, string(text)), "--data", data)
	if !strings.Contains(p.out, "--appliance office") || len(p.inventory) != 3 {
		t.Errorf("%d appliances, and the announcement\n%s", len(p.inventory), p.out)
	}
	hub := p.inventory["hub"]
	out, err := command(t, home, "ctl", "--socket", data, "fleet", "networks").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "edge-1, edge-2, hub") {
		t.Errorf("the networks: %v\n%s", err, out)
	}
	out, err = command(t, home, "ctl", "--socket", data, "fleet", "list", "--format", "json").CombinedOutput()
	if err != nil || !strings.Contains(string(out), `"networks": [`) {
		t.Errorf("the inventory: %v\n%s", err, out)
	}
	out, err = command(t, home, "ctl", "--socket", data, "--appliance", "office",
		"fault", "add", "refuse", "--protocol", "tcp", "--port", "25").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, _ = command(t, home, "ctl", "--socket", data, "--appliance", "edge-1",
		"run", "telnet 10.0.202.8 25").CombinedOutput() // its status is that of telnet
	if !strings.Contains(string(out), "refused") {
		t.Errorf("the hub is reached in spite of the fault:\n%s", out)
	}
	arp := execAt(t, hub.Doors["ssh"].String(), "diagnostic network arpshow")
	if !strings.Contains(arp, "10.0.202.7") {
		t.Errorf("the hub does not know its neighbor:\n%s", arp)
	}
}

func TestWrongFleets(t *testing.T) {
	home := t.TempDir()
	for _, x := range []struct{ args, want string }{
		{"", "expected the file of a fleet, or --count N"},
		{"--count 2 x.yaml", "a file and --count: expected one of them"},
		{"none.yaml", "no such file"},
		{"--count 2 --shard 2/2", "expected a part and the number of parts"},
		{"--count 2 --shard 5/9 --ephemeral", "shard 5 of 9 has no appliance: the fleet has 2"},
		{"--count 2 --ready hosts", "expected a name that ends in .json"},
		{"--count 2 --open telnet", `has no door "telnet"`},
		{"--count 2 --topology none", `there is no topology "none"`},
		{"--count=-1", "--count -1, expected 1 to"},
	} {
		out, err := command(t, home, append([]string{"fleet"}, strings.Fields(x.args)...)...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), x.want) {
			t.Errorf("esasim fleet %s: %v\n got %s\nwant %s", x.args, err, out, x.want)
		}
	}
}

// execAt runs command lines on the appliance at an address, and returns what they print.
func execAt(t *testing.T, address string, commands string) string {
	t.Helper()
	c := dialAt(t, address)
	defer c.Close()
	return runOn(t, c, commands)
}

// dialAt logs in to the appliance at an address.
func dialAt(t *testing.T, address string) *ssh.Client {
	t.Helper()
	c, err := ssh.Dial("tcp", address, &ssh.ClientConfig{
		User: "admin", Auth: []ssh.AuthMethod{ssh.Password("ironport")},
		HostKeyCallback: ssh.InsecureIgnoreHostKey(), Timeout: testTimeout,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// runOn runs command lines on a connection, and returns what they print.
func runOn(t *testing.T, c *ssh.Client, commands string) string {
	t.Helper()
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	out, err := s.CombinedOutput(commands)
	if err != nil {
		t.Fatalf("%s: %v\n%s", commands, err, out)
	}
	return string(out)
}
