package appliance_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/capture"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/daemon"
	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/refusal"
)

// acceptSSH accepts connections to the port of SSH until the test ends.
func acceptSSH(t *testing.T, app *appliance.Appliance) (accepted <-chan net.Conn) {
	t.Helper()
	l, err := app.Daemons.Listen(t.Context(), daemon.SSHPort())
	if err != nil {
		t.Fatal(err)
	}
	conns := make(chan net.Conn, 16)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns <- c
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
		close(conns)
		for c := range conns {
			c.Close()
		}
	})
	return conns
}

// dialSSH connects to the port of SSH from another host of the appliance's network.
func dialSSH(t *testing.T, w *netsim.World) network.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	c, err := w.Hosts().Dial(ctx, network.DialConfig{
		Local:  netip.MustParseAddrPort("192.0.2.53:0"),
		Remote: netip.MustParseAddrPort("192.0.2.25:22"),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// listening returns the open ports, each with its process.
func listening(t *testing.T, app *appliance.Appliance) []string {
	t.Helper()
	sockets, err := app.Net.Sockets()
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, s := range sockets {
		if s.State == "LISTEN" {
			list = append(list, s.Local.String()+" "+s.Owner)
		}
	}
	slices.Sort(list)
	return list
}

func wantListening(t *testing.T, app *appliance.Appliance, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, listening(t, app)); diff != "" {
		t.Error("open ports:\n", diff)
	}
}

// A failingNetwork fails at one of the calls that change it.
type failingNetwork struct {
	network.Network
	c network.Configurer

	mu        sync.Mutex
	remaining int    // calls that succeed before the one that fails; negative: all succeed
	failed    string // the call that failed
}

var errInjected = errors.New("injected failure")

func newFailingNetwork(n network.Network) *failingNetwork {
	return &failingNetwork{Network: n, c: n.(network.Configurer), remaining: -1}
}

// failAfter makes the call after the next n calls fail.
func (f *failingNetwork) failAfter(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.remaining, f.failed = n, ""
}

func (f *failingNetwork) call(name string, do func() error) error {
	f.mu.Lock()
	fails := f.remaining == 0
	f.remaining--
	if fails {
		f.failed = name
	}
	f.mu.Unlock()
	if fails {
		return errInjected
	}
	return do()
}

func (f *failingNetwork) SetAddrs(name string, addrs []netip.Prefix) error {
	return f.call("SetAddrs "+name, func() error { return f.c.SetAddrs(name, addrs) })
}

func (f *failingNetwork) SetMTU(name string, mtu int) error {
	return f.call("SetMTU "+name, func() error { return f.c.SetMTU(name, mtu) })
}

func (f *failingNetwork) SetMedia(name string, m network.Media) error {
	return f.call("SetMedia "+name, func() error { return f.c.SetMedia(name, m) })
}

func (f *failingNetwork) SetVLANs(vlans []network.VLAN) error {
	return f.call("SetVLANs", func() error { return f.c.SetVLANs(vlans) })
}

func (f *failingNetwork) SetLoopback(on bool) error {
	return f.call("SetLoopback", func() error { return f.c.SetLoopback(on) })
}

func (f *failingNetwork) AcceptMulticastARP(accept bool) error {
	return f.call("AcceptMulticastARP", func() error { return f.c.AcceptMulticastARP(accept) })
}

func (f *failingNetwork) SetRoutes(routes []network.Route) error {
	return f.call("SetRoutes", func() error { return f.c.SetRoutes(routes) })
}

func (f *failingNetwork) AbortConns() int { return f.c.AbortConns() }

// A netstat is the state of a network as the command netstat shows it.
type netstat struct {
	Interfaces []network.Interface
	Routes     []network.Route
	Listening  []string
}

func readNetstat(t *testing.T, app *appliance.Appliance) netstat {
	t.Helper()
	routes, err := app.Net.Routes()
	if err != nil {
		t.Fatal(err)
	}
	return netstat{app.Net.Interfaces(), routes, listening(t, app)}
}

func wantNetstat(t *testing.T, app *appliance.Appliance, want netstat) {
	t.Helper()
	sameAddr := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
	samePrefix := cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
	got := readNetstat(t, app)
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), sameAddr, samePrefix); diff != "" {
		t.Error("the network has changed:\n", diff)
	}
}

// changeAll changes every section of the network: MTU, media, two new ports with an IP interface on
// each, static routes, and ARP.
func changeAll(d *config.Draft) {
	netconfig.Ports.Set(d, netconfig.PortList{List: []netconfig.Port{
		{Name: "Data 1", Ethernet: "Data 1", MTU: 1400},
		{Name: "VLAN 12", Ethernet: "Data 1", MTU: 1200, VLAN: 12},
	}})
	netconfig.Media.Set(d, netconfig.MediaSettings{List: []netconfig.MediaSetting{
		{Interface: "Data 1", Type: "100baseTX", Options: "half-duplex"},
	}})
	netconfig.Loopback.Set(d, true)
	netconfig.MulticastARP.Set(d, 1)
	vlan, shared := data1, data1
	vlan.Name, vlan.Port, vlan.IPv4 = "Lab", "VLAN 12", netip.MustParseAddr("192.168.12.7")
	shared.Name, shared.Port = "Shared", netconfig.LoopbackPort
	shared.IPv4, shared.Netmask = netip.MustParseAddr("203.0.113.80"), "255.255.255.255"
	netconfig.Interfaces.Set(d, netconfig.IPInterfaces{
		List: []netconfig.IPInterface{data1, vlan, shared},
	})
	netconfig.Routes.Set(d, netconfig.RouteList{List: []netconfig.StaticRoute{
		{
			Name:        "Near",
			Destination: netip.MustParsePrefix("198.51.100.0/25"),
			Gateway:     netip.MustParseAddr("192.0.2.53"),
		},
		{
			Name:        "Far",
			Destination: netip.MustParsePrefix("192.168.13.0/24"),
			Gateway:     netip.MustParseAddr("192.168.12.1"),
		},
	}})
}

func TestCommitChangesNetwork(t *testing.T) {
	app := newAppliance(t, newWorld(t))
	acceptSSH(t, app)
	before := readNetstat(t, app)
	d := app.Config.NewDraft()
	changeAll(d)
	if _, err := app.Config.Commit(t.Context(), d, config.CommitInfo{}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, i := range app.Net.Interfaces() {
		got = append(got, strings.Join(append([]string{i.Name, i.Parent}, addrTexts(i.Addrs)...), " "))
		switch i.Name {
		case "Data 1":
			if i.MTU != 1400 || i.Media != (network.Media{Rate: 100_000_000, HalfDuplex: true}) {
				t.Errorf("Data 1 is %+v", i)
			}
		case "VLAN 12":
			if i.MTU != 1200 || i.VLAN != 12 {
				t.Errorf("the VLAN is %+v", i)
			}
		}
	}
	want := []string{
		"Data 1  192.0.2.25/24",
		"VLAN 12 Data 1 192.168.12.7/24",
		"Loopback  203.0.113.80/32",
		"lo0  127.0.0.1/8 ::1/128",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("interfaces:\n", diff)
	}
	wantListening(t, app, "192.0.2.25:22 ginetd", "192.168.12.7:22 ginetd", "203.0.113.80:22 ginetd")
	wantRoutes(t, app,
		"0.0.0.0/0 192.0.2.1 Data 1",
		"192.168.13.0/24 192.168.12.1 VLAN 12",
		"198.51.100.0/25 192.0.2.53 Data 1")

	app.Config.ResetToFactory(d)
	if _, err := app.Config.Commit(t.Context(), d, config.CommitInfo{}); err != nil {
		t.Fatal(err)
	}
	// The factory lists no ports, so the network keeps its last MTU.
	for i := range before.Interfaces {
		if before.Interfaces[i].Name == "Data 1" {
			before.Interfaces[i].MTU = 1400
		}
	}
	for i := range before.Routes {
		if before.Routes[i].MTU == 1500 {
			before.Routes[i].MTU = 1400
		}
	}
	wantNetstat(t, app, before)
}

func addrTexts(list []netip.Prefix) (texts []string) {
	for _, p := range list {
		texts = append(texts, p.String())
	}
	return texts
}

// wantRoutes compares the routes that have a gateway.
func wantRoutes(t *testing.T, app *appliance.Appliance, want ...string) {
	t.Helper()
	rows, err := app.Net.Routes()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range rows {
		if r.Gateway.IsValid() {
			got = append(got, r.Dst.String()+" "+r.Gateway.String()+" "+r.Interface)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("routes:\n", diff)
	}
}

// Whichever call to the network fails, the calls before it are undone, and established connections
// are not affected.
func TestCommitIsUndoneIfNetworkFails(t *testing.T) {
	w := newWorld(t)
	net := newFailingNetwork(w.Network())
	f := config.NewFactory()
	netconfig.Interfaces.SetFactory(f, netconfig.IPInterfaces{List: []netconfig.IPInterface{data1}})
	netconfig.Gateways.SetFactory(f, netconfig.DefaultGateways{IPv4: netip.MustParseAddr("192.0.2.1")})
	netconfig.Ports.SetFactory(f, netconfig.PortList{
		List: []netconfig.Port{{Name: "Data 1", Ethernet: "Data 1", MTU: 1500}},
	})
	app := open(t, appliance.Options{Net: net, Dir: t.TempDir(), Factory: f})
	accepted := acceptSSH(t, app)
	client := dialSSH(t, w)
	conn := <-accepted
	before := readNetstat(t, app)
	// The change also replaces the address of data1.
	change := func(d *config.Draft) {
		changeAll(d)
		l := netconfig.Interfaces.Get(d)
		l.List[0].IPv4 = netip.MustParseAddr("192.0.2.26")
		netconfig.Interfaces.Set(d, l)
	}
	failed := map[string]bool{}
	for n := 0; ; n++ {
		d := app.Config.NewDraft()
		change(d)
		net.failAfter(n)
		_, err := app.Config.Commit(t.Context(), d, config.CommitInfo{})
		if err == nil { // the commit makes at most n calls, apart from those in Done
			break
		}
		failed[net.failed] = true
		if text, _ := refusal.Text(err); !errors.Is(err, errInjected) || !strings.HasSuffix(text, ".") {
			t.Errorf("%s: %v, want a refusal", net.failed, err)
		}
		wantNetstat(t, app, before)
		if _, err := client.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			t.Fatalf("%s: a connection from before the commit: %v", net.failed, err)
		}
		if t.Failed() {
			return
		}
	}
	for _, call := range []string{
		"SetVLANs", "SetLoopback", "SetMedia Data 1", "SetMTU Data 1", "SetMTU VLAN 12",
		"AcceptMulticastARP", "SetAddrs Data 1", "SetAddrs VLAN 12", "SetAddrs Loopback", "SetRoutes",
	} {
		if !failed[call] {
			t.Errorf("%s was not made to fail", call)
		}
	}
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNABORTED) {
		t.Errorf("after the commit, a connection of the removed address: %v", err)
	}
}

// Removing a VLAN ends the listeners, connections and captures on it.
func TestRemovedPortEndsConnections(t *testing.T) {
	app := newAppliance(t, newWorld(t))
	accepted := acceptSSH(t, app)
	d := app.Config.NewDraft()
	changeAll(d)
	if _, err := app.Config.Commit(t.Context(), d, config.CommitInfo{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	to := netip.MustParseAddrPort("192.168.12.7:22")
	client, err := app.Net.Dial(ctx, network.DialConfig{Remote: to})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	conn := <-accepted
	settings := app.Captures.Settings()
	settings.Interfaces = []string{"VLAN 12"}
	if err := app.Captures.SetSettings(settings); err != nil {
		t.Fatal(err)
	}
	if _, err := app.Captures.Start(ctx, capture.Owner{Side: capture.CLI}); err != nil {
		t.Fatal(err)
	}
	app.Config.ResetToFactory(d)
	if _, err := app.Config.Commit(t.Context(), d, config.CommitInfo{}); err != nil {
		t.Fatal(err)
	}
	// Both ends are aborted, and the reset of the one may reach the other first.
	_, err = conn.Read(make([]byte, 1))
	if !errors.Is(err, syscall.ECONNABORTED) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a connection over the VLAN: %v", err)
	}
	if s := app.Captures.Status(capture.CLI); s.Running || s.Reason != capture.InterfaceGone {
		t.Errorf("a capture on the VLAN: %+v", s)
	}
	wantListening(t, app, "192.0.2.25:22 ginetd")
}

func TestNetworkAfterRestart(t *testing.T) {
	dir := t.TempDir()
	f := config.NewFactory()
	netconfig.Interfaces.SetFactory(f, netconfig.IPInterfaces{List: []netconfig.IPInterface{data1}})
	first, err := appliance.New(appliance.Options{Net: newWorld(t).Network(), Dir: dir, Factory: f})
	if err != nil {
		t.Fatal(err)
	}
	d := first.Config.NewDraft()
	changeAll(d)
	if _, err := first.Config.Commit(t.Context(), d, config.CommitInfo{}); err != nil {
		t.Fatal(err)
	}
	before := readNetstat(t, first)
	if err := first.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	second := open(t, appliance.Options{Net: newWorld(t).Network(), Dir: dir, Factory: f})
	wantNetstat(t, second, before)
}
