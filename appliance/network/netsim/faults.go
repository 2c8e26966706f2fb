package netsim

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network/netsim/ether"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/appliance/network/netsim/wan"
)

// Faults are what is wrong with a network: the rules of its topology, and those that are
// set while it runs. They outlive a world, so that an appliance that reboots finds its
// network as it was: rules keep their counts, and stopped servers stay down. They
// belong to one world at a time. Methods are safe for concurrent use and do not
// block.
type Faults struct {
	topology *topology.Topology
	machine  clock.Clock
	running  sync.WaitGroup // the timer

	mu     sync.Mutex
	list   []*fault // in the order in which they are asked
	last   int      // identifier
	world  *World   // nil: none
	timer  *alarm   // of what begins or ends next
	down   map[string]bool
	closed bool
}

// A fault is a rule at work.
type fault struct {
	id   int
	rule topology.Rule
	live *wan.Fault
	set  clock.Mark
}

type alarm struct{ stop func() bool }

// A Fault is a rule as it stands.
type Fault struct {
	ID    int           `json:"id"`
	Rule  topology.Rule `json:"rule"`
	State FaultState    `json:"state"`
	// Left is until it begins, or ends; 0 where it does not.
	Left Span `json:"left,omitzero"`
	// Packets are those that it acted on: dropped, answered, held up or, of a rule
	// that says pass, let pass. Connections are those of TCP, and pairs of ports of
	// UDP, to which they belonged. A pulled cable counts nothing.
	Packets     int64 `json:"packets"`
	Connections int64 `json:"connections"`
}

// A Span is a duration that is written as a text, "1m30s", in JSON too.
type Span time.Duration

// MarshalText writes the span.
func (s Span) MarshalText() ([]byte, error) { return []byte(time.Duration(s).String()), nil }

// UnmarshalText reads a span.
func (s *Span) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	*s = Span(d)
	return err
}

// A FaultState is how far a fault's time has come.
type FaultState string

// States of faults.
const (
	Waiting FaultState = "waiting" // to begin
	Acting  FaultState = "acting"
	Over    FaultState = "over" // it has ended, and can still be read
)

// An UnknownError says that there is no fault, or no server, that was asked for.
type UnknownError struct{ text string }

func (e *UnknownError) Error() string { return e.text }

// NewFaults returns the faults that topology t begins with. Times are measured on
// machine from now on; nil means the machine's clock.
func NewFaults(t *topology.Topology, machine clock.Clock) *Faults {
	if machine == nil {
		machine = clock.System()
	}
	f := &Faults{topology: t, machine: machine, down: make(map[string]bool)}
	for _, r := range t.Rules {
		f.list = append(f.list, f.make(r))
	}
	return f
}

// make is called with mu held, or before there is anybody else.
func (f *Faults) make(r topology.Rule) *fault {
	f.last++
	return &fault{id: f.last, rule: r, live: wan.NewFault(compileRule(&r)), set: f.machine.Mark()}
}

// Add sets a fault, which is asked before all others from now on: of two that say
// different things, the one that was set last decides. What is under way stays under
// way. A rule with a mistake, or for a place that is not there, is refused in a
// line.
func (f *Faults) Add(r topology.Rule) (Fault, error) {
	if err := r.Check(f.topology); err != nil {
		return Fault{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return Fault{}, ErrStopped
	}
	x := f.make(r)
	f.list = slices.Insert(f.list, 0, x)
	f.refresh()
	return x.report(f.machine.Mark()), nil
}

// Remove takes a fault away, as if it had never been. The error is an *UnknownError.
func (f *Faults) Remove(id int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.IndexFunc(f.list, func(x *fault) bool { return x.id == id })
	if i < 0 {
		return &UnknownError{fmt.Sprintf("there is no fault %d", id)}
	}
	f.list = slices.Delete(f.list, i, i+1)
	f.refresh()
	return nil
}

// Clear takes all faults away, those of the topology too. Stopped servers stay
// stopped.
func (f *Faults) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = nil
	f.refresh()
}

// List is all faults in the order in which they are asked, also those that are over.
func (f *Faults) List() []Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := make([]Fault, len(f.list))
	for i, x := range f.list {
		list[i] = x.report(f.machine.Mark())
	}
	return list
}

// Get is one fault. The error is an *UnknownError.
func (f *Faults) Get(id int) (Fault, error) {
	for _, x := range f.List() {
		if x.ID == id {
			return x, nil
		}
	}
	return Fault{}, &UnknownError{fmt.Sprintf("there is no fault %d", id)}
}

// Close ends what is timed. Nothing changes any more.
func (f *Faults) Close() {
	f.mu.Lock()
	f.closed = true
	f.stopTimer()
	f.mu.Unlock()
	f.running.Wait()
}

// state is how far the fault's time has come, and when that changes; 0: never.
func (x *fault) state(now clock.Mark) (s FaultState, until clock.Mark) {
	begin := x.set + clock.Mark(x.rule.After)
	end := begin + clock.Mark(x.rule.For)
	switch {
	case now < begin:
		return Waiting, begin
	case x.rule.For == 0:
		return Acting, 0
	case now < end:
		return Acting, end
	}
	return Over, 0
}

func (x *fault) report(now clock.Mark) Fault {
	r := Fault{ID: x.id, Rule: x.rule, Packets: x.live.Packets(), Connections: x.live.Connections()}
	var until clock.Mark
	if r.State, until = x.state(now); until > 0 {
		r.Left = Span(until - now)
	}
	return r
}

// refresh lets the world be as the faults say now, and sets the timer for what changes
// next. It is called with mu held.
func (f *Faults) refresh() {
	f.stopTimer()
	now := f.machine.Mark()
	var acting []*fault
	var next clock.Mark
	for _, x := range f.list {
		s, until := x.state(now)
		if s == Acting {
			acting = append(acting, x)
		}
		if until > 0 && (next == 0 || until < next) {
			next = until
		}
	}
	if f.world == nil {
		return
	}
	f.world.suffer(acting)
	if next == 0 || f.closed {
		return
	}
	a := &alarm{}
	f.timer = a
	f.running.Add(1)
	a.stop = f.machine.AfterFunc(time.Duration(next-now), func() {
		defer f.running.Done()
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.timer == a {
			f.timer = nil
			f.refresh()
		}
	})
}

// stopTimer is called with mu held. A timer that has gone off already finds out
// when it gets the lock.
func (f *Faults) stopTimer() {
	if f.timer != nil && f.timer.stop() {
		f.running.Done()
	}
	f.timer = nil
}

// attach makes w the world of the faults.
func (f *Faults) attach(w *World) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.world = w
	f.refresh()
}

// detach is called by w when it stops.
func (f *Faults) detach(w *World) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.world == w {
		f.world = nil
		f.stopTimer()
	}
}

// isDown reports whether a server has been stopped; setDown says that it has.
func (f *Faults) isDown(peer string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.down[peer]
}

func (f *Faults) setDown(peer string, down bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down[peer] = down
}

// suffer makes these faults the world's.
func (w *World) suffer(acting []*fault) {
	var live []*wan.Fault
	pulled, judged, gates := make(map[string]bool), make(map[string]bool), false
	for _, x := range acting {
		switch {
		case x.rule.Action == topology.Unplug:
			pulled[x.rule.Cable] = true
			continue
		case x.rule.Cable != "":
			judged[x.rule.Cable] = true
		case x.rule.Path == "":
			gates = true
		}
		live = append(live, x.live)
	}
	w.wan.SetFaults(live)
	set := func(name string, p *ether.Port, neighbour bool) {
		p.SetPlugged(!pulled[name])
		if judged[name] || neighbour && gates {
			p.SetFrameFilter(w.wan.FrameFilter(name, neighbour))
		} else {
			p.SetFrameFilter(nil)
		}
	}
	for _, n := range w.topology.Appliance.Interfaces {
		set(n.Name, w.appliance.Port(n.Name), false)
	}
	for _, h := range w.topology.Hosts {
		if h.Wire != "" {
			set(h.Name, w.hosts.Port(h.Name), true)
		}
	}
}

// Faults are what is wrong with the world.
func (w *World) Faults() *Faults { return w.faults }
