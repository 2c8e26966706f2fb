// Package peers holds the servers that simulated hosts run: one file for each kind.
//
// A kind registers itself under the name that a topology uses:
//
//	var _ = register(Kind{Name: "echo", Port: 7, New: newEcho})
//
// To add one, write one file. A peer speaks through the network.Transport that
// it is given, listens on its host's addresses only (all hosts share one
// transport), and belongs to the world that started it: Stop returns when every
// goroutine of the peer has ended. A peer that keeps something is a Reporter, and what it
// keeps shows outside. Tests reach a peer by World.Peer and a type
// assertion; what it tells them are the exported methods of its type.
package peers
