package appliancetest

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/fixtures"
)

// User and Passphrase are those of the factory account.
const (
	User       = "admin"
	Passphrase = "ironport"
)

// loopback stands for any free port of this machine.
var loopback = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0)

// A Box is an appliance that runs for one test, with its simulated network.
type Box struct {
	*box.Box

	// Addresses on this machine, HOST:PORT, of the doors called "ssh", "ftp", "http", "https" and
	// "smtp"; "" if there is no such door.
	SSHAddr, FTPAddr, HTTPAddr, HTTPSAddr, SMTPAddr string

	t       testing.TB
	factory *Account
	faults  []topology.Rule
}

// startOptions are the values that options change.
type startOptions struct {
	box.Options
	faults []topology.Rule
}

// An Option changes how Start builds a box.
type Option func(*startOptions) error

// Faults adds faults before the appliance boots. Box.Fault adds one while it runs.
func Faults(rules ...topology.Rule) Option {
	return func(o *startOptions) error { o.faults = append(o.faults, rules...); return nil }
}

// Topology selects a built-in topology. The default is "lab".
func Topology(name string) Option {
	return func(o *startOptions) error {
		blueprint, ok := blueprints[name]
		if !ok {
			return fmt.Errorf("there is no topology %q: expected one of %s",
				name, strings.Join(fixtures.Topologies(), ", "))
		}
		var err error
		o.Blueprint, err = blueprint()
		return err
	}
}

// blueprints has the blueprint of each built-in topology, which is made at its first use. All boxes
// of a test binary share them.
var blueprints = func() map[string]func() (*box.Blueprint, error) {
	all := make(map[string]func() (*box.Blueprint, error))
	for _, name := range fixtures.Topologies() {
		all[name] = sync.OnceValues(func() (*box.Blueprint, error) {
			file, data, _ := fixtures.Topology(name)
			return box.PreparedBlueprint(file, data, fixtures.Prepared(name))
		})
	}
	return all
}()

// TopologyText sets a topology of the test's own, in YAML.
func TopologyText(yaml string) Option {
	return topologyOf("topology", func() ([]byte, error) { return []byte(yaml), nil })
}

// TopologyFile sets a topology of the test's own, which a file in YAML describes.
func TopologyFile(name string) Option {
	return topologyOf(name, func() ([]byte, error) { return os.ReadFile(name) })
}

func topologyOf(name string, read func() ([]byte, error)) Option {
	return func(o *startOptions) error {
		text, err := read()
		if err == nil {
			o.Blueprint = nil
			o.Topology, err = box.LoadTopology(name, text)
		}
		return err
	}
}

// Clock sets the clock for wall time and for the appliance's own timers. With a clock.Fake, a
// wait of an hour takes no time: see Box.Advance. The default is the clock of the machine.
func Clock(c clock.Clock) Option {
	return func(o *startOptions) error { o.Clock = c; return nil }
}

// ClockRate lets the appliance's clock run n times as fast as real time: see box.Options. With 600, a
// failed delivery is tried again after a tenth of a second instead of a minute.
func ClockRate(n int) Option {
	return func(o *startOptions) error { o.ClockRate = n; return nil }
}

// Seed makes random numbers repeatable: MAC addresses, ports, sequence numbers.
func Seed(n uint64) Option {
	return func(o *startOptions) error { o.Entropy = entropy.Seeded(n); return nil }
}

// Dir keeps the appliance's data in a directory of the caller, so that a second box can
// continue with it after the first one has stopped. The default is a temporary directory.
func Dir(dir string) Option {
	return func(o *startOptions) error { o.Dir = dir; return nil }
}

// Limits sets how failed logins are slowed down and blocked.
func Limits(l users.Limits) Option {
	return func(o *startOptions) error { o.Limits = l; return nil }
}

// Timeouts sets how long the appliance waits for answers of the network. Zero fields are the
// defaults.
func Timeouts(t appliance.Timeouts) Option {
	return func(o *startOptions) error { o.Timeouts = t; return nil }
}

// HostKey sets the host key of the SSH daemon. By default all boxes have the same one.
func HostKey(k crypto.Signer) Option {
	return func(o *startOptions) error { o.HostKey = k; return nil }
}

// Start boots an appliance and stops it when the test t ends. If the appliance does not start,
// the test fails.
func Start(t testing.TB, options ...Option) *Box {
	t.Helper()
	b, err := newBox(t.Context(), testLog{t}, t.TempDir, options)
	if err != nil {
		t.Fatal("appliancetest: ", err)
	}
	b.bind(t)
	t.Cleanup(b.stop)
	return b
}

// newBox starts a box that belongs to no test yet. The box writes the simulator's log to log, and
// tempDir makes the directory of its data if no option sets one.
func newBox(ctx context.Context, log io.Writer, tempDir func() string, options []Option) (*Box, error) {
	o := startOptions{Options: box.Options{
		HostKey:   ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)),
		DoorAddrs: map[string]netip.AddrPort{},
		Logger:    slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}}
	for _, option := range options {
		if err := option(&o); err != nil {
			return nil, err
		}
	}
	if o.Topology == nil && o.Blueprint == nil {
		if err := Topology("lab")(&o); err != nil {
			return nil, err
		}
	}
	if o.Blueprint != nil {
		o.Topology = o.Blueprint.Topology()
	}
	for _, d := range o.Topology.Doors.In {
		o.DoorAddrs[d.Name] = loopback
	}
	if o.Dir == "" {
		o.Dir = tempDir()
	}
	o.KeepEvents = events.DefaultKept
	inner, err := box.New(o.Options)
	if err != nil {
		return nil, err
	}
	b := &Box{Box: inner, faults: o.faults}
	if err := b.addFaults(); err != nil {
		return nil, err
	}
	if err := inner.Start(ctx); err != nil {
		return nil, err
	}
	return b, nil
}

// For returns the same box for another test, whose methods fail that test: a subtest, for example.
func (b *Box) For(t testing.TB) *Box {
	other := &Box{Box: b.Box, faults: b.faults}
	other.bind(t)
	return other
}

// bind makes b the box of a test. The box has been started.
func (b *Box) bind(t testing.TB) {
	b.t = t
	addrs := b.DoorAddrs()
	for name, field := range map[string]*string{
		"ssh": &b.SSHAddr, "ftp": &b.FTPAddr, "http": &b.HTTPAddr, "https": &b.HTTPSAddr, "smtp": &b.SMTPAddr,
	} {
		if addr, ok := addrs[name]; ok {
			*field = addr.String()
		}
	}
	b.factory = b.Account(User, Passphrase)
}

func (b *Box) stop() {
	b.t.Helper()
	b.factory.close()
	if err := stopBox(b.Box); err != nil {
		b.t.Error("appliancetest: stop: ", err)
	}
}

func stopBox(b *box.Box) error {
	ctx, cancel := context.WithTimeout(context.Background(), waitTimeout)
	defer cancel()
	return b.Stop(ctx)
}

// A testLog writes the simulator's log to the log of the test.
type testLog struct{ t testing.TB }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimSuffix(string(p), "\n"))
	return len(p), nil
}
