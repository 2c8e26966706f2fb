package appliancetest_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/esasim/esasim/appliance/appliancetest"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// A client of ours has to try again when the network lets it down: here the first two
// logins are reset, and the third is good.
func TestLoginIsRepeated(t *testing.T) {
	t.Parallel()
	box := appliancetest.Start(t)
	fault := box.Fault(t, topology.Rule{
		Action: "reset", To: netip.MustParsePrefix("10.0.202.7/32"), Protocol: "tcp", Port: 22, Connections: 2,
	})
	var err error
	tries := 0
	for tries < 5 {
		tries++
		client, e := box.Dial(appliancetest.User, appliancetest.Passphrase)
		if err = e; err == nil {
			client.Close()
			break
		}
	}
	if _, connections := fault.Hits(); err != nil || tries != 3 || connections != 2 {
		t.Errorf("logged in at try %d, %v; the network let %d connections down", tries, err, connections)
	}
}

// A fault is gone when it is removed, and when the test that set it ends.
func TestFaultsGo(t *testing.T) {
	t.Parallel()
	box := appliancetest.Start(t, appliancetest.Faults(topology.Rule{Action: "unplug", Cable: "Data 2"}))
	var fault *appliancetest.Fault
	t.Run("inner", func(t *testing.T) {
		box.Fault(t, topology.Rule{Action: "delay", Delay: 1, Name: "inner"})
		fault = box.Fault(t, topology.Rule{Action: "pass", Name: "removed"})
		fault.Remove()
		fault.Remove()
	})
	var left []string
	for _, f := range box.Faults().List() {
		left = append(left, f.Rule.String())
	}
	if got := strings.Join(left, ", "); got != `unplug cable "Data 2"` {
		t.Errorf("left: %s", got)
	}
}
