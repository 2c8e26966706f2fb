package netsim

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/network/netsim/peers"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/appliance/network/netsim/wan"
)

// Faults are the faults of a network: the rules of its topology, and rules that are added
// while it runs. They outlive a world, so that an appliance that reboots finds its network
// unchanged: rules keep their counts, stopped servers stay stopped, and mail servers keep the
// rules by which they misbehave. They apply to one world at a time. Methods are safe for concurrent
// use. They do not block, except while a world opens the connections of its topology.
type Faults struct {
	topology *topology.Topology
	clock    clock.Clock
	running  sync.WaitGroup // the timer's function

	mu     sync.Mutex
	list   []*fault // the first that matches a packet decides
	lastID int
	world  *attachment // nil if no world is attached
	events *events.Stream
	timer  *timer // for the next fault that begins or ends; nil if there is none
	down   map[string]bool
	closed bool

	mail map[string]*peers.MailRules // by the name of the service; does not change
}

// A fault is a rule with its effects so far.
type fault struct {
	id int
	FaultSpec
	live *wan.Fault
	set  clock.Mark // when it was added, or enabled or changed since
}

// An attachment is a world that the faults apply to.
type attachment struct {
	apply  func(active []*fault)
	settle func() // blocks while packets of the start are in flight, to which faults would apply
}

type timer struct{ stop func() bool }

// A Fault is the current state of a fault.
type Fault struct {
	ID    int           `json:"id"`
	Rule  topology.Rule `json:"rule"`
	State FaultState    `json:"state"`
	// Left is the time until the fault begins or ends; 0 if it does neither.
	Left Duration `json:"left,omitzero"`
	// Packets is the number of packets that it applied to: that it dropped, answered or held
	// up or, if its action is pass, let pass. Connections is the number of connections of TCP,
	// and pairs of ports of UDP, that these belonged to. An unplugged cable counts nothing.
	Packets     int64 `json:"packets"`
	Connections int64 `json:"connections"`
}

// A Duration is a time.Duration that is written as text, "1m30s", in JSON too.
type Duration time.Duration

// MarshalText returns the duration as time.Duration's String does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads a duration that time.ParseDuration accepts. An error leaves d unchanged.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q, expected a time such as 350us, 30s or 2h", text)
	}
	*d = Duration(v)
	return nil
}

// A FaultState tells whether a fault has begun and ended.
type FaultState string

// States of faults.
const (
	FaultWaiting FaultState = "waiting" // has not begun
	FaultActing  FaultState = "acting"
	FaultOver    FaultState = "over" // has ended; its counts can still be read
	// FaultDisabled is the state of a fault that applies to nothing until it is enabled.
	FaultDisabled FaultState = "disabled"
)

// NewFaults returns the faults that topology t begins with. Their times are measured on
// clock c from now; nil means the machine's clock.
func NewFaults(t *topology.Topology, c clock.Clock) *Faults {
	if c == nil {
		c = clock.System()
	}
	f := &Faults{topology: t, clock: c, down: make(map[string]bool), mail: mailRules(t)}
	f.restore()
	return f
}

// settle waits for the attached world. It is called without mu.
func (f *Faults) settle() {
	f.mu.Lock()
	world := f.world
	f.mu.Unlock()
	if world != nil {
		world.settle()
	}
}

// restore is called with mu held, or before anything else can call f.
func (f *Faults) restore() {
	f.list, f.lastID = nil, 0
	clear(f.down)
	for _, r := range f.topology.Rules {
		f.list = append(f.list, f.newFault(FaultSpec{Rule: r}))
	}
	for _, h := range f.topology.Hosts {
		for _, s := range h.Services {
			if s.Stopped {
				f.down[s.Name] = true
			}
		}
	}
	for _, rules := range f.mail {
		rules.Restore()
	}
}

// newFault is called with mu held, or before anything else can call f.
func (f *Faults) newFault(s FaultSpec) *fault {
	f.lastID++
	x := &fault{id: f.lastID}
	f.begin(x, s)
	return x
}

// begin begins a fault from scratch. It is called with mu held.
func (f *Faults) begin(x *fault, s FaultSpec) {
	x.FaultSpec, x.live, x.set = s, wan.NewFault(compileRule(&s.Rule)), f.clock.Mark()
	f.observe(x)
}

// Add adds a fault in front of all others: if two faults match a packet, the newer one
// decides. Packets in flight are not affected. If the rule has a mistake or names a place that
// the topology does not have, the error is a *topology.RuleError. If there are
// topology.MaxRules faults, those that are over included, it is a *ConflictError.
func (f *Faults) Add(r topology.Rule) (Fault, error) { return f.AddSpec(FaultSpec{Rule: r}) }

// AddSpec is Add for a fault that may be disabled.
func (f *Faults) AddSpec(s FaultSpec) (Fault, error) {
	if err := s.Rule.Check(f.topology); err != nil {
		return Fault{}, err
	}
	f.settle()
	f.mu.Lock()
	defer f.mu.Unlock()
	x, err := f.insert(s)
	if err != nil {
		return Fault{}, err
	}
	f.apply()
	return x.report(f.clock.Mark()), nil
}

// insert adds a fault whose rule has been checked, in front. It is called with mu held, and the
// caller calls apply.
func (f *Faults) insert(s FaultSpec) (*fault, error) {
	if f.closed {
		return nil, ErrStopped
	}
	if n := len(f.list); n >= topology.MaxRules {
		return nil, &ConflictError{
			fmt.Sprintf("there are %d faults, which is the limit: remove one first", n),
		}
	}
	x := f.newFault(s)
	f.list = slices.Insert(f.list, 0, x)
	return x, nil
}

// Remove removes a fault and forgets its counts. The error is a *NotFoundError.
func (f *Faults) Remove(id int) error {
	f.settle()
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.IndexFunc(f.list, func(x *fault) bool { return x.id == id })
	if i < 0 {
		return &NotFoundError{fmt.Sprintf("there is no fault %d", id)}
	}
	f.list = slices.Delete(f.list, i, i+1)
	f.apply()
	return nil
}

// Clear removes all faults, those of the topology too. Stopped servers stay stopped.
func (f *Faults) Clear() {
	f.settle()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = nil
	f.apply()
}

// List returns all faults, those that are over too. The first that matches a packet decides.
func (f *Faults) List() []Fault {
	f.settle()
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.reports()
}

// reports is List with mu held.
func (f *Faults) reports() []Fault {
	list := make([]Fault, len(f.list))
	for i, x := range f.list {
		list[i] = x.report(f.clock.Mark())
	}
	return list
}

// Get returns one fault. The error is a *NotFoundError.
func (f *Faults) Get(id int) (Fault, error) {
	for _, x := range f.List() {
		if x.ID == id {
			return x, nil
		}
	}
	return Fault{}, &NotFoundError{fmt.Sprintf("there is no fault %d", id)}
}

// Close stops the timer: no fault begins or ends any more. Later changes of the list still
// apply to the attached world, but Add returns ErrStopped.
func (f *Faults) Close() {
	f.mu.Lock()
	f.closed = true
	f.stopTimer()
	f.mu.Unlock()
	f.running.Wait()
}

// state returns the fault's state, and when that changes; 0: never.
func (x *fault) state(now clock.Mark) (s FaultState, until clock.Mark) {
	begin := x.set + clock.Mark(x.Rule.After)
	end := begin + clock.Mark(x.Rule.For)
	switch {
	case x.Disabled:
		return FaultDisabled, 0
	case now < begin:
		return FaultWaiting, begin
	case x.Rule.For == 0:
		return FaultActing, 0
	case now < end:
		return FaultActing, end
	}
	return FaultOver, 0
}

func (x *fault) report(now clock.Mark) Fault {
	r := Fault{ID: x.id, Rule: x.Rule, Packets: x.live.Packets(), Connections: x.live.Connections()}
	var until clock.Mark
	if r.State, until = x.state(now); until > 0 {
		r.Left = Duration(until - now)
	}
	return r
}

// apply applies the active faults to the attached world, and sets the timer for the next
// fault that begins or ends. It is called with mu held.
func (f *Faults) apply() {
	f.stopTimer()
	if f.world == nil {
		return
	}
	now := f.clock.Mark()
	var active []*fault
	var next clock.Mark
	for _, x := range f.list {
		s, until := x.state(now)
		if s == FaultActing {
			active = append(active, x)
		}
		if until > 0 && (next == 0 || until < next) {
			next = until
		}
	}
	f.world.apply(active)
	if next == 0 || f.closed {
		return
	}
	t := &timer{}
	f.timer = t
	f.running.Add(1)
	t.stop = f.clock.AfterFunc(time.Duration(next-now), func() {
		defer f.running.Done()
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.timer == t {
			f.timer = nil
			f.apply()
		}
	})
}

// stopTimer is called with mu held. The function of a timer that has fired already notices
// when it gets the lock.
func (f *Faults) stopTimer() {
	if f.timer != nil && f.timer.stop() {
		f.running.Done()
	}
	f.timer = nil
}

// attach makes the faults apply to another world, by calling apply with the active faults
// now and whenever these change. Calls do not overlap. settle is called before a caller sees or
// changes the faults. detach ends that, unless yet another world has been attached meanwhile.
func (f *Faults) attach(apply func(active []*fault), settle func()) (detach func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	a := &attachment{apply, settle}
	f.world = a
	f.apply()
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.world == a {
			f.world = nil
			f.stopTimer()
		}
	}
}

// reapply makes the world follow the faults again, when it has more ports.
func (f *Faults) reapply() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.apply()
}

// isDown reports whether a server has been stopped by its user.
func (f *Faults) isDown(server string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.down[server]
}

// setDown records that a server has been stopped or started.
func (f *Faults) setDown(server string, down bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down[server] = down
}
