package appliancetest_test

import (
	"fmt"
	"strings"

	"github.com/gopacket/gopacket/layers"

	"github.com/esasim/esasim/appliance/appliancetest"
)

// The test looks at the packets that reach the DNS server.
func ExampleBox_Capture() {
	box := appliancetest.Start(t)
	capture := box.Capture("resolver", "udp port 53")
	box.Exec("nslookup google.com")
	for _, p := range capture.Stop() {
		if dns, ok := p.Layer(layers.LayerTypeDNS).(*layers.DNS); ok && dns.QR {
			fmt.Println(strings.ToLower(string(dns.Questions[0].Name)), dns.ResponseCode)
			break
		}
	}
	// Output: google.com No Error
}
