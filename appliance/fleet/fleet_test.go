package fleet_test

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/fleet"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/fixtures"
	"github.com/esasim/esasim/shell"
)

// sources read built-in topologies, and files of the test.
func sources(files map[string]string) fleet.Sources {
	return fleet.Sources{
		Topology: func(name string) (*topology.Topology, error) {
			file, data, ok := fixtures.Topology(name)
			if !ok {
				return nil, fmt.Errorf("there is no topology %q", name)
			}
			return box.LoadTopology(file, data)
		},
		ReadFile: func(name string) ([]byte, error) {
			text, ok := files[name]
			if !ok {
				return nil, fmt.Errorf("open %s: %w", name, os.ErrNotExist)
			}
			return []byte(text), nil
		},
	}
}

func load(t *testing.T, text string, files map[string]string) *fleet.File {
	t.Helper()
	f, err := fleet.Load("fleet.yaml", []byte(text), sources(files))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// oneKey is the host key of all appliances.
func oneKey(string) (crypto.Signer, []shell.LazyHostKey, error) {
	return ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)), nil, nil
}

var freePorts = fleet.Doors{Base: netip.MustParseAddrPort("127.0.0.1:0")}

// start starts a fleet on free ports and stops it when the test ends.
func start(t *testing.T, o fleet.Options) *fleet.Fleet {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	if o.HostKeys == nil {
		o.HostKeys = oneKey
	}
	o.Doors = freePorts
	f, err := fleet.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, f) })
	return f
}

func stop(t *testing.T, f *fleet.Fleet) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := f.Stop(ctx); err != nil {
		t.Error(err)
	}
}

// exec runs a command on an appliance.
func exec(t *testing.T, m *fleet.Member, user, passphrase, command string) string {
	t.Helper()
	c, err := ssh.Dial("tcp", m.DoorAddrs()["ssh"].String(), &ssh.ClientConfig{
		User:            user,
		Auth:            []ssh.AuthMethod{ssh.Password(passphrase)},
		HostKeyCallback: ssh.InsecureIgnoreHostKey(),
		Timeout:         time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	out, err := s.CombinedOutput(command)
	if err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	return string(out)
}

const mixed = `
name: offices
defaults:
  topology: minimal
  users:
    - {name: ops, fullname: Operations, role: Operator, passphrase: look-but-not-touch}
appliances:
  - {name: edge, count: 2}
  - name: hub
    model: C690
    version: 15.0.0-104
    hostname: hub.example.org
    serial: 848F69E4A4DB-7RZZXQ1
    addresses: {Data 1: [192.0.2.99/24]}
    configuration: hub.xml
`

const hubConfiguration = `<?xml version="1.0"?>
<config><timezone>Europe/Berlin</timezone></config>`

func TestAppliancesAreWhatTheFileSays(t *testing.T) {
	file := load(t, mixed, map[string]string{"hub.xml": hubConfiguration})
	f := start(t, fleet.Options{File: file})

	edge := f.Member("edge-2")
	if got := exec(t, edge, "ops", "look-but-not-touch", "version"); !strings.Contains(got, edge.Serial) {
		t.Errorf("version of edge-2 has not the serial number %s:\n%s", edge.Serial, got)
	}
	if edge.Serial == f.Member("edge-1").Serial {
		t.Error("edge-1 and edge-2 have one serial number")
	}
	if edge.HostName != "edge-2.mail.example.com" {
		t.Errorf("edge-2 is called %s", edge.HostName)
	}

	hub := f.Member("hub")
	got := exec(t, hub, "admin", "ironport", "version")
	for _, want := range []string{"Model: C690", "Version: 15.0.0-104", "Serial #: 848F69E4A4DB-7RZZXQ1"} {
		if !strings.Contains(got, want) {
			t.Errorf("version of hub has not %q:\n%s", want, got)
		}
	}
	got = exec(t, hub, "admin", "ironport", "showconfig")
	for _, want := range []string{
		"<hostname>hub.example.org</hostname>", "<timezone>Europe/Berlin</timezone>", "192.0.2.99",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("showconfig of hub has not %q", want)
		}
	}
}

// An appliance that nobody uses holds one descriptor: that of its SSH door.
func TestIdleAppliancesHoldOneDescriptorEach(t *testing.T) {
	const appliances = 20
	file := load(t, fmt.Sprintf(
		"appliances: [{name: a, count: %d}]\ndefaults: {topology: minimal}", appliances), nil)
	dir := t.TempDir()
	socketsBefore, _ := openDescriptors(t, dir)
	start(t, fleet.Options{File: file, Dir: dir})

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		sockets, files := openDescriptors(t, dir)
		if sockets-socketsBefore == appliances && len(files) == 0 {
			return
		}
		// Log files are closed when they have been idle for a second.
		if clock.System().Sleep(ctx, 50*time.Millisecond) != nil {
			t.Fatalf("%d idle appliances hold %d sockets and the files %q",
				appliances, sockets-socketsBefore, files)
		}
	}
}

// openDescriptors returns how many sockets this process has, and the open files and directories
// below dir.
func openDescriptors(t *testing.T, dir string) (sockets int, files []string) {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("descriptors are counted on Linux only: ", err)
	}
	for _, d := range list {
		target, _ := os.Readlink("/proc/self/fd/" + d.Name()) // that of the listing is closed
		switch {
		case strings.HasPrefix(target, "socket:"):
			sockets++
		case strings.HasPrefix(target, dir):
			files = append(files, target)
		}
	}
	return sockets, files
}

func TestOneApplianceFailsAlone(t *testing.T) {
	file := load(t, "appliances: [{name: a}, {name: b}, {name: c}]\ndefaults: {topology: minimal}", nil)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "b"), nil, 0o600); err != nil { // where a directory goes
		t.Fatal(err)
	}
	f := start(t, fleet.Options{File: file, Dir: dir})

	bad := f.Member("b")
	if bad.State() != fleet.Failed || bad.Err() == nil || bad.Box() != nil {
		t.Errorf("b is %s, %v", bad.State(), bad.Err())
	}
	for _, name := range []string{"a", "c"} {
		exec(t, f.Member(name), "admin", "ironport", "version")
	}

	if err := os.Remove(filepath.Join(dir, "b")); err != nil {
		t.Fatal(err)
	}
	if err := bad.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if bad.State() != fleet.Running || bad.Err() != nil {
		t.Errorf("b is %s, %v", bad.State(), bad.Err())
	}
	exec(t, bad, "admin", "ironport", "version")
}

func TestOneStopsAndStartsWhileOthersRun(t *testing.T) {
	file := load(t, "appliances: [{name: a}, {name: b}]\ndefaults: {topology: minimal}", nil)
	f := start(t, fleet.Options{File: file})
	a := f.Member("a")
	before := a.DoorAddrs()["ssh"]

	if err := a.Start(t.Context()); !errors.Is(err, fleet.ErrRunning) {
		t.Errorf("a second start: %v", err)
	}
	if err := a.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a.State() != fleet.Stopped {
		t.Errorf("a is %s", a.State())
	}
	if err := a.Stop(t.Context()); !errors.Is(err, fleet.ErrStopped) {
		t.Errorf("a second stop: %v", err)
	}
	exec(t, f.Member("b"), "admin", "ironport", "version")
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := a.DoorAddrs()["ssh"]; after != before {
		t.Errorf("the SSH door was %v and is %v", before, after)
	}
	exec(t, a, "admin", "ironport", "version")

	stop(t, f)
	if err := a.Start(t.Context()); err == nil {
		t.Error("an appliance starts in a fleet that has ended")
	}
}

// A shard that is started again has the same appliances with the same names, serial numbers, host
// keys and data.
func TestShardsDivideAFleet(t *testing.T) {
	file := load(t, "appliances: [{name: a, count: 4}, {name: b}]\ndefaults: {topology: minimal}", nil)
	var names []string
	seen := map[string]bool{}
	for n := range 2 {
		f, err := fleet.New(fleet.Options{
			File: file, Shard: fleet.Shard{N: n, Of: 2}, Dir: t.TempDir(), HostKeys: oneKey,
			Doors: fleet.Doors{Base: netip.MustParseAddrPort("0.0.0.0:5000")},
		})
		if err != nil {
			t.Fatal(err)
		}
		for i, m := range f.Members() {
			names = append(names, m.Name)
			seen[m.Serial] = true
			if got, want := m.DoorAddrs()["ssh"].Port(), uint16(5000+10*i); got != want {
				t.Errorf("the SSH door of %s in shard %d has port %d, want %d", m.Name, n, got, want)
			}
		}
		stop(t, f)
	}
	if got, want := strings.Join(names, " "), "a-1 a-3 b a-2 a-4"; got != want {
		t.Errorf("the shards have %s, want %s", got, want)
	}
	if len(seen) != len(names) {
		t.Errorf("%d appliances have %d serial numbers", len(names), len(seen))
	}
}

func TestAppliancesHaveLoopbackAddressesOfTheirOwn(t *testing.T) {
	file := load(t, "appliances: [{name: a, count: 300}]\ndefaults: {topology: minimal}", nil)
	f, err := fleet.New(fleet.Options{File: file, Dir: t.TempDir(), HostKeys: oneKey})
	if err != nil {
		t.Fatal(err)
	}
	defer stop(t, f)
	for name, want := range map[string]string{"a-1": "127.10.0.1", "a-254": "127.10.0.254", "a-255": "127.10.1.1"} {
		if got := f.Member(name).DoorAddrs()["ssh"].Addr().String(); got != want {
			t.Errorf("%s has the address %s, want %s", name, got, want)
		}
	}
}

func TestWrongFilesAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"appliances: []":                                                              "no appliance, expected at least one",
		"appliances: [{count: 3}]":                                                    "fleet.yaml:1:14: an appliance without a name",
		"appliances: [{name: A}]":                                                     `fleet.yaml:1:21: "A" cannot be the name of an appliance`,
		"appliances: [{name: a}, {name: a}]":                                          "the name a belongs to a already",
		"appliances: [{name: a, count: 0}]":                                           "count 0, expected a whole number above 0",
		"appliances: [{name: a, count: 2, hostname: x.example.com}]":                  "2 appliances cannot have one host name: write {name}",
		"appliances: [{name: a, count: 2, serial: X}]":                                "2 appliances cannot have one serial number",
		"appliances: [{name: a, serial: X}, {name: b, serial: X}]":                    "the serial number X belongs to a already",
		"appliances: [{name: a, topology: nowhere}]":                                  `there is no topology "nowhere"`,
		"appliances: [{name: a, doors: [telnet]}]":                                    `has no door "telnet": expected some of ssh, ftp`,
		"appliances: [{name: a, version: new}]":                                       `"new"`,
		"appliances: [{name: a, configuration: x}]":                                   "file does not exist",
		"appliances: [{name: a, configuration: bad}]":                                 "unknown element <colour>",
		"appliances: [{name: a, hostname: a b}]":                                      `"a b" is no host name`,
		"appliances: [{name: a, addresses: {Data 9: [10.0.0.1/8]}}]":                  `there is no interface "Data 9"`,
		"appliances: [{name: a, users: [{name: x, role: King}]}]":                     `role "King", expected one of Administrator`,
		"appliances: [{name: a, users: [{name: x, role: Guest, passphrase: short}]}]": "at least 8 characters",
		"defaults: {serial: X}\nappliances: [{name: a}]":                              "all appliances cannot have the same serial",
		"appliances: [{name: a, count: 70000}]":                                       "more than 60000 appliances",
		"appliances: [{name: a, colour: red}]":                                        `unknown key "colour"`,
	} {
		_, err := fleet.Load("fleet.yaml", []byte(text), sources(map[string]string{"bad": "<config><colour/></config>"}))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s:\n got %v\nwant %s", text, err, want)
		}
	}
}

func TestPortsRunOut(t *testing.T) {
	file := load(t, "appliances: [{name: a, count: 3}]\ndefaults: {topology: minimal}", nil)
	_, err := fleet.New(fleet.Options{
		File: file, Dir: t.TempDir(), HostKeys: oneKey,
		Doors: fleet.Doors{Base: netip.MustParseAddrPort("127.0.0.1:65520")},
	})
	const want = "there is no port for the door ssh of a-3: from port 65520 on there are ports for 1 appliances"
	if err == nil || !strings.Contains(err.Error(), "there is no port for the door ssh of a-3") {
		t.Errorf("got %v\nwant %s", err, want)
	}
}
