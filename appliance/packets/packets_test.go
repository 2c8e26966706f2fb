package packets_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/appliance/packets"
	"github.com/esasim/esasim/fixtures"
)

// testTimeout bounds operations that are quick unless they hang.
const testTimeout = 2 * time.Minute

func start(t *testing.T, c *packets.Cables) *netsim.World {
	t.Helper()
	_, text, _ := fixtures.Topology("lab")
	topo, err := netsim.Load("lab", text)
	if err != nil {
		t.Fatal(err)
	}
	o := netsim.Options{Entropy: entropy.Seeded(1), DoorAddrs: make(map[string]netip.AddrPort)}
	for _, d := range topo.Doors.In {
		o.DoorAddrs[d.Name] = netip.MustParseAddrPort("127.0.0.1:0")
	}
	w, err := netsim.New(topo, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Stop(context.Background()) })
	c.Attach(w)
	if err := w.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

func watch(t *testing.T, c *packets.Cables, cable, filter string) *packets.Watch {
	t.Helper()
	w, err := c.Watch(t.Context(), cable, filter)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

func ping(t *testing.T, w *netsim.World, to string, ttl uint8) (network.Reply, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	return w.Network().Ping(ctx, network.PingRequest{
		Dst: netip.MustParseAddr(to), ID: 7, DataSize: 56, TTL: ttl,
	})
}

// next returns the next packet of a watch in words: its direction, its protocols, the TTL.
func next(t *testing.T, w *packets.Watch) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	p, err := w.Next(ctx)
	if err != nil {
		t.Fatal(w.Cable().Name, err)
	}
	if p.Length != len(p.Data) || p.Time.IsZero() {
		t.Errorf("%d bytes of %d at %v", len(p.Data), p.Length, p.Time)
	}
	return words(p, w.Cable().Link)
}

func words(p packets.Packet, link netsim.CableLink) string {
	first := gopacket.LayerType(layers.LayerTypeEthernet)
	if link == netsim.RawLink {
		if first = layers.LayerTypeIPv4; p.Data[0]>>4 == 6 {
			first = layers.LayerTypeIPv6
		}
	}
	d := gopacket.NewPacket(p.Data, first, gopacket.Default)
	text := p.Direction
	for _, l := range d.Layers() {
		switch x := l.(type) {
		case *layers.ARP:
			text += fmt.Sprintf(" arp %d", x.Operation)
		case *layers.IPv4:
			text += fmt.Sprintf(" ttl=%d %v", x.TTL, x.SrcIP)
		case *layers.IPv6:
			text += fmt.Sprintf(" ttl=%d %v", x.HopLimit, x.SrcIP)
		case *layers.ICMPv4:
			text += fmt.Sprintf(" %v", x.TypeCode)
		case *layers.ICMPv6:
			text += fmt.Sprintf(" %v", x.TypeCode)
		}
	}
	if f := d.ErrorLayer(); f != nil {
		text += fmt.Sprint(" ", f.Error())
	}
	return text
}

func expect(t *testing.T, w *packets.Watch, want ...string) {
	t.Helper()
	for _, want := range want {
		if got := next(t, w); got != want {
			t.Errorf("on %s: %s, want %s", w.Cable().Name, got, want)
		}
	}
}

// TestPingOnBothSides: a ping is seen at the interface, at the gateway, behind it and at the host,
// each time with the TTL that it has there.
func TestPingOnBothSides(t *testing.T) {
	c := packets.New(packets.Options{})
	w := start(t, c)
	if err := w.StartClients(t.Context()); err != nil {
		t.Log(err) // no service listens
	}
	near := watch(t, c, "Data 1", "icmp")
	gateway := watch(t, c, "gateway/Data 1", "icmp")
	path := watch(t, c, "path/google", "icmp and less 84 and greater 84")
	host := watch(t, c, "google", "icmp")
	if _, err := ping(t, w, "216.58.194.206", 0); err != nil {
		t.Fatal(err)
	}
	const request, reply = " EchoRequest", " EchoReply"
	expect(t, near, "out ttl=64 10.0.202.7"+request, "in ttl=56 216.58.194.206"+reply)
	expect(t, gateway, "in ttl=64 10.0.202.7"+request, "out ttl=56 216.58.194.206"+reply)
	expect(t, path, "out ttl=63 10.0.202.7"+request, "in ttl=57 216.58.194.206"+reply)
	expect(t, host, "in ttl=55 10.0.202.7"+request, "out ttl=64 216.58.194.206"+reply)
	if _, err := ping(t, w, "2001:db8:4005::200e", 0); err != nil {
		t.Fatal(err)
	}
	v6 := watch(t, c, "google6", "")
	if _, err := ping(t, w, "2001:db8:4005::200e", 0); err != nil {
		t.Fatal(err)
	}
	expect(t, v6, "out ttl=63 2001:db8:202::7 EchoRequest", "in ttl=62 2001:db8:4005::200e EchoReply")
}

// TestAnswersOfRouters: what a router of a path answers is seen behind the gateway, what the gateway
// answers is not.
func TestAnswersOfRouters(t *testing.T) {
	c := packets.New(packets.Options{})
	w := start(t, c)
	path := watch(t, c, "path/google", "")
	for ttl, want := range []network.ReplyKind{network.TimeExceeded, network.TimeExceeded, network.TimeExceeded} {
		r, err := ping(t, w, "216.58.194.206", uint8(ttl+1))
		if err != nil || r.Kind != want {
			t.Fatal(r, err)
		}
	}
	expect(t, path,
		"out ttl=1 10.0.202.7 EchoRequest", "in ttl=64 139.138.24.10 TimeExceeded(TTLExceeded)",
		"out ttl=2 10.0.202.7 EchoRequest", "in ttl=63 68.232.128.2 TimeExceeded(TTLExceeded)")
	if path.Pending() != 0 {
		t.Error(next(t, path))
	}
}

// TestDroppedByAFault: a packet that a fault drops is seen before the fault only.
func TestDroppedByAFault(t *testing.T) {
	for place, rule := range map[string]topology.Rule{
		"gateway": {Action: "drop", To: netip.MustParsePrefix("216.58.194.206/32")},
		"path":    {Action: "drop", Path: "google", Direction: "out"},
	} {
		c := packets.New(packets.Options{})
		w := start(t, c)
		near, path := watch(t, c, "Data 1", "icmp"), watch(t, c, "path/google", "")
		host := watch(t, c, "google", "")
		f, err := w.Faults().Add(rule)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		to := network.PingRequest{Dst: netip.MustParseAddr("216.58.194.206"), ID: 7}
		if _, err := w.Network().Ping(ctx, to); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(place, err)
		}
		cancel()
		if err := w.Faults().Remove(f.ID); err != nil {
			t.Fatal(err)
		}
		to.ID = 8
		if _, err := w.Network().Ping(t.Context(), to); err != nil {
			t.Fatal(place, err)
		}
		request, reply := "out ttl=64 10.0.202.7 EchoRequest", "in ttl=56 216.58.194.206 EchoReply"
		expect(t, near, request, request, reply)
		if place == "path" {
			expect(t, path, "out ttl=63 10.0.202.7 EchoRequest")
		}
		expect(t, path, "out ttl=63 10.0.202.7 EchoRequest", "in ttl=57 216.58.194.206 EchoReply")
		expect(t, host, "in ttl=55 10.0.202.7 EchoRequest", "out ttl=64 216.58.194.206 EchoReply")
	}
}

// TestNeighborAndServer: the cable of a host on a wire shows ARP too, that of a server its port.
func TestNeighborAndServer(t *testing.T) {
	c := packets.New(packets.Options{})
	w := start(t, c)
	host, server := watch(t, c, "resolver", ""), watch(t, c, "resolver/dns", "")
	if _, err := ping(t, w, "10.0.202.53", 0); err != nil {
		t.Fatal(err)
	}
	expect(t, host, "in arp 1", "out arp 2", "in ttl=64 10.0.202.7 EchoRequest", "out ttl=64 10.0.202.53 EchoReply")
	conn, err := w.Network().Dial(t.Context(), network.DialConfig{Remote: netip.MustParseAddrPort("10.0.202.53:53"), Owner: "test"})
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	expect(t, server, "in ttl=64 10.0.202.7", "out ttl=64 10.0.202.53")
}

// TestWatchesContinueInTheNextWorld: a watch sees the next world from its first packet on, and ends
// with its context.
func TestWatchesContinueInTheNextWorld(t *testing.T) {
	c := packets.New(packets.Options{})
	if _, err := c.Watch(t.Context(), "Data 1", ""); !errors.Is(err, packets.ErrNotRunning) {
		t.Error(err)
	}
	old := start(t, c)
	ctx, cancel := context.WithCancelCause(t.Context())
	w, err := c.Watch(ctx, "Data 1", "icmp")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ping(t, old, "10.0.202.53", 0); err != nil {
		t.Fatal(err)
	}
	old.Stop(context.Background())
	now := start(t, c)
	if _, err := ping(t, now, "10.0.202.53", 0); err != nil {
		t.Fatal(err)
	}
	for n := range 4 {
		p, err := w.Next(t.Context())
		if err != nil || p.Rebooted != (n == 2) {
			t.Errorf("packet %d: %+v, %v", n, p, err)
		}
	}
	reason := errors.New("enough")
	cancel(reason)
	if _, err := w.Next(t.Context()); !errors.Is(err, reason) {
		t.Error(err)
	}
	open := watch(t, c, "Data 1", "")
	c.Close()
	if _, err := open.Next(t.Context()); err != io.EOF {
		t.Error(err)
	}
	if _, err := c.Watch(t.Context(), "Data 1", ""); !errors.Is(err, packets.ErrNotRunning) {
		t.Error(err)
	}
}

// TestSlowReaderLosesPackets: the network does not wait for a reader, and the watch counts the
// packets that the reader loses.
func TestSlowReaderLosesPackets(t *testing.T) {
	c := packets.New(packets.Options{})
	w := start(t, c)
	slow := watch(t, c, "Data 1", "icmp")
	const more = 10
	for range (packets.MaxQueued + more) / 2 {
		if _, err := ping(t, w, "10.0.202.53", 0); err != nil {
			t.Fatal(err)
		}
	}
	if slow.Dropped() != more || slow.Pending() != packets.MaxQueued {
		t.Errorf("%d dropped, %d pending", slow.Dropped(), slow.Pending())
	}
	for range packets.MaxQueued {
		if p, err := slow.Next(t.Context()); err != nil || p.Dropped != 0 {
			t.Fatal(p, err)
		}
	}
	if _, err := ping(t, w, "10.0.202.53", 0); err != nil {
		t.Fatal(err)
	}
	if p, err := slow.Next(t.Context()); err != nil || p.Dropped != more {
		t.Error(p, err)
	}
}

func TestMistakes(t *testing.T) {
	c := packets.New(packets.Options{})
	start(t, c)
	for _, x := range []struct{ cable, filter, field, text string }{
		{"nic9", "", "cable", `has no cable "nic9": expected one of Data 1, Data 2, Management, workstation`},
		{"Data 1", "tcp prt 25", "filter", "the filter is not valid at character 5: syntax error: expected a filter as of tcpdump"},
		{"Data 1", "host nowhere.example", "filter", "nowhere.example"},
		{"google", "ether host 00:50:56:0a:02:07", "filter", "packets on google are IP packets without Ethernet addresses"},
		{"path/google", "ether multicast", "filter", "without Ethernet addresses"},
	} {
		_, err := c.Watch(t.Context(), x.cable, x.filter)
		var wrong *packets.Error
		if !errors.As(err, &wrong) || wrong.Field != x.field || !strings.Contains(err.Error(), x.text) {
			t.Errorf("%s %q: %v", x.cable, x.filter, err)
		}
	}
	for _, filter := range []string{"host resolver", "host www.google.com", "vlan", "ip multicast"} {
		for _, cable := range c.List() {
			if _, err := c.Watch(t.Context(), cable.Name, filter); err != nil {
				t.Error(cable.Name, filter, err)
			}
		}
	}
}
