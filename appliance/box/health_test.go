package box

import (
	"context"
	"crypto/ed25519"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/fixtures"
)

func TestHealth(t *testing.T) {
	_, data, _ := fixtures.Topology("lab")
	topology, err := netsim.Load("lab", data)
	if err != nil {
		t.Fatal(err)
	}
	b, err := New(Options{
		Topology: topology, Dir: t.TempDir(), NoDoors: true,
		HostKey: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	down := func(want string) {
		t.Helper()
		if _, err := b.Health(); err == nil || err.Error() != want {
			t.Errorf("health: %v, want %s", err, want)
		}
	}
	up := func() {
		t.Helper()
		h, err := b.Health()
		services := []string{"ssh :22", "ftp :21", "http :80", "https :443", "smtp :25"}
		if err != nil || len(h.Services) != len(services) || h.Since.IsZero() {
			t.Fatalf("health: %+v, %v", h, err)
		}
		for i, want := range services {
			name, port, _ := strings.Cut(want, " ")
			if s := h.Services[i]; s.Name != name || len(s.Listening) == 0 || !strings.HasSuffix(s.Listening[0].String(), port) {
				t.Errorf("service %d is %+v, want %s", i, s, want)
			}
		}
	}
	down("the appliance has not been started")
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	up()

	b.power.Lock() // a reboot does not get further than its beginning
	b.Appliance().Power(appliance.Reboot, 0)
	down("the appliance is rebooting")
	b.power.Unlock()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := b.WaitSettled(ctx); err != nil {
		t.Fatal(err)
	}
	up()

	sockets, err := b.Appliance().Net.Sockets()
	if err != nil {
		t.Fatal(err)
	}
	without := slices.DeleteFunc(sockets, func(s network.Socket) bool { return s.State == "LISTEN" && s.Local.Port() == 21 })
	if _, err := checkServices(b.Appliance().Config.Committed(), without); err == nil || err.Error() != "the service ftp does not listen on 10.0.202.7:21" {
		t.Errorf("without the socket of ftp: %v", err)
	}

	b.power.Lock()
	b.Appliance().Power(appliance.Shutdown, 0)
	down("the appliance is shutting down")
	b.power.Unlock()
	<-b.Done()
	down("the appliance is shut down")
}
