// Package appliancetest runs an appliance in a Go test.
//
//	func TestVersion(t *testing.T) {
//		box := appliancetest.Start(t)
//		if out := box.Exec("version"); !strings.Contains(out, "Model: C100V") {
//			t.Error(out)
//		}
//	}
//
// The appliance listens on free ports of 127.0.0.1 (Box.SSHAddr, Box.FTPAddr), so that the
// client under test may be of any kind. When the test ends, the appliance is stopped and its
// directory is removed.
//
// Box.Login opens a session at the prompt, with Expect to read its output; Box.Account does it for
// other accounts. Box.Fault makes the network fail while the appliance runs: drops, resets, delays,
// pulled cables. Box.Captures and Box.Packets read packet captures. Box.Mail, Box.Syslog and Box.DNS
// lead to the simulated servers and to what they have received. Box.WaitFor waits until something
// happens, and Box.Reset puts everything back to the state after the start. Box.Snapshot saves another
// state, and Box.Restore returns to it.
//
// Run shares one box among the tests of a package: see Shared.
//
// Boxes share nothing: tests with a box each may run in parallel.
//
// If the appliance fails, or a wait takes too long, the test fails immediately. Therefore the
// methods of this package must be called on the goroutine of the test.
package appliancetest
