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

// Media is the mode of an Ethernet port. The zero Media is autoselect: 1000 Mb/s, full
// duplex.
type Media struct {
	Rate       int64 // bits a second: 10, 100 or 1000 million; 0: autoselect
	HalfDuplex bool  // both directions share the rate
}

// A VLAN is an interface over a physical one (IEEE 802.1Q).
type VLAN struct {
	ID     int    // 1 to 4094, unique
	Parent string // name of a physical interface
}

// A ListenConfig describes a listener and the process that owns it.
type ListenConfig struct {
	// Addr is the local address. 0.0.0.0 listens on all IPv4 addresses, :: on all IPv6
	// ones. If the port is 0, the network chooses a free one.
	Addr netip.AddrPort
	// Backlog is the number of connections that may wait for Accept. A SYN beyond them,
	// and beyond the margin that BSD adds, is dropped. 0 means 10.
	Backlog int
	// MSS is the largest segment that peers are told to send (TCP_MAXSEG); 0 means the
	// largest that the link carries.
	MSS int
	// ReceiveBuffer is the number of received bytes that each connection holds for Read
	// (SO_RCVBUF), once the peer has used the window of the handshake; 0 means the host's
	// default.
	ReceiveBuffer int
	Owner         string // process name as tcpservices shows it: "hermes", "ginetd"
	User          string // "root", "pgsql", "nobody"
	// PID is the number of the process. Tables of processes are sorted by it.
	PID int
	// Workers are the users of further processes of the same name that accept from the
	// same socket, as nginx's workers do. Their numbers follow PID.
	Workers []string
	// Mapped makes a listener on 127.0.0.1 appear as an IPv4-mapped IPv6 address in tables
	// of processes, as that of a Java process does.
	Mapped bool
}

// A DialConfig describes a connection to open, or a UDP socket.
type DialConfig struct {
	Local     netip.AddrPort // zero: chosen by the route
	Remote    netip.AddrPort
	Interface string // send through this interface; "": chosen by the route
	Owner     string // process name
	User      string
	TTL       uint8 // 0: the stack's default
	Delay     bool  // leave Nagle's algorithm on
}

// A PingRequest is one echo request.
type PingRequest struct {
	Dst       netip.Addr
	Src       netip.Addr // zero: chosen by the route
	Interface string     // send through this interface; "": chosen by the route
	ID, Seq   uint16
	TTL       uint8 // 0: the stack's default
	DataSize  int   // bytes after the ICMP header
}

// A ProbeProtocol is the protocol of a traceroute probe.
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
	Port       uint16 // destination port; the sequence number for ICMP
	TTL        uint8
	PacketSize int // of the whole IP packet: 40 for traceroute over IPv4, 60 over IPv6
}

// A ReplyKind is the kind of a packet that answers a probe.
type ReplyKind uint8

// Kinds of replies.
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
	TCPReply // a SYN, ACK or RST answered a TCP probe
)

// A Reply is the packet that answered a probe.
type Reply struct {
	Kind       ReplyKind
	From       netip.Addr
	TTL        int           // of the reply as it arrived
	Bytes      int           // ICMP header and data
	RTT        time.Duration // as the network measured it
	Type, Code uint8         // of the ICMP message
	MTU        int           // for FragmentationNeeded
	Quoted     []byte        // the IP packet that an ICMP error quotes, cut as it was received
}

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

// A Direction is that of a frame as the owner of the interface sees it.
type Direction uint8

// Directions.
const (
	In Direction = iota
	Out
)

// A Frame is an Ethernet frame that passed a tap. The receiver of a Frame must not retain
// Data.
type Frame struct {
	Time    time.Time // wall time; never decreases within one tap
	Dir     Direction
	Data    []byte // cut to the snap length
	WireLen int
}

// A TapConfig says which frames a tap shows, and to which function.
type TapConfig struct {
	Interface string
	SnapLen   int // 0: whole frames
	// Match reports whether to keep a frame, which it sees as a whole. A nil Match keeps
	// all frames.
	Match func(frame []byte, wireLen int) bool
	// Sink is called with every kept frame, in order. It must not block and must not
	// retain the frame's Data.
	Sink func(Frame)
}
