package box

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/network/netsim/uplink"
	"github.com/esasim/esasim/appliance/packets"
	"github.com/esasim/esasim/appliance/traffic"
	"github.com/esasim/esasim/shell"
)

// A Box is an appliance in its world. Its methods are safe for concurrent use.
type Box struct {
	o       Options
	faults  *netsim.Faults
	uplinks *netsim.Uplinks
	traffic *traffic.Generator
	stream  *events.Stream
	cables  *packets.Cables
	done    chan struct{}

	eventsSeen atomic.Bool // somebody has asked for events
	closeDone  sync.Once

	power      sync.Mutex // held by Start, Stop and reboots while they work
	reboots    sync.WaitGroup
	stopCtx    context.Context // of all stops; ends when a Stop must wait no longer
	cancelStop context.CancelFunc
	started    bool
	stopped    bool
	baseline   *baseline // to which Reset returns; nil: see noBaseline
	noBaseline error
	held       *netsim.HeldDoors // of a box that is switched off; nil: it is on

	mu          sync.Mutex
	instance    *instance
	addrs       map[string]netip.AddrPort
	powerAction appliance.PowerAction // the last one of an administrator
	offDone     chan struct{}         // closed when the box is switched on again; nil: it is on
	serial      *consoleCable
	powerDone   chan struct{}   // closed when powerAction is done; nil: there was none
	resetCtx    context.Context // ends at the next reset
	endResetCtx context.CancelFunc
	snapshots   map[string]*snapshot
}

// MaxClockRate is the greatest clock rate: a day takes 24 seconds. A packet that needs a millisecond
// is 4 seconds on its way then.
const MaxClockRate = 3600

// New returns a box that is not running.
func New(o Options) (*Box, error) {
	if o.Blueprint != nil {
		o.Topology = o.Blueprint.topology
	}
	if o.Topology == nil || o.Dir == "" || o.HostKey == nil {
		return nil, errors.New("box: topology, directory and host key are required")
	}
	if o.Clock == nil {
		o.Clock = clock.System()
	}
	switch {
	case o.ClockRate < 0 || o.ClockRate > MaxClockRate:
		return nil, fmt.Errorf("box: clock rate %d, expected 1 to %d", o.ClockRate, MaxClockRate)
	case o.ClockRate > 1:
		o.Clock = clock.NewScaled(o.Clock, o.ClockRate)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	uplinks, err := netsim.NewUplinks(o.Topology, o.Network, o.Logger)
	if err != nil {
		return nil, err
	}
	b := &Box{o: o, uplinks: uplinks, faults: netsim.NewFaults(o.Topology, nil), done: make(chan struct{})}
	b.traffic = traffic.New(b.o.Topology, site{b}, b.o.Logger)
	b.stream = events.NewStream(b.o.Clock)
	b.stream.Keep(o.KeepEvents)
	b.faults.PublishTo(b.stream)
	b.cables = packets.New(packets.Options{Clock: b.o.Clock, Events: b.stream})
	b.stopCtx, b.cancelStop = context.WithCancel(context.Background())
	b.serial = newConsoleCable()
	b.resetCtx, b.endResetCtx = context.WithCancel(context.Background())
	return b, nil
}

// Start boots the appliance and opens the doors. When it returns, all listeners accept
// connections. If it fails, it leaves nothing running.
func (b *Box) Start(ctx context.Context) error {
	b.power.Lock()
	defer b.power.Unlock()
	if b.started {
		return errors.New("box: started twice")
	}
	discardContent(b.o.Dir)
	if err := finishContent(b.o.Dir); err != nil {
		return fmt.Errorf("finish the reset in which the last process was killed: %w", err)
	}
	b.keepBaseline()
	s, err := b.boot(ctx, bootConfig{doors: b.o.DoorAddrs, reset: b.o.FactoryReset})
	if err != nil {
		return errors.Join(err, b.baseline.remove())
	}
	b.started = true
	b.setCurrent(s)
	b.traffic.Start()
	return nil
}

// Stop shuts the appliance down: sessions end with a message that says why, and capture files
// are completed. If ctx ends first, Stop cuts the remaining connections and returns the error
// of ctx, even if an administrator has granted a reboot or shutdown more time. Stop may be
// called more than once, and without Start.
func (b *Box) Stop(ctx context.Context) error {
	defer context.AfterFunc(ctx, b.cancelStop)()
	err := b.stop(ctx)
	b.reboots.Wait() // no reboot begins after stop
	b.faults.Close()
	return err
}

// stop stops the current instance; no other instance follows.
func (b *Box) stop(ctx context.Context) error {
	b.power.Lock()
	defer b.power.Unlock()
	b.Traffic().Stop()
	running := b.started && !b.stopped
	defer b.setStopped()
	if !running {
		return nil
	}
	return b.current().stop(ctx)
}

// setStopped closes Done, once. It is called with power held.
func (b *Box) setStopped() {
	b.stopped = true
	b.uplinks.Close()
	b.setOff(false)
	b.releaseDoors()
	b.removeBaseline()
	b.closeDone.Do(func() {
		b.cables.Close()
		close(b.done)
		b.changed()
	})
}

// Done returns a channel that is closed when the box has stopped, by Stop or because an
// administrator has shut the appliance down.
func (b *Box) Done() <-chan struct{} { return b.done }

// WaitSettled waits for the reboot or shutdown that an administrator has begun, if there is
// one. It returns ErrOff if the appliance is switched off then and, if ctx ends first, its cause.
func (b *Box) WaitSettled(ctx context.Context) error {
	b.mu.Lock()
	done := b.powerDone
	b.mu.Unlock()
	if done != nil {
		select {
		case <-done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if b.off() != nil {
		return ErrOff
	}
	return nil
}

// Appliance returns the current appliance; a reboot makes another. It must not be called
// before Start.
func (b *Box) Appliance() *appliance.Appliance { return b.current().appliance }

// World returns the current world; a reboot makes another. It must not be called before
// Start.
func (b *Box) World() *netsim.World { return b.current().world }

// Uplinks returns the cables to real networks. A reboot does not disconnect them.
func (b *Box) Uplinks() []uplink.State { return b.uplinks.States() }

// Faults returns the faults of the network. A reboot does not change them.
func (b *Box) Faults() *netsim.Faults { return b.faults }

// Now returns the appliance's time, in its time zone.
func (b *Box) Now() time.Time { return b.Appliance().Now() }

// SetTime sets the appliance's clock. Timers that wait for a duration are unaffected.
func (b *Box) SetTime(t time.Time) error { return b.Appliance().SetTime(t) }

// Advance advances the appliance's clock by d. If Options.Clock is a clock.Fake, Advance
// advances that clock instead, and all timers that expire within d have fired when it returns.
func (b *Box) Advance(d time.Duration) error {
	if fake, ok := clock.RealTime(b.o.Clock).(*clock.Fake); ok && d >= 0 {
		fake.Advance(d / time.Duration(b.ClockRate()))
		return nil
	}
	return b.Appliance().AdvanceTime(d)
}

// ClockRate returns how many times as fast as real time the appliance's clock runs.
func (b *Box) ClockRate() int { return clock.Rate(b.o.Clock) }

// DoorAddrs returns the real addresses of the doors by name.
func (b *Box) DoorAddrs() map[string]netip.AddrPort {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.addrs)
}

// HostKeyFingerprint returns the fingerprint of the host key, as ssh-keygen -l prints it.
func (b *Box) HostKeyFingerprint() string { return shell.Fingerprint(b.o.HostKey.Public()) }

func (b *Box) current() *instance {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.instance
}

func (b *Box) setCurrent(s *instance) {
	b.mu.Lock()
	b.instance, b.addrs = s, s.world.DoorAddrs()
	b.mu.Unlock()
	if b.eventsSeen.Load() { // perhaps only since the world was built
		s.world.LookAtClients()
	}
	b.changed()
}

// changed calls Options.OnChange.
func (b *Box) changed() {
	if b.o.OnChange != nil {
		b.o.OnChange()
	}
}

// A nameWatcher calls a function when the host name has changed.
type nameWatcher func()

// Apply implements config.Applier.
func (nameWatcher) Apply(context.Context, *config.Config, *config.Config) error { return nil }

// Done implements config.Applier.
func (w nameWatcher) Done(_ context.Context, old, committed *config.Config) {
	if netconfig.Hostname.Get(old) != netconfig.Hostname.Get(committed) {
		w()
	}
}

// minGrace is the least time that sessions have to show their last message and to end before
// the appliance boots again over the same directory.
const minGrace = time.Second

// switchPower is the power switch, for the appliance's commands. It returns immediately.
func (b *Box) switchPower(action appliance.PowerAction, grace time.Duration) {
	grace = max(grace, minGrace)
	done := make(chan struct{})
	b.mu.Lock()
	b.powerDone, b.powerAction = done, action
	b.mu.Unlock()
	b.reboots.Go(func() {
		defer close(done)
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

// reboot stops the current instance and boots another. In between, erase erases the
// appliance's directory.
func (b *Box) reboot(grace time.Duration, erase bool) {
	b.power.Lock()
	defer b.power.Unlock()
	if b.stopped || b.off() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(b.stopCtx, grace)
	defer cancel()
	doors := b.current().world.ReserveDoors()
	defer doors.Close()
	if err := b.current().stop(appliance.WithStopReason(ctx, appliance.ReasonReboot)); err != nil {
		b.o.Logger.Warn("reboot: stop", "err", err)
	}
	if b.stopCtx.Err() != nil { // Stop has been called, and must wait no longer
		b.setStopped()
		return
	}
	if erase {
		if err := appliance.Erase(b.o.Dir); err != nil {
			b.o.Logger.Error("reload: some files could not be erased", "err", err)
		}
	}
	s, err := b.boot(context.Background(), bootConfig{doors: b.DoorAddrs(), held: doors})
	if err != nil {
		b.o.Logger.Error("reboot: the appliance does not boot", "err", err)
		b.setStopped()
		return
	}
	b.setCurrent(s)
}

// boot makes an instance and starts it. power must be held.
func (b *Box) boot(ctx context.Context, c bootConfig) (*instance, error) {
	if b.o.Blueprint == nil {
		var err error
		if b.o.Blueprint, err = NewBlueprint(b.o.Topology); err != nil {
			return nil, err
		}
	}
	c.faults, c.uplinks, c.events, c.power = b.faults, b.uplinks, b.stream, b.switchPower
	s, err := newInstance(b.o, c)
	if err != nil {
		return nil, err
	}
	b.cables.Attach(s.world)
	if b.eventsSeen.Load() {
		s.world.LookAtClients()
	}
	if err := s.start(ctx); err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	return s, nil
}
