package appliancetest_test

import (
	"fmt"
	"strings"

	"github.com/esasim/esasim/appliance/appliancetest"
)

// An account that the test has made runs a command.
func ExampleBox_Account() {
	box := appliancetest.Start(t)
	session := box.Login()
	for _, line := range []string{"userconfig", "new", "olga", "Olga", "Operator", "Ironport-1", "Ironport-1", "", "commit -y", "exit"} {
		session.Type(line)
	}
	session.Wait()
	out := box.Account("olga", "Ironport-1").Exec("whoami")
	fmt.Println(strings.Contains(out, "Username: olga"))
	// Output: true
}
