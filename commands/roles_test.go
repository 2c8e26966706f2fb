package commands_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/commands"
)

// Operators may not manage accounts, load or restore configurations, or upgrade. Technicians
// may only look and reboot, and the other roles may only look.
func TestForbiddenCommandsOfRoles(t *testing.T) {
	administer := []string{"adminaccessconfig", "loadconfig", "resetconfig", "rollbackconfig", "systemsetup", "userconfig"}
	operate := []string{
		"alertconfig", "aliasconfig", "bounceconfig", "certconfig", "commit", "deliveryconfig", "destconfig", "diagnostic", "dnsconfig", "dnsflush", "etherconfig", "interfaceconfig", "listenerconfig", "logconfig", "mailconfig",
		"ntpconfig", "packetcapture", "resetcounters", "rollovernow", "routeconfig", "saveconfig", "setgateway", "sethostname",
		"settime", "settz", "showconfig", "smtproutes", "sslconfig", "tcpdump", "tlsverify",
	}
	handleMail := []string{
		"archivemessage", "bouncerecipients", "deleterecipients", "delivernow", "oldmessage",
		"redirectrecipients", "removemessage", "resetqueue", "resume", "resumedel", "resumelistener", "showmessage",
		"showrecipients", "suspend", "suspenddel", "suspendlistener", "workqueue",
	}
	operate = append(operate, handleMail...)
	readLogs := []string{"findevent", "grep", "tail"}
	power := []string{"reboot", "shutdown"}
	for role, want := range map[users.Role][]string{
		users.Administrator:    nil,
		users.Operator:         administer,
		users.Technician:       slices.Concat(administer, operate, readLogs),
		users.ReadOnlyOperator: slices.Concat(administer, operate, power),
		users.HelpDesk:         slices.Concat(administer, operate, power, readLogs),
		users.Guest:            slices.Concat(administer, operate, power, readLogs),
	} {
		var got []string
		for _, c := range commands.All() {
			if !c.Allows(role) {
				got = append(got, c.Name)
			}
		}
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%v may not use:\n%s", role, diff)
		}
	}
}
