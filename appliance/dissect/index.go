package dissect

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/esasim/esasim/appliance/pcapfilter"
)

// Bounds of what an Index keeps.
const (
	markInterval = 256 // selected packets between two marks
	maxColumns   = 120 // of the chart
	maxSYNs      = 50_000
	scanBuffer   = 1 << 18 // bytes that a Scan reads at a time
)

// minColumnWidth is the initial interval of a column.
const minColumnWidth = 10 * time.Millisecond

// An Index is the result of a Scan. It is immutable.
type Index struct {
	Total       int       // packets in the file
	Selected    int       // selected packets
	Bytes       int64     // of the selected packets, on the wire
	First       time.Time // time of the first selected packet
	Last        time.Time // latest time of a selected packet
	ColumnWidth time.Duration
	Columns     []Column

	end      int64 // of the last complete record
	marks    []mark
	syns     map[flow][]synRecord // of an Index without a filter only, in order
	synCount int
	troubles troubles
}

// A Column is the traffic of one interval. Bytes are counted on the wire.
type Column struct {
	Packets int
	Bytes   int64
}

// A mark is the position of a packet in the file.
type mark struct {
	off    int64
	number int // of the packet there, from 1
}

// A synRecord is the SYN of one flow.
type synRecord struct {
	number  int // of the packet
	seq     uint32
	isReply bool // a SYN with ACK, from the server
	guessed bool // the SYN is not in the file: the number of the first packet less one
}

// Scan reads the file and returns its Index. A nil filter selects every packet. If old is not
// nil, it must be an Index of the same file with the same filter; Scan then continues where
// that one ended.
func (c *Capture) Scan(ctx context.Context, filter *pcapfilter.Filter, old *Index) (*Index, error) {
	x := &Index{end: fileHeaderLen, ColumnWidth: minColumnWidth, syns: map[flow][]synRecord{}}
	x.troubles.flows = map[flow]flowProgress{}
	if old != nil {
		x = old.clone()
	}
	d := newDecoder()
	frames := c.framesFrom(x.end, scanBuffer)
	for {
		f, err := frames.next()
		if errors.Is(err, io.EOF) {
			return x, nil
		}
		if err == nil {
			err = contextError(ctx, x.Total)
		}
		if err != nil {
			return nil, err
		}
		x.Total++
		x.end = frames.off
		if filter == nil {
			if s, ok := d.segment(f.data); ok {
				x.addSegment(s)
				x.troubles.addSegment(s, x.Total)
			}
		} else if !filter.Match(f.data, f.wireLen) {
			continue
		}
		x.addPacket(f)
	}
}

// clone returns a copy that shares no memory with x.
func (x *Index) clone() *Index {
	y := *x
	y.marks = slices.Clone(x.marks)
	y.Columns = slices.Clone(x.Columns)
	y.syns = make(map[flow][]synRecord, len(x.syns))
	for k, v := range x.syns {
		y.syns[k] = slices.Clone(v)
	}
	y.troubles = x.troubles.clone()
	return &y
}

// addPacket adds a selected packet, whose number is x.Total.
func (x *Index) addPacket(f frame) {
	if x.Selected%markInterval == 0 {
		x.marks = append(x.marks, mark{f.off, x.Total})
	}
	if x.Selected == 0 {
		x.First, x.Last = f.at, f.at
	}
	if f.at.After(x.Last) { // times may decrease in files of other programs
		x.Last = f.at
	}
	x.Selected++
	x.Bytes += int64(f.wireLen)
	i := int(max(0, f.at.Sub(x.First)) / x.ColumnWidth)
	for i >= maxColumns {
		x.mergeColumns()
		i = int(f.at.Sub(x.First) / x.ColumnWidth)
	}
	for len(x.Columns) <= i {
		x.Columns = append(x.Columns, Column{})
	}
	x.Columns[i].Packets++
	x.Columns[i].Bytes += int64(f.wireLen)
}

// mergeColumns halves the number of columns by merging them in pairs.
func (x *Index) mergeColumns() {
	for i := 0; i < len(x.Columns); i += 2 {
		c := x.Columns[i]
		if i+1 < len(x.Columns) {
			c.Packets += x.Columns[i+1].Packets
			c.Bytes += x.Columns[i+1].Bytes
		}
		x.Columns[i/2] = c
	}
	x.Columns = x.Columns[:(len(x.Columns)+1)/2]
	x.ColumnWidth *= 2
}

// addSegment adds the sequence numbers of the packet with the number x.Total, if a connection
// begins with it or the file contains no earlier packet of its connection.
func (x *Index) addSegment(s segment) {
	known := x.syns[s.flow]
	switch {
	case s.synFlag:
		if n := len(known); n > 0 && known[n-1].seq == s.seq {
			return // a retransmission
		}
		x.addSYN(s.flow, synRecord{number: x.Total, seq: s.seq, isReply: s.ackFlag})
	case known == nil:
		x.addSYN(s.flow, synRecord{number: x.Total, seq: s.seq - 1, guessed: true})
		if s.ackFlag && x.syns[s.reverse()] == nil {
			x.addSYN(s.reverse(), synRecord{number: x.Total, seq: s.ack - 1, guessed: true})
		}
	}
}

func (x *Index) addSYN(f flow, r synRecord) {
	if x.synCount >= maxSYNs {
		return
	}
	x.synCount++
	x.syns[f] = append(x.syns[f], r)
}

// WithAbsoluteNumbers returns a copy of x with which Rows and Packet show the sequence numbers of
// the packets instead of relative ones. Follow needs x itself.
func (x *Index) WithAbsoluteNumbers() *Index {
	y := *x
	y.syns = nil
	return &y
}

// lastSYN returns the last SYN of a flow up to the packet with the given number, which may be
// guessed.
func (x *Index) lastSYN(f flow, number int) (synRecord, bool) {
	list := x.syns[f]
	i, found := slices.BinarySearchFunc(list, number, func(r synRecord, n int) int {
		return r.number - n
	})
	if !found {
		i--
	}
	if i < 0 {
		return synRecord{}, false
	}
	return list[i], true
}

// locate returns the mark before the n-th selected packet, counted from 0, and the number of
// selected packets from the mark to that packet.
func (x *Index) locate(n int) (at mark, skip int, ok bool) {
	if n < 0 || n >= x.Selected {
		return mark{}, 0, false
	}
	return x.marks[n/markInterval], n % markInterval, true
}
