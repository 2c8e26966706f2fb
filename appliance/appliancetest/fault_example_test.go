package appliancetest_test

import (
	"fmt"
	"net/netip"

	"github.com/esasim/esasim/appliance/appliancetest"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// The network resets the first two connections to the SSH server, so that a client has to try
// again.
func ExampleBox_Fault() {
	box := appliancetest.Start(t)
	fault := box.Fault(t, topology.Rule{
		Action: "reset", To: netip.MustParsePrefix("10.0.202.7/32"), Protocol: "tcp", Port: 22,
		Connections: 2,
	})
	attempts := 1
	client, err := box.Dial(appliancetest.User, appliancetest.Passphrase)
	for ; err != nil; attempts++ {
		client, err = box.Dial(appliancetest.User, appliancetest.Passphrase)
	}
	client.Close()
	_, connections := fault.Hits()
	fmt.Println("logged in at attempt", attempts, "after", connections, "resets")
	// Output: logged in at attempt 3 after 2 resets
}
