package appliancetest_test

import (
	"fmt"
	"time"

	"github.com/esasim/esasim/appliance/appliancetest"
	"github.com/esasim/esasim/appliance/clock"
)

// The test decides what time it is. Timers of the appliance that are due fire on the way.
func ExampleClock() {
	fake := clock.NewFake(time.Date(2015, time.June, 25, 8, 50, 3, 0, time.UTC))
	box := appliancetest.Start(t, appliancetest.Clock(fake))
	fmt.Print(box.Exec("date"))
	if err := box.Advance(24 * time.Hour); err != nil {
		t.Fatal(err)
	}
	fmt.Print(box.Exec("date"))
	// Output:
	// Thu Jun 25 01:50:03 2015 PDT
	// Fri Jun 26 01:50:03 2015 PDT
}
