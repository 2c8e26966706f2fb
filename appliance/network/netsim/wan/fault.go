package wan

import (
	"bytes"
	"net/netip"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/esasim/esasim/appliance/clock"
)

// A Fault is a rule in force, together with its state: counts, and the connections that it has
// seen. After a WAN has been closed, its faults may be given to another WAN, where they continue.
// The state is used by the pump only, except for the totals.
type Fault struct {
	Rule
	// OnHit is called by the pump when the fault acts on the first packet of a connection, or on
	// one that belongs to none. It must not block. It is set before the fault is used.
	OnHit func(Hit)

	packets, connections atomic.Int64

	conns       map[connKey]*conn
	oldestFirst []connKey     // the keys of conns
	started     int           // connections that have been opened since the rule is in force
	lanes       [2]lane       // of the delayed packets, by direction
	freeAt      [2]clock.Mark // for LimitRate: when the latest packet has been sent
	lastArrival [2]clock.Mark // for Delay: when the latest packet's delay ends
}

// NewFault returns a fault that has not seen any packets yet.
func NewFault(r Rule) *Fault { return &Fault{Rule: r, conns: make(map[connKey]*conn)} }

// Packets returns the number of packets that the fault has acted on: that it has let pass,
// dropped, answered or delayed. It is safe for concurrent use.
func (f *Fault) Packets() int64 { return f.packets.Load() }

// Connections returns the number of connections that the fault has acted on, see Rule. It is
// safe for concurrent use.
func (f *Fault) Connections() int64 { return f.connections.Load() }

// connLimit is the number of connections that a fault remembers.
const connLimit = 4096

// A connKey identifies a connection. It is the same for both directions.
type connKey struct {
	low, high netip.AddrPort
	proto     uint8
}

// A conn is the state that a fault keeps for a connection. Its sides are 0, the low address, and 1,
// the high one.
type conn struct {
	number      int     // in order of opening, from 1; 0: the connection is older than the fault
	openedBy    int     // the side that sent the first packet
	isn         uint32  // sequence number of the first SYN
	established bool    // packets other than SYNs have been seen
	hit         bool    // the fault has acted on a packet
	flows       [2]flow // by the side that sends
}

// A flow is the data of one side of a connection, as a rule with a limit counts it.
type flow struct {
	counting bool   // the count has been started
	firstSeq uint32 // TCP: sequence number of the first byte
	passed   int64  // bytes counted so far
	records  int    // records counted so far
	limit    int64  // bytes that may pass; -1 while that depends on records
	exceeded bool   // the rule has acted
}

// connection returns the key of a packet's connection, and the side that sent the packet. ok
// is false for a packet that belongs to no connection.
func (p *packet) connection() (key connKey, side int, ok bool) {
	if p.laterFragment || p.proto != protoTCP && p.proto != protoUDP {
		return key, 0, false
	}
	src, dst := netip.AddrPortFrom(p.src, p.sport), netip.AddrPortFrom(p.dst, p.dport)
	if src.Compare(dst) > 0 {
		return connKey{dst, src, p.proto}, 1, true
	}
	return connKey{src, dst, p.proto}, 0, true
}

// track returns a packet's connection, which it remembers if it is new, and the side that
// sent the packet. c is nil for a packet that belongs to no connection.
func (f *Fault) track(p *packet) (c *conn, side int) {
	key, side, ok := p.connection()
	if !ok {
		return nil, 0
	}
	seg, isTCP := p.tcp()
	syn := isTCP && seg.has(flagSYN)
	if c = f.conns[key]; c != nil && !(syn && c.isReopenedBy(seg, side)) {
		c.established = c.established || !syn
		return c, side
	}
	if c == nil {
		f.trim(connLimit - 1)
		f.oldestFirst = append(f.oldestFirst, key)
	}
	c = &conn{openedBy: side}
	if syn || !isTCP {
		f.started++
		c.number = f.started
	}
	if syn {
		c.isn = seg.seq()
	}
	f.conns[key] = c
	return c, side
}

// isReopenedBy reports whether a SYN opens another connection between the same ports.
func (c *conn) isReopenedBy(s segment, side int) bool {
	if s.has(flagACK) && side != c.openedBy {
		return false // it answers the SYN of the connection
	}
	return c.established || side == c.openedBy && s.seq() != c.isn
}

// trim forgets all connections except the n latest.
func (f *Fault) trim(n int) {
	for len(f.oldestFirst) > n {
		delete(f.conns, f.oldestFirst[0])
		f.oldestFirst = f.oldestFirst[1:]
	}
}

// includes reports whether the rule applies to a connection. c is nil for a packet that
// belongs to none.
func (f *Fault) includes(c *conn) bool {
	if f.Rule.Connections == 0 && f.SkipConnections == 0 {
		return true
	}
	return c != nil && c.number > f.SkipConnections &&
		(f.Rule.Connections == 0 || c.number <= f.SkipConnections+f.Rule.Connections)
}

// A Hit is what a fault has acted on.
type Hit struct {
	Protocol      string         // "tcp", "udp", "icmp", a number, or "" for a frame that is not IP
	From, To      netip.AddrPort // ports are 0 if the protocol has none
	NewConnection bool           // it is the first packet of a connection
	Packets       int64          // that the fault has acted on
	Connections   int64
}

// countHit counts a packet that the fault acts on.
func (f *Fault) countHit(c *conn, p *packet) {
	packets := f.packets.Add(1)
	opens := c != nil && !c.hit
	if opens {
		c.hit = true
		f.connections.Add(1)
	}
	if f.OnHit == nil || c != nil && !opens {
		return
	}
	f.OnHit(Hit{
		Protocol: p.protocolName(), NewConnection: opens,
		From: netip.AddrPortFrom(p.src, p.sport), To: netip.AddrPortFrom(p.dst, p.dport),
		Packets: packets, Connections: f.connections.Load(),
	})
}

// withinLimit counts the data of a packet and reports whether the packet is within the rule's
// limit.
func (f *Fault) withinLimit(c *conn, side int, p *packet) bool {
	if c == nil {
		return true
	}
	seg, isTCP := p.tcp()
	fl := &c.flows[side]
	if !fl.counting || isTCP && seg.has(flagSYN) {
		f.startCounting(fl, p)
	}
	data := p.data()
	if !isTCP {
		if fl.limit >= 0 && fl.passed >= fl.limit {
			return false
		}
		fl.passed += int64(len(data))
		if fl.records++; fl.limit < 0 && fl.records == f.AfterRecords {
			fl.limit = fl.passed
		}
		return true
	}
	offset := int64(int32(seg.seq() - fl.firstSeq))
	if fl.exceeded || len(data) > 0 && fl.limit >= 0 && offset >= fl.limit {
		fl.exceeded = true
		return false
	}
	end := offset + int64(len(data))
	if fresh := end - fl.passed; fresh > 0 {
		fl.countRecords(f.AfterRecords, data[max(0, int64(len(data))-fresh):], end)
		fl.passed = end
	}
	return true
}

// startCounting starts the count of a flow's data with a packet.
func (f *Fault) startCounting(fl *flow, p *packet) {
	*fl = flow{counting: true, limit: -1}
	if f.AfterBytes > 0 {
		fl.limit = f.AfterBytes
	}
	if seg, ok := p.tcp(); ok {
		fl.firstSeq = seg.seq()
		if seg.has(flagSYN) {
			fl.firstSeq++
		}
	}
}

// countRecords counts the lines in data, which ends at offset end of the flow, and sets the
// limit to the end of the last line that is allowed.
func (fl *flow) countRecords(allowed int, data []byte, end int64) {
	for fl.limit < 0 {
		i := bytes.IndexByte(data, '\n')
		if i < 0 {
			return
		}
		data = data[i+1:]
		if fl.records++; fl.records == allowed {
			fl.limit = end - int64(len(data))
		}
	}
}

// reachesLimit reports whether a packet acknowledges the last byte that may pass in the other
// direction, after which the rule resets the connection.
func (f *Fault) reachesLimit(p *packet) bool {
	if f.Action != Reset || !f.hasDataLimit() || len(f.conns) == 0 {
		return false
	}
	key, side, ok := p.connection()
	c := f.conns[key]
	if !ok || c == nil || !f.includes(c) {
		return false
	}
	fl := &c.flows[1-side]
	s, ok := p.tcp()
	if !ok || !fl.counting || fl.exceeded || fl.limit < 0 || !s.has(flagACK) ||
		int64(int32(s.ack()-fl.firstSeq)) < fl.limit {
		return false
	}
	fl.exceeded = true
	f.countHit(c, p)
	return true
}

// delay returns the delay of a frame of size bytes in a direction. ok is false if the queue
// is full.
func (f *Fault) delay(
	size, dir int, now clock.Mark, jitter func(time.Duration) time.Duration,
) (d time.Duration, ok bool) {
	at := now
	if f.Action == LimitRate {
		at = max(at, f.freeAt[dir])
		queue := f.Queue
		if queue == 0 {
			queue = defaultQueue
		}
		if waiting := float64(at-now) * float64(f.Rate) / 8e9; waiting > float64(queue) {
			return 0, false
		}
		at += clock.Mark(float64(size) * 8e9 / float64(f.Rate))
		f.freeAt[dir] = at
	} else {
		at = max(at+clock.Mark(f.Delay+jitter(f.Jitter)), f.lastArrival[dir])
		f.lastArrival[dir] = at
	}
	return time.Duration(at - now), true
}

// protocolName returns the name of the packet's protocol, its number if it has no name here, or ""
// if it is not IP.
func (p *packet) protocolName() string {
	switch {
	case !p.src.IsValid():
		return ""
	case p.proto == protoTCP:
		return "tcp"
	case p.proto == protoUDP:
		return "udp"
	case p.proto == protoICMP || p.proto == protoICMPv6:
		return "icmp"
	}
	return strconv.Itoa(int(p.proto))
}
