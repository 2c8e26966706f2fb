package appliancetest_test

import (
	"fmt"

	"github.com/esasim/esasim/appliance/appliancetest"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// Faults are part of a snapshot too.
func ExampleBox_Restore() {
	box := appliancetest.Start(t)
	box.Fault(t, topology.Rule{Action: "drop", Path: "google"})
	box.Snapshot(t, "google-gone")
	box.Reset(t)
	fmt.Println("after the reset:", len(box.Faults().List()))
	box.Restore(t, "google-gone")
	fmt.Println("after the restore:", len(box.Faults().List()))
	// Output:
	// after the reset: 0
	// after the restore: 1
}
