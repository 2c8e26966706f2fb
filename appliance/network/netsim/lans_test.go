package netsim_test

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// configure changes the configuration of the appliance's network.
func configure(t testing.TB, w *netsim.World, steps ...func(c network.Configurer) error) {
	t.Helper()
	for i, step := range steps {
		if err := step(w.Network().(network.Configurer)); err != nil {
			t.Fatalf("step %d: %v", i+1, err)
		}
	}
}

func vlans(list ...network.VLAN) func(network.Configurer) error {
	return func(c network.Configurer) error { return c.SetVLANs(list) }
}

func addrs(ifname string, list ...string) func(network.Configurer) error {
	var prefixes []netip.Prefix
	for _, s := range list {
		prefixes = append(prefixes, netip.MustParsePrefix(s))
	}
	return func(c network.Configurer) error { return c.SetAddrs(ifname, prefixes) }
}

var (
	inVLAN12   = []func(network.Configurer) error{vlans(network.VLAN{ID: 12, Parent: "Data 1"}), addrs("VLAN 12", "10.0.12.7/24", "2001:db8:12::7/64")}
	everywhere = netip.MustParsePrefix("0.0.0.0/0")
)

// routes sets the default route of lab and one more.
func routes(more network.Route) func(network.Configurer) error {
	return func(c network.Configurer) error {
		return c.SetRoutes([]network.Route{{Dst: everywhere, Gateway: addr("10.0.202.1")}, more})
	}
}

// checkPing checks that an address answers a ping.
func checkPing(t testing.TB, w *netsim.World, to string) {
	t.Helper()
	r, err := w.Network().Ping(within(t, testTimeout), network.PingRequest{Dst: addr(to), DataSize: 56})
	if err != nil || r.Kind != network.EchoReply || r.From != addr(to) {
		t.Errorf("ping %s: %+v, %v", to, r, err)
	}
}

func TestHostInVLAN(t *testing.T) {
	w := start(t, fixture(t, "lab"))
	configure(t, w, inVLAN12...)
	wire, inside := tapOn(t, w, "Data 1"), tapOn(t, w, "VLAN 12")
	echo(t, mustDial(t, w, "10.0.12.5:7"), strings.Repeat("in the VLAN ", 1000))
	checkPing(t, w, "10.0.12.5")
	checkPing(t, w, "2001:db8:12::5")
	checkPing(t, w, "10.0.12.1")
	for name, c := range map[string]*capture{"Data 1": wire, "VLAN 12": inside} {
		if f := c.defects(); f != nil {
			t.Errorf("frames of %s: %v", name, f)
		}
		if n := retransmitted(c); n > 0 {
			t.Errorf("%s: %d segments were retransmitted", name, n)
		}
	}
	if n, all := wire.count(layers.LayerTypeDot1Q), wire.count(layers.LayerTypeEthernet); n != all || n == 0 {
		t.Errorf("%d of %d frames on the wire are tagged", n, all)
	}
	if n := inside.count(layers.LayerTypeDot1Q); n != 0 {
		t.Errorf("%d frames in the VLAN are tagged", n)
	}
	x, err := w.Network().Neighbors()
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range x {
		if n.Addr == addr("10.0.12.5") && (n.Interface != "VLAN 12" || n.MAC.String() != "00:50:56:0a:0c:05") {
			t.Errorf("neighbor %+v", n)
		}
	}
}

// A host in a VLAN receives nothing without a tag or with the tag of another VLAN.
func TestHostInVLANIsUnreachableElsewhere(t *testing.T) {
	for name, steps := range map[string][]func(network.Configurer) error{
		"no VLAN":      {addrs("Data 1", "10.0.202.7/24", "10.0.12.7/24")},
		"another VLAN": {vlans(network.VLAN{ID: 13, Parent: "Data 1"}), addrs("VLAN 13", "10.0.12.7/24")},
		"another wire": {vlans(network.VLAN{ID: 12, Parent: "Data 2"}), addrs("VLAN 12", "10.0.12.7/24")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, fixture(t, "lab"))
			configure(t, w, steps...)
			_, err := w.Network().Ping(within(t, testTimeout), network.PingRequest{Dst: addr("10.0.12.5")})
			if !errors.Is(err, syscall.EHOSTUNREACH) {
				t.Errorf("ping: %v", err)
			}
		})
	}
}

// The router of a VLAN forwards packets to far hosts and back.
func TestPathThroughVLAN(t *testing.T) {
	w := start(t, fixture(t, "lab"))
	configure(t, w, inVLAN12...)
	configure(t, w, routes(network.Route{Dst: netip.MustParsePrefix("10.0.201.5/32"), Gateway: addr("10.0.12.1")}))
	inside := tapOn(t, w, "VLAN 12")
	c := mustDial(t, w, "10.0.201.5:7")
	echo(t, c, strings.Repeat("far away ", 1000))
	if got := c.LocalAddr().String(); !strings.HasPrefix(got, "10.0.12.7:") {
		t.Errorf("dialed from %s", got)
	}
	r, err := w.Network().Probe(within(t, testTimeout), network.ProbeRequest{Dst: addr("10.0.201.5"), Port: 33435, TTL: 1, PacketSize: 40})
	if err != nil || r.Kind != network.TimeExceeded || r.From != addr("10.0.12.1") {
		t.Errorf("the first router: %+v, %v", r, err)
	}
	if inside.count(layers.LayerTypeTCP) == 0 {
		t.Error("no segment passed the VLAN")
	}
	// The far host connects to the appliance.
	serve(t, w, "10.0.12.7:7", func(c network.Conn) {
		io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c})
		c.Close()
	})
	back, err := w.Hosts().Dial(within(t, testTimeout), network.DialConfig{Local: addrPort("10.0.201.5:0"), Remote: addrPort("10.0.12.7:7")})
	if err != nil {
		t.Fatal(err)
	}
	defer back.Close()
	echo(t, back, "hello")
}

func TestSegmentOfData2(t *testing.T) {
	w := start(t, fixture(t, "lab"))
	serve(t, w, "10.0.202.7:7", func(c network.Conn) {
		io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c})
		c.Close()
	})
	// Before the appliance has an address on the wire, its host reaches it by two routers.
	c, err := w.Hosts().Dial(within(t, testTimeout), network.DialConfig{Local: addrPort("10.0.203.5:0"), Remote: addrPort("10.0.202.7:7")})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	echo(t, c, "by the routers")
	configure(t, w, addrs("Data 2", "10.0.203.7/24", "2001:db8:203::7/64"))
	echo(t, mustDial(t, w, "10.0.203.5:7"), "on the wire")
	checkPing(t, w, "2001:db8:203::5")
	checkPing(t, w, "10.0.203.1")
}

func TestMulticastARPOfCluster(t *testing.T) {
	w := start(t, fixture(t, "lab"))
	const at = "10.0.202.109"
	macOf := func() string {
		t.Helper()
		list, err := w.Network().Neighbors()
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range list {
			if n.Addr == addr(at) {
				return n.MAC.String() + " " + n.State
			}
		}
		return "none"
	}
	_, err := w.Network().Ping(within(t, testTimeout), network.PingRequest{Dst: addr(at)})
	if !errors.Is(err, syscall.EHOSTUNREACH) || macOf() != " incomplete" {
		t.Errorf("rejected: %v, neighbor %q", err, macOf())
	}
	configure(t, w, func(c network.Configurer) error { return c.AcceptMulticastARP(true) })
	seen := tapOn(t, w, "Data 1")
	checkPing(t, w, at)
	if got := macOf(); got != "03:bf:0a:00:ca:6d reachable" {
		t.Errorf("accepted: neighbor %q", got)
	}
	echo(t, mustDial(t, w, at+":7"), strings.Repeat("to the whole cluster ", 2000))
	if f := seen.defects(); f != nil {
		t.Error(f)
	}
	if n := retransmitted(seen); n > 0 {
		t.Errorf("%d segments were retransmitted", n)
	}
	seen.mu.Lock()
	defer seen.mu.Unlock()
	for _, p := range seen.frames {
		eth := p.LinkLayer().(*layers.Ethernet)
		if src := eth.SrcMAC.String(); src != "00:50:56:0a:02:07" && src != "00:50:56:0a:02:6d" {
			t.Fatalf("a frame from %s", src)
		}
	}
}

// retransmitted returns the number of segments with data that the capture has already had.
func retransmitted(c *capture) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	type segment struct {
		from, to layers.TCPPort
		seq      uint32
	}
	seen := make(map[segment]bool)
	for _, p := range c.frames {
		tcp, ok := p.Layer(layers.LayerTypeTCP).(*layers.TCP)
		if !ok || len(tcp.Payload) == 0 {
			continue
		}
		s := segment{tcp.SrcPort, tcp.DstPort, tcp.Seq}
		if seen[s] {
			n++
		}
		seen[s] = true
	}
	return n
}

// narrowWorld returns a world with a path whose MTU is smaller than that of the segments at its
// ends.
func narrowWorld(t *testing.T) *netsim.World {
	return start(t, load(t, "narrow.yaml", replaceIn(small, map[string]string{
		"{type: sink, port: 25}": "{type: echo}",
		"addresses: [192.0.2.25/24]": `addresses: [192.0.2.25/24, "2001:db8:2::25/64"]
      gateway6: 2001:db8:2::1`,
		"addresses: [203.0.113.7]": `addresses: [203.0.113.7, "2001:db8:3::7"]`,
		"# paths": `
paths:
  - {to: 203.0.113.0/24, mtu: 1400, delay: 100us, hops: [{members: [198.51.100.1]}, {members: [198.51.100.2]}]}
  - {to: "2001:db8:3::/48", mtu: 1400, delay: 100us, hops: [{members: ["2001:db8:51::1"]}, {members: ["2001:db8:51::2"]}]}`,
	})))
}

// The appliance and the far host discover the path MTU (RFC 1191, RFC 8201) when they send.
func TestPathMTUDiscovery(t *testing.T) {
	w := narrowWorld(t)
	for _, to := range []struct{ far, near string }{{"203.0.113.7", "192.0.2.25"}, {"2001:db8:3::7", "2001:db8:2::25"}} {
		far, near := netip.AddrPortFrom(addr(to.far), 7), netip.AddrPortFrom(addr(to.near), 7)
		seen := tapOn(t, w, "Data 1")
		const n = 500_000
		c := mustDial(t, w, far.String())
		transfer(t, c, n) // both ways, as it is echoed
		if len(oversized(seen, 1414)) == 0 {
			t.Errorf("%s: no packet was too long for the path", to.far)
		}
		icmpErrors := seen.count(layers.LayerTypeICMPv4) + seen.count(layers.LayerTypeICMPv6)
		if icmpErrors == 0 {
			t.Errorf("%s: the appliance received no ICMP error", to.far)
		}
		serve(t, w, near.String(), func(c network.Conn) {
			io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c})
			c.Close()
		})
		back, err := w.Hosts().Dial(within(t, testTimeout), network.DialConfig{Local: netip.AddrPortFrom(far.Addr(), 0), Remote: near})
		if err != nil {
			t.Fatal(err)
		}
		transfer(t, back, n)
		back.Close()
		if f := seen.defects(); f != nil {
			t.Error(f)
		}
		// When the MTU is known, no more packets are too long.
		if n := len(oversized(seen, 1414)); n > 200 {
			t.Errorf("%s: %d frames were too long", to.far, n)
		}
	}
}

// transfer sends n bytes and reads them back.
func transfer(t *testing.T, c network.Conn, n int) {
	t.Helper()
	c.SetDeadline(deadline())
	failed := make(chan error, 1)
	go func() {
		_, err := c.Write(make([]byte, n))
		failed <- err
	}()
	if got, err := io.CopyN(io.Discard, struct{ io.Reader }{c}, int64(n)); err != nil {
		t.Fatalf("%d of %d bytes came back: %v", got, n, err)
	}
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
}

// oversized returns the lengths of the frames that are longer than limit.
func oversized(c *capture, limit int) (lengths []int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.frames {
		if n := len(p.Data()); n > limit {
			lengths = append(lengths, n)
		}
	}
	return lengths
}

// Pings allow fragmentation, at the appliance and at a router.
func TestFragmentedPing(t *testing.T) {
	w := narrowWorld(t)
	configure(t, w, func(c network.Configurer) error { return c.SetMTU("Data 1", 1300) })
	seen := tapOn(t, w, "Data 1")
	for _, size := range []int{1272, 1400, 5000, 20_000} {
		r, err := w.Network().Ping(within(t, testTimeout), network.PingRequest{Dst: addr("203.0.113.7"), DataSize: size})
		if err != nil || r.Kind != network.EchoReply || r.Bytes != size+8 {
			t.Errorf("%d bytes: %+v, %v", size, r, err)
		}
	}
	if f := seen.defects(); f != nil {
		t.Error(f)
	}
}

// A low MTU of the appliance limits the segments of both ends of a far connection.
func TestLowMTUOfAppliance(t *testing.T) {
	w := start(t, fixture(t, "lab"))
	configure(t, w, func(c network.Configurer) error { return c.SetMTU("Data 1", 1200) })
	serve(t, w, "10.0.202.7:7", func(c network.Conn) {
		io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c})
		c.Close()
	})
	seen := tapOn(t, w, "Data 1")
	transfer(t, mustDial(t, w, "10.0.201.5:7"), 300_000)
	back, err := w.Hosts().Dial(within(t, testTimeout), network.DialConfig{Local: addrPort("10.0.201.5:0"), Remote: addrPort("10.0.202.7:7")})
	if err != nil {
		t.Fatal(err)
	}
	defer back.Close()
	transfer(t, back, 300_000)
	if long := oversized(seen, 1214); long != nil {
		t.Errorf("frames of %d bytes", long)
	}
	if seen.count(layers.LayerTypeTCP) < 600 {
		t.Errorf("%d segments", seen.count(layers.LayerTypeTCP))
	}
}

// The delay of a cable's fault and the rate of a port add up, in either order of their setting.
func TestRateOfPortAndDelayOfCable(t *testing.T) {
	w := start(t, fixture(t, "lab"))
	media := func(m network.Media) func(network.Configurer) error {
		return func(c network.Configurer) error { return c.SetMedia("Data 1", m) }
	}
	ping := func() time.Duration {
		t.Helper()
		r, err := w.Network().Ping(within(t, testTimeout), network.PingRequest{Dst: addr("10.0.202.53"), DataSize: 1400})
		if err != nil {
			t.Fatal(err)
		}
		return r.RTT
	}
	least := func(what string, want time.Duration) {
		t.Helper()
		if d := ping(); d < want {
			t.Errorf("%s: %v, want at least %v", what, d, want)
		}
	}
	ping() // resolves the neighbor
	f, err := w.Faults().Add(topology.Rule{Action: "delay", Delay: 5 * time.Millisecond, Cable: "Data 1"})
	if err != nil {
		t.Fatal(err)
	}
	least("the cable alone", 10*time.Millisecond)
	configure(t, w, media(network.Media{Rate: 10_000_000})) // 1.15 ms for the frame
	least("both", 12300*time.Microsecond)
	if err := w.Faults().Remove(f.ID); err != nil {
		t.Fatal(err)
	}
	least("the rate alone", 2300*time.Microsecond)
	if _, err := w.Faults().Add(topology.Rule{Action: "delay", Delay: 5 * time.Millisecond, Cable: "Data 1"}); err != nil {
		t.Fatal(err)
	}
	configure(t, w, media(network.Media{}))
	least("the cable alone, again", 10*time.Millisecond)
}

// Interfaces that are added and removed during traffic leave no goroutine and no memory behind.
func TestReconfigurationDoesNotLeak(t *testing.T) {
	topo := fixture(t, "lab")
	topo.Doors.In = nil
	checkLeaks(t, func() {
		w, err := netsim.New(topo, netsim.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer w.Stop(context.Background())
		if err := w.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		done := make(chan bool)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			defer close(done)
			for ctx.Err() == nil {
				for _, a := range []string{"10.0.12.5", "10.0.201.5"} {
					ctx, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
					_, _ = w.Network().Ping(ctx, network.PingRequest{Dst: addr(a)}) // may find no route
					cancel()
				}
			}
		}()
		for range 30 {
			configure(t, w, inVLAN12...)
			configure(t, w,
				func(c network.Configurer) error { return c.SetLoopback(true) },
				addrs("Loopback", "192.0.2.1/32", "2001:db8:99::1/128"),
				func(c network.Configurer) error { return c.SetMedia("Data 1", network.Media{Rate: 100_000_000}) },
				func(c network.Configurer) error { return c.AcceptMulticastARP(true) },
			)
			_ = clock.System().Sleep(t.Context(), time.Millisecond) // some traffic
			configure(t, w,
				vlans(),
				func(c network.Configurer) error { return c.SetLoopback(false) },
				func(c network.Configurer) error { return c.SetMedia("Data 1", network.Media{}) },
				func(c network.Configurer) error { return c.AcceptMulticastARP(false) },
			)
		}
		cancel()
		<-done
	})
}
