package box

import (
	"context"
	"errors"
	"fmt"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/shell"
)

// ErrOff is the error of methods that need an appliance that is switched on.
var ErrOff = errors.New("the appliance is switched off")

// A PowerState says whether the appliance is switched on.
type PowerState string

// The states.
const (
	PowerIsOn       PowerState = "on"
	PowerIsOff      PowerState = "off"
	PowerIsChanging PowerState = "changing" // it boots, reboots or shuts down
	PowerIsGone     PowerState = "stopped"  // the box has stopped for good: see Done
)

// Power returns the present state. It does not wait for a reboot.
func (b *Box) Power() PowerState {
	select {
	case <-b.done:
		return PowerIsGone
	default:
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.powerDone != nil {
		select {
		case <-b.powerDone:
		default:
			return PowerIsChanging
		}
	}
	if b.offDone != nil {
		return PowerIsOff
	}
	return PowerIsOn
}

// setOff records whether the box is switched off. It is called with power held.
func (b *Box) setOff(off bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case off && b.offDone == nil:
		b.offDone = make(chan struct{})
	case !off && b.offDone != nil:
		close(b.offDone)
		b.offDone = nil
	}
}

// off returns a channel that is closed when the box is switched on again or has stopped; nil: it is
// on.
func (b *Box) off() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.offDone
}

// Reboot reboots the appliance as the command reboot does, and blocks until it is up again. The error
// is ErrOff if it is switched off, netsim.ErrStopped if it does not boot, or ctx's cause.
func (b *Box) Reboot(ctx context.Context) error {
	if err := b.WaitSettled(ctx); err != nil {
		return err
	}
	if b.Power() == PowerIsGone {
		return netsim.ErrStopped
	}
	b.Appliance().Power(appliance.Reboot, minGrace)
	if err := b.WaitSettled(ctx); err != nil {
		return err
	}
	if b.Power() == PowerIsGone {
		return netsim.ErrStopped
	}
	return nil
}

// PowerOff shuts the appliance down, as the command shutdown does, but the box goes on: its doors
// refuse clients until PowerOn. The world is off too: simulated hosts answer nothing, and forget what
// they have received. Faults, stopped servers, files and the configuration stay. If the appliance is
// switched off, PowerOff does nothing. The error is netsim.ErrStopped if the box has stopped.
func (b *Box) PowerOff(ctx context.Context) error {
	b.power.Lock()
	defer b.power.Unlock()
	switch {
	case !b.started || b.stopped:
		return netsim.ErrStopped
	case b.off() != nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	settled := b.unsettle(appliance.Shutdown)
	defer settled()
	grace, cancel := context.WithTimeout(b.stopCtx, minGrace)
	defer cancel()
	b.held = b.current().world.ReserveDoors()
	if err := b.current().stop(appliance.WithStopReason(grace, appliance.ReasonShutdown)); err != nil {
		b.o.Logger.Warn("power off: stop", "err", err)
	}
	b.setOff(true)
	return nil
}

// PowerOn boots the appliance after PowerOff, behind the same doors, and blocks until it is up. If
// it is switched on, PowerOn does nothing. If it does not boot, it stays switched off. Meanwhile no
// other process can take the addresses of the doors, except on other systems than Linux: such a door
// opens when its address is free again.
func (b *Box) PowerOn(ctx context.Context) error {
	b.power.Lock()
	defer b.power.Unlock()
	switch {
	case !b.started || b.stopped:
		return netsim.ErrStopped
	case b.off() == nil:
		return nil
	}
	settled := b.unsettle(appliance.Reboot)
	defer settled()
	s, err := b.boot(ctx, bootConfig{doors: b.DoorAddrs(), held: b.held})
	if err != nil {
		return fmt.Errorf("switch the appliance on: %w", err)
	}
	b.releaseDoors()
	b.setCurrent(s)
	b.setOff(false)
	return nil
}

// releaseDoors gives up the addresses of a box that is switched off. It is called with power held.
func (b *Box) releaseDoors() {
	b.held.Close()
	b.held = nil
}

// consoleDisconnected is what users of the serial console are told when it is disconnected.
const consoleDisconnected = shell.StoppedError("The serial console was disconnected.")

// A consoleCable says whether consoles are connected.
type consoleCable struct {
	ctx       context.Context // ends when consoles are disconnected
	end       context.CancelCauseFunc
	connected chan struct{} // closed while they are connected
}

// newConsoleCable returns a cable that is connected.
func newConsoleCable() *consoleCable {
	c := &consoleCable{connected: make(chan struct{})}
	c.ctx, c.end = context.WithCancelCause(context.Background())
	close(c.connected)
	return c
}

// ConnectConsole connects or disconnects the serial consoles (see Console). At first they are
// connected. A session on a console that is disconnected ends, and its user is told the reason.
// Consoles that are disconnected ask for no login; what is typed meanwhile is read afterwards.
func (b *Box) ConnectConsole(connected bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	old := b.serial
	is := old.ctx.Err() == nil
	switch {
	case connected && !is:
		b.serial = newConsoleCable()
		close(old.connected)
	case !connected && is:
		b.serial = &consoleCable{ctx: old.ctx, end: old.end, connected: make(chan struct{})}
		old.end(consoleDisconnected)
	}
}

// ConsoleConnected reports whether the serial consoles are connected.
func (b *Box) ConsoleConnected() bool { return b.consoleCable().ctx.Err() == nil }

func (b *Box) consoleCable() *consoleCable {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.serial
}

// awaitConsole waits until the appliance is switched on and consoles are connected. over is true if
// the box has stopped; the error is ctx's cause.
func (b *Box) awaitConsole(ctx context.Context) (cable *consoleCable, over bool, err error) {
	for {
		err := b.WaitSettled(ctx)
		if err != nil && !errors.Is(err, ErrOff) {
			return nil, false, err
		}
		wait := b.off()
		if cable = b.consoleCable(); wait == nil {
			wait = cable.connected
		}
		select {
		case <-b.done:
			return nil, true, nil
		default:
		}
		select {
		case <-wait:
			if b.off() == nil && cable.ctx.Err() == nil {
				return cable, false, nil
			}
		case <-b.done:
			return nil, true, nil
		case <-ctx.Done():
			return nil, false, context.Cause(ctx)
		}
	}
}
