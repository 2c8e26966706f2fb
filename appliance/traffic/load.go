package traffic

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// Bounds of a load.
const (
	MaxLoadTime     = 24 * time.Hour
	MaxLoadMessages = 1_000_000
	MaxConnections  = 200

	defaultConnections = 10
)

// A Load is messages at a constant rate for some time, by the appliance's clock.
type Load struct {
	Flow        topology.Flow   `json:"flow"`
	For         netsim.Duration `json:"for"`
	Seed        int             `json:"seed"`
	Connections int             `json:"connections,omitempty"` // at the same time; 10 by default
}

// check returns the load with its defaults, and the number of its messages.
func (l Load) check(t *topology.Topology) (Load, int, error) {
	l.Connections = cmp.Or(l.Connections, defaultConnections)
	if l.Flow.Rates != nil {
		return l, 0, fmt.Errorf("rates: a load has one rate, expected rate")
	}
	if err := t.CheckFlow(l.Flow); err != nil {
		return l, 0, err
	}
	n := float64(l.Flow.Rate) * time.Duration(l.For).Hours()
	switch {
	case l.For <= 0 || time.Duration(l.For) > MaxLoadTime:
		return l, 0, fmt.Errorf("for: %v, expected a time such as 1m, at most 24h", time.Duration(l.For))
	case l.Connections < 1 || l.Connections > MaxConnections:
		return l, 0, fmt.Errorf("connections: %d, expected 1 to %d", l.Connections, MaxConnections)
	case n > MaxLoadMessages:
		return l, 0, fmt.Errorf("rate: %.0f messages in all, expected at most %d", n, MaxLoadMessages)
	}
	return l, max(int(n+0.5), 1), nil
}

// A State is the state of a load that was started.
type State struct {
	ID      int             `json:"id"`
	Load    Load            `json:"load"`
	Running bool            `json:"running"`
	Stopped bool            `json:"stopped"` // before its end
	Total   int             `json:"total"`   // messages, if it is not stopped
	Summary Summary         `json:"summary"`
	Took    netsim.Duration `json:"took"` // real time
}

// A running is a load that was started.
type running struct {
	id     int
	load   Load
	total  int
	count  *counter
	cancel context.CancelFunc
	done   chan struct{}
	began  clock.Mark // of the machine's clock

	mu      sync.Mutex
	stopped bool
	took    time.Duration // 0: it runs
}

// run offers the messages of a load.
func (r *running) run(ctx context.Context, site Site) {
	defer close(r.done)
	p := newPlan(r.load.Flow, r.load.Seed, site.Hello)
	l := newLanes(site, r.load.Connections, r.count)
	k := site.Clock()
	start, wall := k.Mark(), site.Now()
	every := r.load.Flow.Rate.Every()
	perConnection := max(r.load.Flow.PerConnection, 1)
	for i := range r.total {
		due := time.Duration(float64(every) * float64(i))
		if !waitUntil(ctx, k, start+clock.Mark(due)) {
			break
		}
		lane, turn := i%r.load.Connections, i/r.load.Connections
		m := p.message(fmt.Sprint(i), fmt.Sprintf("%d.%d", lane, turn/perConnection), wall.Add(due))
		m.last = turn%perConnection == perConnection-1
		r.count.offer(m, k.Since(start)-due)
		l.send(ctx, lane, m)
	}
	l.close()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopped, r.took = ctx.Err() != nil, max(since(r.began), 1)
}

// state returns the present state.
func (r *running) state() State {
	s := State{ID: r.id, Load: r.load, Total: r.total, Summary: r.count.summary()}
	r.mu.Lock()
	defer r.mu.Unlock()
	s.Running, s.Stopped, s.Took = r.took == 0, r.stopped, netsim.Duration(r.took)
	if s.Running {
		s.Took = netsim.Duration(since(r.began))
	}
	return s
}

// waitUntil waits for a point of time of clock k. It returns false if ctx has ended.
func waitUntil(ctx context.Context, k clock.Clock, at clock.Mark) bool {
	// Sleep would move a Fake. A Fake may be advanced between Mark and AfterFunc, so that the timer is
	// late by as much; then it is set again.
	for retries := 3; ; retries-- {
		d := at - k.Mark()
		if d <= 0 {
			return ctx.Err() == nil
		}
		due := make(chan struct{})
		stop := k.AfterFunc(time.Duration(d), func() { close(due) })
		if late := at-k.Mark() < d; late && retries > 0 {
			stop()
			continue
		}
		select {
		case <-due:
			return ctx.Err() == nil
		case <-ctx.Done():
			stop()
			return false
		}
	}
}
