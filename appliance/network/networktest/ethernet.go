package networktest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket/layers"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network"
)

// transferBothWays sends n bytes each way at the same time and returns how long that takes.
func transferBothWays(t *testing.T, near, far network.Conn, n int) time.Duration {
	t.Helper()
	m := clock.System().Mark()
	done := make(chan error, 4)
	for _, ends := range [][2]network.Conn{{near, far}, {far, near}} {
		go func() {
			_, err := ends[0].Write(make([]byte, n))
			done <- err
		}()
		go func() {
			buf := make([]byte, 32<<10)
			for got := 0; got < n; {
				k, err := ends[1].Read(buf)
				if err != nil {
					done <- err
					return
				}
				got += k
			}
			done <- nil
		}()
	}
	for range cap(done) {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	return clock.System().Since(m)
}

func setMedia(t *testing.T, f Fixture) {
	c := configurer(t, f)
	near, far := connect(t, f.Net, f.Peer, f.PeerAddr)
	const n = 125_000 // a tenth of a second at 10 Mb/s
	for _, test := range []struct {
		m     network.Media
		least time.Duration
	}{
		{network.Media{Rate: 10_000_000}, 100 * time.Millisecond},
		{network.Media{Rate: 10_000_000, HalfDuplex: true}, 200 * time.Millisecond},
		{network.Media{Rate: 100_000_000}, 10 * time.Millisecond},
		{network.Media{Rate: 1_000_000_000}, 0},
		{network.Media{}, 0},
	} {
		supported(t, c.SetMedia(f.Interface, test.m))
		if x, _ := interfaceNamed(f.Net.Interfaces(), f.Interface); x.Media != test.m {
			t.Errorf("interface is %+v", x)
		}
		if d := transferBothWays(t, near, far, n); d < test.least {
			t.Errorf("%+v: %d bytes each way took %v, want at least %v", test.m, n, d, test.least)
		}
	}
	for _, m := range []network.Media{{Rate: 11_000_000}, {Rate: -1}, {HalfDuplex: true}} {
		if err := c.SetMedia(f.Interface, m); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("media %+v: %v", m, err)
		}
	}
	for _, name := range []string{"no such", "lo0"} {
		if err := c.SetMedia(name, network.Media{}); !errors.Is(err, syscall.ENXIO) {
			t.Errorf("media of %q: %v", name, err)
		}
	}
}

const (
	vlanID   = 12
	vlanName = "VLAN 12"
	vlanNet  = "192.0.2.0/24"
)

var (
	vlanAddr = netip.MustParseAddr("192.0.2.1") // the network's
	vlanPeer = netip.MustParseAddr("192.0.2.2") // the peer's
)

// joinVLAN gives both machines an interface and an address in VLAN 12.
func joinVLAN(t *testing.T, f Fixture) network.Configurer {
	t.Helper()
	c := configurer(t, f)
	peer := f
	peer.Net = f.Peer
	supported(t, c.SetVLANs([]network.VLAN{{ID: vlanID, Parent: f.Interface}}))
	supported(t, configurer(t, peer).SetVLANs([]network.VLAN{{ID: vlanID, Parent: f.Interface}}))
	for n, a := range map[network.Network]netip.Addr{f.Net: vlanAddr, f.Peer: vlanPeer} {
		if err := n.(network.Configurer).SetAddrs(vlanName, []netip.Prefix{
			netip.PrefixFrom(a, 24),
		}); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// vlanTraffic checks that frames have tags on the physical interface and none on the VLAN's.
func vlanTraffic(t *testing.T, f Fixture) {
	joinVLAN(t, f)
	parentTap := record(t, f.Net, network.TapConfig{Interface: f.Interface})
	vlanTap := record(t, f.Net, network.TapConfig{Interface: vlanName})
	near, far := connect(t, f.Net, f.Peer, vlanPeer)
	sendText(t, near, far, "hello")
	sendText(t, far, near, string(make([]byte, 10_000)))
	if a := addrPort(near.LocalAddr()).Addr(); a != vlanAddr {
		t.Errorf("dialed from %v", a)
	}
	r, err := f.Net.Ping(withTimeout(t), network.PingRequest{Dst: vlanPeer, DataSize: 56})
	supported(t, err)
	if r.Kind != network.EchoReply || r.From != vlanPeer {
		t.Errorf("ping: %+v", r)
	}
	directions := make(map[network.Direction]bool)
	var tagged, bare [][]byte
	for _, frame := range parentTap.all() {
		p := decode(frame)
		q, ok := p.Layer(layers.LayerTypeDot1Q).(*layers.Dot1Q)
		if !ok || q.VLANIdentifier != vlanID {
			t.Fatalf("not tagged: %v", p)
		}
		directions[frame.Dir] = true
		tagged = append(tagged, slices.Concat(frame.Data[:12], frame.Data[16:]))
	}
	for _, frame := range vlanTap.all() {
		if decode(frame).Layer(layers.LayerTypeDot1Q) != nil {
			t.Fatalf("tagged: %v", decode(frame))
		}
		bare = append(bare, frame.Data)
	}
	if len(directions) != 2 || len(bare) == 0 || !slices.EqualFunc(tagged, bare, bytes.Equal) {
		t.Errorf("%d frames on the parent, %d on the VLAN, want the same ones, in both directions",
			len(tagged), len(bare))
	}
	x, err := f.Net.Counters(vlanName)
	supported(t, err)
	y, err := f.Net.Counters(f.Interface)
	supported(t, err)
	if n := x.RxPackets; n == 0 || y.RxPackets != n || y.RxBytes != x.RxBytes+4*n ||
		y.TxBytes != x.TxBytes+4*x.TxPackets {
		t.Errorf("counters of the VLAN %+v, of its parent %+v", x, y)
	}
}

// vlanInTables checks that a VLAN appears in all tables, as other interfaces do.
func vlanInTables(t *testing.T, f Fixture) {
	c := joinVLAN(t, f)
	list := f.Net.Interfaces()
	x, _ := interfaceNamed(list, vlanName)
	parent, _ := interfaceNamed(list, f.Interface)
	if x.Device != "vlan12" || x.VLAN != vlanID || x.Parent != f.Interface ||
		!bytes.Equal(x.MAC, parent.MAC) || x.MTU != parent.MTU || !x.Up || x.Loopback {
		t.Errorf("interface is %+v", x)
	}
	if lo, ok := interfaceNamed(list, "lo0"); ok && x.Index <= lo.Index {
		t.Errorf("link#%d, want a number above lo0's link#%d", x.Index, lo.Index)
	}
	_, err := f.Net.Ping(withTimeout(t), network.PingRequest{Dst: vlanPeer})
	supported(t, err)
	neighbors, err := f.Net.Neighbors()
	supported(t, err)
	if !slices.ContainsFunc(neighbors, func(n network.Neighbor) bool {
		return n.Addr == vlanPeer && n.Interface == vlanName && n.State == "reachable"
	}) {
		t.Errorf("%v is not among %+v", vlanPeer, neighbors)
	}
	rows, err := f.Net.Routes()
	supported(t, err)
	want := network.Route{
		Dst: netip.MustParsePrefix(vlanNet), Link: x.Index, Interface: vlanName, Flags: "U", MTU: x.MTU,
	}
	if !slices.Contains(rows, want) {
		t.Errorf("no %+v in %+v", want, rows)
	}
	for _, mtu := range []int{1200, parent.MTU} {
		if err := c.SetMTU(f.Interface, mtu); err != nil {
			t.Fatal(err)
		}
		if x, _ := interfaceNamed(f.Net.Interfaces(), vlanName); x.MTU != mtu {
			t.Errorf("MTU %d, want its parent's, %d", x.MTU, mtu)
		}
	}
	if err := c.SetMTU(vlanName, parent.MTU+1); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("an MTU above the parent's: %v", err)
	}
}

func setVLANs(t *testing.T, f Fixture) {
	c := joinVLAN(t, f)
	near, far := connect(t, f.Net, f.Peer, vlanPeer)
	before := f.Net.Interfaces()
	for _, v := range []struct {
		list []network.VLAN
		err  error
	}{
		{[]network.VLAN{{ID: 0, Parent: f.Interface}}, syscall.EINVAL},
		{[]network.VLAN{{ID: 4095, Parent: f.Interface}}, syscall.EINVAL},
		{[]network.VLAN{{ID: 9, Parent: f.Interface}, {ID: 9, Parent: f.Interface}}, syscall.EINVAL},
		{[]network.VLAN{{ID: 9, Parent: "no such"}}, syscall.ENXIO},
		{[]network.VLAN{{ID: 9, Parent: vlanName}}, syscall.ENXIO},
	} {
		if err := c.SetVLANs(v.list); !errors.Is(err, v.err) {
			t.Errorf("%+v: %v, want %v", v.list, err, v.err)
		}
	}
	if d := cmp.Diff(fmt.Sprint(before), fmt.Sprint(f.Net.Interfaces())); d != "" {
		t.Errorf("calls that failed changed interfaces (-before +after):\n%s", d)
	}
	// A second VLAN does not affect the connections of the first.
	two := []network.VLAN{{ID: 34, Parent: f.Interface}, {ID: vlanID, Parent: f.Interface}}
	if err := c.SetVLANs(two); err != nil {
		t.Fatal(err)
	}
	sendText(t, near, far, "still there")
	if err := c.SetVLANs(nil); err != nil {
		t.Fatal(err)
	}
	if _, ok := interfaceNamed(f.Net.Interfaces(), vlanName); ok {
		t.Error("the VLAN was not removed")
	}
	if n := c.AbortConns(); n != 1 {
		t.Errorf("closed %d connections, want the one of the VLAN", n)
	}
	_, err := near.Read(make([]byte, 1))
	wantError(t, err, syscall.ECONNABORTED)
	_, err = f.Net.Dial(withTimeout(t), network.DialConfig{Remote: netip.AddrPortFrom(vlanPeer, 9)})
	wantError(t, err, syscall.ENETUNREACH)
}

// setLoopback gives lo1 an address of the segment's network, and one of another network.
func setLoopback(t *testing.T, f Fixture) {
	c := configurer(t, f)
	supported(t, c.SetLoopback(true))
	routed := netip.MustParseAddr("192.0.2.33")
	addrs := []netip.Prefix{netip.PrefixFrom(routed, 32), netip.PrefixFrom(f.Missing, 32)}
	if err := c.SetAddrs("Loopback", addrs); err != nil {
		t.Fatal(err)
	}
	x, _ := interfaceNamed(f.Net.Interfaces(), "Loopback")
	if x.Device != "lo1" || !x.Loopback || !x.Up || !slices.Equal(x.Addrs, addrs) {
		t.Errorf("interface is %+v", x)
	}
	peer, ok := f.Peer.(network.Configurer)
	if !ok {
		t.Skip("the peer is no Configurer")
	}
	route := network.Route{Dst: netip.PrefixFrom(routed, 32), Gateway: f.Addr}
	if err := peer.SetRoutes([]network.Route{route}); err != nil {
		t.Fatal(err)
	}
	near, far := connect(t, f.Peer, f.Net, routed)
	sendText(t, near, far, "by a route")
	sendText(t, far, near, "and back")
	near, far = connect(t, f.Net, f.Net, routed)
	sendText(t, near, far, "to itself")
	sendFromLoopback(t, f, routed)
	_, err := f.Peer.Dial(withTimeout(t), network.DialConfig{Remote: netip.AddrPortFrom(f.Missing, 9)})
	wantError(t, err, syscall.EHOSTUNREACH) // lo1 does not answer ARP
	if err := c.SetLoopback(false); err != nil {
		t.Fatal(err)
	}
	if _, ok := interfaceNamed(f.Net.Interfaces(), "Loopback"); ok {
		t.Error("the interface was not removed")
	}
	_, err = f.Net.Listen(withTimeout(t), network.ListenConfig{Addr: netip.AddrPortFrom(routed, 0)})
	wantError(t, err, syscall.EADDRNOTAVAIL)
}

// sendFromLoopback sends TCP, UDP and ICMP to the peer from an address of lo1.
func sendFromLoopback(t *testing.T, f Fixture, own netip.Addr) {
	t.Helper()
	l := listen(t, f.Peer, network.ListenConfig{Addr: netip.AddrPortFrom(f.PeerAddr, 0)})
	u := openUDP(t, f.Net, network.DialConfig{Local: netip.AddrPortFrom(own, 0)})
	far := openUDP(t, f.Peer, network.DialConfig{Local: netip.AddrPortFrom(f.PeerAddr, 0)})
	if err := far.SetDeadline(clock.System().Now().Add(testTimeout)); err != nil {
		t.Fatal(err)
	}
	for range 5 { // a source address that is chosen at random would differ at least once
		c, err := f.Net.Dial(withTimeout(t), network.DialConfig{
			Local: netip.AddrPortFrom(own, 0), Remote: addrPort(l.Addr()),
		})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Abort()
		for _, src := range []netip.Addr{own, f.Addr} {
			if _, err := f.Net.Ping(withTimeout(t), network.PingRequest{
				Dst: f.PeerAddr, Src: src,
			}); err != nil {
				t.Errorf("ping from %v: %v", src, err)
			}
		}
		if _, err := u.WriteTo([]byte("hello"), far.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		if _, from, err := far.ReadFrom(make([]byte, 9)); err != nil || addrPort(from).Addr() != own {
			t.Errorf("the peer received from %v, %v, want %v", from, err, own)
		}
	}
}

// acceptMulticastARP pings a machine whose ARP replies contain a multicast Ethernet address.
func acceptMulticastARP(t *testing.T, f Fixture) {
	c := configurer(t, f)
	if !f.Cluster.IsValid() {
		t.Skip("no cluster")
	}
	pingCluster := func() (network.Neighbor, error) {
		_, err := f.Net.Ping(withTimeout(t), network.PingRequest{Dst: f.Cluster})
		list, err2 := f.Net.Neighbors()
		supported(t, err2)
		i := slices.IndexFunc(list, func(n network.Neighbor) bool { return n.Addr == f.Cluster })
		if i < 0 {
			t.Fatalf("%v is not among %+v", f.Cluster, list)
		}
		return list[i], err
	}
	n, err := pingCluster()
	wantError(t, err, syscall.EHOSTUNREACH)
	if n.MAC != nil || n.State != "incomplete" {
		t.Errorf("rejected: %+v", n)
	}
	supported(t, c.AcceptMulticastARP(true))
	n, err = pingCluster()
	if err != nil || len(n.MAC) != 6 || n.MAC[0]&1 == 0 || n.State != "reachable" {
		t.Errorf("accepted: %+v, %v", n, err)
	}
	supported(t, c.AcceptMulticastARP(false))
	if _, err := f.Net.FlushNeighbors(); err != nil {
		t.Fatal(err)
	}
	_, err = pingCluster()
	wantError(t, err, syscall.EHOSTUNREACH)
}

// mtuLimitsSegments checks that TCP announces and keeps to the segment size of a low MTU, and
// that pings are fragmented.
func mtuLimitsSegments(t *testing.T, f Fixture) {
	c := configurer(t, f)
	old, _ := interfaceNamed(f.Net.Interfaces(), f.Interface)
	before, beforeFar := connect(t, f.Net, f.Peer, f.PeerAddr)
	if err := c.SetMTU(f.Interface, 1200); err != nil {
		t.Fatal(err)
	}
	r := record(t, f.Net, network.TapConfig{Interface: f.Interface})
	near, far := connect(t, f.Net, f.Peer, f.PeerAddr)
	transferBothWays(t, near, far, 100_000)
	for _, frame := range r.all() {
		tcp, ok := decode(frame).Layer(layers.LayerTypeTCP).(*layers.TCP)
		if !ok {
			continue
		}
		for _, o := range tcp.Options {
			if !tcp.SYN || frame.Dir != network.Out || o.OptionType != layers.TCPOptionKindMSS {
				continue
			}
			if mss := binary.BigEndian.Uint16(o.OptionData); mss != 1160 {
				t.Errorf("announced MSS %d, want 1160", mss)
			}
		}
		if frame.WireLen > 1214 {
			t.Fatalf("a frame of %d bytes, direction %d", frame.WireLen, frame.Dir)
		}
	}
	// On the earlier connection the peer may send longer segments, the network may not.
	transferBothWays(t, before, beforeFar, 100_000)
	_, err := f.Net.Ping(withTimeout(t), network.PingRequest{Dst: f.PeerAddr, DataSize: 4000})
	supported(t, err)
	_, err = f.Peer.Ping(withTimeout(t), network.PingRequest{Dst: f.Addr, DataSize: 4000})
	supported(t, err)
	for _, frame := range r.all() {
		if frame.Dir == network.Out && frame.WireLen > 1214 {
			t.Fatalf("a frame of %d bytes was sent", frame.WireLen)
		}
	}
	if err := c.SetMTU(f.Interface, old.MTU); err != nil {
		t.Fatal(err)
	}
	r = record(t, f.Net, network.TapConfig{Interface: f.Interface})
	near, far = connect(t, f.Net, f.Peer, f.PeerAddr)
	transferBothWays(t, near, far, 100_000)
	if !slices.ContainsFunc(r.all(), func(frame network.Frame) bool {
		return frame.WireLen > 1214 && frame.Dir == network.Out
	}) {
		t.Error("after the MTU was restored, no frame has more than 1214 bytes")
	}
}

// configurationReverted changes every setting and restores all of them with the same calls.
func configurationReverted(t *testing.T, f Fixture) {
	c := joinVLAN(t, f)
	before := fmt.Sprint(f.Net.Interfaces())
	rowsBefore, err := f.Net.Routes()
	supported(t, err)
	addrs := addrsOf(t, f)
	set := func(vlans []network.VLAN, loopback bool, mtu int, m network.Media,
		addrs, vlanAddrs []netip.Prefix) {
		t.Helper()
		if err := errors.Join(c.SetVLANs(vlans), c.SetLoopback(loopback), c.SetMTU(f.Interface, mtu),
			c.SetMedia(f.Interface, m), c.AcceptMulticastARP(loopback)); err != nil {
			t.Fatal(err)
		}
		if err := c.SetAddrs(f.Interface, addrs); err != nil {
			t.Fatal(err)
		}
		if len(vlanAddrs) > 0 {
			if err := c.SetAddrs(vlanName, vlanAddrs); err != nil {
				t.Fatal(err)
			}
		}
	}
	set([]network.VLAN{{ID: 34, Parent: f.Interface}}, true, 1300,
		network.Media{Rate: 100_000_000}, movedAddrs(t, f), nil)
	if err := c.SetAddrs("Loopback", []netip.Prefix{netip.PrefixFrom(f.Addr, 32)}); err != nil {
		t.Fatal(err)
	}
	set([]network.VLAN{{ID: vlanID, Parent: f.Interface}}, false, 1500, network.Media{}, addrs,
		[]netip.Prefix{netip.PrefixFrom(vlanAddr, 24)})
	if d := cmp.Diff(before, fmt.Sprint(f.Net.Interfaces())); d != "" {
		t.Errorf("interfaces (-before +after):\n%s", d)
	}
	rows, err := f.Net.Routes()
	supported(t, err)
	if d := cmp.Diff(fmt.Sprint(rowsBefore), fmt.Sprint(rows)); d != "" {
		t.Errorf("routes (-before +after):\n%s", d)
	}
	for _, a := range []netip.Addr{f.PeerAddr, vlanPeer} {
		near, far := connect(t, f.Net, f.Peer, a)
		sendText(t, near, far, "as before")
	}
	near, far := connect(t, f.Peer, f.Net, f.Addr)
	sendText(t, near, far, "as before")
}
