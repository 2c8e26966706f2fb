package box_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/appliance/resolver"
)

// leased is an appliance whose Management interface asks a simulated server for its address.
const leased = `
appliance:
  hostname: mail.example.com
  model: C100V
  serial: lease-1
  version: 14.0.0-698
  ntp: []
  dns: [203.0.113.53]
  interfaces:
    - {name: Management, device: nic0, dhcp: true, gateway: 192.0.2.1/24}
hosts:
  - name: server
    wire: Management
    addresses: [192.0.2.2]
    services:
      - {type: dhcp, options: {range: 192.0.2.100-192.0.2.101, dns: "192.0.2.2", domain: example.com}}
      - {type: dns}
  - {name: resolver, addresses: [203.0.113.53], services: [{type: dns}]}
doors:
  in:
    - {name: ssh, listen: "127.0.0.1:0", interface: Management, service: ssh}
  seen_as:
    - {from: 0.0.0.0/0, as: 203.0.113.5}
`

// newLeased returns a box that is not running, whose directory is dir.
func newLeased(t *testing.T, text, dir string, change ...func(*box.Options)) *box.Box {
	t.Helper()
	topo, err := box.LoadTopology("leased.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	o := box.Options{
		Topology: topo, Dir: dir, HostKey: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)),
	}
	for _, f := range change {
		f(&o)
	}
	b, err := box.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Stop(context.Background()) })
	return b
}

func start(t *testing.T, b *box.Box) {
	t.Helper()
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// waitFor waits until the lease of an interface fits.
func waitFor(t *testing.T, b *box.Box, ifname, what string, fits func(*box.Lease) bool) *box.Lease {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for {
		l := b.Lease(ifname)
		if l != nil && fits(l) {
			return l
		}
		if clock.System().Sleep(ctx, time.Millisecond) != nil {
			t.Fatalf("the lease of %s is %+v, want %s", ifname, l, what)
		}
	}
}

func waitBound(t *testing.T, b *box.Box, ifname string) *box.Lease {
	t.Helper()
	return waitFor(t, b, ifname, "bound", func(l *box.Lease) bool { return l.State == "bound" })
}

// addrs returns the addresses that the appliance has on an interface.
func addrs(b *box.Box, ifname string) (list []netip.Prefix) {
	for _, i := range b.Appliance().Net.Interfaces() {
		if i.Name == ifname {
			list = i.Addrs
		}
	}
	return list
}

// overDoor logs in through the door and runs version.
func overDoor(t *testing.T, b *box.Box) string {
	t.Helper()
	c := dialSSH(t, b)
	s, err := c.NewSession()
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

// A new appliance gets its address, the gateway and the name servers from the simulated server. The
// door opens when it has them, and interfaceconfig shows the address.
func TestAddressByDHCP(t *testing.T) {
	b := newLeased(t, leased, t.TempDir())
	start(t, b)
	l := waitBound(t, b, "Management")
	want := netip.MustParsePrefix("192.0.2.100/24")
	if l.Address != want || l.Server != netip.MustParseAddr("192.0.2.2") ||
		fmt.Sprint(l.Routers, l.DNS) != "[192.0.2.1] [192.0.2.2]" || l.Domain != "example.com" ||
		l.Expires.Sub(l.Obtained) != time.Hour || l.Renews.Sub(l.Obtained) != 30*time.Minute {
		t.Errorf("the lease is %+v", l)
	}
	if got := addrs(b, "Management"); len(got) != 1 || got[0] != want {
		t.Errorf("the interface has %v", got)
	}
	c := b.Appliance().Config.Committed()
	if g := netconfig.Gateways.Get(c).IPv4; g != netip.MustParseAddr("192.0.2.1") {
		t.Errorf("the gateway is %v", g)
	}
	if s := resolver.DNS.Get(c).Servers; len(s) != 1 || s[0].Addr != l.DNS[0] {
		t.Errorf("the DNS servers are %v", s)
	}
	if c.Revision() != 0 {
		t.Errorf("the configuration is revision %d: a lease is no commit", c.Revision())
	}
	if out := overDoor(t, b); !strings.Contains(out, "lease-1") {
		t.Errorf("over the door:\n%s", out)
	}
	server, err := b.World().DHCPServer("server/dhcp")
	if err != nil {
		t.Fatal(err)
	}
	mac := b.Appliance().Net.Interfaces()[0].MAC.String()
	if got := server.Leases(); len(got) != 1 || got[0].Address != want.Addr() || got[0].MAC != mac ||
		got[0].HostName != "mail.example.com" || got[0].State != "bound" {
		t.Errorf("the server has %+v", got)
	}
	tables, err := b.Tables("")
	if err != nil || tables.Interfaces[0].DHCP == nil || tables.Interfaces[0].DHCP.Address != want {
		t.Errorf("the interfaces are %+v, %v", tables.Interfaces, err)
	}
}

// A reboot and a restart ask for the same address again, and an administrator's settings hold.
func TestAddressOfDHCPLastsUntilACommit(t *testing.T) {
	dir := t.TempDir()
	b := newLeased(t, strings.ReplaceAll(leased, ".100-192", ".90-192"), dir)
	start(t, b)
	first := waitBound(t, b, "Management").Address
	if err := b.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The other range shows that the address is not simply the first one again.
	b = newLeased(t, strings.ReplaceAll(leased, ".100-192", ".80-192"), dir)
	start(t, b)
	if l := waitBound(t, b, "Management"); l.Address != first {
		t.Errorf("after a restart the address is %v, before it was %v", l.Address, first)
	}
	static := netip.MustParseAddr("192.0.2.7")
	a := b.Appliance()
	err := netconfig.Interfaces.CommitNow(t.Context(), a.Config, nil, config.CommitInfo{User: "admin"},
		func(v *netconfig.IPInterfaces) error {
			v.List[0].IPv4 = static
			return nil
		})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for b.Lease("Management") != nil {
		if clock.System().Sleep(ctx, time.Millisecond) != nil {
			t.Fatalf("DHCP goes on: %+v", b.Lease("Management"))
		}
	}
	if got := addrs(b, "Management"); len(got) != 1 || got[0].Addr() != static {
		t.Errorf("the interface has %v", got)
	}
	if g := netconfig.Gateways.Get(a.Config.Committed()).IPv4; !g.IsValid() {
		t.Error("the gateway is gone")
	}
	if err := b.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	b = newLeased(t, leased, dir)
	start(t, b)
	if got := addrs(b, "Management"); len(got) != 1 || got[0].Addr() != static || b.Lease("Management") != nil {
		t.Errorf("after a restart: %v, %+v", got, b.Lease("Management"))
	}
	// The factory configuration asks again, for the address of the last lease.
	d := b.Appliance().Config.NewDraft()
	b.Appliance().Config.ResetToFactory(d)
	if _, err := b.Appliance().Config.Commit(t.Context(), d, config.CommitInfo{User: "admin"}); err != nil {
		t.Fatal(err)
	}
	waitBound(t, b, "Management")
}

// Without an answer for a minute, the interface gets its fallback. The first server that answers
// later gives it a lease.
func TestFallbackIfNoDHCPServerAnswers(t *testing.T) {
	fake := clock.NewFake(time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC))
	text := strings.Replace(leased, "{type: dhcp, options", "{type: dhcp, stopped: true, options", 1)
	b := newLeased(t, text, t.TempDir(), func(o *box.Options) { o.Clock = fake })
	start(t, b)
	advanceUntil(t, fake, func() bool { l := b.Lease("Management"); return l != nil && l.State == "fallback" })
	if got := addrs(b, "Management"); fmt.Sprint(got) != "[192.168.42.42/24]" {
		t.Errorf("the fallback is %v", got)
	}
	if err := b.World().StartServer(t.Context(), "server/dhcp"); err != nil {
		t.Fatal(err)
	}
	advanceUntil(t, fake, func() bool { return b.Lease("Management").State == "bound" })
	if got := addrs(b, "Management"); fmt.Sprint(got) != "[192.0.2.100/24]" {
		t.Errorf("the interface has %v", got)
	}
}

// advanceUntil advances a clock by a second at a time until done, with time for packets in between.
func advanceUntil(t *testing.T, fake *clock.Fake, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for !done() {
		fake.Advance(time.Second)
		if clock.System().Sleep(ctx, 2*time.Millisecond) != nil {
			t.Fatal("timeout")
		}
	}
}

// A lease is renewed by unicast, and lost if the server refuses it or does not answer until it ends.
func TestLeaseIsRenewedAndLost(t *testing.T) {
	fake := clock.NewFake(time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC))
	b := newLeased(t, leased, t.TempDir(), func(o *box.Options) { o.Clock = fake })
	start(t, b)
	first := waitBound(t, b, "Management")
	advanceUntil(t, fake, func() bool { return b.Lease("Management").Obtained.After(first.Obtained) })
	server, err := b.World().DHCPServer("server")
	if err != nil {
		t.Fatal(err)
	}
	// The clock runs ahead of the packets, so the client may repeat what it has not yet an answer to.
	if got := fmt.Sprint(server.Report()); !strings.Contains(got, "DHCPDISCOVER:1 ") ||
		strings.Contains(got, "DHCPREQUEST:1]") {
		t.Errorf("the server reports %s", got)
	}
	if err := b.World().StopServer("server/dhcp"); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	advanceUntil(t, fake, func() bool {
		l := b.Lease("Management")
		seen[l.State] = true
		return l.State == "selecting"
	})
	if !seen["renewing"] || !seen["rebinding"] {
		t.Errorf("the states were %v", seen)
	}
	if got := addrs(b, "Management"); len(got) != 0 {
		t.Errorf("after the lease has expired the interface has %v", got)
	}
}

// A static address of another machine is not taken.
func TestAddressInUseIsDeclined(t *testing.T) {
	text := strings.Replace(leased, "doors:",
		"  - {name: squatter, wire: Management, addresses: [192.0.2.100]}\ndoors:", 1)
	b := newLeased(t, text, t.TempDir(), func(o *box.Options) { o.ClockRate = 60 })
	start(t, b)
	if l := waitBound(t, b, "Management"); l.Address != netip.MustParsePrefix("192.0.2.101/24") {
		t.Errorf("the address is %v", l.Address)
	}
	server, _ := b.World().DHCPServer("server")
	if got := server.Leases()[0]; got.State != "declined" {
		t.Errorf("the first lease is %+v", got)
	}
}

func TestTopologiesWithDHCP(t *testing.T) {
	for _, test := range []struct{ old, text, want string }{
		{"dhcp: true", "dhcp: true, addresses: [192.0.2.7/24, 192.0.2.8/24]", "second IPv4 address"},
		{"    wire: Management\n    addresses: [192.0.2.2]", "    addresses: [203.0.113.2]", "wire and an IPv4 address"},
		{"range: 192.0.2.100-192.0.2.101", "range: 192.0.2.100", "two IPv4 addresses"},
		{"range: 192.0.2.100-192.0.2.101", "lease: soon", "a time such as 1h"},
	} {
		_, err := box.LoadTopology("leased.yaml", []byte(strings.Replace(leased, test.old, test.text, 1)))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %s", test.text, err, test.want)
		}
	}
	_, err := box.LoadTopology("leased.yaml", []byte(leased), topology.DHCPClient("Data 7"))
	if err == nil || !strings.Contains(err.Error(), `no interface is called "Data 7", expected one of Management`) {
		t.Errorf("an unknown interface: %v", err)
	}
}

// A lease file that is damaged is ignored.
func TestDamagedLeasesAreIgnored(t *testing.T) {
	for _, text := range []string{"", "{", `{"Management":{}}`, `{"Management":{"address":"0.0.0.0/0"}}`} {
		dir := t.TempDir()
		if err := os.MkdirAll(filepath.Join(dir, "state"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "state", "leases"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		b := newLeased(t, leased, dir)
		start(t, b)
		waitBound(t, b, "Management")
	}
}

// Faults apply to the frames of DHCP, and a capture of the interface has them although it has no
// address.
func TestFaultsApplyToDHCP(t *testing.T) {
	text := leased + `rules:
  - {name: lost, action: drop, protocol: udp, port: 67}
`
	b := newLeased(t, text, t.TempDir(), func(o *box.Options) { o.ClockRate = 60 })
	start(t, b)
	waitFor(t, b, "Management", "fallback", func(l *box.Lease) bool { return l.State == "fallback" })
	if c, err := b.Appliance().Net.Counters("Management"); err != nil || c.TxPackets < 5 {
		t.Errorf("the counters are %+v, %v", c, err) // four DISCOVERs at least, and probes by ARP
	}
	server, err := b.World().DHCPServer("server")
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(server.Report()); strings.Contains(got, "DISCOVER") {
		t.Errorf("the server has received %s", got)
	}
	for _, f := range b.Faults().List() {
		if err := b.Faults().Remove(f.ID); err != nil {
			t.Fatal(err)
		}
	}
	waitBound(t, b, "Management")
}

// An appliance whose cable is unplugged and plugged in asks the server whether its address is right.
func TestUnpluggedCableOfALease(t *testing.T) {
	b := newLeased(t, leased, t.TempDir())
	start(t, b)
	first := waitBound(t, b, "Management")
	server, err := b.World().DHCPServer("server")
	if err != nil {
		t.Fatal(err)
	}
	rule := topology.Rule{Action: topology.Unplug, Cable: "Management"}
	for range 2 { // once for a moment
		before := fmt.Sprint(server.Report())
		f, err := b.Faults().Add(rule)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Faults().Remove(f.ID); err != nil {
			t.Fatal(err)
		}
		waitFor(t, b, "Management", "confirmed", func(l *box.Lease) bool {
			return l.State == "bound" && fmt.Sprint(server.Report()) != before && l.Address == first.Address
		})
	}
	if got := fmt.Sprint(server.Report()); !strings.Contains(got, "DHCPDISCOVER:1") ||
		!strings.Contains(got, "DHCPREQUEST:3") {
		t.Errorf("the server reports %s", got)
	}
}

// A snapshot has the leases of the server, whose client has the same address after it is restored.
func TestSnapshotHasLeases(t *testing.T) {
	dir := t.TempDir()
	b := newLeased(t, leased, dir)
	start(t, b)
	first := waitBound(t, b, "Management")
	waitUntil(t, func() bool { // the lease is in use before it is saved
		_, err := os.Stat(filepath.Join(dir, "state", "leases"))
		return err == nil
	})
	if _, err := b.Snapshot(t.Context(), "leased"); err != nil {
		t.Fatal(err)
	}
	if err := b.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.Restore(t.Context(), "leased"); err != nil {
		t.Fatal(err)
	}
	server, err := b.World().DHCPServer("server")
	if err != nil {
		t.Fatal(err)
	}
	if got := server.Leases(); len(got) != 1 || got[0].Address != first.Address.Addr() || got[0].State != "bound" {
		t.Errorf("the server has %+v", got)
	}
	if l := waitBound(t, b, "Management"); l.Address != first.Address {
		t.Errorf("the client has %v, want %v", l.Address, first.Address)
	}
	if got := fmt.Sprint(server.Report()); !strings.Contains(got, "DHCPDISCOVER:1") ||
		!strings.Contains(got, "DHCPREQUEST:2") {
		t.Errorf("the server reports %s", got)
	}
}
