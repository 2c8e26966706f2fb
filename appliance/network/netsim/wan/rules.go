package wan

import (
	"net/netip"
	"time"
)

// An Action is what a rule does with packets.
type Action uint8

// Actions. The first rule that applies to a packet decides. The exceptions are Lose, Delay
// and LimitRate: packets that they let pass are checked against the following rules too.
const (
	// Pass lets the packet pass; the following rules are skipped.
	Pass Action = iota
	// Drop drops the packet without an answer.
	Drop
	// Reset resets both ends of a TCP connection. Other packets are answered with "port
	// unreachable".
	Reset
	// Refuse resets new TCP connections and answers UDP packets with "port unreachable".
	// Established connections and other packets are unaffected.
	Refuse
	// Prohibit answers with "administratively prohibited".
	Prohibit
	// NetUnreachable answers with "network unreachable".
	NetUnreachable
	// HostUnreachable answers with "host unreachable".
	HostUnreachable
	// Lose drops a fraction of the packets.
	Lose
	// Delay delays packets.
	Delay
	// LimitRate lets packets pass at a limited rate, with a queue.
	LimitRate
)

// A Protocol is a protocol that a rule applies to.
type Protocol uint8

// Protocols.
const (
	Any Protocol = iota
	TCP
	UDP
	ICMP // of both families
)

// A Direction is the direction of a packet from the appliance's point of view.
type Direction uint8

// Directions.
const (
	Both Direction = iota
	In
	Out
)

// A Rule has conditions for packets and an action. A condition that is zero matches every
// packet.
//
// If Connections is set, the rule applies to that many connections only. These are the first
// connections that are opened while the rule is in force, after SkipConnections others. A TCP
// connection is opened by its SYN; a retransmitted SYN belongs to the same connection. For
// UDP a connection is a pair of addresses and ports.
//
// If AfterBytes or AfterRecords is set, that much data passes first in each direction of a
// connection. Bytes are bytes of payload. Records are lines that end in a newline or, for
// UDP, datagrams. A segment that begins before the limit passes as a whole; the action
// applies to a segment that begins at the limit or beyond it. Reset also acts as soon as the
// other end has acknowledged all data up to the limit, after that acknowledgement. So no
// allowed data is lost, and a capture shows the sequence that is attested (A3): data,
// acknowledgement, reset. A SYN starts the count of the data again. For a connection that is
// older than the rule, the count starts with the first segment that the rule sees.
//
// While a rule has not reached its limit, and for connections that it does not apply to,
// packets are treated as if the rule did not exist.
type Rule struct {
	// Conditions for packets.
	From, To   netip.Prefix
	Host       netip.Prefix // source or destination
	Protocol   Protocol
	Port       uint16 // of the destination
	FromPort   uint16 // of the source
	EitherPort uint16 // of the source or destination
	Direction  Direction

	// Path makes the rule apply at the far end of the path with that name, Cable on the cable
	// with that name (see WAN.FrameFilter). If neither is set, the rule applies at the
	// gateways and between neighbors on the appliance's segments.
	Path, Cable string

	// Conditions for connections.
	Connections     int // 0: all
	SkipConnections int
	AfterBytes      int64
	AfterRecords    int

	Action Action
	Loss   float64       // for Lose: the fraction that is dropped, 0 to 1
	Delay  time.Duration // for Delay
	Jitter time.Duration // for Delay: maximum of a random additional delay; order is kept
	Rate   int64         // for LimitRate: bits per second, in each direction
	Queue  int           // for LimitRate: bytes that may wait; 0: 256 KiB
}

// defaultQueue is the capacity of a queue in bytes.
const defaultQueue = 256 << 10

// matches reports whether a packet meets the rule's conditions for packets. out tells whether
// it comes from the appliance. Path and Cable are ignored.
func (r *Rule) matches(p *packet, out bool) bool {
	switch r.Protocol {
	case TCP:
		if p.proto != protoTCP {
			return false
		}
	case UDP:
		if p.proto != protoUDP {
			return false
		}
	case ICMP:
		if p.proto != protoICMP && p.proto != protoICMPv6 {
			return false
		}
	}
	switch {
	case r.Direction == In && out, r.Direction == Out && !out:
		return false
	case r.From.IsValid() && !r.From.Contains(p.src),
		r.To.IsValid() && !r.To.Contains(p.dst),
		r.Host.IsValid() && !r.Host.Contains(p.src) && !r.Host.Contains(p.dst):
		return false
	case r.Port == 0 && r.FromPort == 0 && r.EitherPort == 0:
		return true
	}
	return !p.laterFragment &&
		(r.Port == 0 || r.Port == p.dport) &&
		(r.FromPort == 0 || r.FromPort == p.sport) &&
		(r.EitherPort == 0 || r.EitherPort == p.sport || r.EitherPort == p.dport)
}

// hasDataLimit reports whether the rule acts only after an amount of data.
func (r *Rule) hasDataLimit() bool { return r.AfterBytes > 0 || r.AfterRecords > 0 }
