package dissect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"sort"
)

// MaxStream and MaxParts are how many bytes of a connection, in how many parts, Follow
// gives.
const (
	MaxStream = 1 << 20
	MaxParts  = 10_000
)

// ErrNoStream says that a packet is not of a TCP connection.
var ErrNoStream = errors.New("dissect: not a TCP packet")

// A Stream is what the ends of a TCP connection said, in the order in which it came by.
type Stream struct {
	Client, Server netip.AddrPort // as far as is known
	Parts          []Part
	ToServer       int64 // bytes
	ToClient       int64
	Cut            bool // there is more, see MaxStream
}

// A Part is what one end said before the other did.
type Part struct {
	FromClient bool
	Number     int // of the packet with which it begins
	Data       []byte
	Missing    int64 // bytes before it that are not in the capture
}

// Follow puts the data of the connection of the packet of that number, from 1, together:
// in order, each byte once. The error is ErrNoStream, io.EOF where there is no such
// packet, or one of reading.
func (c *Capture) Follow(ctx context.Context, all *Index, number int) (Stream, error) {
	f, _, err := c.find(all, number)
	if err != nil {
		return Stream{}, err
	}
	d := newDecoder()
	s, ok := d.segment(f.data)
	if !ok {
		return Stream{}, ErrNoStream
	}
	begin, client := all.beginning(s.flow, number)
	t := &tracer{client: client, number: begin, stream: Stream{Client: client.from, Server: client.to}}
	first, read, err := c.find(all, begin)
	if err != nil {
		return Stream{}, err
	}
	for f := first; ; {
		if s, ok := d.segment(f.data); ok && (s.flow == client || s.flow == client.back()) {
			if over := t.take(s); over && t.number >= number {
				break
			}
		}
		t.number++
		if err := lost(ctx, t.number); err != nil {
			return Stream{}, err
		}
		if f, err = read.next(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return Stream{}, err
		}
	}
	t.finish()
	return t.stream, nil
}

// beginning is the packet with which the connection of a packet begins, and the direction
// from its client. Where it is not known that is the first of the file, and the client is
// who has the higher port.
func (x *Index) beginning(f flow, number int) (int, flow) {
	there, known := x.opening(f, number)
	back, answered := x.opening(f.back(), number)
	if answered && (!known || back.number > there.number) {
		there, back, f, known, answered = back, there, f.back(), true, known
	}
	switch { // there is the newer
	case !known && f.from.Port() < f.to.Port():
		return 1, f.back()
	case !known:
		return 1, f
	case !there.answers:
		return there.number, f
	case answered && !back.answers:
		return back.number, f.back()
	}
	return there.number, f.back()
}

// A tracer puts a connection together.
type tracer struct {
	client flow
	number int // of the packet that is looked at
	total  int
	dirs   [2]direction // from the client, from the server
	stream Stream
}

// A direction is what one end sends.
type direction struct {
	known   bool    // next is
	next    uint32  // the sequence number that is to come
	waiting []piece // by sequence number
	bytes   int
	done    bool
}

// A piece came before its time.
type piece struct {
	seq    uint32
	number int
	data   []byte
}

// maxWaiting and maxPieces are how many bytes, in how many pieces, may come before their
// time; then the gap is taken for lost. Both are beyond what a window holds in segments
// of a usual size, and bound what a piece costs whatever the file holds.
const (
	maxWaiting = 256 << 10
	maxPieces  = 1024
)

// take looks at a segment, and reports whether the connection is over with it.
func (t *tracer) take(s segment) (over bool) {
	i := 0
	if s.flow != t.client {
		i = 1
	}
	d := &t.dirs[i]
	seq := s.seq
	if s.syn {
		if d.known && len(t.stream.Parts) > 0 && s.seq+1 != d.next { // the ports serve another connection
			return true
		}
		seq++
		d.next, d.known = seq, true
	}
	if !d.known {
		d.next, d.known = seq, true
	}
	if len(s.data) > 0 {
		t.put(i, piece{seq, t.number, s.data})
	}
	if s.rst {
		return true
	}
	d.done = d.done || s.fin
	return t.dirs[0].done && t.dirs[1].done && len(s.data) == 0 && !s.fin
}

// put appends a piece, and what it was waited for with.
func (t *tracer) put(i int, p piece) {
	d := &t.dirs[i]
	if ahead := int32(p.seq - d.next); ahead > 0 {
		p.data = slices.Clone(p.data)
		at := sort.Search(len(d.waiting), func(i int) bool { return int32(d.waiting[i].seq-p.seq) > 0 })
		d.waiting = slices.Insert(d.waiting, at, p)
		if d.bytes += len(p.data); d.bytes > maxWaiting || len(d.waiting) > maxPieces {
			t.jump(i)
		}
		return
	}
	t.append(i, p, 0)
	t.release(i)
}

// release appends what has been waiting for what is there now.
func (t *tracer) release(i int) {
	d := &t.dirs[i]
	for len(d.waiting) > 0 && int32(d.waiting[0].seq-d.next) <= 0 {
		p := d.waiting[0]
		d.waiting = d.waiting[1:]
		d.bytes -= len(p.data)
		t.append(i, p, 0)
	}
}

// jump goes over a gap.
func (t *tracer) jump(i int) {
	d := &t.dirs[i]
	if len(d.waiting) == 0 {
		return
	}
	p := d.waiting[0]
	d.waiting = d.waiting[1:]
	d.bytes -= len(p.data)
	gap := int64(p.seq - d.next)
	d.next = p.seq
	t.append(i, p, gap)
	t.release(i)
}

// append adds what is new of a piece to the stream.
func (t *tracer) append(i int, p piece, missing int64) {
	d := &t.dirs[i]
	old := int(int32(d.next - p.seq)) // bytes that were sent before
	if old >= len(p.data) {
		return
	}
	data := p.data[max(0, old):]
	d.next = p.seq + uint32(len(p.data))
	if i == 0 {
		t.stream.ToServer += int64(len(data))
	} else {
		t.stream.ToClient += int64(len(data))
	}
	if t.stream.Cut {
		return
	}
	parts := t.stream.Parts
	n, room := len(parts), MaxStream-t.total
	goesOn := n > 0 && parts[n-1].FromClient == (i == 0) && missing == 0
	if !goesOn && n == MaxParts {
		room = 0
	}
	if len(data) > room {
		data, t.stream.Cut = data[:room], true
	}
	if len(data) == 0 {
		return
	}
	t.total += len(data)
	if goesOn {
		parts[n-1].Data = append(parts[n-1].Data, data...)
		return
	}
	t.stream.Parts = append(parts, Part{FromClient: i == 0, Number: p.number, Data: slices.Clone(data), Missing: missing})
}

// finish goes over the gaps that are left.
func (t *tracer) finish() {
	for i := range t.dirs {
		for len(t.dirs[i].waiting) > 0 {
			t.jump(i)
		}
	}
}

// Text is the part's data as people read it.
func (p Part) Text() string { return Printable(string(p.Data)) }

// Gap says what is missing before the part, "" if nothing is.
func (p Part) Gap() string {
	if p.Missing == 0 {
		return ""
	}
	return fmt.Sprintf("%d bytes are not in the capture", p.Missing)
}
