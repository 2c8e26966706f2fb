package networktest

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"testing"

	"github.com/esasim/esasim/appliance/network"
)

func configurer(t *testing.T, f Fixture) network.Configurer {
	t.Helper()
	c, ok := f.Net.(network.Configurer)
	if !ok {
		t.Skip("the network is no Configurer")
	}
	return c
}

// addrsOf returns the addresses of the interface under test.
func addrsOf(t *testing.T, f Fixture) []netip.Prefix {
	t.Helper()
	x, ok := interfaceNamed(f.Net.Interfaces(), f.Interface)
	if !ok {
		t.Fatalf("no interface %q", f.Interface)
	}
	return x.Addrs
}

// movedAddrs returns the addresses of the interface under test with f.Missing in place of
// f.Addr.
func movedAddrs(t *testing.T, f Fixture) []netip.Prefix {
	t.Helper()
	var addrs []netip.Prefix
	for _, p := range addrsOf(t, f) {
		if p.Addr() == f.Addr {
			p = netip.PrefixFrom(f.Missing, p.Bits())
		}
		addrs = append(addrs, p)
	}
	return addrs
}

func setAddrs(t *testing.T, f Fixture) {
	c := configurer(t, f)
	want := movedAddrs(t, f)
	if err := c.SetAddrs(f.Interface, want); err != nil {
		t.Fatal(err)
	}
	if got := addrsOf(t, f); !slices.Equal(got, want) {
		t.Errorf("addresses are %v, want %v", got, want)
	}
	near, far := connect(t, f.Net, f.Peer, f.PeerAddr)
	if a := addrPort(far.RemoteAddr()).Addr(); a != f.Missing {
		t.Errorf("dialed from %v, want %v", a, f.Missing)
	}
	sendText(t, near, far, "from the new address")
	_, err := f.Net.Listen(withTimeout(t), network.ListenConfig{Addr: netip.AddrPortFrom(f.Addr, 0)})
	wantError(t, err, syscall.EADDRNOTAVAIL)
	if err := c.SetAddrs("no such", nil); err == nil {
		t.Error("SetAddrs accepted an interface that does not exist")
	}
	if err := c.SetAddrs(f.Interface, nil); err != nil {
		t.Fatal(err)
	}
	_, err = f.Net.Dial(withTimeout(t), network.DialConfig{Remote: netip.AddrPortFrom(f.PeerAddr, 9)})
	wantError(t, err, syscall.ENETUNREACH)
}

// abortConns removes the address of an established connection, a listener and a socket.
func abortConns(t *testing.T, f Fixture) {
	c := configurer(t, f)
	near, far := connect(t, f.Net, f.Peer, f.PeerAddr)
	sendText(t, near, far, "before")
	l := listen(t, f.Net, network.ListenConfig{Addr: netip.AddrPortFrom(f.Addr, 0)})
	u := openUDP(t, f.Net, network.DialConfig{Local: netip.AddrPortFrom(f.Addr, 0)})
	kept := listen(t, f.Net, network.ListenConfig{
		Addr: netip.AddrPortFrom(netip.IPv4Unspecified(), 0),
	})
	if n := c.AbortConns(); n != 0 {
		t.Errorf("closed %d sockets although all addresses are there", n)
	}
	if err := c.SetAddrs(f.Interface, movedAddrs(t, f)); err != nil {
		t.Fatal(err)
	}
	isTCP := func(frame []byte, _ int) bool {
		return len(frame) > 23 && frame[12] == 8 && frame[13] == 0 && frame[23] == 6
	}
	peerTap := record(t, f.Peer, network.TapConfig{Interface: f.Interface, Match: isTCP})
	if n := c.AbortConns(); n != 3 {
		t.Errorf("closed %d sockets, want 3", n)
	}
	_, err := near.Read(make([]byte, 1))
	wantError(t, err, syscall.ECONNABORTED)
	_, err = l.Accept()
	wantError(t, err, net.ErrClosed)
	_, err = u.Read(make([]byte, 1))
	wantError(t, err, net.ErrClosed)
	local := func(s network.Socket) bool { return s.Local.Addr() == f.Addr }
	if s := findSocket(t, f.Net, local); s.Proto != "" {
		t.Errorf("after AbortConns there is %+v", s)
	}
	// After a round trip at the new address, the peer has received all earlier packets.
	moved := netip.AddrPortFrom(f.Missing, addrPort(kept.Addr()).Port())
	x, err := f.Peer.Dial(withTimeout(t), network.DialConfig{Remote: moved})
	if err != nil {
		t.Fatal(err)
	}
	x.Close()
	for _, s := range peerTap.flow() {
		if s == "in RST ACK" || s == "in FIN ACK" {
			t.Errorf("the peer received %q", s)
		}
	}
}

func setMTU(t *testing.T, f Fixture) {
	c := configurer(t, f)
	if err := c.SetMTU(f.Interface, 600); err != nil {
		t.Fatal(err)
	}
	if x, _ := interfaceNamed(f.Net.Interfaces(), f.Interface); x.MTU != 600 {
		t.Errorf("interface is %+v", x)
	}
	r := record(t, f.Net, network.TapConfig{Interface: f.Interface})
	near, far := connect(t, f.Net, f.Peer, f.PeerAddr)
	sendText(t, near, far, string(make([]byte, 3000)))
	sendText(t, far, near, string(make([]byte, 3000)))
	for _, frame := range r.all() {
		if frame.WireLen > 614 {
			t.Fatalf("a frame has %d bytes, want 614 at most", frame.WireLen)
		}
	}
	for _, mtu := range []int{575, 9001} {
		if err := c.SetMTU(f.Interface, mtu); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("MTU %d: %v", mtu, err)
		}
	}
}

func setRoutes(t *testing.T, f Fixture) {
	c := configurer(t, f)
	all := netip.MustParsePrefix("0.0.0.0/0")
	far := netip.MustParsePrefix("198.51.100.0/24")
	routes := []network.Route{{Dst: all, Gateway: f.PeerAddr}, {Dst: far, Gateway: f.Missing}}
	if err := c.SetRoutes(routes); err != nil {
		t.Fatal(err)
	}
	rows, err := f.Net.Routes()
	supported(t, err)
	if r := rows[0]; r.Dst != all || r.Gateway != f.PeerAddr || r.Interface != f.Interface ||
		r.Flags != "UGS" {
		t.Errorf("the first route is %+v, want the default route", r)
	}
	if !slices.ContainsFunc(rows, func(r network.Route) bool {
		return r.Dst == far && r.Gateway == f.Missing && r.Flags == "UGS"
	}) {
		t.Errorf("no route to %v in %+v", far, rows)
	}
	err = c.SetRoutes([]network.Route{{Dst: all, Gateway: netip.MustParseAddr("192.0.2.1")}})
	if !errors.Is(err, syscall.ENETUNREACH) {
		t.Errorf("unreachable gateway: %v", err)
	}
	if err := c.SetRoutes(nil); err != nil {
		t.Fatal(err)
	}
	_, err = f.Net.Dial(withTimeout(t), network.DialConfig{
		Remote: netip.MustParseAddrPort("198.51.100.1:9"),
	})
	wantError(t, err, syscall.ENETUNREACH)
}
