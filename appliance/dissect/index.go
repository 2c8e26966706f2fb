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
	stride      = 256     // packets between two marks
	columns     = 120     // of the chart
	maxOpenings = 50_000  // beginnings of connections
	scanAhead   = 1 << 18 // bytes read at a time
)

// narrowest is what a column of a chart stands for at least.
const narrowest = 10 * time.Millisecond

// An Index is what a Scan found. It never changes.
type Index struct {
	Total    int // packets in the file
	Selected int // packets that the filter selected
	Bytes    int64
	First    time.Time // of those selected
	Last     time.Time
	Width    time.Duration // of a column
	Columns  []Column

	end      int64 // of the last whole record
	marks    []mark
	openings map[flow][]opening // of an unfiltered Index only
	opened   int
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
type opening struct {
	number  int // of the packet
	seq     uint32
	answers bool // it is the server's
}

// Scan goes through the file. A nil filter selects everything. old, which may be nil, is
// a former Index of the same file, with the same filter, from which to go on.
func (c *Capture) Scan(ctx context.Context, filter *pcapfilter.Filter, old *Index) (*Index, error) {
	x := &Index{end: fileHeader, Width: narrowest, openings: map[flow][]opening{}}
	if old != nil {
		x = old.clone()
	}
	d := newDecoder()
	read := c.from(x.end, scanAhead)
	for {
		f, err := read.next()
		if errors.Is(err, io.EOF) {
			return x, nil
		}
		if err == nil {
			err = lost(ctx, x.Total)
		}
		if err != nil {
			return nil, err
		}
		x.Total++
		x.end = read.off
		if filter == nil {
			if s, ok := d.segment(f.data); ok && s.syn {
				x.open(s)
			}
		} else if !filter.Match(f.data, f.wire) {
			continue
		}
		x.add(f)
	}
}

// clone is a copy to go on with.
func (x *Index) clone() *Index {
	y := *x
	y.marks = slices.Clone(x.marks)
	y.Columns = slices.Clone(x.Columns)
	y.openings = make(map[flow][]opening, len(x.openings))
	for k, v := range x.openings {
		y.openings[k] = slices.Clone(v)
	}
	return &y
}

// add notes a packet that the filter selects; Total is its number.
func (x *Index) add(f frame) {
	if x.Selected%stride == 0 {
		x.marks = append(x.marks, mark{f.off, x.Total})
	}
	if x.Selected == 0 {
		x.First, x.Last = f.at, f.at
	}
	if f.at.After(x.Last) { // a capture's stamps do not go back; another program's may
		x.Last = f.at
	}
	x.Selected++
	x.Bytes += int64(f.wire)
	i := int(max(0, f.at.Sub(x.First)) / x.Width)
	for i >= columns {
		x.widen()
		i = int(f.at.Sub(x.First) / x.Width)
	}
	for len(x.Columns) <= i {
		x.Columns = append(x.Columns, Column{})
	}
	x.Columns[i].Packets++
	x.Columns[i].Bytes += int64(f.wire)
}

// widen makes one column of two.
func (x *Index) widen() {
	for i := 0; i < len(x.Columns); i += 2 {
		c := x.Columns[i]
		if i+1 < len(x.Columns) {
			c.Packets += x.Columns[i+1].Packets
			c.Bytes += x.Columns[i+1].Bytes
		}
		x.Columns[i/2] = c
	}
	x.Columns = x.Columns[:(len(x.Columns)+1)/2]
	x.Width *= 2
}

// open notes a SYN; Total is its number.
func (x *Index) open(s segment) {
	known := x.openings[s.flow]
	if n := len(known); n > 0 && known[n-1].seq == s.seq || x.opened >= maxOpenings {
		return // sent again
	}
	x.opened++
	x.openings[s.flow] = append(known, opening{x.Total, s.seq, s.acks})
}

// opening is the SYN that a packet of a direction counts from.
func (x *Index) opening(f flow, number int) (opening, bool) {
	list := x.openings[f]
	i, found := slices.BinarySearchFunc(list, number, func(o opening, n int) int { return o.number - n })
	if !found {
		i--
	}
	if i < 0 {
		return opening{}, false
	}
	return list[i], true
}

// start is where to read to come to the n-th selected packet, from 0, and how many
// selected ones come before it there.
func (x *Index) start(n int) (at mark, skip int, ok bool) {
	if n < 0 || n >= x.Selected {
		return mark{}, 0, false
	}
	return x.marks[n/stride], n % stride, true
}
