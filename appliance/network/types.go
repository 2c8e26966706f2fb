package network

import (
	"net"
	"net/netip"
	"time"
)

// An Interface is one of the appliance's network interfaces.
type Interface struct {
	Name   string // as the administrator knows it: "Data 1"
	Device string // as the system knows it: "nic1"
	Index  int    // N of link#N
	MAC    net.HardwareAddr
	MTU    int
	Addrs  []netip.Prefix // link-local IPv6 addresses left out
	Up     bool
	// NoCarrier says that the cable is pulled, also that under a VLAN. The interface
	// stays up.
	NoCarrier bool
	Loopback  bool   // lo0, and the one of SetLoopback: no Ethernet
	Media     Media  // of a physical interface
	VLAN      int    // ID of a VLAN; 0: it is none
	Parent    string // a VLAN's physical interface
}

// LeastIPv6MTU is the MTU that an interface must have to carry IPv6 (RFC 8200 section 5).
const MinIPv6MTU = 1280

// Media is how a port of Ethernet works. The zero Media is autoselect: 1000 Mb/s,
// full duplex.
type Media struct {
	Rate       int64 // bits a second: 10, 100 or 1000 million; 0: autoselect
	HalfDuplex bool  // both directions share the rate
}

// A VLAN is an interface over a physical one (IEEE 802.1Q).
type VLAN struct {
	ID     int    // 1 to 4094, unique
	Parent string // name of a physical interface
}

// A ListenConfig says where to listen, and who does.
type ListenConfig struct {
	Addr    netip.AddrPort // 0.0.0.0 listens on all IPv4 addresses, :: on all IPv6 ones; port 0 takes a free one
	Backlog int            // connections that may wait while nobody accepts; a SYN beyond them (and BSD's margin) is dropped; 0 means 10
	MSS     int            // largest segment that peers are told to send (TCP_MAXSEG); 0: what the link carries
	// ReceiveBuffer is how many bytes each connection takes that nobody has read
	// (SO_RCVBUF), once the other side has used the window of the handshake; 0: as many as
	// the host gives.
	ReceiveBuffer int
	Owner         string // process name as tcpservices shows it: "hermes", "ginetd"
	User          string // "root", "pgsql", "nobody"
	// PID is the number of the process: tables of processes are in its order.
	PID int
	// Workers are the users of further processes of the same name that accept from
	// the same socket, as nginx's workers do. Their numbers follow PID.
	Workers []string
	// Mapped makes a listener on 127.0.0.1 appear as v4-mapped in tables of
	// processes, as a Java process's does.
	Mapped bool
}

// A DialConfig says where to connect to.
type DialConfig struct {
	Local     netip.AddrPort // zero: chosen by the route
	Remote    netip.AddrPort
	Interface string // leave by this interface; "": by the route
	Owner     string // process name
	User      string
	TTL       uint8 // 0: the stack's default
	Delay     bool  // leave Nagle's algorithm on
}

// A PingRequest is one echo request.
type PingRequest struct {
	Dst       netip.Addr
	Src       netip.Addr // zero: by the route
	Interface string     // leave by this interface; "": by the route
	ID, Seq   uint16
	TTL       uint8 // 0: the stack's default
	DataSize  int   // bytes after the ICMP header
}

// A Protocol is what a traceroute probe is made of.
type ProbeProtocol uint8

// Protocols of probes.
const (
	UDP ProbeProtocol = iota
	ICMP
	TCP
)

// A ProbeRequest is one traceroute probe.
type ProbeRequest struct {
	Dst, Src   netip.Addr
	Interface  string
	Protocol   ProbeProtocol
	Port       uint16 // destination port; for ICMP the sequence number
	TTL        uint8
	PacketSize int // the whole IP packet: 40 for IPv4's traceroute, 60 for IPv6's
}

// A Kind says what sort of answer a probe got.
type ReplyKind uint8

// Kinds of answers.
const (
	EchoReply ReplyKind = iota
	TimeExceeded
	PortUnreachable
	NetUnreachable
	HostUnreachable
	ProtocolUnreachable
	Prohibited
	FragmentationNeeded
	OtherError
	TCPReply // SYN, ACK or RST answered a TCP probe
)

// A Reply is what came back. RTT is the network's own account of the time.
type Reply struct {
	Kind       ReplyKind
	From       netip.Addr
	TTL        int // of the answer as it arrived
	Bytes      int // ICMP header and data
	RTT        time.Duration
	Type, Code uint8  // ICMP's
	MTU        int    // for FragmentationNeeded
	Quoted     []byte // for errors: the IP packet that it is about, cut as it came
}

// A Neighbor is an entry of the ARP or NDP cache.
type Neighbor struct {
	Interface string
	Addr      netip.Addr
	MAC       net.HardwareAddr // nil: incomplete
	State     string           // "reachable", "stale", "incomplete", "permanent"
	Expires   time.Duration    // until it is removed; 0 for permanent ones
	Router    bool
}

// A Route is a row of the routing table.
type Route struct {
	Dst       netip.Prefix // 0.0.0.0/0 and ::/0 are the defaults
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

	// Listeners only: connections waiting for Accept, half open ones, backlog.
	QLen, IncQLen, MaxQLen int

	Owner, User string // "" where the connection has no process any more
	PID         int    // this and the next two: see ListenConfig
	Workers     []string
	Mapped      bool
	Seq         uint64 // rises with the time at which the socket was opened
}

// Counters are an interface's totals. Bytes are those of whole Ethernet frames.
type Counters struct {
	RxPackets, RxBytes, RxErrors, RxDropped uint64
	TxPackets, TxBytes, TxErrors, TxDropped uint64
	Collisions                              uint64
}

// A Direction is seen from the interface's owner.
type Direction uint8

// Directions.
const (
	In Direction = iota
	Out
)

// A Frame is an Ethernet frame as it passed. Data is valid during the call only.
type Frame struct {
	Time    time.Time // wall time; never decreasing for one tap
	Dir     Direction
	Data    []byte // cut to the snap length
	WireLen int
}

// A TapConfig says which frames are wanted.
type TapConfig struct {
	Interface string
	SnapLen   int // 0: whole frames
	// Match decides which frames to keep; nil keeps all. frame is whole.
	Match func(frame []byte, wireLen int) bool
	// Sink gets every kept frame in order. It must not block, nor keep Data.
	Sink func(Frame)
}
