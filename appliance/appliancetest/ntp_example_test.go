package appliancetest_test

import (
	"fmt"
	"time"

	"github.com/esasim/esasim/appliance/appliancetest"
)

// Without its time server, the appliance does not correct a clock that the test has set.
func ExampleBox_NTP() {
	box := appliancetest.Start(t)
	server := box.NTP("time")
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := box.SetTime(time.Date(2015, time.June, 25, 8, 50, 3, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	fmt.Println(server.Name(), box.Now().Format(time.DateOnly))
	// Output: time 2015-06-25
}
