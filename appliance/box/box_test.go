package box_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"io/fs"
	"net/netip"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/capture"
	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/files"
	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/fixtures"
)

func lab(t *testing.T) *topology.Topology {
	t.Helper()
	_, data, _ := fixtures.Topology("lab")
	topo, err := box.LoadTopology("lab", data)
	if err != nil {
		t.Fatal(err)
	}
	return topo
}

func newBox(t *testing.T, dir string, ssh netip.AddrPort) *box.Box {
	t.Helper()
	b, err := box.New(box.Options{
		Topology: lab(t), Dir: dir, HostKey: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)),
		DoorAddrs: map[string]netip.AddrPort{"ssh": ssh, "ftp": loopback, "http": loopback, "https": loopback, "smtp": loopback},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// After Stop no goroutine is left, however often a box is started and stopped.
func TestStartAndStopDoNotLeak(t *testing.T) {
	dir := t.TempDir()
	before := 0
	for n := range 60 {
		b := newBox(t, dir, loopback)
		if err := b.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := b.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
		select {
		case <-b.Done():
		default:
			t.Fatal("Done is open after Stop")
		}
		if n == 0 {
			before = waitForGoroutines(t, 0, time.Second)
		}
	}
	if after := waitForGoroutines(t, before, 30*time.Second); after > before {
		stacks := make([]byte, 1<<20)
		t.Errorf("%d goroutines after the first stop, %d after the last\n%s", before, after, stacks[:runtime.Stack(stacks, true)])
	}
}

// waitForGoroutines waits until no more than want goroutines are left, at most for the given
// time, and returns how many are left.
func waitForGoroutines(t *testing.T, want int, timeout time.Duration) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	n := runtime.NumGoroutine()
	for n > want && clock.System().Sleep(ctx, time.Millisecond) == nil {
		n = runtime.NumGoroutine()
	}
	return n
}

// If the port of a door is in use, Start fails and leaves nothing running.
func TestFailedStartDoesNotLeak(t *testing.T) {
	dir := t.TempDir()
	first := newBox(t, dir, loopback)
	if err := first.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer first.Stop(context.Background())
	first.Faults().List() // waits for the connections that the topology opens
	before := runtime.NumGoroutine()
	second := newBox(t, t.TempDir(), first.DoorAddrs()["ssh"])
	if err := second.Start(t.Context()); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("Start on a port that is in use: %v", err)
	}
	if after := waitForGoroutines(t, before, 30*time.Second); after > before {
		t.Errorf("%d goroutines before, %d after", before, after)
	}
	if err := second.Stop(context.Background()); err != nil {
		t.Errorf("Stop of a box that did not start: %v", err)
	}
}

// A slowService uses all the time that it is given to stop.
type slowService struct{ asked chan struct{} }

func (slowService) Name() string                { return "slow" }
func (slowService) Start(context.Context) error { return nil }

func (s slowService) Stop(ctx context.Context) error {
	close(s.asked)
	<-ctx.Done()
	return ctx.Err()
}

// An administrator grants sessions an hour; Stop does not wait that long.
func TestStopOverridesGracePeriod(t *testing.T) {
	for _, action := range []appliance.PowerAction{appliance.Reboot, appliance.Shutdown} {
		b := newBox(t, t.TempDir(), loopback)
		if err := b.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		slow := slowService{make(chan struct{})}
		b.Appliance().Add(slow)
		b.Appliance().Power(action, time.Hour)
		<-slow.asked
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		stopped := make(chan error, 1)
		go func() { stopped <- b.Stop(ctx) }()
		select {
		case <-stopped:
		case <-time.After(20 * time.Second): // far less than an hour
			t.Fatal("Stop does not return when its context has ended")
		}
		cancel()
		select {
		case <-b.Done():
		default:
			t.Error("Done is open after Stop")
		}
	}
}

// RELOAD erases what users have done. The clock and the date of installation stay.
func TestReloadRestoresFactoryState(t *testing.T) {
	dir := t.TempDir()
	b := newBox(t, dir, loopback)
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Stop(context.Background()) })
	was, address := b.Appliance(), b.DoorAddrs()["ssh"]
	for _, name := range []string{"first.example.com", "second.example.com"} { // fill the history
		d := was.Config.NewDraft()
		netconfig.Hostname.Set(d, name)
		if _, err := was.Config.Commit(t.Context(), d, config.CommitInfo{User: "admin", KeepForRollback: true}); err != nil {
			t.Fatal(err)
		}
	}
	for _, err := range []error{
		was.SetTime(was.Clock.Now().Add(48 * time.Hour)),
		was.Files.WriteFile(files.Configuration+"/saved.xml", []byte("<config/>")),
		was.Reporting.SetEnabled(false),
		was.Captures.SetMenuSettings(capture.MenuSettings{Interface: "Data 2"}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	was.Logins.Open(users.Account{Name: "joe"}, netip.Addr{}, "cli").Close()

	was.Power(appliance.Reload, 0)
	if err := b.WaitSettled(t.Context()); err != nil {
		t.Fatal(err)
	}
	now := b.Appliance()
	if now == was {
		t.Fatal("the appliance has not been rebooted")
	}
	if got := now.Hostname(); got != "example.com" {
		t.Errorf("host name %s", got)
	}
	if n := len(now.Config.History()); n != 0 {
		t.Errorf("%d configurations to roll back to", n)
	}
	if _, err := now.Files.Stat(files.Configuration + "/saved.xml"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a saved configuration: %v", err)
	}
	if h := now.Logins.History(); len(h) != 0 {
		t.Errorf("logins %+v", h)
	}
	if !now.Reporting.Enabled() || now.Captures.MenuSettings().Interface != "Data 1" {
		t.Error("settings of users are left")
	}
	if d := now.Clock.Shift(); d < 47*time.Hour {
		t.Errorf("the clock was set back: it is %v ahead", d)
	}
	if !now.Product.Installed.Equal(was.Product.Installed.Truncate(time.Second)) {
		t.Errorf("installed %v, want %v", now.Product.Installed, was.Product.Installed)
	}
	if got := b.DoorAddrs()["ssh"]; got != address {
		t.Errorf("the door has moved from %v to %v", address, got)
	}
}
