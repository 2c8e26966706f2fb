package dissect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"sort"
)

// MaxStreamBytes and MaxStreamParts bound the Stream that Follow returns.
const (
	MaxStreamBytes = 1 << 20
	MaxStreamParts = 32 << 10
)

// ErrNotTCP is returned by Follow for a packet that does not belong to a TCP connection.
var ErrNotTCP = errors.New("dissect: not a TCP packet")

// A Stream is the data of a TCP connection, in the order in which it was captured.
type Stream struct {
	Client, Server netip.AddrPort // a guess if the SYN was not captured
	Parts          []Part
	ToServer       int64 // bytes
	ToClient       int64
	Truncated      bool // there is more data than Parts has
}

// A Part is data that one end sent before the other end answered.
type Part struct {
	FromClient bool
	Number     int   // of its first packet
	Offset     int64 // number of bytes that the same end sent before, as far as they were captured
	Data       []byte
	Missing    int64 // number of bytes before it that are not in the capture
}

// Follow returns the data of the connection to which the packet with the given number belongs:
// in order, each byte once. It leaves out the first skip bytes of both directions together and
// returns up to limit bytes after them, at most MaxStreamBytes. The error is io.EOF if there is no
// such packet, ErrNotTCP if it has no connection, or one of reading.
func (c *Capture) Follow(
	ctx context.Context, all *Index, number int, skip int64, limit int,
) (Stream, error) {
	t := &reassembler{skip: skip, limit: min(limit, MaxStreamBytes)}
	err := c.follow(ctx, all, number, t)
	return t.stream, err
}

// CopyStream calls write with the data of the connection to which the packet with the given number
// belongs, in the order of Follow, but without its bounds. The data must not be retained. Errors
// are those of Follow and of write.
func (c *Capture) CopyStream(
	ctx context.Context, all *Index, number int, write func(fromClient bool, data []byte) error,
) error {
	return c.follow(ctx, all, number, &reassembler{write: write})
}

// follow feeds the connection of a packet to t.
func (c *Capture) follow(ctx context.Context, all *Index, number int, t *reassembler) error {
	f, _, err := c.find(all, number)
	if err != nil {
		return err
	}
	d := newDecoder()
	s, ok := d.segment(f.data)
	if !ok {
		return ErrNotTCP
	}
	begin, client := all.connectionStart(s.flow, number)
	t.client, t.number = client, begin
	t.stream = Stream{Client: client.from, Server: client.to}
	first, frames, err := c.find(all, begin)
	if err != nil {
		return err
	}
	for f := first; ; {
		if s, ok := d.segment(f.data); ok && (s.flow == client || s.flow == client.reverse()) {
			if over := t.addSegment(s); over && t.number >= number {
				break
			}
		}
		t.number++
		if err := cmp.Or(t.writeError, contextError(ctx, t.number)); err != nil {
			return err
		}
		if f, err = frames.next(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
	}
	t.skipRemainingGaps()
	return t.writeError
}

// connectionStart returns the number of the first packet of the connection of a packet, and the
// flow from the client. If the SYN was not captured, it returns 1, and the end with the higher
// port is taken for the client.
func (x *Index) connectionStart(f flow, number int) (int, flow) {
	newer, found := x.lastCapturedSYN(f, number)
	older, otherFound := x.lastCapturedSYN(f.reverse(), number)
	if otherFound && (!found || older.number > newer.number) {
		newer, older, f, found, otherFound = older, newer, f.reverse(), true, found
	}
	switch { // f is the flow of newer
	case !found && f.from.Port() < f.to.Port():
		return 1, f.reverse()
	case !found:
		return 1, f
	case !newer.isReply:
		return newer.number, f
	case otherFound && !older.isReply:
		return older.number, f.reverse()
	}
	return newer.number, f.reverse()
}

// lastCapturedSYN is lastSYN without guessed records.
func (x *Index) lastCapturedSYN(f flow, number int) (synRecord, bool) {
	r, ok := x.lastSYN(f, number)
	return r, ok && !r.guessed
}

// A reassembler builds the Stream of a connection, or passes its data to write.
type reassembler struct {
	skip  int64 // bytes to leave out
	limit int   // of bytes in stream.Parts

	write      func(fromClient bool, data []byte) error // if it is not nil, Parts stay empty
	writeError error

	client flow
	number int          // of the current packet
	total  int          // bytes in stream.Parts
	dirs   [2]direction // from the client, from the server
	stream Stream
}

// A direction is the state of one flow.
type direction struct {
	known      bool        // next is valid
	next       uint32      // sequence number of the next byte
	early      []dataPiece // data that arrived early, by sequence number
	earlyBytes int
	finished   bool
}

// A dataPiece is the data of one packet.
type dataPiece struct {
	seq    uint32
	number int
	data   []byte
}

// maxEarlyBytes and maxEarlyPieces bound the early data of a direction. Beyond them the gap
// before it is taken for lost. Both are more than a window holds in segments of a usual size,
// and they bound the cost of each packet whatever the file contains.
const (
	maxEarlyBytes  = 256 << 10
	maxEarlyPieces = 1024
)

// addSegment adds a segment and reports whether the connection ends with it.
func (t *reassembler) addSegment(s segment) (over bool) {
	i := 0
	if s.flow != t.client {
		i = 1
	}
	d := &t.dirs[i]
	seq := s.seq
	if s.synFlag {
		if d.known && len(t.stream.Parts) > 0 && s.seq+1 != d.next {
			return true // another connection of the same ports
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

// addData appends a piece, and the early pieces that follow it. It keeps a piece that is early.
func (t *reassembler) addData(i int, p dataPiece) {
	d := &t.dirs[i]
	if ahead := int32(p.seq - d.next); ahead > 0 {
		p.data = slices.Clone(p.data)
		at := sort.Search(len(d.early), func(i int) bool { return int32(d.early[i].seq-p.seq) > 0 })
		d.early = slices.Insert(d.early, at, p)
		d.earlyBytes += len(p.data)
		if d.earlyBytes > maxEarlyBytes || len(d.early) > maxEarlyPieces {
			t.skipGap(i)
		}
		return
	}
	t.append(i, p, 0)
	t.appendEarly(i)
}

// appendEarly appends the early pieces that follow the data received so far.
func (t *reassembler) appendEarly(i int) {
	d := &t.dirs[i]
	for len(d.early) > 0 && int32(d.early[0].seq-d.next) <= 0 {
		p := d.early[0]
		d.early = d.early[1:]
		d.earlyBytes -= len(p.data)
		t.append(i, p, 0)
	}
}

// skipGap continues after the first gap.
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
	t.appendEarly(i)
}

// append appends the new bytes of a piece to the stream.
func (t *reassembler) append(i int, p dataPiece, missing int64) {
	d := &t.dirs[i]
	old := int(int32(d.next - p.seq)) // bytes received before
	if old >= len(p.data) {
		return
	}
	data := p.data[max(0, old):]
	d.next = p.seq + uint32(len(p.data))
	count := &t.stream.ToServer
	if i == 1 {
		count = &t.stream.ToClient
	}
	offset := *count
	*count += int64(len(data))
	if t.write != nil {
		if t.writeError == nil {
			t.writeError = t.write(i == 0, data)
		}
		return
	}
	if t.stream.Truncated {
		return
	}
	if left := min(t.skip, int64(len(data))); left > 0 {
		t.skip -= left
		offset += left
		data = data[left:]
		if len(data) == 0 {
			return
		}
	}
	parts := t.stream.Parts
	n, room := len(parts), t.limit-t.total
	continues := n > 0 && parts[n-1].FromClient == (i == 0) && missing == 0
	if !continues && n == MaxStreamParts {
		room = 0
	}
	if len(data) > room {
		data, t.stream.Truncated = data[:room], true
	}
	if len(data) == 0 {
		return
	}
	t.total += len(data)
	if continues {
		parts[n-1].Data = append(parts[n-1].Data, data...)
		return
	}
	t.stream.Parts = append(parts, Part{
		FromClient: i == 0, Number: p.number, Offset: offset, Data: slices.Clone(data),
		Missing: missing,
	})
}

// skipRemainingGaps appends all early pieces.
func (t *reassembler) skipRemainingGaps() {
	for i := range t.dirs {
		for len(t.dirs[i].early) > 0 {
			t.skipGap(i)
		}
	}
}

// Text returns the part's data as printable text.
func (p Part) Text() string { return Printable(string(p.Data)) }

// Gap describes the data that is missing before the part; "" means none.
func (p Part) Gap() string {
	if p.Missing == 0 {
		return ""
	}
	return fmt.Sprintf("%d bytes are not in the capture", p.Missing)
}
