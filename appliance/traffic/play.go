package traffic

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// flowConnections is the number of connections of a flow of a topology at the same time.
const flowConnections = 8

// A FlowState is the state of a flow of the topology.
type FlowState struct {
	Name    string  `json:"name"`
	Summary Summary `json:"summary"`
	// Played is the number of minutes, by the appliance's clock, whose messages have been handed
	// over.
	Played int `json:"played"`
}

// A player plays a flow of the topology by the time of day.
type player struct {
	site  Site
	plan  *plan
	count *counter

	mu     sync.Mutex
	played int
}

// An anchor connects the wall time with the monotonic time of a clock.
type anchor struct {
	wall time.Time
	mark clock.Mark
}

// clockSetTolerance is the difference from the anchor at which the wall time counts as set.
const clockSetTolerance = 2 * time.Second

// newAnchor returns the anchor of this moment. On a clock that runs fast, minutes pass if the goroutine
// is interrupted between two readings: then they are read again.
func newAnchor(site Site) anchor {
	for tries := 0; ; tries++ {
		before := site.Clock().Mark()
		at := anchor{site.Now(), before}
		if site.Clock().Since(before) < clockSetTolerance/2 || tries > 100 {
			return at
		}
	}
}

// moved reports whether the wall time was set since the anchor was made.
func (a anchor) moved(site Site) bool {
	least := a.wall.Add(time.Duration(site.Clock().Mark()-a.mark) - clockSetTolerance)
	now := site.Now()
	most := a.wall.Add(time.Duration(site.Clock().Mark()-a.mark) + clockSetTolerance)
	return now.Before(least) || now.After(most)
}

// markOf returns the point of monotonic time at which the wall time is t.
func (a anchor) markOf(t time.Time) clock.Mark { return a.mark + clock.Mark(t.Sub(a.wall)) }

// run plays minute after minute from an anchor until ctx ends. If the clock is set, it goes on with the new time.
// It plays every minute, however late: only the clock decides what is offered.
func (p *player) run(ctx context.Context, at anchor) {
	l := newLanes(p.site, flowConnections, p.count)
	defer l.close()
	firstDay := dayOf(at.wall)
	minute := at.wall.Truncate(time.Minute)
	group, lane := "", 0
	for ctx.Err() == nil {
		for _, m := range p.minute(minute, dayOf(minute)-firstDay) {
			if m.due.Before(at.wall) {
				continue // it was due before the start
			}
			if !waitUntil(ctx, p.site.Clock(), at.markOf(m.due)) {
				return
			}
			if at.moved(p.site) {
				break
			}
			p.count.offer(m, time.Duration(p.site.Clock().Mark()-at.markOf(m.due)))
			if m.group != group {
				group, lane = m.group, (lane+1)%flowConnections
			}
			l.send(ctx, lane, m)
		}
		next := minute.Add(time.Minute)
		if !at.moved(p.site) && !waitUntil(ctx, p.site.Clock(), at.markOf(next)) {
			return
		}
		if at.moved(p.site) {
			at = newAnchor(p.site)
			firstDay = dayOf(at.wall)
			next = at.wall.Truncate(time.Minute)
		}
		minute = next
		p.mu.Lock()
		p.played++
		p.mu.Unlock()
	}
}

func (p *player) state() FlowState {
	p.mu.Lock()
	defer p.mu.Unlock()
	return FlowState{p.plan.flow.Name, p.count.summary(), p.played}
}

// dayOf returns the number of the day of a wall time.
func dayOf(t time.Time) int {
	y, m, d := t.Date()
	return int(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() / (24 * 3600))
}

// minute returns the messages of a minute in the order in which they are due. day counts from the
// first day that is played. The number of messages of a minute has a Poisson distribution.
func (p *player) minute(from time.Time, day int) []planned {
	of := topology.TimeOfDay(from.Hour()*60 + from.Minute())
	rate := float64(p.plan.flow.RateAt(of)) / 60
	key := fmt.Sprintf("%d/%v", day, of)
	r := p.plan.stream("minute", key)
	offsets := make([]time.Duration, poisson(rate, r.Float64))
	for i := range offsets {
		offsets[i] = time.Duration(r.Float64() * float64(time.Minute))
	}
	slices.Sort(offsets)
	list := make([]planned, len(offsets))
	perConnection := max(p.plan.flow.PerConnection, 1)
	for i, d := range offsets {
		list[i] = p.plan.message(fmt.Sprintf("%s/%d", key, i), fmt.Sprintf("%s/%d", key, i/perConnection),
			from.Add(d))
		list[i].last = i%perConnection == perConnection-1 || i == len(offsets)-1
	}
	return list
}

// poisson returns a number with a Poisson distribution of the given mean. random returns numbers in
// [0,1).
func poisson(mean float64, random func() float64) int {
	n := 0
	for mean > 0 {
		// The sum of two numbers with Poisson distributions has one too, so a great mean is split.
		part := math.Min(mean, 500)
		mean -= part
		for limit, x := math.Exp(-part), random(); x > limit; n++ {
			x *= random()
		}
	}
	return n
}
