package appliancetest_test

import (
	"fmt"
	"strings"

	"github.com/esasim/esasim/appliance/appliancetest"
	"github.com/esasim/esasim/appliance/network/netsim/peers"
)

// The DNS server tells which names the appliance has asked for.
func ExampleBox_DNS() {
	box := appliancetest.Start(t)
	box.Exec("nslookup google.com")
	query := box.DNS("resolver").Wait(t.Context(), func(q peers.DNSQuery) bool {
		return strings.EqualFold(q.Name, "google.com") && q.Type == "A"
	})
	fmt.Println(query.Client.Addr(), query.Code, len(query.Answers))
	// Output: 10.0.202.7 NOERROR 1
}
