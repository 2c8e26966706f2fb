package dhcp

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/network"
)

// An Interface is an interface that gets its address by DHCP.
type Interface struct {
	Name string
	// Fallback is the address that it gets if no server answers, with the router that is the default
	// gateway then. Each may be zero: there is none.
	Fallback netip.Prefix
	Gateway  netip.Addr
	// Default says that the router of its network is the default gateway even if the configuration
	// of a new appliance has another one.
	Default bool
}

// A Binding is the address of an interface.
type Binding struct {
	Address netip.Prefix
	Router  netip.Addr // zero: none
	DNS     []netip.Addr
}

// A State is what the client of an interface does.
type State string

// The states of a client, named as in RFC 2131, and those without a lease.
const (
	Stopped    State = ""           // an administrator has configured the interfaces
	Selecting  State = "selecting"  // asks for an address
	Requesting State = "requesting" // asks a server for the address that it offers
	Rebooting  State = "rebooting"  // asks for the address from before a restart
	IsBound    State = "bound"
	Renewing   State = "renewing"
	Rebinding  State = "rebinding"
	Fallback   State = "fallback" // no server has answered
)

// A Status is the present state of an interface.
type Status struct {
	Interface string
	State     State
	Lease     *Lease // nil: the interface has none
}

// Options are what a Daemon needs.
type Options struct {
	// Net must be a network.FrameSender too. If it is not, the daemon does nothing.
	Net        network.Network
	Interfaces []Interface
	Clock      clock.Clock
	Rand       *entropy.Stream
	HostName   func() string // of the appliance
	// Apply gives the interfaces their addresses; an interface that is not in bindings has none. If
	// Apply returns an error, nothing has changed. Calls do not overlap.
	Apply func(ctx context.Context, bindings map[string]Binding) error
	// Load returns the leases that were saved last, by interface, and Save saves them.
	Load func() map[string]Lease
	Save func(map[string]Lease)
	// Log writes a line to the system log.
	Log    func(warning bool, text string)
	Events *events.Stream
}

// A Daemon is dhclient: it asks for the addresses of interfaces. It is safe for concurrent use.
type Daemon struct {
	o      Options
	sender network.FrameSender // nil: Net is none
	wake   []chan struct{}     // of the interfaces' goroutines: active has changed

	applying sync.Mutex // held while Options.Apply runs

	mu       sync.Mutex // a leaf
	running  sync.WaitGroup
	stop     context.CancelFunc // nil: not started
	active   bool
	statuses map[string]Status
	bindings map[string]Binding
	leases   map[string]Lease // the last ones, also if they have expired
	loaded   bool
}

// New returns a daemon that is active and not running.
func New(o Options) *Daemon {
	d := &Daemon{o: o, active: true}
	if len(o.Interfaces) == 0 {
		return d // most appliances have none
	}
	d.statuses, d.bindings = map[string]Status{}, map[string]Binding{}
	d.leases = map[string]Lease{}
	d.sender, _ = o.Net.(network.FrameSender)
	for range o.Interfaces {
		d.wake = append(d.wake, make(chan struct{}, 1))
	}
	return d
}

// Name implements appliance.Service.
func (d *Daemon) Name() string { return "dhclient" }

// Start begins to ask for addresses, and returns without waiting for them.
func (d *Daemon) Start(context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.sender == nil || d.stop != nil {
		return nil
	}
	if !d.loaded {
		d.loaded = true
		d.leases = checkedLeases(d.o.Load())
	}
	ctx, cancel := context.WithCancel(context.Background())
	d.stop = cancel
	for i, n := range d.o.Interfaces {
		d.running.Go(func() { d.serve(ctx, n, d.wake[i]) })
	}
	return nil
}

// checkedLeases returns those of leases that a daemon can have saved.
func checkedLeases(leases map[string]Lease) map[string]Lease {
	good := map[string]Lease{}
	for name, l := range leases {
		if l.check() == nil {
			good[name] = l
		}
	}
	return good
}

// Stop ends all exchanges and waits for them. Leases are kept: a server is not told.
func (d *Daemon) Stop(context.Context) error {
	d.mu.Lock()
	stop := d.stop
	d.stop = nil
	d.mu.Unlock()
	if stop != nil {
		stop()
	}
	d.running.Wait()
	return nil
}

// SetActive says whether the interfaces get their addresses by DHCP. It does not wait. If they do
// not, no binding is applied any more, and interfaces keep their addresses.
func (d *Daemon) SetActive(active bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.active == active {
		return
	}
	d.active = active
	for _, w := range d.wake {
		select {
		case w <- struct{}{}:
		default:
		}
	}
}

func (d *Daemon) isActive() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.active
}

// Status returns the state of an interface. ok is false if it does not get its address by DHCP.
func (d *Daemon) Status(ifname string) (s Status, ok bool) {
	known := slices.ContainsFunc(d.o.Interfaces, func(n Interface) bool { return n.Name == ifname })
	d.mu.Lock()
	defer d.mu.Unlock()
	if !known || !d.active {
		return Status{Interface: ifname}, false
	}
	if s = d.statuses[ifname]; s.State != Stopped {
		return s, true
	}
	// The client has not begun yet, or waits for a carrier.
	s = Status{Interface: ifname, State: Selecting}
	if _, has := d.leases[ifname]; has {
		s.State = Rebooting
	}
	return s, true
}

func (d *Daemon) setStatus(s Status) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.statuses[s.Interface] = s
}

// serve runs the client of an interface while the daemon is active.
func (d *Daemon) serve(ctx context.Context, n Interface, wake <-chan struct{}) {
	for ctx.Err() == nil {
		if d.isActive() {
			run, cancel := context.WithCancel(ctx)
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				newClient(d, n).run(run)
			}()
			for d.isActive() && ctx.Err() == nil {
				await(ctx, wake)
			}
			cancel()
			<-ended
			d.setStatus(Status{Interface: n.Name})
			continue
		}
		await(ctx, wake)
	}
}

// await waits for a value, or for the end of ctx.
func await(ctx context.Context, c <-chan struct{}) {
	select {
	case <-ctx.Done():
	case <-c:
	}
}

// bind gives an interface the address of b, and none if b is nil.
func (d *Daemon) bind(ctx context.Context, ifname string, b *Binding) error {
	d.applying.Lock()
	defer d.applying.Unlock()
	d.mu.Lock()
	next, active := maps.Clone(d.bindings), d.active && ctx.Err() == nil
	d.mu.Unlock()
	delete(next, ifname)
	if b != nil {
		next[ifname] = *b
	}
	if !active {
		return context.Canceled
	}
	if err := d.o.Apply(ctx, next); err != nil {
		return fmt.Errorf("dhcp: the address of %s: %w", ifname, err)
	}
	d.mu.Lock()
	d.bindings = next
	d.mu.Unlock()
	return nil
}

// save remembers the lease of an interface.
func (d *Daemon) save(ifname string, l Lease) {
	d.mu.Lock()
	d.leases[ifname] = l
	all := maps.Clone(d.leases)
	d.mu.Unlock()
	d.o.Save(all)
}

// last returns the lease that an interface had last, nil if there was none.
func (d *Daemon) last(ifname string) *Lease {
	d.mu.Lock()
	defer d.mu.Unlock()
	if l, ok := d.leases[ifname]; ok {
		return &l
	}
	return nil
}
