package appliance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/product"
)

// A Process is one of the appliance's daemons, as tcpservices shows it (B35).
type Process struct {
	Name, User string
	Workers    []string // users of the workers that share its sockets

	Since product.Version // first version that has it; zero: all do
}

// The processes that listen (B55).
var (
	Postgres   = &Process{Name: "postgres", User: "pgsql"}
	Controller = &Process{Name: "interface", User: "root"}
	FTPDaemon  = &Process{Name: "ftpd.main", User: "root"}
	GUI        = &Process{Name: "gui", User: "root"}
	Ginetd     = &Process{Name: "ginetd", User: "root"}
	Quarantine = &Process{Name: "java", User: "root"}
	Hermes     = &Process{Name: "hermes", User: "root"}
	APIServer  = &Process{Name: "api_serve", User: "root", Since: product.Version{Major: 9}}
	Nginx      = &Process{Name: "nginx", User: "root", Workers: []string{"nobody", "nobody"}, Since: product.Version{Major: 12}}
	NextGUI    = &Process{Name: "java", User: "root", Since: product.Version{Major: 12}}
)

// startOrder is the order in which the system starts them, which is that of the rows
// in B35. Their sockets open in another: see Daemons.
var startOrder = []*Process{Postgres, Controller, FTPDaemon, GUI, Ginetd, Quarantine, Hermes, APIServer, Nginx, NextGUI}

// ErrNoProcess says that no process of that name runs.
var ErrNoProcess = errors.New("appliance: no such process")

// A RunningProcess is a process with its number.
type RunningProcess struct {
	Process
	PID   int
	Since time.Time // when it was started, by the appliance's clock as it is set now
}

// A run is one life of a process.
type run struct {
	pid   int
	since clock.Mark
}

// Has reports whether the appliance is of a version that has the process p.
func (a *Appliance) Has(p *Process) bool { return !a.Product.Version.Before(p.Since) }

// spawn gives p the next number. It is called with mu held, or before anybody else
// knows the appliance.
func (a *Appliance) spawn(p *Process) {
	a.lastPID++
	a.running[p] = run{a.lastPID, a.Clock.Mark()}
	a.lastPID += len(p.Workers)
}

// pid is the number of p, 0 if it does not run.
func (a *Appliance) pid(p *Process) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.running[p].pid
}

// Processes lists the processes that run, in the order in which they were started.
func (a *Appliance) Processes() []RunningProcess {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.Clock.Now()
	var list []RunningProcess
	for p, r := range a.running {
		list = append(list, RunningProcess{*p, r.pid, now.Add(-a.Clock.Since(r.since))})
	}
	slices.SortFunc(list, func(x, y RunningProcess) int { return x.PID - y.PID })
	return list
}

// A Restarter is a Service that can be started again after it was stopped.
type Restarter interface {
	Service
	Process() *Process
}

// Restart ends the process p, which a Restarter provides, and starts it anew: its
// connections end, its sockets are new, and so is its number. It returns ErrNoProcess
// where no service of the appliance is that process.
func (a *Appliance) Restart(ctx context.Context, p *Process) error {
	a.mu.Lock()
	services, up := a.services, a.up && !a.stopped
	a.mu.Unlock()
	i := slices.IndexFunc(services, func(s Service) bool {
		r, ok := s.(Restarter)
		return ok && r.Process() == p
	})
	if i < 0 || !up {
		return fmt.Errorf("restart %s: %w", p.Name, ErrNoProcess)
	}
	if err := a.restart(ctx, services[i], p); err != nil {
		return fmt.Errorf("restart %s: %w", p.Name, err)
	}
	return nil
}

func (a *Appliance) restart(ctx context.Context, s Service, p *Process) error {
	a.restarts.Lock()
	defer a.restarts.Unlock()
	if err := s.Stop(ctx); err != nil {
		return err
	}
	a.mu.Lock()
	a.spawn(p)
	a.mu.Unlock()
	if err := s.Start(ctx); err != nil {
		return err
	}
	a.mu.Lock()
	stopped := a.stopped
	a.mu.Unlock()
	if stopped { // and may have stopped s before it was started
		return errors.Join(ErrNoProcess, s.Stop(ctx))
	}
	return nil
}
