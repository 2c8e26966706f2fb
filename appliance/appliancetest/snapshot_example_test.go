package appliancetest_test

import (
	"fmt"

	"github.com/esasim/esasim/appliance/appliancetest"
)

// A state that a test has prepared can be returned to as often as the test needs it.
func ExampleBox_Snapshot() {
	box := appliancetest.Start(t)
	box.Exec(`sethostname edge.example.com; commit "a name" N`)
	box.Snapshot(t, "prepared")
	for range 2 {
		box.Exec(`sethostname other.example.com; commit "another name" N`)
		box.Restore(t, "prepared")
		fmt.Println(box.Appliance().Hostname())
	}
	// Output:
	// edge.example.com
	// edge.example.com
}
