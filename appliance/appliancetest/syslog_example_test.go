package appliancetest_test

import (
	"fmt"
	"strings"

	"github.com/esasim/esasim/appliance/appliancetest"
	"github.com/esasim/esasim/appliance/network/netsim/peers"
)

// In topology syslog a syslog server resets the appliance's connection. The appliance sends an
// alert about it to a simulated mail server.
func ExampleBox_Syslog() {
	box := appliancetest.Start(t, appliancetest.Topology("syslog"))
	alert := box.Mail("mx").Wait(t.Context(), func(m peers.Message) bool {
		return strings.Contains(m.Subject(), "Log Error")
	})
	fmt.Println(alert.Subject())
	fmt.Println(box.Syslog("log").Connections()[0].End)
	// Output:
	// Critical <System> mail.example.com: Log Error: Subscription Mail_Log: Network error while sendin...
	// reset
}
