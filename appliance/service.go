package appliance

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/esasim/esasim/appliance/alert"
	"github.com/esasim/esasim/appliance/daemon"
	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/users"
)

// A Service is a part that runs from Start to Stop: the SSH server, the FTP server, the page.
type Service interface {
	// Name returns the service's name in errors and in the program's log.
	Name() string
	// Start opens the service's ports and returns; from then on clients can connect. If it
	// fails, nothing of the service keeps running.
	Start(ctx context.Context) error
	// Stop stops accepting connections, ends the sessions that are in progress, tells their
	// users the reason (StopReason of ctx), and waits for them. If ctx ends first, Stop cuts
	// the remaining connections and returns ctx's error. It may be called more than once and
	// without Start.
	Stop(ctx context.Context) error
}

// Add adds a service. It must be called before Start, which starts the services in the order in
// which they were added.
func (a *Appliance) Add(s Service) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.services = append(a.services, s)
}

// Start starts the services. If one fails, those that were started are stopped again, last first.
func (a *Appliance) Start(ctx context.Context) error {
	a.mu.Lock()
	services := a.services
	a.mu.Unlock()
	a.Logs.StartPushing()
	a.Log(SystemLog, Information, "System is coming up")
	a.Log(MailLog, Information, "System is coming up.") // hermes adds a full stop (logs.md 1.2)
	if a.Config.Damaged() {
		const text = "The committed configuration was damaged. An older one is in use."
		a.Log(SystemLog, Critical, text)
		a.raise("configuration", alert.System, alert.Critical, text)
	}
	for i, s := range services {
		if err := s.Start(ctx); err != nil {
			err = fmt.Errorf("start %s: %w", s.Name(), err)
			return errors.Join(err, a.stopServices(context.WithoutCancel(ctx), services[:i]))
		}
		events.Publish(a.Events, 0, ServiceUp{s.Name()})
	}
	events.Publish(a.Events, 0, CameUp{})
	a.mu.Lock()
	a.up = true
	a.mu.Unlock()
	a.status.start()
	return nil
}

// Stop stops the services and closes the parts, each in reverse order. It does not stop the
// network. Only the first call has an effect. If the appliance was up, the end is recorded in the
// history of logins.
func (a *Appliance) Stop(ctx context.Context) error {
	a.mu.Lock()
	services, up, stopped := a.services, a.up, a.stopped
	a.stopped = true
	a.mu.Unlock()
	if stopped {
		return nil
	}
	a.status.stop()
	err := a.stopServices(ctx, services)
	if up {
		a.Log(SystemLog, Information, "System is going down")
	}
	switch {
	case !up: // not a power event
	case StopReason(ctx) == ReasonReboot:
		a.Logins.RecordPowerEvent(users.Rebooted)
	default:
		a.Logins.RecordPowerEvent(users.ShutDown)
	}
	if up {
		events.Publish(a.Events, 0, WentDown{StopReason(ctx)})
	}
	return errors.Join(err, a.closeParts())
}

func (a *Appliance) stopServices(ctx context.Context, services []Service) error {
	var errs []error
	for i := len(services) - 1; i >= 0; i-- {
		if err := services[i].Stop(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", services[i].Name(), err))
		}
		events.Publish(a.Events, 0, ServiceDown{services[i].Name()})
	}
	return errors.Join(errs...)
}

// A Restarter is a Service that is one of the appliance's processes. It can be started again
// after it was stopped.
type Restarter interface {
	Service
	Process() daemon.Process
}

// ErrNotRunning says that no running service is the process in question.
var ErrNotRunning = errors.New("appliance: the process is not running")

// Restart stops the Restarter that is the process p and starts it again: its connections end, and
// it gets new sockets and a new number. The error wraps ErrNotRunning if no service of the
// appliance is that process.
func (a *Appliance) Restart(ctx context.Context, p daemon.Process) error {
	a.mu.Lock()
	services, up := a.services, a.up && !a.stopped
	a.mu.Unlock()
	i := slices.IndexFunc(services, func(s Service) bool {
		r, ok := s.(Restarter)
		return ok && r.Process() == p
	})
	if i < 0 || !up {
		return fmt.Errorf("restart %s: %w", p, ErrNotRunning)
	}
	if err := a.restart(ctx, services[i], p); err != nil {
		return fmt.Errorf("restart %s: %w", p, err)
	}
	return nil
}

func (a *Appliance) restart(ctx context.Context, s Service, p daemon.Process) error {
	a.restarts.Lock()
	defer a.restarts.Unlock()
	if err := s.Stop(ctx); err != nil {
		return err
	}
	events.Publish(a.Events, 0, ServiceDown{s.Name()})
	a.Daemons.Renumber(p)
	if err := s.Start(ctx); err != nil {
		return err
	}
	events.Publish(a.Events, 0, ServiceUp{s.Name()})
	a.mu.Lock()
	stopped := a.stopped
	a.mu.Unlock()
	if stopped { // Stop may have stopped s before it was started
		return errors.Join(ErrNotRunning, s.Stop(ctx))
	}
	return nil
}
