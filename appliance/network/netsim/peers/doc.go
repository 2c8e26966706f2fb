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
//
// # Mail exchangers
//
// An mx is github.com/emersion/go-smtp's server, which knows the protocol, behind a
// gate of ours, which knows how to misbehave: the server has no say in its greeting, in
// refusing DATA itself, in late answers, in hanging up, nor in what is said before TLS.
// So the gate refuses steps before the server hears of them, and ends TLS, so that it
// sees every command also within it.
//
// # Servers that files are sent to
//
// An ftpd and an scpd take uploads into memory and keep the last of them. Both are small
// and of our own, as they take files and do nothing else: the FTP library that the
// appliance's server is built on would need all that package transfer adds to it. SSH
// itself is golang.org/x/crypto/ssh's.
//
// # Time servers
//
// An ntp answers over UDP with the clock of its world, shifted by an option. It shares
// package ntp's wire format with the appliance.
package peers
