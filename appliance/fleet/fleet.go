package fleet

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/logs"
	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/shell"
)

// Options configure a fleet. File, Dir and HostKeys are required.
type Options struct {
	File  *File
	Shard Shard
	Doors Doors
	// Dir is the directory that holds a directory for each appliance.
	Dir string
	// Persistent says that Dir outlasts the process.
	Persistent bool
	// HostKeys returns the SSH host keys of the appliance whose directory is dir, which need not
	// exist: see box.Options. It is called once a start of the appliance, by several goroutines at
	// a time.
	HostKeys func(dir string) (crypto.Signer, []shell.LazyHostKey, error)
	// OnChange, if it is not nil, is called when the inventory may have changed, by several goroutines.
	// It must return immediately, and must not call the fleet.
	OnChange func()
	// ClockRate is that of box.Options.
	ClockRate int
	Logger    *slog.Logger // nil discards
}

// A Fleet is the appliances of a shard. Its methods are safe for concurrent use.
type Fleet struct {
	o        Options
	logFiles *logs.OpenFiles
	members  []*Member
	networks []*Member // the owners of shared networks
	byName   map[string]*Member
}

// otherDescriptors are those of a process besides the doors of its appliances: open log files and
// captures, connections of clients, and what the program itself needs.
const otherDescriptors = 512

// New returns a fleet that does not run. It returns an error if the process cannot have as many
// descriptors as the doors need, or if there are not enough ports.
func New(o Options) (*Fleet, error) {
	if o.File == nil || o.Dir == "" || o.HostKeys == nil {
		return nil, errors.New("fleet: file, directory and host keys are required")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	f := &Fleet{o: o, byName: map[string]*Member{}}
	doors, lowPorts := 0, false
	for _, s := range o.File.Appliances {
		place, ok := o.Shard.place(s.Index)
		if !ok {
			continue
		}
		if len(f.members) == 0 {
			lowPorts = o.Doors.own() && mayUseLowPorts(ownAddr(s.Index))
		}
		addrs, err := o.Doors.addrs(s, place, lowPorts)
		if err != nil {
			return nil, err
		}
		doors += len(addrs)
		m := newMember(f, s, addrs)
		f.members = append(f.members, m)
		f.byName[s.Name] = m
	}
	if err := f.addNetworks(); err != nil {
		return nil, err
	}
	if len(f.members) == 0 {
		return nil, fmt.Errorf("shard %d of %d has no appliance: the fleet has %d",
			o.Shard.N, o.Shard.Of, len(o.File.Appliances))
	}
	if err := checkDescriptors(descriptorLimit(), len(f.members), doors); err != nil {
		return nil, err
	}
	f.logFiles = logs.NewOpenFiles(logs.DefaultOpenFiles, clock.System())
	return f, nil
}

// addNetworks adds the networks that appliances share.
func (f *Fleet) addNetworks() error {
	for _, s := range f.o.File.Networks {
		if f.o.Shard.Of > 1 {
			return fmt.Errorf("the appliances of the network %s share it inside of one process: "+
				"run this fleet without shards", s.Name)
		}
		m := newMember(f, s, nil)
		m.shared = netsim.NewSharedNetwork(s.Name)
		f.networks = append(f.networks, m)
		f.byName[s.Name] = m
	}
	for _, m := range f.members {
		if n := f.byName[m.Network]; n != nil {
			m.shared = n.shared
		}
	}
	return nil
}

// checkDescriptors returns an error if so many appliances with so many doors need more descriptors
// than the limit; 0 means that there is no limit. An idle appliance has a descriptor for each door,
// and no other.
func checkDescriptors(limit uint64, appliances, doors int) error {
	need := doors + otherDescriptors
	if limit == 0 || uint64(need) <= limit {
		return nil
	}
	perAppliance := (doors + appliances - 1) / appliances
	fit := max(0, int(limit)-otherDescriptors) / perAppliance
	return fmt.Errorf("%d appliances with %d doors need %d descriptors, but this process may have %d, "+
		"which do for %d of them: raise the limit (ulimit -n), open fewer doors, or run shards",
		appliances, doors, need, limit, fit)
}

// Start starts all appliances, as many at a time as is fast. It waits for all of them. An appliance
// that does not start does not keep the others from it: see Member.Err. If none starts, Start
// returns the errors. Networks start first. The appliances of one that does not start have no carrier
// there until it does.
func (f *Fleet) Start(ctx context.Context) error {
	for _, m := range f.networks {
		if err := m.Start(ctx); err != nil {
			f.o.Logger.Error("a network does not start", "network", m.Name, "err", err)
		}
	}
	err := f.each(f.members, 2*runtime.GOMAXPROCS(0), func(m *Member) error { return m.Start(ctx) })
	for _, m := range f.members {
		if m.State() == Running {
			return nil
		}
	}
	return err
}

// Stop stops all appliances within the time of ctx: see box.Box.Stop. The fleet cannot be started
// again.
func (f *Fleet) Stop(ctx context.Context) error {
	// Appliances that have sessions wait for them, so all are stopped at a time.
	err := f.each(f.members, len(f.members), func(m *Member) error { return m.end(ctx) })
	err = errors.Join(err, f.each(f.networks, len(f.networks), func(m *Member) error { return m.end(ctx) }))
	f.logFiles.Close()
	return err
}

// each calls do for members, for at most parallel of them at a time, and returns all errors.
func (f *Fleet) each(members []*Member, parallel int, do func(*Member) error) error {
	errs := make([]error, len(members))
	next := make(chan int)
	var working sync.WaitGroup
	for range min(parallel, len(members)) {
		working.Go(func() {
			for i := range next {
				if err := do(members[i]); err != nil {
					errs[i] = fmt.Errorf("%s: %w", members[i].Name, err)
				}
			}
		})
	}
	for i := range members {
		next <- i
	}
	close(next)
	working.Wait()
	return errors.Join(errs...)
}

// Name returns the name of the fleet.
func (f *Fleet) Name() string { return f.o.File.Name }

// Persistent reports whether the data of the appliances outlast the process.
func (f *Fleet) Persistent() bool { return f.o.Persistent }

// Shard returns the shard that this fleet is.
func (f *Fleet) Shard() Shard { return f.o.Shard }

// Members returns the appliances of the shard, in the order of the file.
func (f *Fleet) Members() []*Member { return append([]*Member(nil), f.members...) }

// Networks returns the networks that appliances share, in the order of the file. Their worlds have
// the gateways, hosts, servers and faults. Actions on all appliances leave them out, except for Reset
// and SetClocks.
func (f *Fleet) Networks() []*Member { return append([]*Member(nil), f.networks...) }

// Member returns the appliance or network with that name, nil if the shard has none.
func (f *Fleet) Member(name string) *Member { return f.byName[name] }

// options returns the options of a member's box.
func (f *Fleet) options(m *Member) (box.Options, error) {
	plan, err := m.kind.blueprint.With(m.variant())
	if err != nil {
		return box.Options{}, err
	}
	dir := filepath.Join(f.o.Dir, m.Name)
	key, more, err := f.o.HostKeys(dir)
	if err != nil {
		return box.Options{}, fmt.Errorf("host key: %w", err)
	}
	addrs := map[string]netip.AddrPort{}
	m.mu.Lock()
	for name, addr := range m.addrs {
		addrs[name] = addr
	}
	m.mu.Unlock()
	return box.Options{
		Blueprint:    plan,
		Dir:          filepath.Join(dir, "appliance"),
		HostKey:      key,
		MoreHostKeys: more,
		DoorAddrs:    addrs,
		OnlyDoors:    m.kind.doors,
		Network:      m.shared,
		OwnsNetwork:  m.isNetwork(),
		LogFiles:     f.logFiles,
		Logger:       f.o.Logger.With("appliance", m.Name),
		Persistent:   f.o.Persistent,
		ClockRate:    f.o.ClockRate,
		OnChange:     f.o.OnChange,
	}, nil
}
