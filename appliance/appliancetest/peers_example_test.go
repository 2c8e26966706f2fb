package appliancetest_test

import (
	"fmt"

	"github.com/esasim/esasim/appliance/appliancetest"
	"github.com/esasim/esasim/appliance/network/netsim/peers"
)

// In topology syslog a syslog server resets the appliance's connection. The appliance sends an
// alert about it to a simulated mail exchanger, which shows the test what it has received.
func Example_peers() {
	box := appliancetest.Start(t, appliancetest.Topology("syslog"))
	mx := box.World().Peer("mx/mx").(*peers.MailExchanger)
	messages, err := mx.Await(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(messages[0].Subject())
	// Output: Critical <System> mail.example.com: Log Error: Subscription Mail_Log: Network error while sendin...
}
