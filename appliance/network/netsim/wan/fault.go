package wan

import (
	"bytes"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/esasim/esasim/appliance/clock"
)

// A Fault is a rule with what it remembers: it may be taken from one WAN and given to
// another, once that one is closed, and goes on where it was. What it remembers
// belongs to the pump, but for the totals.
type Fault struct {
	Rule
	packets, connections atomic.Int64

	conns map[connKey]*conn
	order []connKey // of conns, the oldest first
	begun int       // connections that have begun
	lanes [2]lane   // of what is held up, by direction
	free  [2]clock.Mark
	last  [2]clock.Mark
}

// NewFault returns a fault that has seen nothing yet.
func NewFault(r Rule) *Fault { return &Fault{Rule: r, conns: make(map[connKey]*conn)} }

// Packets counts those that the fault acted on: that it let pass, dropped, answered or
// held up. It is safe for concurrent use.
func (f *Fault) Packets() int64 { return f.packets.Load() }

// Connections counts those of TCP and pairs of ports of UDP that it acted on. It is
// safe for concurrent use.
func (f *Fault) Connections() int64 { return f.connections.Load() }

// connLimit is how many connections a fault remembers.
const connLimit = 4096

// A connKey is a connection's, the same in both directions.
type connKey struct {
	low, high netip.AddrPort
	proto     uint8
}

// A conn is a connection as a fault sees it. Sides are 0 for what comes from the low
// address and 1 for the other direction.
type conn struct {
	number int    // among those that began; 0: it was there before the fault
	side   int    // of its first packet
	isn    uint32 // of its first SYN
	open   bool   // more than SYNs have been seen
	hit    bool
	flows  [2]flow
}

// A flow is the data of one side, as far as a counting rule lets it pass.
type flow struct {
	counted bool
	base    uint32 // TCP: sequence number of the first byte
	passed  int64  // bytes from base to the last seen
	lines   int    // newlines, or datagrams, among them
	limit   int64  // bytes that may pass; -1 while records are being counted
	over    bool   // the rule has acted
}

// connection is the key of a packet's connection, and its side; ok is false for what
// is in none.
func (p *packet) connection() (key connKey, side int, ok bool) {
	if p.later || p.proto != protoTCP && p.proto != protoUDP {
		return key, 0, false
	}
	src, dst := netip.AddrPortFrom(p.src, p.sport), netip.AddrPortFrom(p.dst, p.dport)
	if src.Compare(dst) > 0 {
		return connKey{dst, src, p.proto}, 1, true
	}
	return connKey{src, dst, p.proto}, 0, true
}

// track finds a packet's connection, or takes note of it; nil for what is in none.
func (f *Fault) track(p *packet) (c *conn, side int) {
	key, side, ok := p.connection()
	if !ok {
		return nil, 0
	}
	seg, isTCP := p.tcp()
	syn := isTCP && seg.has(flagSYN)
	if c = f.conns[key]; c != nil && !(syn && c.reopens(seg, side)) {
		c.open = c.open || !syn
		return c, side
	}
	if c == nil {
		f.forget(connLimit - 1)
		f.order = append(f.order, key)
	}
	c = &conn{side: side}
	if syn || !isTCP {
		f.begun++
		c.number = f.begun
	}
	if syn {
		c.isn = seg.seq()
	}
	f.conns[key] = c
	return c, side
}

// reopens reports whether a SYN begins another connection between the same ports.
func (c *conn) reopens(s segment, side int) bool {
	if s.has(flagACK) && side != c.side {
		return false // it answers
	}
	return c.open || side == c.side && s.seq() != c.isn
}

// forget leaves so many connections, the youngest.
func (f *Fault) forget(leave int) {
	for len(f.order) > leave {
		delete(f.conns, f.order[0])
		f.order = f.order[1:]
	}
}

// means reports whether a connection is among those that the rule is for; c is nil
// for a packet that is in none.
func (f *Fault) means(c *conn) bool {
	if f.Rule.Connections == 0 && f.SkipConnections == 0 {
		return true
	}
	return c != nil && c.number > f.SkipConnections &&
		(f.Rule.Connections == 0 || c.number <= f.SkipConnections+f.Rule.Connections)
}

// hit counts a packet that the fault acts on.
func (f *Fault) hit(c *conn) {
	f.packets.Add(1)
	if c != nil && !c.hit {
		c.hit = true
		f.connections.Add(1)
	}
}

// allows adds a packet to its flow and reports whether it still passes.
func (f *Fault) allows(c *conn, side int, p *packet) bool {
	if c == nil {
		return true
	}
	seg, isTCP := p.tcp()
	w := &c.flows[side]
	if !w.counted || isTCP && seg.has(flagSYN) {
		f.begin(w, p)
	}
	data := p.data()
	if !isTCP {
		if w.limit >= 0 && w.passed >= w.limit {
			return false
		}
		w.passed += int64(len(data))
		if w.lines++; w.limit < 0 && w.lines == f.AfterRecords {
			w.limit = w.passed
		}
		return true
	}
	offset := int64(int32(seg.seq() - w.base))
	if w.over || len(data) > 0 && w.limit >= 0 && offset >= w.limit {
		w.over = true
		return false
	}
	end := offset + int64(len(data))
	if fresh := end - w.passed; fresh > 0 {
		w.records(f.AfterRecords, data[max(0, int64(len(data))-fresh):], end)
		w.passed = end
	}
	return true
}

// begin starts counting with a packet.
func (f *Fault) begin(w *flow, p *packet) {
	*w = flow{counted: true, limit: -1}
	if f.AfterBytes > 0 {
		w.limit = f.AfterBytes
	}
	if seg, ok := p.tcp(); ok {
		w.base = seg.seq()
		if seg.has(flagSYN) {
			w.base++
		}
	}
}

// records counts the lines in data, whose end is at offset end, and finds the
// limit after so many.
func (w *flow) records(allowed int, data []byte, end int64) {
	for w.limit < 0 {
		i := bytes.IndexByte(data, '\n')
		if i < 0 {
			return
		}
		data = data[i+1:]
		if w.lines++; w.lines == allowed {
			w.limit = end - int64(len(data))
		}
	}
}

// completes reports whether a packet acknowledges the last byte that may pass the
// other way, where the rule then resets.
func (f *Fault) completes(p *packet) bool {
	if f.Action != Reset || !f.counts() || len(f.conns) == 0 {
		return false
	}
	key, side, ok := p.connection()
	c := f.conns[key]
	if !ok || c == nil || !f.means(c) {
		return false
	}
	w := &c.flows[1-side]
	s, ok := p.tcp()
	if !ok || !w.counted || w.over || w.limit < 0 || !s.has(flagACK) || int64(int32(s.ack()-w.base)) < w.limit {
		return false
	}
	w.over = true
	f.hit(c)
	return true
}

// holds says how much later a frame of so many bytes goes on; ok is false if the
// queue is full.
func (f *Fault) holds(size, dir int, now clock.Mark, jitter func(time.Duration) time.Duration) (d time.Duration, ok bool) {
	at := now
	if f.Action == Limit {
		at = max(at, f.free[dir])
		queue := f.Queue
		if queue == 0 {
			queue = defaultQueue
		}
		if waiting := float64(at-now) * float64(f.Rate) / 8e9; waiting > float64(queue) {
			return 0, false
		}
		at += clock.Mark(float64(size) * 8e9 / float64(f.Rate))
		f.free[dir] = at
	} else {
		at = max(at+clock.Mark(f.Delay+jitter(f.Jitter)), f.last[dir])
		f.last[dir] = at
	}
	return time.Duration(at - now), true
}
