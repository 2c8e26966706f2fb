package box

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

// Options are what a box is made of. Topology, Dir and HostKey are required.
type Options struct {
	Topology *topology.Topology
	Dir      string        // the appliance's configuration, state and files
	HostKey  crypto.Signer // of the SSH daemon

	// DoorAddrs are real addresses to listen on, by name of the door; the others
	// are the topology's. Port 0 takes a free one.
	DoorAddrs map[string]netip.AddrPort
	// NoDoors opens no real listener at all.
	NoDoors bool
	// FTPPassive are the first and the last real port of passive FTP data
	// connections; zeros mean any.
	FTPPassivePorts [2]int
	// FTPPublic is the address that passive FTP tells clients; zero means the one
	// that they connected to.
	FTPPublicAddr netip.Addr

	Clock        clock.Clock    // nil means the machine's
	Entropy      entropy.Source // the zero value is the machine's
	Logger       *slog.Logger   // nil discards
	FactoryReset bool           // forget the committed configuration at the first start
	Limits       users.Limits   // of failed logins; the zero value means the default
	// Timeouts bound what the appliance waits for on the network; zeros mean the
	// defaults.
	Timeouts appliance.Timeouts
}

// A Box is an appliance in its world. Its methods are safe for concurrent use.
type Box struct {
	o         Options
	faults    *netsim.Faults
	done      chan struct{}
	closeDone sync.Once

	power      sync.Mutex // Start, Stop and reboots, one at a time
	reboots    sync.WaitGroup
	stopCtx    context.Context // ends when what the power switch began must not wait any longer
	cancelStop context.CancelFunc
	started    bool
	stopped    bool

	mu          sync.Mutex
	instance    *instance
	addrs       map[string]netip.AddrPort
	powerDone   chan struct{}         // closed once what the power switch began is done; nil: never pressed
	powerAction appliance.PowerAction // of pressed
}

// New checks o and returns a box that does not run yet.
func New(o Options) (*Box, error) {
	if o.Topology == nil || o.Dir == "" || o.HostKey == nil {
		return nil, errors.New("box: topology, directory and host key are required")
	}
	if o.Clock == nil {
		o.Clock = clock.System()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	b := &Box{o: o, faults: netsim.NewFaults(o.Topology, nil), done: make(chan struct{})}
	b.stopCtx, b.cancelStop = context.WithCancel(context.Background())
	return b, nil
}

// Start boots the appliance and opens the doors. When it returns, every listener
// answers. A failed Start leaves nothing running.
func (b *Box) Start(ctx context.Context) error {
	b.power.Lock()
	defer b.power.Unlock()
	if b.started {
		return errors.New("box: started twice")
	}
	s, err := b.boot(ctx, b.o.DoorAddrs, b.o.FactoryReset)
	if err != nil {
		return err
	}
	b.started = true
	b.setCurrent(s)
	return nil
}

// Stop shuts the appliance down: sessions are told why and end, captures are
// closed whole. When ctx ends first it cuts what is left and returns ctx's error; so it
// does with a reboot or shutdown that an administrator granted more time. It may be
// called more than once, and without Start.
func (b *Box) Stop(ctx context.Context) error {
	defer context.AfterFunc(ctx, b.cancelStop)()
	err := b.stop(ctx)
	b.reboots.Wait() // none begins any more
	b.faults.Close()
	return err
}

func (b *Box) stop(ctx context.Context) error {
	b.power.Lock()
	defer b.power.Unlock()
	defer b.closeDone.Do(func() { close(b.done) })
	if !b.started || b.stopped {
		b.stopped = true
		return nil
	}
	b.stopped = true
	return b.current().stop(ctx)
}

// Done is closed once the box has stopped, also when an administrator shut it down.
func (b *Box) Done() <-chan struct{} { return b.done }

// Settled waits until no reboot or shutdown that an administrator began is under
// way, or until ctx ends.
func (b *Box) WaitSettled(ctx context.Context) error {
	b.mu.Lock()
	pressed := b.powerDone
	b.mu.Unlock()
	if pressed == nil {
		return nil
	}
	select {
	case <-pressed:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Appliance is the appliance that runs now: a reboot makes another. It must not be asked
// for before Start; nor must World.
func (b *Box) Appliance() *appliance.Appliance { return b.current().appliance }

// World is the world that the appliance is in now: a reboot makes another.
func (b *Box) World() *netsim.World { return b.current().world }

// Faults are what is wrong with the network. A reboot changes nothing about them.
func (b *Box) Faults() *netsim.Faults { return b.faults }

// Now is the appliance's time, in its zone.
func (b *Box) Now() time.Time { return b.Appliance().Now() }

// SetTime sets the appliance's clock. It does not shorten anybody's wait.
func (b *Box) SetTime(t time.Time) error { return b.Appliance().SetTime(t) }

// Advance sets the appliance's clock on by d. Where Options.Clock is a clock.Fake, that is
// what moves, and whatever falls due on the way has happened when Advance returns.
func (b *Box) Advance(d time.Duration) error {
	if fake, ok := b.o.Clock.(*clock.Fake); ok && d >= 0 {
		fake.Advance(d)
		return nil
	}
	return b.Appliance().AdvanceTime(d)
}

// Addrs are the real addresses of the doors, by name.
func (b *Box) DoorAddrs() map[string]netip.AddrPort {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.addrs)
}

// HostKeyFingerprint is the host key's, in the form of ssh-keygen -l.
func (b *Box) HostKeyFingerprint() string { return shell.Fingerprint(b.o.HostKey.Public()) }

func (b *Box) current() *instance {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.instance
}

func (b *Box) setCurrent(s *instance) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.instance, b.addrs = s, s.world.DoorAddrs()
}

// leastGrace is what sessions are given in any case: for their last words, and to be
// gone before the appliance comes up again over the same directory.
const leastGrace = time.Second

// press is the power switch, for the appliance's own commands: it returns at once.
func (b *Box) switchPower(action appliance.PowerAction, grace time.Duration) {
	grace = max(grace, leastGrace)
	settled := make(chan struct{})
	b.mu.Lock()
	b.powerDone, b.powerAction = settled, action
	b.mu.Unlock()
	b.reboots.Go(func() {
		defer close(settled)
		if action != appliance.Shutdown {
			b.reboot(grace, action == appliance.Reload)
			return
		}
		ctx, cancel := context.WithTimeout(b.stopCtx, grace)
		defer cancel()
		if err := b.stop(ctx); err != nil {
			b.o.Logger.Warn("shutdown", "err", err)
		}
	})
}

// reboot is Stop and Start; erase makes the appliance as new in between.
func (b *Box) reboot(grace time.Duration, erase bool) {
	b.power.Lock()
	defer b.power.Unlock()
	if b.stopped {
		return
	}
	ctx, cancel := context.WithTimeout(b.stopCtx, grace)
	defer cancel()
	old := b.current()
	if err := old.stop(appliance.WithStopReason(ctx, appliance.ReasonReboot)); err != nil {
		b.o.Logger.Warn("reboot: stop", "err", err)
	}
	if b.stopCtx.Err() != nil { // it is to end, not to begin again
		b.stopped = true
		b.closeDone.Do(func() { close(b.done) })
		return
	}
	if erase {
		if err := appliance.Erase(b.o.Dir); err != nil {
			b.o.Logger.Error("reload: the appliance comes up with what could not be erased", "err", err)
		}
	}
	s, err := b.boot(context.Background(), b.DoorAddrs(), false)
	if err != nil {
		b.o.Logger.Error("reboot: the appliance does not come up again", "err", err)
		b.stopped = true
		b.closeDone.Do(func() { close(b.done) })
		return
	}
	b.setCurrent(s)
}

// boot builds a system and starts it.
func (b *Box) boot(ctx context.Context, doors map[string]netip.AddrPort, reset bool) (*instance, error) {
	s, err := newInstance(b.o, b.faults, doors, reset, b.switchPower)
	if err != nil {
		return nil, err
	}
	if err := s.start(ctx); err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	return s, nil
}
