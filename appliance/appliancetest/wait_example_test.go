package appliancetest_test

import (
	"fmt"
	"time"

	"github.com/esasim/esasim/appliance/appliancetest"
)

// What happens can be waited for, and is told in order.
func ExampleBox_WaitSince() {
	box := appliancetest.Start(t)
	cursor := box.Cursor()
	box.Exec("version")
	line := box.WaitSince(t, cursor, "log", "entered 'version'", appliancetest.Within(time.Minute))
	fmt.Println(line.Event.Fields.Kind(), line.Cursor > cursor)
	// Output: log.line true
}
