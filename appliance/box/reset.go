package box

import (
	"context"
	"errors"
	"fmt"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/network/netsim"
)

// ErrReset is the error of waits that a reset has ended.
var ErrReset = errors.New("reset: the simulator was put back to the state after its start")

// reasonReset is the text that users of open sessions are shown.
const reasonReset = "The simulator was reset."

// A Restarted is the event that the box is put back to the state in which it was started, or to that
// of a snapshot.
type Restarted struct {
	Snapshot string `json:",omitempty"`
}

// Kind implements events.Fields.
func (Restarted) Kind() string { return "world.reset" }

// Persistent reports whether the appliance's directory outlasts the process, so that a reset
// discards what somebody may want to keep.
func (b *Box) Persistent() bool { return b.o.Persistent }

// Reset puts the world and the appliance back to the state in which Start has left them:
// configuration, files, logs, captures, the mail queue, counters, the setting of the clock, failed
// logins, faults and rules of mail servers (those of the topology come back), loads, stopped servers
// and what servers have received.
// Open sessions end with a text that says so; their clients have a second to take it. Waits end with
// ErrReset. The doors keep their addresses and stay open: clients that connect meanwhile wait.
// Events go on. An appliance that is switched off is switched on. A clock.Fake keeps the time to
// which it was advanced.
//
// A new appliance boots in a new world over the files of the start. If Dir was not empty then, Start
// has copied its content to a file in Dir, which is there until the box stops. If the content was more
// than MaxContent bytes, or the file could not be written or is damaged, or the disk has no space for
// the files of the start besides the present ones, Reset returns an error and does nothing.
func (b *Box) Reset(ctx context.Context) error { return b.resetTo(ctx, nil) }

// resetTo returns to the state of a snapshot; nil: to that of the start.
func (b *Box) resetTo(ctx context.Context, to *snapshot) error {
	b.power.Lock()
	defer b.power.Unlock()
	switch {
	case !b.started:
		return errors.New("box: reset before the start")
	case b.stopped:
		return netsim.ErrStopped
	case to == nil && b.baseline == nil:
		return fmt.Errorf("the simulator cannot be reset: when it was started, %w", b.noBaseline)
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	extract := b.baseline.extract
	if to != nil {
		extract = to.files.extract
	}
	if err := prepareContent(b.o.Dir, extract); err != nil {
		return fmt.Errorf("the simulator cannot be reset: %w", err)
	}
	defer discardContent(b.o.Dir) // unless it was used
	settled := b.unsettle(appliance.Reboot)
	defer settled()
	b.endWaits()
	restarted := Restarted{}
	if to != nil {
		restarted.Snapshot = to.Name
	}
	events.Publish(b.stream, 0, restarted)
	b.Traffic().Stop()
	b.replaceTraffic()
	old := b.current()
	doors := b.held // those of a box that is switched off
	if doors == nil {
		doors = old.world.HoldDoors()
		defer doors.Close()
	}
	grace, cancel := context.WithTimeout(b.stopCtx, minGrace)
	defer cancel()
	if err := old.stop(appliance.WithStopReason(grace, reasonReset)); err != nil {
		b.o.Logger.Warn("reset: stop", "err", err)
	}
	if b.stopCtx.Err() != nil { // Stop has been called, and must wait no longer
		b.setStopped()
		return netsim.ErrStopped
	}
	b.cables.RemoveCaptures()
	s, err := b.restart(doors, to)
	if err != nil {
		b.setStopped()
		return fmt.Errorf("reset: the appliance does not boot: %w", err)
	}
	b.setCurrent(s)
	b.setOff(false)
	b.releaseDoors()
	b.Traffic().Start()
	return nil
}

// restart boots over the files of a snapshot, which are prepared; nil: of the start.
func (b *Box) restart(doors *netsim.HeldDoors, to *snapshot) (*instance, error) {
	how := bootConfig{doors: b.DoorAddrs(), held: doors, reset: b.o.FactoryReset}
	if to == nil {
		b.faults.Restore()
	} else {
		b.faults.Recall(to.kept.World)
		how.reset, how.recall = false, &to.kept
	}
	if err := replaceContent(b.o.Dir); err != nil {
		return nil, err
	}
	return b.boot(context.Background(), how)
}

// keepBaseline keeps what Reset returns to. A box whose disk is full or read-only starts too, but
// cannot be reset. It is called with power held.
func (b *Box) keepBaseline() {
	b.baseline, b.noBaseline = keepBaseline(b.o.Dir)
	switch {
	case b.noBaseline == nil, errors.Is(b.noBaseline, errTooLarge):
	default:
		b.noBaseline = fmt.Errorf("its files could not be copied: %w", b.noBaseline)
		b.o.Logger.Warn("the simulator cannot be reset", "err", b.noBaseline)
	}
}

// removeBaseline removes what no reset returns to any more. It is called with power held.
func (b *Box) removeBaseline() {
	if err := b.baseline.remove(); err != nil {
		b.o.Logger.Warn("the next start replaces a file", "err", err)
	}
}

// unsettle makes WaitSettled wait until settled is called. action is what happens meanwhile.
func (b *Box) unsettle(action appliance.PowerAction) (settled func()) {
	done := make(chan struct{})
	b.mu.Lock()
	defer b.mu.Unlock()
	b.powerDone, b.powerAction = done, action
	return func() { close(done) }
}

// untilReset returns a context that ends with ctx, or with the cause ErrReset when the box is reset.
func (b *Box) untilReset(ctx context.Context) (context.Context, context.CancelFunc) {
	b.mu.Lock()
	resetCtx := b.resetCtx
	b.mu.Unlock()
	ctx, end := context.WithCancelCause(ctx)
	stop := context.AfterFunc(resetCtx, func() { end(ErrReset) })
	return ctx, func() {
		stop()
		end(nil)
	}
}

// endWaits ends the contexts of untilReset.
func (b *Box) endWaits() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.endResetCtx()
	b.resetCtx, b.endResetCtx = context.WithCancel(context.Background())
}
