package network

import (
	"net"
	"net/netip"
	"time"
)

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

// An Interface is one of the appliance's network interfaces.
type Interface struct {
	Name   string // as the administrator knows it: "Data 1"
	Device string // as the system knows it: "nic1"
	Index  int    // the N of link#N
	MAC    net.HardwareAddr
	MTU    int
	Addrs  []netip.Prefix // without link-local IPv6 addresses
	Up     bool
	// NoCarrier reports whether the cable is unplugged, for a VLAN that of its parent. The
	// interface stays up.
	NoCarrier bool
	Loopback  bool   // lo0, or the interface of SetLoopback: no Ethernet
	Media     Media  // of a physical interface
	VLAN      int    // ID of a VLAN; 0 if the interface is none
	Parent    string // a VLAN's physical interface
}

// MinIPv6MTU is the smallest MTU with which an interface carries IPv6 (RFC 8200 section 5).
const MinIPv6MTU = 1280

// A Neighbor is an entry of the ARP or NDP cache.
type Neighbor struct {
	Interface string
	Addr      netip.Addr
	MAC       net.HardwareAddr // nil: incomplete
	State     string           // "reachable", "stale", "incomplete", "permanent"
	Expires   time.Duration    // until the entry is removed; 0 for permanent ones
	Router    bool
}

// A Route is a row of the routing table.
type Route struct {
	Dst       netip.Prefix // 0.0.0.0/0 and ::/0 are the default routes
	Gateway   netip.Addr   // zero: link#Link
	Link      int
	Interface string
	Flags     string // "UGS", "U", "UHS", "UH"
	MTU       int
}

// A Socket is a row of the socket table.
type Socket struct {
	Proto         string // tcp4, tcp6, udp4, udp6
	State         string // BSD's names: LISTEN, ESTABLISHED, TIME_WAIT, SYN_SENT, ...; "" for UDP
	Local, Remote netip.AddrPort
	RecvQ, SendQ  int // bytes

	// Listeners only: connections that wait for Accept, half-open connections, backlog.
	QLen, IncQLen, MaxQLen int

	Owner, User string // "" if the connection no longer belongs to a process
	PID         int    // PID, Workers and Mapped are those of ListenConfig
	Workers     []string
	Mapped      bool
	Seq         uint64 // increases in the order in which sockets were opened
}

// Counters are an interface's totals. Bytes are counted in whole Ethernet frames.
type Counters struct {
	RxPackets, RxBytes, RxErrors, RxDropped uint64
	TxPackets, TxBytes, TxErrors, TxDropped uint64
	Collisions                              uint64
}
