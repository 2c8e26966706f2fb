package daemon

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/product"
)

// A Process is one of the appliance's daemons that listen (B55).
type Process int

// The processes, in the order in which the system starts them, which is that of the rows in B35.
const (
	Postgres Process = iota
	Controller
	FTPD
	GUI
	Ginetd
	Quarantine
	Hermes
	APIServer
	Nginx
	NextGUI
	processes // how many there are
)

// properties are the fields of a process that tcpservices shows.
type properties struct {
	name, user string
	workers    []string        // users of the workers that share its sockets
	since      product.Version // first version that has it; zero: all have
}

func (p Process) properties() properties {
	switch p {
	case Postgres:
		return properties{name: "postgres", user: "pgsql"}
	case Controller:
		return properties{name: "interface", user: "root"}
	case FTPD:
		return properties{name: "ftpd.main", user: "root"}
	case GUI:
		return properties{name: "gui", user: "root"}
	case Ginetd:
		return properties{name: "ginetd", user: "root"}
	case Quarantine:
		return properties{name: "java", user: "root"}
	case Hermes:
		return properties{name: "hermes", user: "root"}
	case APIServer:
		return properties{name: "api_serve", user: "root", since: product.Version{Major: 9}}
	case Nginx:
		return properties{
			name: "nginx", user: "root", workers: []string{"nobody", "nobody"},
			since: product.Version{Major: 12},
		}
	case NextGUI:
		return properties{name: "java", user: "root", since: product.Version{Major: 12}}
	}
	return properties{}
}

// Name returns the name that tcpservices shows. Two processes are called java.
func (p Process) Name() string { return p.properties().name }

// User returns the user that the process runs as.
func (p Process) User() string { return p.properties().user }

// In reports whether the given version has the process.
func (p Process) In(v product.Version) bool { return !v.Before(p.properties().since) }

// String is Name.
func (p Process) String() string { return p.Name() }

// A RunningProcess is a row of the process table.
type RunningProcess struct {
	Process
	PID     int
	Started time.Time // by the appliance's clock as it is set at the time of the call
}

// Options connect a Table with the appliance.
type Options struct {
	Net       network.Network
	Clock     clock.Clock
	Version   product.Version
	Committed func() *config.Config
	Hostname  func() string
}

// A Table holds the running processes and their listeners. It is safe for concurrent use.
type Table struct {
	o Options

	mu        sync.Mutex
	running   map[Process]instance
	lastPID   int
	listeners []*listener // in the order in which they were opened
}

// An instance is a process from its start to the next one.
type instance struct {
	pid     int
	started clock.Mark
}

var _ config.Applier = (*Table)(nil)

// New returns a table of all processes that o.Version has. None listens yet.
func New(o Options) *Table {
	t := &Table{o: o, running: map[Process]instance{}}
	for p := range processes {
		if t.Has(p) {
			t.Renumber(p)
		}
	}
	return t
}

// Has reports whether the appliance is of a version that has the process p.
func (t *Table) Has(p Process) bool { return p.In(t.o.Version) }

// Renumber gives p the next free number, as a process that starts gets it.
func (t *Table) Renumber(p Process) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lastPID++
	t.running[p] = instance{t.lastPID, t.o.Clock.Mark()}
	t.lastPID += len(p.properties().workers)
}

// pid returns the number of p, 0 if it does not run.
func (t *Table) pid(p Process) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.running[p].pid
}

// Running returns the running processes in the order in which they were started.
func (t *Table) Running() []RunningProcess {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.o.Clock.Now()
	var list []RunningProcess
	for p, i := range t.running {
		list = append(list, RunningProcess{p, i.pid, now.Add(-t.o.Clock.Since(i.started))})
	}
	slices.SortFunc(list, func(x, y RunningProcess) int { return x.PID - y.PID })
	return list
}

// Apply listens on the addresses that are new. Undoing closes those again.
func (t *Table) Apply(ctx context.Context, old, next *config.Config) error {
	undoes := config.Undoes(old, next)
	if undoes {
		t.closeUnconfigured(next)
	}
	var errs []error
	for _, l := range t.openListeners() {
		if err := l.add(ctx, func() *config.Config { return next }); err != nil {
			errs = append(errs, err)
			if !undoes {
				break
			}
		}
	}
	return errors.Join(errs...)
}

// Done stops listening on addresses that are no longer configured.
func (t *Table) Done(_ context.Context, _, next *config.Config) { t.closeUnconfigured(next) }

func (t *Table) closeUnconfigured(c *config.Config) {
	for _, l := range t.openListeners() {
		l.keep(c)
	}
}

func (t *Table) openListeners() []*listener {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.listeners)
}
