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
	MaxStreamBytes = 1 << 20
	MaxStreamParts = 10_000
)

// ErrNoStream says that a packet is not of a TCP connection.
var ErrNotTCP = errors.New("dissect: not a TCP packet")

// A Stream is what the ends of a TCP connection said, in the order in which it came by.
type Stream struct {
	Client, Server netip.AddrPort // as far as is known
	Parts          []Part
	ToServer       int64 // bytes
	ToClient       int64
	Truncated      bool // there is more, see MaxStream
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
		return Stream{}, ErrNotTCP
	}
	begin, client := all.connectionStart(s.flow, number)
	t := &reassembler{client: client, number: begin, stream: Stream{Client: client.from, Server: client.to}}
	first, read, err := c.find(all, begin)
	if err != nil {
		return Stream{}, err
	}
	for f := first; ; {
		if s, ok := d.segment(f.data); ok && (s.flow == client || s.flow == client.reverse()) {
			if over := t.addSegment(s); over && t.number >= number {
				break
			}
		}
		t.number++
		if err := contextError(ctx, t.number); err != nil {
			return Stream{}, err
		}
		if f, err = read.next(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return Stream{}, err
		}
	}
	t.skipRemainingGaps()
	return t.stream, nil
}

// beginning is the packet with which the connection of a packet begins, and the direction
// from its client. Where it is not known that is the first of the file, and the client is
// who has the higher port.
func (x *Index) connectionStart(f flow, number int) (int, flow) {
	there, known := x.lastSYN(f, number)
	back, answered := x.lastSYN(f.reverse(), number)
	if answered && (!known || back.number > there.number) {
		there, back, f, known, answered = back, there, f.reverse(), true, known
	}
	switch { // there is the newer
	case !known && f.from.Port() < f.to.Port():
		return 1, f.reverse()
	case !known:
		return 1, f
	case !there.isReply:
		return there.number, f
	case answered && !back.isReply:
		return back.number, f.reverse()
	}
	return there.number, f.reverse()
}

// A tracer puts a connection together.
type reassembler struct {
	client flow
	number int // of the packet that is looked at
	total  int
	dirs   [2]direction // from the client, from the server
	stream Stream
}

// A direction is what one end sends.
type direction struct {
	known      bool        // next is
	next       uint32      // the sequence number that is to come
	early      []dataPiece // by sequence number
	earlyBytes int
	finished   bool
}

// A piece came before its time.
type dataPiece struct {
	seq    uint32
	number int
	data   []byte
}

// maxWaiting and maxPieces are how many bytes, in how many pieces, may come before their
// time; then the gap is taken for lost. Both are beyond what a window holds in segments
// of a usual size, and bound what a piece costs whatever the file holds.
const (
	maxWaitingBytes  = 256 << 10
	maxWaitingPieces = 1024
)

// take looks at a segment, and reports whether the connection is over with it.
func (t *reassembler) addSegment(s segment) (over bool) {
	i := 0
	if s.flow != t.client {
		i = 1
	}
	d := &t.dirs[i]
	seq := s.seq
	if s.synFlag {
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
		t.addData(i, dataPiece{seq, t.number, s.data})
	}
	if s.rstFlag {
		return true
	}
	d.finished = d.finished || s.finFlag
	return t.dirs[0].finished && t.dirs[1].finished && len(s.data) == 0 && !s.finFlag
}

// put appends a piece, and what it was waited for with.
func (t *reassembler) addData(i int, p dataPiece) {
	d := &t.dirs[i]
	if ahead := int32(p.seq - d.next); ahead > 0 {
		p.data = slices.Clone(p.data)
		at := sort.Search(len(d.early), func(i int) bool { return int32(d.early[i].seq-p.seq) > 0 })
		d.early = slices.Insert(d.early, at, p)
		if d.earlyBytes += len(p.data); d.earlyBytes > maxWaitingBytes || len(d.early) > maxWaitingPieces {
			t.skipGap(i)
		}
		return
	}
	t.append(i, p, 0)
	t.appendWaiting(i)
}

// release appends what has been waiting for what is there now.
func (t *reassembler) appendWaiting(i int) {
	d := &t.dirs[i]
	for len(d.early) > 0 && int32(d.early[0].seq-d.next) <= 0 {
		p := d.early[0]
		d.early = d.early[1:]
		d.earlyBytes -= len(p.data)
		t.append(i, p, 0)
	}
}

// jump goes over a gap.
func (t *reassembler) skipGap(i int) {
	d := &t.dirs[i]
	if len(d.early) == 0 {
		return
	}
	p := d.early[0]
	d.early = d.early[1:]
	d.earlyBytes -= len(p.data)
	gap := int64(p.seq - d.next)
	d.next = p.seq
	t.append(i, p, gap)
	t.appendWaiting(i)
}

// append adds what is new of a piece to the stream.
func (t *reassembler) append(i int, p dataPiece, missing int64) {
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
	if t.stream.Truncated {
		return
	}
	parts := t.stream.Parts
	n, room := len(parts), MaxStreamBytes-t.total
	goesOn := n > 0 && parts[n-1].FromClient == (i == 0) && missing == 0
	if !goesOn && n == MaxStreamParts {
		room = 0
	}
	if len(data) > room {
		data, t.stream.Truncated = data[:room], true
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
func (t *reassembler) skipRemainingGaps() {
	for i := range t.dirs {
		for len(t.dirs[i].early) > 0 {
			t.skipGap(i)
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
