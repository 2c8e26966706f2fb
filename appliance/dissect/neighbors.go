package dissect

import (
	"context"
	"errors"
	"io"
	"sort"

	"github.com/esasim/esasim/appliance/pcapfilter"
)

// Neighbors describe the position of a packet among the selected packets of an Index.
type Neighbors struct {
	Previous, Next int // numbers of the nearest selected packets; 0 if there is none
	Rank           int // number of selected packets before it
}

// Neighbors returns the neighbors of the packet with the given number, which need not be
// selected itself. filter is the filter of x, or nil. Neighbors reads from the last mark before
// the packet to the next selected packet.
func (c *Capture) Neighbors(
	ctx context.Context, x *Index, filter *pcapfilter.Filter, number int,
) (Neighbors, error) {
	i := sort.Search(len(x.marks), func(i int) bool { return x.marks[i].number >= number }) - 1
	var out Neighbors
	if i < 0 { // no selected packet precedes it
		if len(x.marks) == 0 {
			return out, nil
		}
		i = 0
	}
	out.Rank = i * markInterval
	self := 0 // 1 after the packet itself was read, if it is selected
	frames := c.framesFrom(x.marks[i].off, pageBuffer)
	for n := x.marks[i].number; out.Rank+self < x.Selected; n++ {
		f, err := frames.next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err == nil {
			err = contextError(ctx, n)
		}
		switch {
		case err != nil:
			return out, err
		case filter != nil && !filter.Match(f.data, f.wireLen):
		case n == number:
			self = 1
		case n > number:
			out.Next = n
			return out, nil
		default:
			out.Previous = n
			out.Rank++
		}
	}
	return out, nil
}
