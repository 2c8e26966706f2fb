package box_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/fixtures"
)

// Mistakes that only the appliance's configuration can find are reported with their position in
// the file.
func TestLoadTopologyReportsPosition(t *testing.T) {
	_, data, ok := fixtures.Topology("minimal")
	if !ok {
		t.Fatal("no topology minimal")
	}
	const ntp = "  ntp: []\n" // line 8 of the file
	for _, test := range []struct{ name, text, want string }{
		{"log without a server", "  logs: [{name: Mail_Log}]\n", `t.yaml:9:10: A host name or an IP address is required`},
		{"log of no type", "  logs: [{name: Mail_Log, type: male, server: 10.0.0.1}]\n", `t.yaml:9:10: There is no log type "male"`},
		{"the second log", "  logs: [{name: a, server: 10.0.0.1}, {name: b}]\n", `t.yaml:9:39: A host name or an IP address is required`},
		{"alert of no class", "  alerts: [{address: a@example.com, classes: [Weather]}]\n", `t.yaml:9:11: `},
		{"time server", "  ntp: [-a]\n", `t.yaml:9:9: "-a" is no time server, expected a host name or an address`},
	} {
		text := strings.Replace(string(data), ntp, test.text, 1)
		_, err := box.LoadTopology("t.yaml", []byte(text))
		var at *topology.Error
		if !errors.As(err, &at) || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%s: %v\nwant %s...", test.name, err, test.want)
		}
	}
	if _, err := box.LoadTopology("t.yaml", data); err != nil {
		t.Error(err)
	}
}
