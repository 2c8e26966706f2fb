package appliancetest_test

import (
	"fmt"
	"strings"

	"github.com/gopacket/gopacket/layers"

	"github.com/esasim/esasim/appliance/appliancetest"
)

// A session captures packets while the appliance looks up a name. The capture has the query.
func ExampleBox_Packets() {
	box := appliancetest.Start(t)
	session := box.Login()
	session.Type("packetcapture")
	session.Type("start")
	session.Expect("Success - Packet Capture has started")
	box.Exec("nslookup google.com")
	session.Type("stop")
	session.Expect("Success - Packet Capture has stopped")

	for _, p := range box.Packets(box.Captures()[0]) {
		if dns, ok := p.Layer(layers.LayerTypeDNS).(*layers.DNS); ok && !dns.QR {
			flow := p.NetworkLayer().NetworkFlow()
			fmt.Println(flow, "asks for", strings.ToLower(string(dns.Questions[0].Name)))
		}
	}
	// Output: 10.0.202.7->10.0.202.53 asks for google.com
}
