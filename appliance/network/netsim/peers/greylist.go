package peers

import (
	"net/netip"
	"time"

	"github.com/esasim/esasim/appliance/clock"
)

// maxTriples is the number of triples that a greylist remembers. The oldest is forgotten first.
const maxTriples = 10_000

// A triple is what greylisting remembers of an attempt to deliver. Addresses are in lower case.
type triple struct {
	client            netip.Addr
	sender, recipient string
}

// A greylist remembers when triples were first seen. The zero value remembers none. It is not
// safe for concurrent use.
type greylist struct {
	first map[triple]clock.Mark
	order []triple // the oldest first
}

// passed reports whether a triple was first seen at least some time ago. If it has not been seen
// yet, passed remembers it.
func (g *greylist) passed(t triple, now clock.Mark, delay time.Duration) bool {
	if first, ok := g.first[t]; ok {
		return time.Duration(now-first) >= delay
	}
	if g.first == nil {
		g.first = make(map[triple]clock.Mark)
	}
	if len(g.order) == maxTriples {
		delete(g.first, g.order[0])
		g.order = g.order[1:]
	}
	g.first[t] = now
	g.order = append(g.order, t)
	return false
}
