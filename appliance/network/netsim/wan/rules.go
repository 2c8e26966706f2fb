package wan

import (
	"net/netip"
	"time"
)

// An Action is what a rule does.
type Action uint8

// Actions. The first rule that matches a packet decides, but for the last three
// kinds: what they let go on is asked about at the next rule, too.
const (
	Pass        Action = iota
	Drop               // nobody hears anything
	Reset              // both ends of a TCP connection get a reset; others a port unreachable
	Refuse             // whoever opens a TCP connection gets a reset, UDP a port unreachable; all else is not meant
	Prohibit           // ICMP: administratively prohibited
	NetUnreach         // ICMP: network unreachable
	HostUnreach        // ICMP: host unreachable
	Lose               // drops a share of the packets
	Hold               // delays
	Limit              // a rate, with a queue
)

// A Protocol is what a rule is for.
type Protocol uint8

// Protocols.
const (
	Any Protocol = iota
	TCP
	UDP
	ICMP // of both families
)

// A Direction is a packet's, as the appliance sees it.
type Direction uint8

// Directions.
const (
	Both Direction = iota
	In
	Out
)

// A Rule says which packets are meant and what becomes of them.
//
// With Connections, only so many connections are meant: those that begin while the
// rule is there, in the order in which they do, after SkipConnections others. A TCP
// connection begins with its SYN, and one that is sent again is the same connection;
// for UDP a pair of ports is one.
//
// With AfterBytes or AfterRecords, that much of the data of each direction of a
// connection passes first: bytes of payload or, as records, lines that end in a newline
// (for UDP: datagrams). A segment that begins before the limit passes whole; one
// that begins at or beyond it is what the action is for. Reset acts also
// as soon as the other end has acknowledged all data up to the limit,
// after that acknowledgement: so nothing that was allowed is lost, and a capture
// shows what A3 does, data, acknowledgement, reset. A SYN begins the data anew; a
// connection that is older than the rule is counted from the first segment seen.
//
// A rule that does not act yet, or not on this connection, is as if it were not there.
type Rule struct {
	// Packets; what is invalid or zero means any.
	From, To   netip.Prefix
	Host       netip.Prefix // either end
	Protocol   Protocol
	Port       uint16 // destination's
	FromPort   uint16
	EitherPort uint16
	Direction  Direction

	// Path asks at the far end of the path of that name, Cable on the cable of that
	// name (see WAN.FrameFilter); without either the rule is a gateway's, and holds between
	// neighbours on a wire too.
	Path, Cable string

	Connections     int // 0: all
	SkipConnections int
	AfterBytes      int64
	AfterRecords    int

	Action Action
	Loss   float64       // of Lose: 0 to 1
	Delay  time.Duration // of Hold
	Jitter time.Duration // of Hold: up to this much more; packets keep their order
	Rate   int64         // of Limit: bits a second, in each direction
	Queue  int           // of Limit: bytes that may wait; 0: 256 KiB
}

const defaultQueue = 256 << 10

// matches reports whether the rule is for a packet, which comes from the appliance
// if out is set. Path and Cable are not looked at.
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
		if p.proto != protoICMP && p.proto != protoICM6 {
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
	return !p.later &&
		(r.Port == 0 || r.Port == p.dport) &&
		(r.FromPort == 0 || r.FromPort == p.sport) &&
		(r.EitherPort == 0 || r.EitherPort == p.sport || r.EitherPort == p.dport)
}

// counts reports whether some data passes first.
func (r *Rule) counts() bool { return r.AfterBytes > 0 || r.AfterRecords > 0 }
