package network

import (
	"context"
	"net"
	"net/netip"
)

// A Network is one appliance's view of its network. All methods are safe for
// concurrent use.
type Network interface {
	Transport
	Prober
	Inspector
	Tapper
}

// A Transport opens sockets.
type Transport interface {
	// Listen opens a TCP listener. The port is open when Listen returns.
	Listen(ctx context.Context, c ListenConfig) (Listener, error)
	// Dial opens a TCP connection. ctx bounds the connecting only.
	Dial(ctx context.Context, c DialConfig) (Conn, error)
	// ListenPacket opens a UDP socket. With c.Remote set it is connected, and an
	// ICMP port unreachable shows as ECONNREFUSED on the next call.
	ListenPacket(ctx context.Context, c DialConfig) (PacketConn, error)
}

// A Prober sends single probes; ping and traceroute are loops around it. Its
// round-trip times are measured where the packets pass, on the machine's
// monotonic clock.
type Prober interface {
	// Ping sends one echo request and waits for its answer, or for an ICMP error
	// about it, which is a Reply too. It returns ctx's cause when neither comes,
	// and an errno when nothing could be sent (ENETUNREACH: no route;
	// EHOSTUNREACH: no neighbour answered; EMSGSIZE).
	Ping(ctx context.Context, r PingRequest) (Reply, error)
	// Probe sends one traceroute probe and waits for what answers it.
	Probe(ctx context.Context, r ProbeRequest) (Reply, error)
}

// An Inspector shows tables as they are now.
type Inspector interface {
	// Interfaces lists the interfaces in the order in which the appliance shows
	// them, lo0 last.
	Interfaces() []Interface
	// Neighbors lists the ARP (IPv4) and NDP (IPv6) caches.
	Neighbors() ([]Neighbor, error)
	// FlushNeighbors drops every dynamic entry of both caches and returns them.
	FlushNeighbors() ([]Neighbor, error)
	// Routes lists the routing table with the host and link routes that a BSD
	// system shows.
	Routes() ([]Route, error)
	// Sockets lists TCP and UDP sockets, listeners included, in the order in which
	// they were opened. The list is the caller's.
	Sockets() ([]Socket, error)
	// Counters are an interface's totals since it came up.
	Counters(ifname string) (Counters, error)
}

// A Tapper shows the frames that pass an interface.
type Tapper interface {
	// Tap calls c.Sink for every frame from now on, until the Tap is closed.
	Tap(c TapConfig) (Tap, error)
}

// A Configurer is a network that owns its interfaces. Each call takes effect at
// once and replaces what was set before; a call that fails changes nothing, but for
// SetAddrs. Interfaces that are made have no addresses, so several calls are undone by
// making them with the former values in the same order: SetVLANs and SetLoopback, then
// SetMTU and SetMedia, SetAddrs, SetRoutes.
//
// Errors wrap ENXIO for an interface that does not exist, or cannot have what is set,
// and EINVAL for a value out of range.
type Configurer interface {
	// SetAddrs gives the interface exactly these addresses. An address that goes
	// stops being answered for; its connections stay until AbortConns.
	SetAddrs(ifname string, addrs []netip.Prefix) error
	// SetUp switches an interface on or off; off is a pulled cable.
	SetUp(ifname string, up bool) error
	// SetMTU sets the largest IP packet that is sent, from 576 to 9000 bytes. What
	// is received may have 1500 in any case. A VLAN's may be its parent's at most,
	// which it follows again when it is set to that.
	SetMTU(ifname string, mtu int) error
	// SetMedia sets the rate of a physical interface, which really limits what it
	// sends and receives.
	SetMedia(ifname string, m Media) error
	// SetVLANs makes exactly these interfaces, each called "VLAN <ID>" ("vlan<ID>"),
	// over physical ones, whose frames carry IEEE 802.1Q tags. Those that were there
	// keep all they have. One that goes, or moves to another parent, loses its
	// addresses, as by SetAddrs.
	SetVLANs(vlans []VLAN) error
	// SetLoopback makes or removes the interface "Loopback" (lo1). Its addresses are
	// the appliance's on every wire, but nobody is told so by ARP or NDP: packets
	// to them come by a route, or from a load balancer (direct server return).
	SetLoopback(on bool) error
	// AcceptMulticastARP says whether to believe ARP messages whose sender is at the
	// Ethernet address of a group, as a cluster's machines send; not so at first.
	// What was believed stays in the cache.
	AcceptMulticastARP(accept bool) error
	// SetRoutes gives the static routes, default routes included.
	SetRoutes(routes []Route) error
	// AbortConns ends every connection and closes every listener on an address
	// that no interface has any more. Peers hear nothing, as from a real host.
	AbortConns() int
}

// A Listener accepts connections. Its Accept returns Conns.
type Listener interface {
	net.Listener
	// AcceptConn is Accept with the full type.
	AcceptConn() (Conn, error)
}

// A Conn is a TCP connection.
type Conn interface {
	net.Conn
	CloseRead() error
	CloseWrite() error
	// SetLinger is as net.TCPConn's: 0 makes Close send a reset.
	SetLinger(sec int) error
	// Abort resets the connection and closes it.
	Abort()
	// Acknowledged is how many of the bytes written the peer's TCP has acknowledged. It
	// stays what it was when the connection ended.
	Acknowledged() int64
	// AwaitAcknowledged waits until n bytes have been acknowledged, or returns ctx's
	// cause. It does not notice the end of the connection: a Read does.
	AwaitAcknowledged(ctx context.Context, n int64) error
}

// A PacketConn is a UDP socket. Read and Write are for connected ones.
type PacketConn interface {
	net.PacketConn
	Read(b []byte) (int, error)
	Write(b []byte) (int, error)
	RemoteAddr() net.Addr
}

// A Tap is a running tap.
type Tap interface {
	// Stats counts the frames that passed and those that the filter kept.
	Stats() (seen, kept uint64)
	// Close ends the tap. After it returns, the sink is not called any more.
	Close() error
}
