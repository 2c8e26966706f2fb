// Package networktest judges implementations of package network.
//
// An implementation's test hands Run a func that opens a Fixture: the network
// under test, and a second machine on the same wire that plays the other side.
//
//	func TestNetwork(t *testing.T) {
//		networktest.Run(t, func(t *testing.T) networktest.Fixture {
//			a, b := twoHosts(t)
//			return networktest.Fixture{Net: a, Peer: b, ...}
//		})
//	}
//
// Each check is a function of its own with a fixture of its own, in the table of
// Run: to add one, write it and enter it there. What an implementation answers
// with errors.ErrUnsupported is skipped, and so are the checks of a Configurer
// where there is none and those of IPv6 where the fixture has no such address.
//
// Packets are compared as decoded flows (direction, flags, lengths), never as
// bytes: sequence numbers, windows and ports are the implementation's own.
package networktest
