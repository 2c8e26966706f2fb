package appliancetest_test

import (
	"fmt"

	"github.com/esasim/esasim/appliance/appliancetest"
)

// A box that is reset is as new, and its addresses stay.
func ExampleBox_Reset() {
	box := appliancetest.Start(t)
	addr := box.SSHAddr
	box.Exec(`sethostname other.example.com; commit "a name" N`)
	box.Reset(t)
	fmt.Println(box.Appliance().Hostname(), box.SSHAddr == addr)
	// Output: example.com true
}
