package appliancetest_test

import (
	"fmt"

	"github.com/esasim/esasim/appliance/appliancetest"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/appliance/traffic"
)

// The appliance tries a failed delivery again after a minute of its clock, which is a tenth of a
// second here.
func ExampleClockRate() {
	box := appliancetest.Start(t, appliancetest.ClockRate(600))
	mail := box.Mail("mail")
	mail.AddRule(topology.MailRule{Action: "reply", Reply: "450 4.2.0 later", Stage: "rcpt", Times: 2})
	box.Send(t, traffic.Request{To: []string{"joe@example.com"}})
	fmt.Println(mail.Wait(t.Context(), nil).To, mail.Rules()[0].Hits)
	// Output: [joe@example.com] 2
}
