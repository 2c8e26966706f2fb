package commands_test

import (
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/appliancetest"
	"github.com/esasim/esasim/appliance/clock"
)

// timeTopology is a world with a correct time server and one that is an hour ahead.
const timeTopology = `
appliance:
  hostname: esa.example.com
  model: C100V
  serial: 000000000001-0000001
  version: 14.0.0-698
  dns: [192.0.2.53]
  ntp: [right.example.com]
  interfaces:
    - {name: Data 1, device: nic1, addresses: [192.0.2.7/24], gateway: 192.0.2.1}
hosts:
  - {name: resolver, wire: Data 1, addresses: [192.0.2.53], services: [{type: dns}]}
  - {name: right, wire: Data 1, names: [right.example.com], addresses: [192.0.2.10], services: [{type: ntp}]}
  - name: ahead
    wire: Data 1
    names: [ahead.example.com]
    addresses: [192.0.2.11]
    services: [{type: ntp, options: {offset: 1h}}]
  - {name: client, addresses: [198.51.100.7]}
doors:
  in: [{listen: "127.0.0.1:0", interface: Data 1, service: ssh}]
  seen_as: [{from: 127.0.0.0/8, as: 198.51.100.7}]
`

// The appliance queries a new time server as soon as it is committed, and sets its clock.
func TestNTPConfigSetsTheClock(t *testing.T) {
	start := time.Date(2015, 6, 25, 8, 50, 3, 0, time.UTC)
	b := appliancetest.Start(t, appliancetest.TopologyText(timeTopology), appliancetest.Clock(clock.NewFake(start)))
	if got := b.Exec("date"); got != "Thu Jun 25 08:50:03 2015 GMT\n" {
		t.Errorf("before the change, the date is %q", got)
	}
	s := b.Login()
	for _, line := range []string{"ntpconfig", "delete", "right.example.com", "new", "ahead.example.com", "sourceint", "Data 1 (192.0.2.7/24: esa.example.com)", ""} {
		s.Type(line)
	}
	s.Type(`commit "time" N`)
	s.Expect("esa.example.com> " + `commit "time" N`)
	deadline := clock.System().Mark() + clock.Mark(30*time.Second)
	for b.Exec("date") != "Thu Jun 25 09:50:03 2015 GMT\n" {
		if clock.System().Mark() > deadline {
			t.Fatalf("after the change, the date is %q", b.Exec("date"))
		}
	}
	if n := b.NTP("right").Queries(); n != 0 {
		t.Errorf("the removed server received %d queries", n)
	}
}
