package appliancetest_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/esasim/esasim/appliance/appliancetest"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// A fault that is limited to two connections resets two logins, and the third one succeeds.
func TestFaultOfTwoConnections(t *testing.T) {
	t.Parallel()
	box := appliancetest.Start(t)
	fault := box.Fault(t, topology.Rule{
		Action: "reset", To: netip.MustParsePrefix("10.0.202.7/32"), Protocol: "tcp", Port: 22, Connections: 2,
	})
	var err error
	attempts := 0
	for attempts < 5 {
		attempts++
		client, e := box.Dial(appliancetest.User, appliancetest.Passphrase)
		if err = e; err == nil {
			client.Close()
			break
		}
	}
	if _, connections := fault.Hits(); err != nil || attempts != 3 || connections != 2 {
		t.Errorf("logged in at attempt %d, %v; %d connections were reset", attempts, err, connections)
	}
}

// A fault ends with Remove, and when the test that added it ends.
func TestFaultsAreRemoved(t *testing.T) {
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
