package dissect

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/esasim/esasim/appliance/pcapfilter"
)

// A Timeline is the traffic of a part of a capture over time.
type Timeline struct {
	From, To    time.Time
	ColumnWidth time.Duration
	Columns     []Column
	Packets     int // in all columns
	Bytes       int64
	Before      int // selected packets that come before the first one of the timeline
}

// Timeline reads the file and returns the traffic of the selected packets from a time up to another
// one, in n columns. A nil filter selects every packet.
func (c *Capture) Timeline(
	ctx context.Context, filter *pcapfilter.Filter, from, to time.Time, n int,
) (Timeline, error) {
	t := Timeline{From: from, To: to, Columns: make([]Column, n)}
	t.ColumnWidth = max(1, (to.Sub(from)+time.Duration(n)-1)/time.Duration(n))
	frames := c.framesFrom(fileHeaderLen, scanBuffer)
	for number := 1; ; number++ {
		f, err := frames.next()
		if errors.Is(err, io.EOF) {
			return t, nil
		}
		if err == nil {
			err = contextError(ctx, number)
		}
		if err != nil {
			return t, err
		}
		if filter != nil && !filter.Match(f.data, f.wireLen) {
			continue
		}
		if f.at.Before(from) || !f.at.Before(to) {
			if t.Packets == 0 {
				t.Before++
			}
			continue
		}
		i := min(n-1, int(f.at.Sub(from)/t.ColumnWidth))
		t.Columns[i].Packets++
		t.Columns[i].Bytes += int64(f.wireLen)
		t.Packets++
		t.Bytes += int64(f.wireLen)
	}
}
