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

// routes are lab's default and one more.
func routes(more network.Route) func(network.Configurer) error {
	return func(c network.Configurer) error {
		return c.SetRoutes([]network.Route{{Dst: everywhere, Gateway: addr("10.0.202.1")}, more})
	}
}

func pings(t testing.TB, w *netsim.World, to string) {
	t.Helper()
	r, err := w.Network().Ping(within(t, enough), network.PingRequest{Dst: addr(to), DataSize: 56})
	if err != nil || r.Kind != network.EchoReply || r.From != addr(to) {
		t.Errorf("ping %s: %+v, %v", to, r, err)
	}
}

func TestAHostInAVLAN(t *testing.T) {
	w := start(t, fixture(t, "lab"))
	configure(t, w, inVLAN12...)
	wire, inside := tapOn(t, w, "Data 1"), tapOn(t, w, "VLAN 12")
	echo(t, mustDial(t, w, "10.0.12.5:7"), strings.Repeat("in the VLAN ", 1000))
	pings(t, w, "10.0.12.5")
	pings(t, w, "2001:db8:12::5")
	pings(t, w, "10.0.12.1")
	for name, c := range map[string]*capture{"Data 1": wire, "VLAN 12": inside} {
		if f := c.faults(); f != nil {
			t.Errorf("frames of %s: %v", name, f)
		}
		if n := retransmitted(c); n > 0 {
			t.Errorf("%s: %d segments had to be sent again", name, n)
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
			t.Errorf("neighbour %+v", n)
		}
	}
}

// Out of its VLAN a host hears nothing, and with the tag of another one neither.
func TestAHostInAVLANIsNowhereElse(t *testing.T) {
	for name, steps := range map[string][]func(network.Configurer) error{
		"no VLAN":           {addrs("Data 1", "10.0.202.7/24", "10.0.12.7/24")},
		"another VLAN":      {vlans(network.VLAN{ID: 13, Parent: "Data 1"}), addrs("VLAN 13", "10.0.12.7/24")},
		"on another's wire": {vlans(network.VLAN{ID: 12, Parent: "Data 2"}), addrs("VLAN 12", "10.0.12.7/24")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, fixture(t, "lab"))
			configure(t, w, steps...)
			_, err := w.Network().Ping(within(t, enough), network.PingRequest{Dst: addr("10.0.12.5")})
			if !errors.Is(err, syscall.EHOSTUNREACH) {
				t.Errorf("ping: %v", err)
			}
		})
	}
}

// A VLAN's router leads everywhere, and back.
func TestAPathThroughAVLAN(t *testing.T) {
	w := start(t, fixture(t, "lab"))
	configure(t, w, inVLAN12...)
	configure(t, w, routes(network.Route{Dst: netip.MustParsePrefix("10.0.201.5/32"), Gateway: addr("10.0.12.1")}))
	inside := tapOn(t, w, "VLAN 12")
	c := mustDial(t, w, "10.0.201.5:7")
	echo(t, c, strings.Repeat("far away ", 1000))
	if got := c.LocalAddr().String(); !strings.HasPrefix(got, "10.0.12.7:") {
		t.Errorf("dialled from %s", got)
	}
	r, err := w.Network().Probe(within(t, enough), network.ProbeRequest{Dst: addr("10.0.201.5"), Port: 33435, TTL: 1, PacketSize: 40})
	if err != nil || r.Kind != network.TimeExceeded || r.From != addr("10.0.12.1") {
		t.Errorf("the first router: %+v, %v", r, err)
	}
	if inside.count(layers.LayerTypeTCP) == 0 {
		t.Error("nothing of it passed the VLAN")
	}
	// From there to here.
	serve(t, w, "10.0.12.7:7", func(c network.Conn) {
		io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c})
		c.Close()
	})
	back, err := w.Hosts().Dial(within(t, enough), network.DialConfig{Local: addrPort("10.0.201.5:0"), Remote: addrPort("10.0.12.7:7")})
	if err != nil {
		t.Fatal(err)
	}
	defer back.Close()
	echo(t, back, "knock")
}

func TestTheWireOfData2(t *testing.T) {
	w := start(t, fixture(t, "lab"))
	serve(t, w, "10.0.202.7:7", func(c network.Conn) {
		io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c})
		c.Close()
	})
	// Its host reaches the appliance by both routers before that is on its wire.
	c, err := w.Hosts().Dial(within(t, enough), network.DialConfig{Local: addrPort("10.0.203.5:0"), Remote: addrPort("10.0.202.7:7")})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	echo(t, c, "by the routers")
	configure(t, w, addrs("Data 2", "10.0.203.7/24", "2001:db8:203::7/64"))
	echo(t, mustDial(t, w, "10.0.203.5:7"), "on the wire")
	pings(t, w, "2001:db8:203::5")
	pings(t, w, "10.0.203.1")
}

func TestACluster(t *testing.T) {
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
	_, err := w.Network().Ping(within(t, enough), network.PingRequest{Dst: addr(at)})
	if !errors.Is(err, syscall.EHOSTUNREACH) || macOf() != " incomplete" {
		t.Errorf("rejected: %v, neighbour %q", err, macOf())
	}
	configure(t, w, func(c network.Configurer) error { return c.AcceptMulticastARP(true) })
	seen := tapOn(t, w, "Data 1")
	pings(t, w, at)
	if got := macOf(); got != "03:bf:0a:00:ca:6d reachable" {
		t.Errorf("accepted: neighbour %q", got)
	}
	echo(t, mustDial(t, w, at+":7"), strings.Repeat("to all of you ", 2000))
	if f := seen.faults(); f != nil {
		t.Error(f)
	}
	if n := retransmitted(seen); n > 0 {
		t.Errorf("%d segments had to be sent again", n)
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

// retransmitted counts segments with data that were seen before.
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

// narrow is a world with a path that is narrower than the wires at its ends.
func narrow(t *testing.T) *netsim.World {
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

// Path MTU discovery (RFC 1191, RFC 8201), by who sends much: the appliance, and the far
// host.
func TestTransfersOverANarrowPath(t *testing.T) {
	w := narrow(t)
	for _, to := range []struct{ far, near string }{{"203.0.113.7", "192.0.2.25"}, {"2001:db8:3::7", "2001:db8:2::25"}} {
		far, near := netip.AddrPortFrom(addr(to.far), 7), netip.AddrPortFrom(addr(to.near), 7)
		seen := tapOn(t, w, "Data 1")
		const n = 500_000
		c := mustDial(t, w, far.String())
		transfer(t, c, n) // echoed: both ways
		if len(oversized(seen, 1414)) == 0 {
			t.Errorf("%s: nobody tried a longer packet", to.far)
		}
		told := seen.count(layers.LayerTypeICMPv4) + seen.count(layers.LayerTypeICMPv6)
		if told == 0 {
			t.Errorf("%s: nobody was told of the narrow path", to.far)
		}
		serve(t, w, near.String(), func(c network.Conn) {
			io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c})
			c.Close()
		})
		back, err := w.Hosts().Dial(within(t, enough), network.DialConfig{Local: netip.AddrPortFrom(far.Addr(), 0), Remote: near})
		if err != nil {
			t.Fatal(err)
		}
		transfer(t, back, n)
		back.Close()
		if f := seen.faults(); f != nil {
			t.Error(f)
		}
		// Who knows sends no more that is too long: retransmissions end.
		if n := len(oversized(seen, 1414)); n > 200 {
			t.Errorf("%s: %d frames were too long", to.far, n)
		}
	}
}

// transfer has n bytes echoed.
func transfer(t *testing.T, c network.Conn, n int) {
	t.Helper()
	c.SetDeadline(soon())
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

// oversized are the lengths of the frames over limit.
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

// Pings do not ask for whole packets: they arrive in parts, whoever cut them.
func TestLongPingsOverANarrowPath(t *testing.T) {
	w := narrow(t)
	configure(t, w, func(c network.Configurer) error { return c.SetMTU("Data 1", 1300) })
	seen := tapOn(t, w, "Data 1")
	for _, size := range []int{1272, 1400, 5000, 20_000} {
		r, err := w.Network().Ping(within(t, enough), network.PingRequest{Dst: addr("203.0.113.7"), DataSize: size})
		if err != nil || r.Kind != network.EchoReply || r.Bytes != size+8 {
			t.Errorf("%d bytes: %+v, %v", size, r, err)
		}
	}
	if f := seen.faults(); f != nil {
		t.Error(f)
	}
}

// A low MTU holds for far connections too, from both sides.
func TestALowMTUOfTheAppliance(t *testing.T) {
	w := start(t, fixture(t, "lab"))
	configure(t, w, func(c network.Configurer) error { return c.SetMTU("Data 1", 1200) })
	serve(t, w, "10.0.202.7:7", func(c network.Conn) {
		io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c})
		c.Close()
	})
	seen := tapOn(t, w, "Data 1")
	transfer(t, mustDial(t, w, "10.0.201.5:7"), 300_000)
	back, err := w.Hosts().Dial(within(t, enough), network.DialConfig{Local: addrPort("10.0.201.5:0"), Remote: addrPort("10.0.202.7:7")})
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

// A fault of a cable and a port's own rate hold both, whichever came first.
func TestASlowPortOnABadCable(t *testing.T) {
	w := start(t, fixture(t, "lab"))
	media := func(m network.Media) func(network.Configurer) error {
		return func(c network.Configurer) error { return c.SetMedia("Data 1", m) }
	}
	ping := func() time.Duration {
		t.Helper()
		r, err := w.Network().Ping(within(t, enough), network.PingRequest{Dst: addr("10.0.202.53"), DataSize: 1400})
		if err != nil {
			t.Fatal(err)
		}
		return r.RTT
	}
	least := func(what string, want time.Duration) {
		t.Helper()
		if d := ping(); d < want {
			t.Errorf("%s: %v, want %v at least", what, d, want)
		}
	}
	ping() // and find the neighbour
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

// The interfaces that come and go while there is traffic leave nothing behind.
func TestReconfigurationLeavesNothingBehind(t *testing.T) {
	topo := fixture(t, "lab")
	topo.Doors.In = nil
	leaksNothing(t, func() {
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
