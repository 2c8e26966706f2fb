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

// A Fixture is the network under test and a second machine on the same segment.
type Fixture struct {
	Net  network.Network // under test
	Peer network.Network // on the same segment

	Interface string // of Net, on the segment of Peer
	// Addresses of the two machines. Those of IPv6 may be zero.
	Addr, PeerAddr   netip.Addr
	Addr6, PeerAddr6 netip.Addr
	// Missing is an address of the same subnet as Addr that no machine has.
	Missing netip.Addr
	// Cluster is the address of a third machine, whose ARP replies contain a multicast
	// Ethernet address. It is zero if there is none.
	Cluster netip.Addr
}

// testTimeout bounds each call that a check makes and each condition that it waits for.
const testTimeout = 2 * time.Minute

// Run runs all checks, each with a Fixture of its own that open returns.
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
		{"CloseSendsWrittenData", closeSendsWrittenData},
		{"LingerZero", lingerZero},
		{"Acknowledged", acknowledged},
		{"Deadlines", deadlines},
		{"CloseUnblocksCalls", closeUnblocksCalls},
		{"DialEndsWithItsContext", dialContext},
		{"DialMissingHost", dialMissingHost},
		{"DialFrom", dialFrom},
		{"ListenErrors", listenErrors},
		{"Relisten", relisten},
		{"Backlog", backlog},
		{"Loopback", loopback},
		{"Datagrams", datagrams},
		{"Datagrams6", datagrams6},
		{"DatagramRefused", datagramRefused},
		{"Ping", ping},
		{"PingSelf", pingSelf},
		{"Ping6", ping6},
		{"PingFragments", pingFragments},
		{"PingMissingHost", pingMissingHost},
		{"PingEndsWithItsContext", pingContext},
		{"ProbeUDP", probeUDP},
		{"ProbeICMP", probeICMP},
		{"ProbeTCP", probeTCP},
		{"Interfaces", interfaces},
		{"Neighbors", neighbors},
		{"Routes", routes},
		{"ListenerSockets", listenerSockets},
		{"ConnectionSockets", connectionSockets},
		{"SocketQueues", socketQueues},
		{"Counters", counters},
		{"TapOrderAndContent", tapOrderAndContent},
		{"TapChecksums", tapChecksums},
		{"TapSnapAndMatch", tapSnapAndMatch},
		{"TapErrors", tapErrors},
		{"SetAddrs", setAddrs},
		{"AbortConns", abortConns},
		{"SetMTU", setMTU},
		{"SetRoutes", setRoutes},
		{"MTULimitsSegments", mtuLimitsSegments},
		{"SetMedia", setMedia},
		{"VLANTraffic", vlanTraffic},
		{"VLANInTables", vlanInTables},
		{"SetVLANs", setVLANs},
		{"SetLoopback", setLoopback},
		{"AcceptMulticastARP", acceptMulticastARP},
		{"ConfigurationReverted", configurationReverted},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.check(t, open(t))
		})
	}
}

// supported skips the check if err is errors.ErrUnsupported, and fails it on any other error.
func supported(t *testing.T, err error) {
	t.Helper()
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// wantError reports an error unless err is one of want by errors.Is, and a *net.OpError as
// the contract requires.
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

// withTimeout returns a context that ends after testTimeout.
func withTimeout(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	t.Cleanup(cancel)
	return ctx
}

// eventually waits until ok returns true, because tables change a moment after the event.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx := withTimeout(t)
	for !ok() {
		if clock.System().Sleep(ctx, time.Millisecond) != nil {
			t.Fatalf("after %v this is not true: %s", testTimeout, what)
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

// addrPort returns the address and port of a listener or socket.
func addrPort(a net.Addr) netip.AddrPort {
	return a.(interface{ AddrPort() netip.AddrPort }).AddrPort()
}

// connect opens a connection between two networks, of which to listens at addr, and returns
// both ends.
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

// sendText writes text to one end and checks that the other receives it.
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
