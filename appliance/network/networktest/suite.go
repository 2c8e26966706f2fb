package networktest

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network"
)

// A Fixture is a network to be judged, with a neighbour.
type Fixture struct {
	Net  network.Network // under test
	Peer network.Network // on the same wire

	Interface string // Net's way to Peer
	// The addresses of the two; the sixes may be zero.
	Addr, PeerAddr   netip.Addr
	Addr6, PeerAddr6 netip.Addr
	// Missing is an address of the same subnet as Addr that no machine has.
	Missing netip.Addr
	// Cluster is the address of a third machine, which says by ARP that it is at a
	// group's Ethernet address; zero: there is none.
	Cluster netip.Addr
}

// patience is how long a check waits for what must come.
const testTimeout = 30 * time.Second

// Run judges the networks that open returns, one for each check.
func Run(t *testing.T, open func(t *testing.T) Fixture) {
	for _, c := range []struct {
		name  string
		check func(*testing.T, Fixture)
	}{
		{"Conversation", conversation},
		{"Conversation6", conversation6},
		{"ManyConversations", manyConversations},
		{"Refused", refused},
		{"Reset", reset},
		{"HalfClose", halfClose},
		{"CloseSendsWhatWasWritten", closeSendsWrittenData},
		{"LingerZero", lingerZero},
		{"Acknowledged", acknowledged},
		{"Deadlines", deadlines},
		{"CloseEndsWaiting", closeUnblocksCalls},
		{"DialEndsWithItsContext", dialContext},
		{"DialNobody", dialMissingHost},
		{"DialFrom", dialFrom},
		{"ListenErrors", listenErrors},
		{"ListenAgain", relisten},
		{"Backlog", backlog},
		{"Loopback", loopback},
		{"Datagrams", datagrams},
		{"Datagrams6", datagrams6},
		{"DatagramRefused", datagramRefused},
		{"Ping", ping},
		{"PingSelf", pingSelf},
		{"Ping6", ping6},
		{"PingFragments", pingFragments},
		{"PingNobody", pingMissingHost},
		{"PingEndsWithItsContext", pingContext},
		{"ProbeUDP", probeUDP},
		{"ProbeICMP", probeICMP},
		{"ProbeTCP", probeTCP},
		{"Interfaces", interfaces},
		{"Neighbors", neighbors},
		{"Routes", routes},
		{"SocketsOfAListener", listenerSockets},
		{"SocketsOfAConnection", connectionSockets},
		{"SocketQueues", socketQueues},
		{"Counters", counters},
		{"TapOrderAndContent", tapOrderAndContent},
		{"TapChecksums", tapChecksums},
		{"TapSnapAndMatch", tapSnapAndMatch},
		{"TapErrors", tapErrors},
		{"SetAddrs", setAddrs},
		{"AbortConns", abortConns},
		{"SetUp", setUp},
		{"SetMTU", setMTU},
		{"SetRoutes", setRoutes},
		{"SetMTUOfSegments", mtuLimitsSegments},
		{"SetMedia", setMedia},
		{"VLANTraffic", vlanTraffic},
		{"VLANTables", vlanInTables},
		{"SetVLANs", setVLANs},
		{"SetLoopback", setLoopback},
		{"AcceptMulticastARP", acceptMulticastARP},
		{"EthernetUndone", configurationReverted},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.check(t, open(t))
		})
	}
}

// supported skips the check if the implementation cannot do this, and fails it
// on any other error.
func supported(t *testing.T, err error) {
	t.Helper()
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// wantError fails the check unless err is (errors.Is) one of want, and a
// *net.OpError as the contract says.
func wantError(t *testing.T, err error, want ...error) {
	t.Helper()
	var op *net.OpError
	if !errors.As(err, &op) {
		t.Errorf("%v (%T) is no *net.OpError", err, err)
		return
	}
	for _, w := range want {
		if errors.Is(err, w) {
			return
		}
	}
	t.Errorf("got %v, want %v", err, want)
}

// within bounds a call by the suite's patience.
func withTimeout(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	t.Cleanup(cancel)
	return ctx
}

// eventually waits until ok holds: tables follow what happens a moment later.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx := withTimeout(t)
	for !ok() {
		if clock.System().Sleep(ctx, time.Millisecond) != nil {
			t.Fatalf("not so after %v: %s", testTimeout, what)
		}
	}
}

func listen(t *testing.T, n network.Network, c network.ListenConfig) network.Listener {
	t.Helper()
	l, err := n.Listen(withTimeout(t), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// portOf is where a listener or socket is.
func addrPort(a net.Addr) netip.AddrPort {
	return a.(interface{ AddrPort() netip.AddrPort }).AddrPort()
}

// connect connects from to to, which listens at addr, and returns both ends.
func connect(t *testing.T, from, to network.Network, addr netip.Addr) (near, far network.Conn) {
	t.Helper()
	l := listen(t, to, network.ListenConfig{Addr: netip.AddrPortFrom(addr, 0)})
	near, err := from.Dial(withTimeout(t), network.DialConfig{Remote: addrPort(l.Addr())})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close() })
	far, err = l.AcceptConn()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { far.Close() })
	for _, c := range []network.Conn{near, far} {
		if err := c.SetDeadline(clock.System().Now().Add(testTimeout)); err != nil {
			t.Fatal(err)
		}
	}
	return near, far
}

// say writes text on one end and wants it on the other.
func sendText(t *testing.T, from io.Writer, to io.Reader, text string) {
	t.Helper()
	if n, err := io.WriteString(from, text); n != len(text) || err != nil {
		t.Fatalf("wrote %d of %d bytes: %v", n, len(text), err)
	}
	b := make([]byte, len(text))
	if n, err := io.ReadFull(to, b); string(b) != text {
		t.Fatalf("read %q (%v), want %q", b[:n], err, text)
	}
}
