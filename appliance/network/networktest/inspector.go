package networktest

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network"
)

func interfaces(t *testing.T, f Fixture) {
	all := f.Net.Interfaces()
	names := make(map[string]bool)
	for i, x := range all {
		if names[x.Name] || x.Index == 0 || x.MTU == 0 {
			t.Errorf("interface %+v", x)
		}
		names[x.Name] = true
		if x.Name == "lo0" && i != len(all)-1 {
			t.Errorf("lo0 is not the last of %d interfaces", len(all))
		}
	}
	x, ok := interfaceNamed(all, f.Interface)
	if !ok || x.Loopback || !x.Up || len(x.MAC) != 6 || !hasAddr(x.Addrs, f.Addr) {
		t.Errorf("interface %+v", x)
	}
}

func interfaceNamed(all []network.Interface, name string) (network.Interface, bool) {
	i := slices.IndexFunc(all, func(x network.Interface) bool { return x.Name == name })
	if i < 0 {
		return network.Interface{}, false
	}
	return all[i], true
}

func hasAddr(prefixes []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Addr() == a })
}

func neighbors(t *testing.T, f Fixture) {
	find := func(list []network.Neighbor, a netip.Addr) (network.Neighbor, bool) {
		i := slices.IndexFunc(list, func(n network.Neighbor) bool { return n.Addr == a })
		if i < 0 {
			return network.Neighbor{}, false
		}
		return list[i], true
	}
	addrs := []netip.Addr{f.PeerAddr}
	if f.PeerAddr6.IsValid() {
		addrs = append(addrs, f.PeerAddr6)
	}
	for _, a := range addrs {
		_, err := f.Net.Ping(withTimeout(t), network.PingRequest{Dst: a, DataSize: 56})
		supported(t, err)
	}
	_, _ = f.Net.Ping(withTimeout(t), network.PingRequest{Dst: f.Missing})
	list, err := f.Net.Neighbors()
	supported(t, err)
	for _, a := range addrs {
		n, ok := find(list, a)
		if !ok || n.Interface != f.Interface || len(n.MAC) != 6 || n.State != "reachable" ||
			n.Expires <= 0 {
			t.Errorf("neighbor %v: %+v", a, n)
		}
	}
	if n, ok := find(list, f.Missing); !ok || n.MAC != nil || n.State != "incomplete" {
		t.Errorf("neighbor that did not answer: %+v", n)
	}
	gone, err := f.Net.FlushNeighbors()
	supported(t, err)
	for _, a := range addrs {
		if n, ok := find(gone, a); !ok || len(n.MAC) != 6 {
			t.Errorf("%v is not among the flushed %+v", a, gone)
		}
	}
	list, err = f.Net.Neighbors()
	supported(t, err)
	for _, n := range list {
		if n.State != "permanent" {
			t.Errorf("after the flush there is %+v", n)
		}
	}
	if _, err := f.Net.Ping(withTimeout(t), network.PingRequest{Dst: f.PeerAddr}); err != nil {
		t.Errorf("after the flush: %v", err)
	}
}

// routes checks that the link's route comes before the route of the host's own address.
func routes(t *testing.T, f Fixture) {
	rows, err := f.Net.Routes()
	supported(t, err)
	link, host := -1, -1
	for i, r := range rows {
		switch {
		case r.Interface == f.Interface && !r.Gateway.IsValid() && r.Dst.Contains(f.Addr):
			link = i
			if r.Flags != "U" || r.Link == 0 {
				t.Errorf("route of the link: %+v", r)
			}
		case r.Dst == netip.PrefixFrom(f.Addr, f.Addr.BitLen()):
			host = i
			if r.Flags != "UHS" {
				t.Errorf("route of the address: %+v", r)
			}
		}
	}
	if link < 0 || host < link {
		t.Errorf("routes of %v are not in %+v", f.Addr, rows)
	}
}

func findSocket(t *testing.T, n network.Network, ok func(network.Socket) bool) network.Socket {
	t.Helper()
	rows, err := n.Sockets()
	supported(t, err)
	if i := slices.IndexFunc(rows, ok); i >= 0 {
		return rows[i]
	}
	return network.Socket{}
}

func listenerSockets(t *testing.T, f Fixture) {
	l := listen(t, f.Net, network.ListenConfig{
		Addr: netip.AddrPortFrom(f.Addr, 0), Backlog: 50, Owner: "hermes", User: "root",
		PID: 7, Workers: []string{"nobody"}, Mapped: true,
	})
	u := openUDP(t, f.Net, network.DialConfig{
		Local: netip.AddrPortFrom(f.Addr, 0), Owner: "interface", User: "nobody",
	})
	at := func(a netip.AddrPort) func(network.Socket) bool {
		return func(s network.Socket) bool { return s.Local == a }
	}
	s := findSocket(t, f.Net, at(addrPort(l.Addr())))
	if s.Proto != "tcp4" || s.State != "LISTEN" ||
		s.Remote != netip.AddrPortFrom(netip.IPv4Unspecified(), 0) ||
		s.QLen != 0 || s.IncQLen != 0 || s.MaxQLen != 50 || s.Owner != "hermes" ||
		s.User != "root" || s.PID != 7 || !slices.Equal(s.Workers, []string{"nobody"}) || !s.Mapped {
		t.Errorf("listener: %+v", s)
	}
	d := findSocket(t, f.Net, at(addrPort(u.LocalAddr())))
	if d.Proto != "udp4" || d.State != "" || d.Owner != "interface" || d.User != "nobody" ||
		d.Seq <= s.Seq {
		t.Errorf("UDP socket: %+v", d)
	}

	c, err := f.Peer.Dial(withTimeout(t), network.DialConfig{Remote: addrPort(l.Addr())})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	eventually(t, "a connection waits to be accepted", func() bool {
		return findSocket(t, f.Net, at(addrPort(l.Addr()))).QLen == 1
	})
	x, err := l.AcceptConn()
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	if s := findSocket(t, f.Net, at(addrPort(l.Addr()))); s.QLen != 0 {
		t.Errorf("after Accept: %+v", s)
	}
	l.Close()
	u.Close()
	if s := findSocket(t, f.Net, func(s network.Socket) bool {
		return s.State == "LISTEN" || s.Proto == "udp4"
	}); s.Proto != "" {
		t.Errorf("after Close there is %+v", s)
	}
}

func connectionSockets(t *testing.T, f Fixture) {
	l := listen(t, f.Peer, network.ListenConfig{
		Addr: netip.AddrPortFrom(f.PeerAddr, 0), Owner: "syslogd",
	})
	c, err := f.Net.Dial(withTimeout(t), network.DialConfig{
		Remote: addrPort(l.Addr()), Owner: "hermes", User: "root",
	})
	if err != nil {
		t.Fatal(err)
	}
	far, err := l.AcceptConn()
	if err != nil {
		t.Fatal(err)
	}
	near := func(s network.Socket) bool { return s.Local == addrPort(c.LocalAddr()) }
	s := findSocket(t, f.Net, near)
	if s.Proto != "tcp4" || s.State != "ESTABLISHED" || s.Remote != addrPort(l.Addr()) ||
		s.Owner != "hermes" || s.User != "root" {
		t.Errorf("connection: %+v", s)
	}
	if s := findSocket(t, f.Peer, func(s network.Socket) bool {
		return s.Remote == addrPort(c.LocalAddr())
	}); s.Owner != "syslogd" {
		t.Errorf("accepted connection: %+v", s)
	}
	far.Close()
	eventually(t, "the state is CLOSE_WAIT", func() bool {
		return findSocket(t, f.Net, near).State == "CLOSE_WAIT"
	})
	c.Close()
	eventually(t, "the connection is gone", func() bool {
		return findSocket(t, f.Net, near).Proto == ""
	})
	inTimeWait := func(s network.Socket) bool {
		return s.Remote == addrPort(c.LocalAddr()) && s.State == "TIME_WAIT"
	}
	eventually(t, "the state is TIME_WAIT", func() bool {
		return findSocket(t, f.Peer, inTimeWait).Proto != ""
	})
	if s := findSocket(t, f.Peer, inTimeWait); s.Owner != "" {
		t.Errorf("a connection in TIME_WAIT has an owner: %+v", s)
	}
}

func socketQueues(t *testing.T, f Fixture) {
	near, far := connect(t, f.Net, f.Peer, f.PeerAddr)
	rowOf := func(n network.Network, c network.Conn) network.Socket {
		return findSocket(t, n, func(s network.Socket) bool {
			return s.Local == addrPort(c.LocalAddr()) && s.Remote == addrPort(c.RemoteAddr())
		})
	}
	if _, err := far.Write(make([]byte, 1234)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "1234 bytes wait to be read", func() bool {
		return rowOf(f.Net, near).RecvQ == 1234
	})

	// The peer does not read: data that does not fit into its receive queue stays in the send
	// queue of the network.
	_ = near.SetWriteDeadline(clock.System().Now().Add(100 * time.Millisecond))
	written := 0
	for {
		n, err := near.Write(make([]byte, 10000))
		written += n
		if err != nil {
			break
		}
	}
	eventually(t, "every byte written is in one of the queues", func() bool {
		return rowOf(f.Net, near).SendQ+rowOf(f.Peer, far).RecvQ == written
	})
	if s := rowOf(f.Net, near); s.SendQ <= 0 {
		t.Errorf("after writing %d bytes: %+v", written, s)
	}
}
