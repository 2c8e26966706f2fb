package transfer

import (
	"slices"
	"sync"
)

// maxSpans is the number of separate parts of a file that a coverage remembers. Clients that send
// many requests at a time have a few dozen in flight.
const maxSpans = 256

// A coverage knows which parts of a file were transferred. It is safe for concurrent use.
type coverage struct {
	mu      sync.Mutex
	spans   []span // in their order, with gaps between them
	unknown bool   // there were more than maxSpans
}

// A span is a part of a file.
type span struct{ from, to int64 }

// add adds n bytes from off on.
func (c *coverage) add(off int64, n int) {
	if n <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	x := span{off, off + int64(n)}
	first := len(c.spans) // the first span that ends at x or after it
	for first > 0 && c.spans[first-1].to >= x.from {
		first--
	}
	next := first // the first span that begins after x
	for next < len(c.spans) && c.spans[next].from <= x.to {
		x.from, x.to = min(x.from, c.spans[next].from), max(x.to, c.spans[next].to)
		next++
	}
	if c.spans = slices.Replace(c.spans, first, next, x); len(c.spans) > maxSpans {
		c.spans, c.unknown = nil, true
	}
}

// prefix returns the number of bytes that were transferred if they are the first ones of the file,
// without gaps. Otherwise ok is false.
func (c *coverage) prefix() (n int64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.unknown || len(c.spans) > 1:
		return 0, false
	case len(c.spans) == 0:
		return 0, true
	}
	return c.spans[0].to, c.spans[0].from == 0
}
