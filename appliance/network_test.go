package appliance_test

import (
	"context"
	"errors"
	"net/netip"
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
	"github.com/esasim/esasim/appliance/refusal"
)

// A frail network fails at one of the calls that change it.
type frail struct {
	network.Network
	c network.Configurer

	mu   sync.Mutex
	left int    // calls that succeed before the one that fails; negative: all do
	hit  string // the call that failed
}

var errFrail = errors.New("the network has failed")

func newFrail(n network.Network) *frail {
	return &frail{Network: n, c: n.(network.Configurer), left: -1}
}

// failAfter lets a call fail once n have succeeded; a negative n lets none.
func (f *frail) failAfter(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left, f.hit = n, ""
}

func (f *frail) call(name string, do func() error) error {
	f.mu.Lock()
	fails := f.left == 0
	f.left--
	if fails {
		f.hit = name
	}
	f.mu.Unlock()
	if fails {
		return errFrail
	}
	return do()
}

func (f *frail) SetAddrs(name string, addrs []netip.Prefix) error {
	return f.call("SetAddrs "+name, func() error { return f.c.SetAddrs(name, addrs) })
}

func (f *frail) SetMTU(name string, mtu int) error {
	return f.call("SetMTU "+name, func() error { return f.c.SetMTU(name, mtu) })
}

func (f *frail) SetMedia(name string, m network.Media) error {
	return f.call("SetMedia "+name, func() error { return f.c.SetMedia(name, m) })
}

func (f *frail) SetVLANs(vlans []network.VLAN) error {
	return f.call("SetVLANs", func() error { return f.c.SetVLANs(vlans) })
}

func (f *frail) SetLoopback(on bool) error {
	return f.call("SetLoopback", func() error { return f.c.SetLoopback(on) })
}

func (f *frail) AcceptMulticastARP(accept bool) error {
	return f.call("AcceptMulticastARP", func() error { return f.c.AcceptMulticastARP(accept) })
}

func (f *frail) SetRoutes(routes []network.Route) error {
	return f.call("SetRoutes", func() error { return f.c.SetRoutes(routes) })
}

func (f *frail) AbortConns() int { return f.c.AbortConns() }

// A sight is what netstat shows of a network.
type sight struct {
	Interfaces []network.Interface
	Routes     []network.Route
	Listening  []string
}

func see(t *testing.T, app *appliance.Appliance) sight {
	t.Helper()
	routes, err := app.Net.Routes()
	if err != nil {
		t.Fatal(err)
	}
	return sight{app.Net.Interfaces(), routes, listening(t, app)}
}

func wantSight(t *testing.T, app *appliance.Appliance, want sight) {
	t.Helper()
	if diff := cmp.Diff(want, see(t, app), cmpopts.EquateEmpty(), cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Error("the network is not what it was:\n", diff)
	}
}

// everything is a change of all that a network can be told: the MTU, the medium, two new
// ports with an IP interface on each, an address that moves to one of them, a static
// route, and ARP.
func everything(d *config.Draft) {
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
	shared.Name, shared.Port, shared.IPv4, shared.Netmask = "Shared", netconfig.LoopbackPort, netip.MustParseAddr("203.0.113.80"), "255.255.255.255"
	netconfig.Interfaces.Set(d, netconfig.IPInterfaces{List: []netconfig.IPInterface{data1, vlan, shared}})
	netconfig.Routes.Set(d, netconfig.RouteList{List: []netconfig.StaticRoute{
		{Name: "Near", Destination: netip.MustParsePrefix("198.51.100.0/25"), Gateway: netip.MustParseAddr("192.0.2.53")},
		{Name: "Far", Destination: netip.MustParsePrefix("192.168.13.0/24"), Gateway: netip.MustParseAddr("192.168.12.1")},
	}})
}

func TestWhatIsCommittedIsTheNetworks(t *testing.T) {
	app := newBox(t, minimal(t))
	serve(t, app, daemon.SSHPort())
	before := see(t, app)
	d := app.Config.NewDraft()
	everything(d)
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
	want := []string{"Data 1  192.0.2.25/24", "VLAN 12 Data 1 192.168.12.7/24", "Loopback  203.0.113.80/32", "lo0  127.0.0.1/8 ::1/128"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("interfaces:\n", diff)
	}
	wantListening(t, app, "192.0.2.25:22 ginetd", "192.168.12.7:22 ginetd", "203.0.113.80:22 ginetd")
	wantRoutes(t, app, "0.0.0.0/0 192.0.2.1 Data 1", "192.168.13.0/24 192.168.12.1 VLAN 12", "198.51.100.0/25 192.0.2.53 Data 1")

	app.Config.ResetToFactory(d)
	if _, err := app.Config.Commit(t.Context(), d, config.CommitInfo{}); err != nil {
		t.Fatal(err)
	}
	// The factory lists no ports: the network's MTU stays as it was set last.
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
	wantSight(t, app, before)
}

func addrTexts(list []netip.Prefix) (texts []string) {
	for _, p := range list {
		texts = append(texts, p.String())
	}
	return texts
}

// wantRoutes compares the routes by a router.
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

// Whichever call to the network fails, all that were made before it are undone, and
// nobody who is connected notices.
func TestACommitThatTheNetworkFailsIsUndone(t *testing.T) {
	w := minimal(t)
	net := newFrail(w.Network())
	f := config.NewFactory()
	netconfig.Interfaces.SetFactory(f, netconfig.IPInterfaces{List: []netconfig.IPInterface{data1}})
	netconfig.Gateways.SetFactory(f, netconfig.DefaultGateways{IPv4: netip.MustParseAddr("192.0.2.1")})
	netconfig.Ports.SetFactory(f, netconfig.PortList{List: []netconfig.Port{{Name: "Data 1", Ethernet: "Data 1", MTU: 1500}}})
	app := open(t, appliance.Options{Net: net, Dir: t.TempDir(), Factory: f})
	accepted := serve(t, app, daemon.SSHPort())
	client, err := dial(t, w, "192.0.2.25:22")
	if err != nil {
		t.Fatal(err)
	}
	conn := <-accepted
	before := see(t, app)
	// A change that takes the only address away, and gives it back elsewhere.
	change := func(d *config.Draft) {
		everything(d)
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
		if err == nil { // there was no call left to fail, but for those when it is done
			break
		}
		failed[net.hit] = true
		if text, _ := refusal.Text(err); !errors.Is(err, errFrail) || !strings.HasSuffix(text, ".") {
			t.Errorf("%s: %v, want a sentence about it", net.hit, err)
		}
		wantSight(t, app, before)
		if _, err := client.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			t.Fatalf("%s: a connection that was there before: %v", net.hit, err)
		}
		if t.Failed() {
			return
		}
	}
	for _, call := range []string{"SetVLANs", "SetLoopback", "SetMedia Data 1", "SetMTU Data 1", "SetMTU VLAN 12", "AcceptMulticastARP", "SetAddrs Data 1", "SetAddrs VLAN 12", "SetAddrs Loopback", "SetRoutes"} {
		if !failed[call] {
			t.Errorf("%s was not made to fail", call)
		}
	}
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNABORTED) {
		t.Errorf("after the commit, over the address that went: %v", err)
	}
}

// A VLAN that goes takes its listeners, connections and captures with it.
func TestAPortThatGoesEndsWhatIsOverIt(t *testing.T) {
	app := newBox(t, minimal(t))
	accepted := serve(t, app, daemon.SSHPort())
	d := app.Config.NewDraft()
	everything(d)
	if _, err := app.Config.Commit(t.Context(), d, config.CommitInfo{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
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
	// Both ends are aborted; the one may hear of the other's end first.
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNABORTED) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a connection over the VLAN: %v", err)
	}
	if s := app.Captures.Status(capture.CLI); s.Running || s.Reason != capture.InterfaceGone {
		t.Errorf("a capture on the VLAN: %+v", s)
	}
	wantListening(t, app, "192.0.2.25:22 ginetd")
}

// An address may move from one port to another in one commit.
func TestAnAddressMoves(t *testing.T) {
	app := newBox(t, minimal(t))
	for _, jack := range []string{"VLAN 12", "Data 1", "VLAN 12"} {
		d := app.Config.NewDraft()
		netconfig.Ports.Set(d, netconfig.PortList{List: []netconfig.Port{
			{Name: "Data 1", Ethernet: "Data 1", MTU: 1500},
			{Name: "VLAN 12", Ethernet: "Data 1", MTU: 1500, VLAN: 12},
		}})
		moved := data1
		moved.Port = jack
		netconfig.Interfaces.Set(d, netconfig.IPInterfaces{List: []netconfig.IPInterface{moved}})
		if _, err := app.Config.Commit(t.Context(), d, config.CommitInfo{}); err != nil {
			t.Fatal(jack, err)
		}
		wantRoutes(t, app, "0.0.0.0/0 192.0.2.1 "+jack)
	}
}

func TestRoutesThatLeadNowhereAreRefused(t *testing.T) {
	app := newBox(t, minimal(t))
	route := func(to, by string) func(*config.Draft) {
		return func(d *config.Draft) {
			netconfig.Routes.Set(d, netconfig.RouteList{List: []netconfig.StaticRoute{
				{Name: "R", Destination: netip.MustParsePrefix(to), Gateway: netip.MustParseAddr(by)},
			}})
		}
	}
	gateway := func(a string) func(*config.Draft) {
		return func(d *config.Draft) {
			netconfig.Gateways.Set(d, netconfig.DefaultGateways{IPv4: netip.MustParseAddr(a)})
		}
	}
	for _, c := range []struct {
		change func(*config.Draft)
		want   string
	}{
		{route("198.51.100.0/24", "203.0.113.1"), "The gateway 203.0.113.1 of the route R is on no network that an IP interface is attached to."},
		{route("198.51.100.0/24", "192.0.2.25"), "The gateway 192.0.2.25 of the route R is the appliance's own address."},
		{route("192.0.2.0/24", "192.0.2.1"), "The destination of the route R is the network that Data 1 is on."},
		{gateway("203.0.113.1"), "The default gateway 203.0.113.1 is on no network that an IP interface is attached to."},
		{gateway("192.0.2.25"), "The default gateway 192.0.2.25 is the appliance's own address."},
		{func(d *config.Draft) { netconfig.Interfaces.Set(d, netconfig.IPInterfaces{}) }, "The default gateway 192.0.2.1 is on no network that an IP interface is attached to."},
		{func(d *config.Draft) {
			netconfig.Ports.Set(d, netconfig.PortList{List: []netconfig.Port{{Name: "Data 9", Ethernet: "Data 9", MTU: 1500}, {Name: "Data 1", Ethernet: "Data 1", MTU: 1500}}})
		}, "The Ethernet interface Data 9 does not exist."},
	} {
		d := app.Config.NewDraft()
		c.change(d)
		_, err := app.Config.Commit(t.Context(), d, config.CommitInfo{})
		if text, _ := refusal.Text(err); text != notCommitted+c.want {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
	wantRoutes(t, app, "0.0.0.0/0 192.0.2.1 Data 1")
}

// An appliance that was moved to another network comes up as far as it can, and takes
// changes of other things.
func TestAnApplianceInTheWrongNetworkComesUp(t *testing.T) {
	f := config.NewFactory()
	elsewhere := data1
	elsewhere.Name, elsewhere.Port, elsewhere.IPv4 = "Data 9", "Data 9", netip.MustParseAddr("203.0.113.9")
	netconfig.Interfaces.SetFactory(f, netconfig.IPInterfaces{List: []netconfig.IPInterface{data1, elsewhere}})
	netconfig.Gateways.SetFactory(f, netconfig.DefaultGateways{IPv4: netip.MustParseAddr("203.0.113.1")})
	netconfig.Routes.SetFactory(f, netconfig.RouteList{List: []netconfig.StaticRoute{
		{Name: "Near", Destination: netip.MustParsePrefix("198.51.100.0/25"), Gateway: netip.MustParseAddr("192.0.2.53")},
	}})
	app := open(t, appliance.Options{Net: minimal(t).Network(), Dir: t.TempDir(), Factory: f})
	wantRoutes(t, app, "198.51.100.0/25 192.0.2.53 Data 1")
	d := app.Config.NewDraft()
	netconfig.Hostname.Set(d, "kept.example.com")
	if _, err := app.Config.Commit(t.Context(), d, config.CommitInfo{}); err != nil {
		t.Error("another change:", err)
	}
}

// What was committed is there again after a restart.
func TestTheNetworkIsAsCommittedAfterARestart(t *testing.T) {
	dir := t.TempDir()
	f := config.NewFactory()
	netconfig.Interfaces.SetFactory(f, netconfig.IPInterfaces{List: []netconfig.IPInterface{data1}})
	first, err := appliance.New(appliance.Options{Net: minimal(t).Network(), Dir: dir, Factory: f})
	if err != nil {
		t.Fatal(err)
	}
	d := first.Config.NewDraft()
	everything(d)
	if _, err := first.Config.Commit(t.Context(), d, config.CommitInfo{}); err != nil {
		t.Fatal(err)
	}
	before := see(t, first)
	if err := first.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	wantSight(t, open(t, appliance.Options{Net: minimal(t).Network(), Dir: dir, Factory: f}), before)
}
