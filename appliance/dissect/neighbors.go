package dissect

import (
	"context"
	"errors"
	"io"
	"sort"

	"github.com/esasim/esasim/appliance/pcapfilter"
)

// Neighbours say where a packet is among those that an Index selected.
type Neighbors struct {
	Previous, Next int // numbers of the selected packets beside it; 0: there is none
	Rank           int // how many come before it
}

// Beside finds the neighbours of the packet of that number, which need not be selected
// itself. filter is x's, nil if it had none. It reads from the last mark before the packet
// to the next selected one, or to the last.
func (c *Capture) Neighbors(ctx context.Context, x *Index, filter *pcapfilter.Filter, number int) (Neighbors, error) {
	i := sort.Search(len(x.marks), func(i int) bool { return x.marks[i].number >= number }) - 1
	var out Neighbors
	if i < 0 { // no selected one comes before it
		if len(x.marks) == 0 {
			return out, nil
		}
		i = 0
	}
	out.Rank = i * markInterval
	self := 0 // 1 once the packet was met and is selected
	read := c.framesFrom(x.marks[i].off, pageBuffer)
	for n := x.marks[i].number; out.Rank+self < x.Selected; n++ {
		f, err := read.next()
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
