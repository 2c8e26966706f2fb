package appliancetest_test

import (
	"fmt"

	"github.com/esasim/esasim/appliance/appliancetest"
	"github.com/esasim/esasim/appliance/traffic"
)

// A preset is a set of faults with a name. Its faults are removed when the test ends.
func ExampleBox_Preset() {
	box := appliancetest.Start(t)
	box.Preset(t, "mail-down")
	cursor := box.Cursor()
	box.Send(t, traffic.Request{To: []string{"joe@example.com"}})
	line := box.WaitSince(t, cursor, "log", "Connection Error.*refused")
	fmt.Println(line.Event.Fields.Kind(), len(box.Mail("mail").Messages()))
	// Output: log.line 0
}
