package appliancetest_test

import (
	"fmt"
	"time"

	"github.com/esasim/esasim/appliance/appliancetest"
)

func ExampleWithin() {
	box := appliancetest.Start(t)
	since := box.Cursor()
	box.Exec("version")
	h := box.WaitSince(t, since, "command", "version", appliancetest.Within(time.Minute))
	fmt.Println(h.Event.Fields.Kind())
	// Output: command.entered
}
