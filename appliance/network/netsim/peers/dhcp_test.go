package peers_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/dhcp"
	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim/ether"
	"github.com/esasim/esasim/appliance/network/netsim/peers"
	"github.com/esasim/esasim/appliance/network/netsim/vnet"
)

// A lan is a segment with a DHCP server and a machine that sends what a test wants.
type lan struct {
	t        *testing.T
	server   *peers.DHCPServer
	host     *vnet.Host // of the server
	client   *vnet.Host
	clock    *clock.Fake
	received chan frameOf
}

// A frameOf is a reply with its frame's addresses.
type frameOf struct {
	to  dhcp.Datagram
	msg *dhcp.Message
}

var clientMAC = dhcp.MAC{2, 0, 0, 0, 0, 9}

func newLAN(t *testing.T, options map[string]string) *lan {
	t.Helper()
	fabric := ether.NewFabric(ether.Options{})
	t.Cleanup(fabric.Close)
	segment := fabric.NewSegment("lan")
	l := &lan{
		t: t, clock: clock.NewFake(time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)),
		received: make(chan frameOf, 16),
	}
	add := func(name string, mac ether.MAC, addrs ...netip.Prefix) *vnet.Host {
		h := vnet.NewHost(vnet.Options{Name: name, Rand: entropy.Seeded(1)})
		t.Cleanup(h.Close)
		if err := h.AddInterface(vnet.InterfaceConfig{
			Name: name, Device: name, Index: 1, Segment: segment, MAC: mac, Addrs: addrs,
		}); err != nil {
			t.Fatal(err)
		}
		return h
	}
	own := netip.MustParsePrefix("192.0.2.2/24")
	l.host = add("server", ether.MAC{2, 0, 0, 0, 0, 1}, own)
	l.client = add("client", ether.MAC(clientMAC))
	tap, err := l.client.Tap(network.TapConfig{Interface: "client", Sink: func(f network.Frame) {
		d, ok := dhcp.ParseFrame(f.Data)
		if f.Dir != network.In || !ok {
			return
		}
		if m, err := dhcp.Parse(d.Data); err == nil {
			l.received <- frameOf{d, m}
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tap.Close() })
	c := peerConfig(l.host, "dhcp", options)
	c.Port, c.Clock = dhcp.ServerPort, l.clock
	c.Wire = &peers.Wire{Interface: "server", Network: own, Router: netip.MustParseAddr("192.0.2.1")}
	kind, _ := peers.Lookup("dhcp")
	l.server = kind.New(c).(*peers.DHCPServer)
	if err := l.server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.server.Stop)
	return l
}

// send broadcasts a message of the client.
func (l *lan) send(m dhcp.Message) {
	l.t.Helper()
	if m.MAC == (dhcp.MAC{}) {
		m.MAC = clientMAC
	}
	from := netip.IPv4Unspecified()
	d := dhcp.Datagram{
		From: clientMAC, To: dhcp.BroadcastMAC(), Data: m.Append(nil),
		Source: netip.AddrPortFrom(from, dhcp.ClientPort),
		Target: netip.AddrPortFrom(dhcp.BroadcastAddr(), dhcp.ServerPort),
	}
	if err := l.client.SendFrame("client", d.Frame()); err != nil {
		l.t.Fatal(err)
	}
}

// ask sends a message and returns the reply.
func (l *lan) ask(m dhcp.Message) frameOf {
	l.t.Helper()
	m.XID = uint32(len(l.received)) + 77
	l.send(m)
	return l.next()
}

func (l *lan) next() frameOf {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), time.Minute)
	defer cancel()
	select {
	case f := <-l.received:
		return f
	case <-ctx.Done():
		l.t.Fatal("no reply")
		return frameOf{}
	}
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func TestDHCPGivesAnAddress(t *testing.T) {
	l := newLAN(t, map[string]string{
		"range": "192.0.2.100-192.0.2.101", "lease": "10m", "dns": "192.0.2.53, 192.0.2.54",
		"domain": "example.com",
	})
	offer := l.ask(dhcp.Message{Type: dhcp.Discover, HostName: "mail.example.com"})
	m := offer.msg
	if m.Type != dhcp.Offer || m.YourAddr != addr("192.0.2.100") || m.Server != addr("192.0.2.2") ||
		m.MaskBits != 24 || m.LeaseTime != 10*time.Minute || m.T1 != 5*time.Minute ||
		m.T2 != 525*time.Second || fmt.Sprint(m.Routers, m.DNS) != "[192.0.2.1] [192.0.2.53 192.0.2.54]" ||
		m.Domain != "example.com" {
		t.Errorf("the offer is %+v", m)
	}
	// A client without the broadcast flag gets it by unicast, before it has the address.
	if offer.to.To != clientMAC || offer.to.Target.String() != "192.0.2.100:68" ||
		offer.to.Source.String() != "192.0.2.2:67" {
		t.Errorf("the offer came to %v %v", offer.to.To, offer.to.Target)
	}
	request := dhcp.Message{Type: dhcp.Request, Requested: m.YourAddr, Server: m.Server, Broadcast: true}
	ack := l.ask(request)
	if ack.msg.Type != dhcp.ACK || ack.msg.YourAddr != m.YourAddr || ack.to.To != dhcp.BroadcastMAC() ||
		ack.to.Target.Addr() != dhcp.BroadcastAddr() {
		t.Errorf("the acknowledgment is %+v to %v", ack.msg, ack.to.Target)
	}
	got := l.server.Leases()
	if len(got) != 1 || got[0].State != "bound" || !got[0].Expires.Equal(l.clock.Now().Add(10*time.Minute)) {
		t.Errorf("the leases are %+v", got)
	}
	l.clock.Advance(11 * time.Minute)
	if got := l.server.Leases(); got[0].State != "expired" {
		t.Errorf("later the leases are %+v", got)
	}
	// The client gets the address again, others get another one.
	other := dhcp.Message{Type: dhcp.Discover, MAC: dhcp.MAC{2, 0, 0, 0, 0, 10}, Broadcast: true}
	if o := l.ask(other); o.msg.YourAddr != addr("192.0.2.101") {
		t.Errorf("another client is offered %v", o.msg.YourAddr)
	}
	if o := l.ask(dhcp.Message{Type: dhcp.Discover}); o.msg.YourAddr != addr("192.0.2.100") {
		t.Errorf("the client is offered %v", o.msg.YourAddr)
	}
}

func TestDHCPRefusesWrongAddresses(t *testing.T) {
	l := newLAN(t, map[string]string{"range": "192.0.2.100-192.0.2.101"})
	for _, test := range []struct {
		m    dhcp.Message
		want dhcp.Type
	}{
		{dhcp.Message{Requested: addr("203.0.113.7")}, dhcp.NAK},
		{dhcp.Message{Requested: addr("192.0.2.2")}, dhcp.NAK},
		{dhcp.Message{Requested: addr("192.0.2.101")}, dhcp.ACK}, // not known, but free
		{dhcp.Message{MAC: dhcp.MAC{2, 9}, Requested: addr("192.0.2.101"), Broadcast: true}, dhcp.NAK},
	} {
		test.m.Type = dhcp.Request
		f := l.ask(test.m)
		if f.msg.Type != test.want || f.msg.Type == dhcp.NAK && f.to.To != dhcp.BroadcastMAC() {
			t.Errorf("%v: %v to %v, want %v", test.m.Requested, f.msg.Type, f.to.To, test.want)
		}
	}
	// What is for another server is not answered, and neither are replies.
	l.send(dhcp.Message{Type: dhcp.Request, Requested: addr("192.0.2.100"), Server: addr("192.0.2.3")})
	l.send(dhcp.Message{Type: dhcp.ACK, YourAddr: addr("192.0.2.100"), Server: addr("192.0.2.3")})
	if f := l.ask(dhcp.Message{Type: dhcp.Discover}); f.msg.Type != dhcp.Offer {
		t.Errorf("the next reply is %v", f.msg.Type)
	}
}

func TestDHCPTakesAddressesBack(t *testing.T) {
	l := newLAN(t, map[string]string{"range": "192.0.2.100-192.0.2.101", "lease": "infinite"})
	get := func(m dhcp.Message) netip.Addr {
		m.Type, m.Requested, m.Broadcast = dhcp.Request, l.ask(func() dhcp.Message {
			d := m
			d.Type, d.Broadcast = dhcp.Discover, true
			return d
		}()).msg.YourAddr, true
		return l.ask(m).msg.YourAddr
	}
	first := get(dhcp.Message{})
	second := get(dhcp.Message{MAC: dhcp.MAC{2, 9}})
	if first == second {
		t.Fatal("two clients have ", first)
	}
	server := addr("192.0.2.2")
	l.send(dhcp.Message{Type: dhcp.Decline, Requested: first, Server: server})
	l.send(dhcp.Message{Type: dhcp.Release, ClientAddr: second, Server: server, MAC: dhcp.MAC{2, 9}})
	if got := get(dhcp.Message{}); got != second {
		t.Errorf("after declining %v the client has %v, want %v", first, got, second)
	}
	states := []string{}
	for _, x := range l.server.Leases() {
		states = append(states, x.State)
	}
	if !slices.Equal(states, []string{"declined", "bound"}) {
		t.Errorf("the leases are %v", states)
	}
	// No address is left for a third client: the server is silent, and says why.
	l.send(dhcp.Message{Type: dhcp.Discover, MAC: dhcp.MAC{2, 10}})
	if err := l.client.SetAddrs("client", []netip.Prefix{netip.MustParsePrefix("192.0.2.7/24")}); err != nil {
		t.Fatal(err)
	}
	m := l.ask(dhcp.Message{Type: dhcp.Inform, ClientAddr: addr("192.0.2.7"), Broadcast: true}).msg
	if m.Type != dhcp.ACK || m.YourAddr.IsValid() || m.LeaseTime != 0 {
		t.Errorf("the next reply is %+v", m)
	}
}

func TestDHCPStartsAndStops(t *testing.T) {
	l := newLAN(t, nil)
	if f := l.ask(dhcp.Message{Type: dhcp.Discover}); f.msg.YourAddr != addr("192.0.2.128") {
		t.Errorf("the first address is %v", f.msg.YourAddr)
	}
	l.server.Stop()
	l.server.Stop()
	l.send(dhcp.Message{Type: dhcp.Discover})
	for { // until it has arrived
		c, err := l.host.Counters("server")
		if err != nil {
			t.Fatal(err)
		}
		if c.RxPackets == 2 {
			break
		}
		if err := clock.System().Sleep(t.Context(), time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if f := l.ask(dhcp.Message{Type: dhcp.Discover, XID: 5}); f.msg.YourAddr != addr("192.0.2.128") {
		t.Errorf("after a start the address is %v", f.msg.YourAddr)
	}
	report := l.server.Report().(peers.DHCPReport)
	if report.Received["DHCPDISCOVER"] != 2 || report.Sent["DHCPOFFER"] != 2 {
		t.Errorf("the report is %+v", report)
	}
	wrong := newPeer(t, l.host, "dhcp", map[string]string{"range": "203.0.113.1-203.0.113.2"})
	if err := wrong.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "needs a wire") {
		t.Errorf("without a wire: %v", err)
	}
}

// FuzzDHCPServer sends messages to a server. It must answer with messages that can be parsed, and
// must not remember more clients than it has addresses.
func FuzzDHCPServer(f *testing.F) {
	for _, m := range []dhcp.Message{
		{Type: dhcp.Discover, MAC: clientMAC},
		{Type: dhcp.Request, MAC: clientMAC, Requested: addr("192.0.2.100")},
		{Type: dhcp.Decline, MAC: clientMAC, Requested: addr("192.0.2.100"), Server: addr("192.0.2.2")},
	} {
		f.Add(m.Append(nil))
	}
	kind, _ := peers.Lookup("dhcp")
	f.Fuzz(func(t *testing.T, b []byte) {
		c := peerConfig(nil, "dhcp", map[string]string{"range": "192.0.2.100-192.0.2.101"})
		c.Wire = &peers.Wire{Interface: "x", Network: netip.MustParsePrefix("192.0.2.2/24")}
		s := kind.New(c).(*peers.DHCPServer)
		for i := range 3 {
			q, err := dhcp.Parse(b)
			if err != nil {
				return
			}
			q.MAC[5] += byte(i)
			reply := s.Answer(q)
			if reply == nil {
				continue
			}
			if back, err := dhcp.Parse(reply.Append(nil)); err != nil || back.XID != q.XID || back.MAC != q.MAC {
				t.Fatalf("the reply %+v is read as %+v, %v", reply, back, err)
			}
		}
		if n := len(s.Leases()); n > 2 {
			t.Fatalf("%d leases of two addresses", n)
		}
	})
}
