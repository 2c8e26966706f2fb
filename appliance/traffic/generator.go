package traffic

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// Bounds of loads.
const (
	maxRunning = 4  // loads at the same time
	maxKept    = 20 // loads that can be asked for
)

// Errors of a Generator.
var (
	// ErrBusy means that too many loads run already.
	ErrBusy = fmt.Errorf("%d loads run already: stop one, or wait for its end", maxRunning)
	// ErrStopped means that the generator has been stopped.
	ErrStopped = errors.New("the simulator stops")
)

// A Generator sends the mail of a world's hosts: the flows of its topology, and loads. It is safe for
// concurrent use.
type Generator struct {
	topology *topology.Topology
	site     Site
	logger   *slog.Logger
	ctx      context.Context
	cancel   context.CancelFunc
	working  sync.WaitGroup

	mu      sync.Mutex
	started bool
	stopped bool
	players []*player
	loads   []*running // the oldest first
	lastID  int
}

// New returns a generator for the hosts of a topology.
func New(t *topology.Topology, site Site, logger *slog.Logger) *Generator {
	g := &Generator{topology: t, site: site, logger: logger}
	g.ctx, g.cancel = context.WithCancel(context.Background())
	return g
}

// Start begins with the topology's flows and outages. It must be called once at most.
func (g *Generator) Start() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stopped || g.started {
		return
	}
	g.started = true
	t := &g.topology.Traffic
	for _, f := range t.Flows {
		p := &player{
			site: g.site, plan: newPlan(t.WithAddresses(f), t.Seed, g.site.Hello), count: newCounter(),
		}
		g.players = append(g.players, p)
		at := newAnchor(g.site) // not in the goroutine, which may begin late
		g.working.Go(func() { p.run(g.ctx, at) })
	}
	for _, o := range t.Outages {
		g.working.Go(func() { g.playOutage(o) })
	}
}

// Stop ends all flows and loads, and cuts their connections. It waits for their goroutines. It may
// be called more than once.
func (g *Generator) Stop() {
	g.mu.Lock()
	g.stopped = true
	g.mu.Unlock()
	g.cancel()
	g.working.Wait()
}

// Flows returns the states of the topology's flows, in its order.
func (g *Generator) Flows() []FlowState {
	g.mu.Lock()
	players := g.players
	g.mu.Unlock()
	list := []FlowState{}
	for _, p := range players {
		list = append(list, p.state())
	}
	return list
}

// StartLoad starts a load and returns its state. The text of an error is one line; ErrBusy and
// ErrStopped have nothing to do with what was asked for.
func (g *Generator) StartLoad(l Load) (State, error) {
	l, total, err := l.check(g.topology)
	if err != nil {
		return State{}, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stopped {
		return State{}, ErrStopped
	}
	active := 0
	for _, r := range g.loads {
		if r.state().Running {
			active++
		}
	}
	if active >= maxRunning {
		return State{}, ErrBusy
	}
	g.forgetOldest()
	g.lastID++
	ctx, cancel := context.WithCancel(g.ctx)
	r := &running{
		id: g.lastID, load: l, total: total, count: newCounter(), cancel: cancel,
		done: make(chan struct{}), began: clock.System().Mark(),
	}
	g.loads = append(g.loads, r)
	g.working.Go(func() {
		defer cancel()
		r.run(ctx, g.site)
	})
	return r.state(), nil
}

// forgetOldest makes room for another load. mu must be held.
func (g *Generator) forgetOldest() {
	for i, r := range g.loads {
		if len(g.loads) >= maxKept && !r.state().Running {
			g.loads = append(g.loads[:i:i], g.loads[i+1:]...)
			return
		}
	}
}

// find returns the load with that number, or nil.
func (g *Generator) find(id int) *running {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, r := range g.loads {
		if r.id == id {
			return r
		}
	}
	return nil
}

// Loads returns the states of the loads, the newest first.
func (g *Generator) Loads() []State {
	g.mu.Lock()
	loads := g.loads
	g.mu.Unlock()
	list := []State{}
	for i := len(loads) - 1; i >= 0; i-- {
		list = append(list, loads[i].state())
	}
	return list
}

// Load returns the state of a load. ok reports whether there is one with that number.
func (g *Generator) Load(id int) (s State, ok bool) {
	r := g.find(id)
	if r == nil {
		return s, false
	}
	return r.state(), true
}

// WaitLoad waits for the end of a load, or of ctx, and returns the load's state.
func (g *Generator) WaitLoad(ctx context.Context, id int) (s State, ok bool) {
	r := g.find(id)
	if r == nil {
		return s, false
	}
	select {
	case <-r.done:
	case <-ctx.Done():
	}
	return r.state(), true
}

// StopLoad ends a load, cuts its connections and waits for its goroutines. It returns the load's
// state.
func (g *Generator) StopLoad(id int) (s State, ok bool) {
	r := g.find(id)
	if r == nil {
		return s, false
	}
	r.cancel()
	<-r.done
	return r.state(), true
}

// playOutage stops a server at its time of day and starts it again, day after day. It looks at the
// clock once a minute, so that it follows a clock that is set.
func (g *Generator) playOutage(o topology.Outage) {
	down := false
	for {
		now := g.site.Now()
		of := time.Duration(now.Hour())*time.Hour + time.Duration(now.Minute())*time.Minute
		at := time.Duration(o.At) * time.Minute
		due := (of-at+24*time.Hour)%(24*time.Hour) < o.For
		if due != down {
			if err := g.site.SetServer(g.ctx, o.Server, !due); err == nil {
				down = due
			} else if g.ctx.Err() == nil {
				g.logger.Warn("an outage of the topology cannot be played", "server", o.Server, "err", err)
			}
		}
		k := g.site.Clock()
		rest := now.Truncate(time.Minute).Add(time.Minute).Sub(now)
		if !waitUntil(g.ctx, k, k.Mark()+clock.Mark(rest)) {
			return
		}
	}
}
