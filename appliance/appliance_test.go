package appliance_test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/resolver"
	"github.com/esasim/esasim/fixtures"
)

// testTimeout bounds waits that end much earlier unless the test fails.
const testTimeout = 2 * time.Minute

// notCommitted is the first line of a commit's refusal.
const notCommitted = "The changes cannot be committed.\n"

// firstStart is when the appliances of tests are first started.
var firstStart = time.Date(2015, 6, 25, 8, 50, 3, 0, time.UTC)

// newWorld starts a world of the topology minimal, without doors.
func newWorld(t *testing.T) *netsim.World {
	t.Helper()
	_, data, _ := fixtures.Topology("minimal")
	topo, err := netsim.Load("minimal", data)
	if err != nil {
		t.Fatal(err)
	}
	topo.Doors.In = nil
	w, err := netsim.New(topo, netsim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Stop(context.Background()) })
	if err := w.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

var data1 = netconfig.IPInterface{
	Name: "Data 1", Port: "Data 1", SSH: 22, FTP: 21,
	IPv4: netip.MustParseAddr("192.0.2.25"), Netmask: "255.255.255.0",
}

// newAppliance makes an appliance in the world w, with data1 and the world's DNS server. It is
// stopped when the test ends.
func newAppliance(t *testing.T, w *netsim.World) *appliance.Appliance {
	t.Helper()
	f := config.NewFactory()
	netconfig.Interfaces.SetFactory(f, netconfig.IPInterfaces{List: []netconfig.IPInterface{data1}})
	netconfig.Gateways.SetFactory(f, netconfig.DefaultGateways{IPv4: netip.MustParseAddr("192.0.2.1")})
	resolver.DNS.SetFactory(f, resolver.Settings{
		Servers: []resolver.Server{{Addr: netip.MustParseAddr("192.0.2.53")}}, PTRTimeout: 20,
	})
	return open(t, appliance.Options{Net: w.Network(), Dir: t.TempDir(), Factory: f})
}

// open makes an appliance, which is stopped when the test ends.
func open(t *testing.T, o appliance.Options) *appliance.Appliance {
	t.Helper()
	app, err := appliance.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := app.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return app
}

// openOffline makes an appliance without a network, on a fake clock.
func openOffline(t *testing.T, dir string, at time.Time) (*appliance.Appliance, *clock.Fake) {
	t.Helper()
	c := clock.NewFake(at)
	return open(t, appliance.Options{Dir: dir, Clock: c}), c
}

// commit commits these IP interfaces.
func commit(t *testing.T, app *appliance.Appliance, list ...netconfig.IPInterface) error {
	t.Helper()
	d := app.Config.NewDraft()
	netconfig.Interfaces.Set(d, netconfig.IPInterfaces{List: list})
	_, err := app.Config.Commit(t.Context(), d, config.CommitInfo{})
	return err
}
