package appliancetest_test

import (
	"fmt"
	"strings"

	"github.com/esasim/esasim/appliance/appliancetest"
)

func ExampleTopologyFile() {
	box := appliancetest.Start(t, appliancetest.TopologyFile("../../fixtures/topologies/minimal.yaml"))
	out := box.Exec("version")
	fmt.Println(strings.Contains(out, "Serial #: 000000000001-0000001"))
	// Output: true
}
