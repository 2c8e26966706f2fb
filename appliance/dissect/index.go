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
	markInterval = 256     // packets between two marks
	maxColumns   = 120     // of the chart
	maxSYNs      = 50_000  // beginnings of connections
	scanBuffer   = 1 << 18 // bytes read at a time
)

// narrowest is what a column of a chart stands for at least.
const minColumnWidth = 10 * time.Millisecond

// An Index is what a Scan found. It never changes.
type Index struct {
	Total       int // packets in the file
	Selected    int // packets that the filter selected
	Bytes       int64
	First       time.Time // of those selected
	Last        time.Time
	ColumnWidth time.Duration // of a column
	Columns     []Column

	end      int64 // of the last whole record
	marks    []mark
	syns     map[flow][]synRecord // of an unfiltered Index only
	synCount int
}

// A Column is what passed in one interval. Bytes are those of the wire.
type Column struct {
	Packets int
	Bytes   int64
}

// A mark is a place in the file.
type mark struct {
	off    int64
	number int // of the packet there, from 1
}

// An opening is the SYN of one direction of a connection.
type synRecord struct {
	number  int // of the packet
	seq     uint32
	isReply bool // it is the server's
}

// Scan goes through the file. A nil filter selects everything. old, which may be nil, is
// a former Index of the same file, with the same filter, from which to go on.
func (c *Capture) Scan(ctx context.Context, filter *pcapfilter.Filter, old *Index) (*Index, error) {
	x := &Index{end: fileHeaderLen, ColumnWidth: minColumnWidth, syns: map[flow][]synRecord{}}
	if old != nil {
		x = old.clone()
	}
	d := newDecoder()
	read := c.framesFrom(x.end, scanBuffer)
	for {
		f, err := read.next()
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
		x.end = read.off
		if filter == nil {
			if s, ok := d.segment(f.data); ok && s.synFlag {
				x.addSYN(s)
			}
		} else if !filter.Match(f.data, f.wireLen) {
			continue
		}
		x.addPacket(f)
	}
}

// clone is a copy to go on with.
func (x *Index) clone() *Index {
	y := *x
	y.marks = slices.Clone(x.marks)
	y.Columns = slices.Clone(x.Columns)
	y.syns = make(map[flow][]synRecord, len(x.syns))
	for k, v := range x.syns {
		y.syns[k] = slices.Clone(v)
	}
	return &y
}

// add notes a packet that the filter selects; Total is its number.
func (x *Index) addPacket(f frame) {
	if x.Selected%markInterval == 0 {
		x.marks = append(x.marks, mark{f.off, x.Total})
	}
	if x.Selected == 0 {
		x.First, x.Last = f.at, f.at
	}
	if f.at.After(x.Last) { // a capture's stamps do not go back; another program's may
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

// widen makes one column of two.
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

// open notes a SYN; Total is its number.
func (x *Index) addSYN(s segment) {
	known := x.syns[s.flow]
	if n := len(known); n > 0 && known[n-1].seq == s.seq || x.synCount >= maxSYNs {
		return // sent again
	}
	x.synCount++
	x.syns[s.flow] = append(known, synRecord{x.Total, s.seq, s.ackFlag})
}

// opening is the SYN that a packet of a direction counts from.
func (x *Index) lastSYN(f flow, number int) (synRecord, bool) {
	list := x.syns[f]
	i, found := slices.BinarySearchFunc(list, number, func(o synRecord, n int) int { return o.number - n })
	if !found {
		i--
	}
	if i < 0 {
		return synRecord{}, false
	}
	return list[i], true
}

// start is where to read to come to the n-th selected packet, from 0, and how many
// selected ones come before it there.
func (x *Index) locate(n int) (at mark, skip int, ok bool) {
	if n < 0 || n >= x.Selected {
		return mark{}, 0, false
	}
	return x.marks[n/markInterval], n % markInterval, true
}
