package appliancetest_test

import (
	"fmt"

	"github.com/esasim/esasim/appliance/appliancetest"
)

// The events of a test, after the fact.
func ExampleBox_Happened() {
	box := appliancetest.Start(t)
	cursor := box.Cursor()
	box.Exec("version")
	for _, e := range box.Happened(t, cursor, "command") {
		fmt.Println(e.Fields.Kind())
	}
	// Output: command.entered
}
