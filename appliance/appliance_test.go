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

// patience is for failing only.
const patience = 30 * time.Second

// notCommitted begins the refusal of a commit.
const notCommitted = "The changes cannot be committed.\n"

var switchedOn = time.Date(2015, 6, 25, 8, 50, 3, 0, time.UTC)

// minimal is the world of topology minimal, without doors.
func minimal(t *testing.T) *netsim.World {
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
	Name: "Data 1", Port: "Data 1", IPv4: netip.MustParseAddr("192.0.2.25"), Netmask: "255.255.255.0", SSH: 22, FTP: 21,
}

// newBox is an appliance in that world, with data1 and its name server, until the test
// ends.
func newBox(t *testing.T, w *netsim.World) *appliance.Appliance {
	t.Helper()
	f := config.NewFactory()
	netconfig.Interfaces.SetFactory(f, netconfig.IPInterfaces{List: []netconfig.IPInterface{data1}})
	netconfig.Gateways.SetFactory(f, netconfig.DefaultGateways{IPv4: netip.MustParseAddr("192.0.2.1")})
	resolver.DNS.SetFactory(f, resolver.Settings{
		Servers: []resolver.Server{{Addr: netip.MustParseAddr("192.0.2.53")}}, PTRTimeout: 20,
	})
	return open(t, appliance.Options{Net: w.Network(), Dir: t.TempDir(), Factory: f})
}

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

// offline is an appliance without a network, on a clock of its own.
func offline(t *testing.T, dir string, at time.Time) (*appliance.Appliance, *clock.Fake) {
	t.Helper()
	c := clock.NewFake(at)
	return open(t, appliance.Options{Dir: dir, Clock: c}), c
}

// commit gives the appliance these IP interfaces.
func commit(t *testing.T, app *appliance.Appliance, list ...netconfig.IPInterface) error {
	t.Helper()
	d := app.Config.NewDraft()
	netconfig.Interfaces.Set(d, netconfig.IPInterfaces{List: list})
	_, err := app.Config.Commit(t.Context(), d, config.CommitInfo{})
	return err
}
