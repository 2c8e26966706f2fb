// Package appliancetest gives a running appliance to a Go test.
//
//	func TestVersion(t *testing.T) {
//		box := appliancetest.Start(t)
//		if out := box.Exec("version"); !strings.Contains(out, "Model: C100V") {
//			t.Error(out)
//		}
//	}
//
// The appliance listens on free ports of 127.0.0.1 (Box.SSHAddr, Box.FTPAddr), so
// the client under test may be of any kind; it is stopped, and its directory
// removed, when the test ends. Login gives a session at the prompt, with reads in
// the manner of expect. Fault lets the network fail while it runs: drops, resets,
// delays, pulled cables. Captures and Packets show what was recorded.
//
// Boxes share nothing: tests with one each may run in parallel.
//
// A failure of the appliance's, or a wait that is too long, fails the test at once;
// these methods must be called on the test's goroutine.
package appliancetest
