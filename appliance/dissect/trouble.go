package dissect

import (
	"maps"
	"slices"

	"github.com/gopacket/gopacket/layers"
)

// A Trouble is what is remarkable about a packet; "" if nothing is.
type Trouble string

// Troubles.
const (
	Reset          Trouble = "Reset"          // a RST that ends a connection
	Refused        Trouble = "Refused"        // a RST, or "port unreachable", in reply to a first packet
	Unreachable    Trouble = "Unreachable"    // another ICMP error about a destination
	Retransmission Trouble = "Retransmission" // of data, or of a SYN, that was sent before
	OutOfOrder     Trouble = "Out of order"   // data that fills a gap
)

// maxTroubles bounds the number of packets with troubles that an Index remembers.
const maxTroubles = 50_000

// troubles are the packets with troubles of an Index without a filter. They are found while packets
// are read in order, because most of them depend on earlier packets.
type troubles struct {
	list  []troubled // in order of their numbers
	flows map[flow]flowProgress
}

type troubled struct {
	number int
	what   Trouble
}

// A flowProgress is what a flow has sent so far.
type flowProgress struct {
	syn, sent bool   // a SYN; anything
	seq       uint32 // of the SYN
	end       uint32 // the sequence number after the last byte
	gap       uint32 // the beginning of the last gap; gapEnd is its end
	gapEnd    uint32
}

func (t *troubles) clone() troubles {
	return troubles{slices.Clone(t.list), maps.Clone(t.flows)}
}

// addSegment examines a segment, which is part of the packet with the given number.
func (t *troubles) addSegment(s segment, number int) {
	p, known := t.flows[s.flow]
	what := t.judge(s, p)
	if what != "" && len(t.list) < maxTroubles {
		t.list = append(t.list, troubled{number, what})
	}
	if !known && len(t.flows) >= maxSYNs {
		return
	}
	t.flows[s.flow] = p.after(s)
}

// judge returns what is remarkable about a segment of a flow with the given progress.
func (t *troubles) judge(s segment, p flowProgress) Trouble {
	n := uint32(len(s.data))
	switch {
	case s.rstFlag:
		other := t.flows[s.reverse()]
		if !p.sent && other.syn && other.end == other.seq+1 {
			return Refused
		}
		return Reset
	case s.synFlag:
		if p.syn && p.seq == s.seq {
			return Retransmission
		}
	case n > 0 && p.sent && int32(s.seq+n-p.end) <= 0:
		if p.gap != p.gapEnd && int32(s.seq-p.gap) >= 0 && int32(p.gapEnd-s.seq-n) >= 0 {
			return OutOfOrder
		}
		return Retransmission
	}
	return ""
}

// after returns the progress after a segment.
func (p flowProgress) after(s segment) flowProgress {
	n := uint32(len(s.data))
	switch {
	case s.rstFlag:
		return flowProgress{} // the ports may be used again
	case s.synFlag:
		if p.syn && p.seq == s.seq {
			return p
		}
		return flowProgress{syn: true, sent: true, seq: s.seq, end: s.seq + 1}
	case !p.sent:
		p = flowProgress{sent: true, end: s.seq}
	}
	if n > 0 && int32(s.seq-p.end) > 0 {
		p.gap, p.gapEnd = p.end, s.seq
	}
	if int32(s.seq+n-p.end) > 0 {
		p.end = s.seq + n
	}
	return p
}

// troubleOf returns what is remarkable about the TCP segment in the packet with the given number.
func (x *Index) troubleOf(number int) Trouble {
	i, found := slices.BinarySearchFunc(x.troubles.list, number,
		func(t troubled, n int) int { return t.number - n })
	if !found {
		return ""
	}
	return x.troubles.list[i].what
}

// A TroubleCount is the number of packets with one Trouble.
type TroubleCount struct {
	Trouble Trouble
	Packets int
	First   int // the number of the first one
}

// Troubles returns the number of TCP segments with each Trouble, the most frequent first. x must be
// an Index without a filter.
func (x *Index) Troubles() []TroubleCount {
	var list []TroubleCount
	for _, t := range x.troubles.list {
		i := slices.IndexFunc(list, func(c TroubleCount) bool { return c.Trouble == t.what })
		if i < 0 {
			i = len(list)
			list = append(list, TroubleCount{Trouble: t.what, First: t.number})
		}
		list[i].Packets++
	}
	slices.SortStableFunc(list, func(a, b TroubleCount) int { return b.Packets - a.Packets })
	return list
}

// icmpTrouble returns what an ICMP error says about a destination.
func icmpTrouble(code layers.ICMPv4TypeCode) Trouble {
	switch {
	case code.Type() != layers.ICMPv4TypeDestinationUnreachable:
		return ""
	case code.Code() == layers.ICMPv4CodePort:
		return Refused
	}
	return Unreachable
}

func icmp6Trouble(code layers.ICMPv6TypeCode) Trouble {
	switch {
	case code.Type() != layers.ICMPv6TypeDestinationUnreachable:
		return ""
	case code.Code() == layers.ICMPv6CodePortUnreachable:
		return Refused
	}
	return Unreachable
}
