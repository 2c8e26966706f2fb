package appliancetest_test

import (
	"fmt"
	"testing"

	"github.com/esasim/esasim/appliance/appliancetest"
)

// All tests of a package use one box, one after the other, and find it as new.
func ExampleRun() {
	var esa appliancetest.Shared
	// In a package of tests: func TestMain(m *testing.M) { os.Exit(appliancetest.Run(m, &esa)) }
	status := appliancetest.Run(exampleTests(func(t testing.TB) {
		box := esa.Box(t)
		fmt.Print(box.Exec("sethostname esa.example.org; commit -y"))
		fmt.Println(box.Appliance().Hostname())
	}), &esa)
	fmt.Println(status)
	// Output:
	// esa.example.org
	// 0
}
