package fleet

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"sync"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/network/netsim"
)

// A State is what an appliance of a fleet does.
type State string

// The states of an appliance.
const (
	Stopped State = "stopped" // it was not started, or was stopped or shut down
	Running State = "running"
	Failed  State = "failed" // it could not be started: see Member.Err
)

// Errors of members.
var (
	ErrRunning = errors.New("the appliance runs already")
	ErrStopped = errors.New("the appliance does not run")
	errEnded   = errors.New("the fleet has ended")
)

// A Member is an appliance of a fleet, or a network that appliances share. Its methods are safe for concurrent use.
type Member struct {
	Spec
	fleet  *Fleet
	shared *netsim.SharedNetwork // that it owns or has joined; nil: none

	power sync.Mutex // held while the appliance starts or stops
	ended bool       // guarded by power

	mu    sync.Mutex
	box   *box.Box                  // of the last start
	err   error                     // of the last start
	addrs map[string]netip.AddrPort // of the open doors
	named string                    // the last host name that is known, if box is nil
}

func newMember(f *Fleet, s Spec, addrs map[string]netip.AddrPort) *Member {
	return &Member{Spec: s, fleet: f, addrs: addrs, named: s.HostName}
}

// Start starts the appliance over its directory, and returns when its doors are open. An appliance
// that has been stopped starts again at the same addresses. The error is ErrRunning if it runs.
func (m *Member) Start(ctx context.Context) error {
	m.power.Lock()
	defer m.power.Unlock()
	switch {
	case m.ended:
		return errEnded
	case m.State() == Running:
		return ErrRunning
	}
	b, err := m.start(ctx)
	m.setStarted(b, err)
	if m.fleet.o.OnChange != nil {
		m.fleet.o.OnChange()
	}
	return err
}

// setStarted records the result of a start.
func (m *Member) setStarted(b *box.Box, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.named = m.presentName()
	m.box, m.err = b, err
	if err == nil {
		m.addrs = b.DoorAddrs()
	}
}

// presentName returns the host name that is committed, or was when the appliance ran last. Before the
// first start it is that of the file. It is called with mu held.
func (m *Member) presentName() string {
	if m.box == nil {
		return m.named
	}
	return m.box.Appliance().Hostname()
}

func (m *Member) start(ctx context.Context) (*box.Box, error) {
	o, err := m.fleet.options(m)
	if err != nil {
		return nil, err
	}
	b, err := box.New(o)
	if err != nil {
		return nil, err
	}
	if err := b.Start(ctx); err != nil {
		return nil, errors.Join(err, b.Stop(context.WithoutCancel(ctx)))
	}
	return b, nil
}

// Stop stops the appliance within the time of ctx: see box.Box.Stop. The error is ErrStopped if it
// does not run.
func (m *Member) Stop(ctx context.Context) error {
	m.power.Lock()
	defer m.power.Unlock()
	b := m.Box()
	if b == nil {
		return ErrStopped
	}
	return b.Stop(ctx)
}

// end stops the appliance, which cannot be started again.
func (m *Member) end(ctx context.Context) error {
	m.power.Lock()
	defer m.power.Unlock()
	m.ended = true
	m.mu.Lock()
	b := m.box
	m.mu.Unlock()
	if b == nil {
		return nil
	}
	return b.Stop(ctx) // also after a shutdown: it waits for what is left of that
}

// isNetwork reports whether the member is a network.
func (m *Member) isNetwork() bool { return m.Network == m.Name }

// State returns what the appliance does.
func (m *Member) State() State {
	state, _ := m.current()
	return state
}

func (m *Member) current() (State, *box.Box) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.err != nil:
		return Failed, nil
	case m.box == nil:
		return Stopped, nil
	}
	select {
	case <-m.box.Done():
		return Stopped, nil
	default:
		return Running, m.box
	}
}

// CurrentHostName returns the host name that is committed, or was when the appliance ran last in this
// process. Before its first start it is Spec.HostName.
func (m *Member) CurrentHostName() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.presentName()
}

// Err returns why the last start failed, nil if it did not.
func (m *Member) Err() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.err
}

// Box returns the appliance with its world, nil if it does not run.
func (m *Member) Box() *box.Box {
	_, b := m.current()
	return b
}

// DoorAddrs returns the real addresses of the open doors by name. Those of an appliance that has not
// been started have port 0 if the doors take free ports.
func (m *Member) DoorAddrs() map[string]netip.AddrPort {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.addrs)
}
