// Package networktest tests implementations of package network.
//
// An implementation's test passes Run a function that opens a Fixture: the network under
// test, and a second machine on the same segment that plays the other side.
//
//	func TestNetwork(t *testing.T) {
//		networktest.Run(t, func(t *testing.T) networktest.Fixture {
//			a, b := twoHosts(t)
//			return networktest.Fixture{Net: a, Peer: b, ...}
//		})
//	}
//
// Each check is a function with its own fixture, listed in the table of Run. To add a check,
// write the function and list it there. A check is skipped if the implementation returns
// errors.ErrUnsupported, if it needs a Configurer and the network is none, or if it needs
// IPv6 and the fixture has no IPv6 addresses.
//
// Checks compare packets as decoded flows (direction, flags, lengths) and never as bytes,
// because each implementation chooses its own sequence numbers, windows and ports.
package networktest
