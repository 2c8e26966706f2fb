package box_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// uplinked is an appliance of which Data 1 leads outside and Data 2 does not.
const uplinked = `
appliance:
  hostname: %[1]s.example.com
  model: C100V
  serial: %[1]s-1
  version: 14.0.0-698
  ntp: []
  dns: [192.0.2.53]
  interfaces:
    - {name: Data 1, device: nic1, addresses: [%[2]s/24], gateway: 192.0.2.1}
    - {name: Data 2, device: nic2, addresses: [198.51.100.25/24], gateway: 198.51.100.1}
hosts:
  - {name: resolver, wire: Data 1, addresses: [192.0.2.53], services: [{type: dns}]}
  - {name: admin, wire: Data 1, addresses: [192.0.2.8]}
  - {name: far, addresses: [203.0.113.5], services: [{type: echo}]}
uplinks:
  - {interface: Data 1, to: "%[3]s"}
clients:
  - {from: appliance, local: "%[2]s:10256", remote: "203.0.113.5:7"}
doors:
  in:
    - {name: http, listen: "127.0.0.1:0", interface: Data 1, service: http}
    - {name: ssh, listen: "127.0.0.1:0", interface: Data 1, service: ssh, source: admin}
    - {name: ftp, listen: "127.0.0.1:0", interface: Data 2, service: ftp}
  seen_as:
    - {from: 0.0.0.0/0, as: 203.0.113.5}
`

// newUplinked returns a box that is not running. change may change its topology.
func newUplinked(
	t *testing.T, name, addr, to string, change ...func(*topology.Topology) *topology.Topology,
) *box.Box {
	t.Helper()
	topo, err := box.LoadTopology(name, fmt.Appendf(nil, uplinked, name, addr, to))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range change {
		topo = f(topo)
	}
	b, err := box.New(box.Options{
		Topology: topo, Dir: t.TempDir(), HostKey: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Stop(context.Background()) })
	return b
}

// waitConnected waits until the only uplink of each box is connected.
func waitConnected(t *testing.T, boxes ...*box.Box) {
	t.Helper()
	for _, b := range boxes {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		for !b.Uplinks()[0].Connected {
			if clock.System().Sleep(ctx, time.Millisecond) != nil {
				t.Fatalf("the uplink is not connected: %+v", b.Uplinks())
			}
		}
	}
}

// version logs in to an address from an appliance, or through a real connection, and runs version.
func version(t *testing.T, conn network.Conn) string {
	t.Helper()
	conn.SetDeadline(time.Now().Add(2 * time.Minute))
	c, chans, reqs, err := ssh.NewClientConn(conn, "appliance", &ssh.ClientConfig{
		User: "admin", Auth: []ssh.AuthMethod{ssh.Password("ironport")},
		HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	if err != nil {
		t.Fatal(err)
	}
	client := ssh.NewClient(c, chans, reqs)
	defer client.Close()
	s, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	out, err := s.Output("version")
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func dialFrom(t *testing.T, b *box.Box, to string) network.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	conn, err := b.Appliance().Net.Dial(ctx, network.DialConfig{Remote: netip.MustParseAddrPort(to)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func TestTwoAppliancesOnOneCable(t *testing.T) {
	cable := "unix:" + filepath.Join(t.TempDir(), "cable")
	a, b := newUplinked(t, "a", "192.0.2.25", cable), newUplinked(t, "b", "192.0.2.26", cable)
	for _, x := range []*box.Box{a, b} {
		if err := x.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	waitConnected(t, a, b)
	for range 2 {
		if out := version(t, dialFrom(t, a, "192.0.2.26:22")); !strings.Contains(out, "b-1") {
			t.Errorf("b says\n%s", out)
		}
		if out := version(t, dialFrom(t, b, "192.0.2.25:22")); !strings.Contains(out, "a-1") {
			t.Errorf("a says\n%s", out)
		}
		// After a reset, the cable is still the same.
		if err := b.Reset(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !a.Uplinks()[0].Connected || !b.Uplinks()[0].Connected {
			t.Error("the reset has disconnected the cable")
		}
	}
	// Simulated networks are behind the other interface.
	err := a.Appliance().Net.(network.Configurer).SetRoutes([]network.Route{
		{Dst: netip.MustParsePrefix("203.0.113.0/24"), Gateway: netip.MustParseAddr("198.51.100.1")},
	})
	if err != nil {
		t.Fatal(err)
	}
	echo(t, dialFrom(t, a, "203.0.113.5:7"))
}

// What crosses an uplink can be watched. Machines that the uplink replaces have no cable.
func TestUplinksAreWatched(t *testing.T) {
	cable := "unix:" + filepath.Join(t.TempDir(), "cable")
	a, b := newUplinked(t, "a", "192.0.2.25", cable), newUplinked(t, "b", "192.0.2.26", cable)
	for _, x := range []*box.Box{a, b} {
		if err := x.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	waitConnected(t, a, b)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	w, err := a.Watch(ctx, "uplink/Data 1", "tcp dst port 22 and dst host 192.0.2.26")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	version(t, dialFrom(t, a, "192.0.2.26:22"))
	if _, err := w.Next(ctx); err != nil {
		t.Error(err)
	}
	for _, c := range a.Cables() {
		if c.Name == "resolver" || c.Name == "gateway/Data 1" {
			t.Errorf("%s is not simulated and has a cable", c.Name)
		}
	}
}

// Doors to a real network are off, unless their clients have an address there.
func TestDoorsToRealNetworks(t *testing.T) {
	b := newUplinked(t, "a", "192.0.2.25", "unix:"+filepath.Join(t.TempDir(), "cable"))
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	addrs := b.DoorAddrs()
	if addrs["http"].IsValid() || !addrs["ssh"].IsValid() || !addrs["ftp"].IsValid() {
		t.Errorf("doors: %v", addrs)
	}
	if b.Appliance().Net.Interfaces()[0].NoCarrier != true {
		t.Error("there is a carrier without another end")
	}
	asked := newUplinked(t, "a", "192.0.2.25", "unix:x").DoorAddrs()
	if len(asked) != 0 {
		t.Errorf("doors before the start: %v", asked)
	}
}

// The frames of a simulated neighbor stay inside, and its door works while there is a carrier.
func TestDoorWithASource(t *testing.T) {
	cable := "unix:" + filepath.Join(t.TempDir(), "cable")
	a, b := newUplinked(t, "a", "192.0.2.25", cable), newUplinked(t, "b", "192.0.2.26", cable)
	for _, x := range []*box.Box{a, b} {
		if err := x.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	waitConnected(t, a, b)
	client, err := ssh.Dial("tcp", a.DoorAddrs()["ssh"].String(), &ssh.ClientConfig{
		User: "admin", Auth: []ssh.AuthMethod{ssh.Password("ironport")},
		HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	sockets, err := a.Appliance().Net.Sockets()
	if err != nil {
		t.Fatal(err)
	}
	from := func(s network.Socket) bool {
		return s.State == "ESTABLISHED" && s.Remote.Addr() == netip.MustParseAddr("192.0.2.8")
	}
	if !slices.ContainsFunc(sockets, from) {
		t.Errorf("no connection from the source of the door: %+v", sockets)
	}
	for _, s := range sockets {
		if s.Remote.Addr() == netip.MustParseAddr("203.0.113.5") {
			t.Errorf("the connection of the topology is opened to the outside: %+v", s)
		}
	}
	// b has heard a's frames only: the neighbor is another machine for it, its own.
	neighbors, err := b.Appliance().Net.Neighbors()
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range neighbors {
		if n.Addr == netip.MustParseAddr("192.0.2.8") {
			t.Errorf("b knows the neighbor of a: %+v", n)
		}
	}
}

// Exposed machines are outside too: the other appliance uses the gateway, the host behind it and
// the name server.
func TestExposedWire(t *testing.T) {
	cable := "unix:" + filepath.Join(t.TempDir(), "cable")
	expose := func(topo *topology.Topology) *topology.Topology {
		u := topo.Uplinks[0]
		u.Expose = true
		return topo.WithUplink(u)
	}
	a, b := newUplinked(t, "a", "192.0.2.25", cable, expose), newUplinked(t, "b", "192.0.2.26", cable)
	for _, x := range []*box.Box{a, b} {
		if err := x.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	waitConnected(t, a, b)
	if addrs := a.DoorAddrs(); !addrs["http"].IsValid() {
		t.Errorf("a door of a wire that is simulated is off: %v", addrs)
	}
	echo(t, dialFrom(t, b, "203.0.113.5:7"))
}

func echo(t *testing.T, conn network.Conn) {
	t.Helper()
	conn.SetDeadline(time.Now().Add(2 * time.Minute))
	fmt.Fprint(conn, "hello")
	buf := make([]byte, 5)
	if _, err := conn.Read(buf); err != nil || string(buf) != "hello" {
		t.Errorf("the echo of a host behind a gateway is %q, %v", buf, err)
	}
}

func TestSameApplianceTwiceIsRefused(t *testing.T) {
	cable := "unix:" + filepath.Join(t.TempDir(), "cable")
	a, b := newUplinked(t, "a", "192.0.2.25", cable), newUplinked(t, "a", "192.0.2.25", cable, patient)
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "has the MAC address") {
		t.Errorf("the second appliance starts: %v", err)
	}
}

// patient lets the other machine take its time to say that an address is its own.
func patient(topo *topology.Topology) *topology.Topology {
	u := topo.Uplinks[0]
	u.ProbeTime = time.Minute
	return topo.WithUplink(u)
}
