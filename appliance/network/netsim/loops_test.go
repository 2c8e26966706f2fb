package netsim_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/network/netsim"
)

// A back door that leads to a front door of the same world is a mistake, wherever the front door's
// address comes from.
func TestBackDoorToFrontDoor(t *testing.T) {
	topo := backDoorTopology(t, `
    - {address: 203.0.113.30, port: 25, to: 127.0.0.1, to_port: 2526}
    - {address: 203.0.113.31, port: 2528, to: 127.0.0.1}`)
	for _, test := range []struct{ listen, want string }{
		{"127.0.0.1:2526", "doors.out[0].to_port: 127.0.0.1:2526 is the door ssh of this program"},
		{"0.0.0.0:2526", "doors.out[0].to_port: 127.0.0.1:2526 is the door ssh of this program"},
		{"[::]:2528", "doors.out[1].to_port: 127.0.0.1:2528 is the door ssh of this program"},
		{"127.0.0.1:2525", ""},
		{"127.0.0.2:2526", ""},
		{"127.0.0.1:0", ""},
	} {
		w, err := netsim.New(topo, netsim.Options{
			Entropy: entropy.Seeded(1), DoorAddrs: map[string]netip.AddrPort{"ssh": addrPort(test.listen)},
		})
		if err == nil {
			w.Stop(t.Context())
		}
		if got := fmt.Sprint(err); test.want == "" && err != nil || !strings.Contains(got, test.want) {
			t.Errorf("with a door on %s: %v, want %q", test.listen, err, test.want)
		}
	}
}

// A back door of all ports refuses connections to a front door's port.
func TestBackDoorOfAllPortsDoesNotReachFrontDoor(t *testing.T) {
	w := start(t, backDoorTopology(t, "\n    - {address: 203.0.113.30, to: 127.0.0.1}"))
	at := netip.AddrPortFrom(addr("203.0.113.30"), w.DoorAddrs()["ssh"].Port())
	if _, err := dial(t, w, at.String()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dialing the door's port ends with %v, want a refusal", err)
	}
}
