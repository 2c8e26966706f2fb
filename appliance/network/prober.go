package network

import (
	"context"
	"net/netip"
	"time"
)

// A Prober sends single probes; ping and traceroute are loops around it. The network
// measures round-trip times where the packets pass, on the machine's monotonic clock.
type Prober interface {
	// Ping sends one echo request and waits for its answer. An ICMP error about the
	// request is a Reply too. Ping returns ctx's cause if neither arrives in time, and an
	// errno if the request could not be sent (ENETUNREACH: no route; EHOSTUNREACH: the
	// neighbor did not answer ARP or NDP; EMSGSIZE).
	Ping(ctx context.Context, r PingRequest) (Reply, error)
	// Probe sends one traceroute probe and waits for the packet that answers it. Its
	// errors are those of Ping.
	Probe(ctx context.Context, r ProbeRequest) (Reply, error)
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
