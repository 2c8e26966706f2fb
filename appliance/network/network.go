package network

import (
	"context"
	"net"
	"net/netip"
)

// A Network is one appliance's view of its network. All methods are safe for concurrent
// use.
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
	// Dial opens a TCP connection. The end of ctx aborts the attempt and has no effect on
	// an established connection.
	Dial(ctx context.Context, c DialConfig) (Conn, error)
	// ListenPacket opens a UDP socket. If c.Remote is set, the socket is connected, and the
	// call that follows an ICMP "port unreachable" returns ECONNREFUSED.
	ListenPacket(ctx context.Context, c DialConfig) (PacketConn, error)
}

// A Prober sends single probes; ping and traceroute are loops around it. The network
// measures round-trip times where the packets pass, on the machine's monotonic clock.
type Prober interface {
	// Ping sends one echo request and waits for its answer. An ICMP error about the
	// request is a Reply too. Ping returns ctx's cause if neither arrives in time, and an
	// errno if the request could not be sent (ENETUNREACH: no route; EHOSTUNREACH: the
	// neighbour did not answer ARP or NDP; EMSGSIZE).
	Ping(ctx context.Context, r PingRequest) (Reply, error)
	// Probe sends one traceroute probe and waits for the packet that answers it. Its
	// errors are those of Ping.
	Probe(ctx context.Context, r ProbeRequest) (Reply, error)
}

// An Inspector returns the current content of the network's tables.
type Inspector interface {
	// Interfaces lists the interfaces in the order in which the appliance shows them, lo0
	// last.
	Interfaces() []Interface
	// Neighbors lists the ARP (IPv4) and NDP (IPv6) caches.
	Neighbors() ([]Neighbor, error)
	// FlushNeighbors removes every dynamic entry from both caches and returns the removed
	// entries.
	FlushNeighbors() ([]Neighbor, error)
	// Routes lists the routing table with the host and link routes that a BSD system
	// shows.
	Routes() ([]Route, error)
	// Sockets lists TCP and UDP sockets, listeners included, in the order in which they
	// were opened. The caller owns the list.
	Sockets() ([]Socket, error)
	// Counters returns an interface's totals since it came up.
	Counters(ifname string) (Counters, error)
}

// A Tapper shows the frames that pass an interface.
type Tapper interface {
	// Tap calls c.Sink for every frame from now on, until the Tap is closed.
	Tap(c TapConfig) (Tap, error)
}

// A Configurer is a network that owns its interfaces. Each call takes effect at once and
// replaces the former setting. A call that fails changes nothing, except for SetAddrs. A new
// interface has no addresses, so a caller undoes several calls by making them again with the
// former values and in the same order: SetVLANs and SetLoopback, then SetMTU and SetMedia,
// SetAddrs, SetRoutes.
//
// Errors wrap ENXIO if the interface does not exist or cannot have the setting, and EINVAL
// if the value is out of range.
//
// The interface is one and not several, because its methods have one caller, the commit of a
// configuration, which needs all of them: it applies a change as a sequence of these calls
// and undoes them if one fails. A network with some of the methods only could not undo.
type Configurer interface {
	// SetAddrs gives the interface exactly these addresses. The interface no longer
	// answers for an address that is removed; connections of that address stay until
	// AbortConns.
	SetAddrs(ifname string, addrs []netip.Prefix) error
	// SetMTU sets the size of the largest IP packet that the interface sends, from 576 to
	// 9000 bytes. It receives packets of up to 1500 bytes in any case. A VLAN's MTU is at
	// most its parent's; if it is set to the parent's, it follows the parent's from then
	// on.
	SetMTU(ifname string, mtu int) error
	// SetMedia sets the rate of a physical interface. The rate limits the traffic that the
	// interface sends and receives.
	SetMedia(ifname string, m Media) error
	// SetVLANs makes exactly these interfaces over physical ones. Each is named
	// "VLAN <ID>" ("vlan<ID>"), and its frames carry IEEE 802.1Q tags. VLANs that exist
	// already keep all their settings. A VLAN that is removed, or moves to another parent,
	// loses its addresses, as by SetAddrs.
	SetVLANs(vlans []VLAN) error
	// SetLoopback makes or removes the interface "Loopback" (lo1). Its addresses are the
	// appliance's on every segment, but are not announced by ARP or NDP: packets to them
	// arrive by a route or from a load balancer (direct server return).
	SetLoopback(on bool) error
	// AcceptMulticastARP sets whether ARP messages are accepted if their sender's Ethernet
	// address is a multicast address, as the machines of a cluster send them. At first they
	// are not. Entries that were accepted stay in the cache.
	AcceptMulticastARP(accept bool) error
	// SetRoutes sets the static routes, default routes included.
	SetRoutes(routes []Route) error
	// AbortConns closes every connection and every listener of an address that no
	// interface has any more, and returns their number. It sends nothing to the peers, as
	// a real host without the address could not.
	AbortConns() int
}

// A Listener accepts connections. The connections that Accept returns are Conns.
type Listener interface {
	net.Listener
	// AcceptConn is like Accept, with the result's full type.
	AcceptConn() (Conn, error)
}

// A Conn is a TCP connection.
type Conn interface {
	net.Conn
	CloseRead() error
	CloseWrite() error
	// SetLinger is like that of net.TCPConn: 0 makes Close send a reset.
	SetLinger(sec int) error
	// Abort resets the connection and closes it.
	Abort()
	// Acknowledged returns how many of the written bytes the peer's TCP has acknowledged.
	// After the end of the connection it returns the last value.
	Acknowledged() int64
	// AwaitAcknowledged blocks until n bytes have been acknowledged, or returns ctx's
	// cause. It does not notice the end of the connection: use Read for that.
	AwaitAcknowledged(ctx context.Context, n int64) error
}

// A PacketConn is a UDP socket. Read and Write need a connected socket.
type PacketConn interface {
	net.PacketConn
	Read(b []byte) (int, error)
	Write(b []byte) (int, error)
	RemoteAddr() net.Addr
}

// A Tap shows frames to a sink until it is closed.
type Tap interface {
	// Stats returns the number of frames that passed and the number that the filter kept.
	Stats() (seen, kept uint64)
	// Close ends the tap. The sink is not called after Close has returned.
	Close() error
}
