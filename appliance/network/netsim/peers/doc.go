// Package peers holds the servers that simulated hosts run, one file for each kind.
//
// # Terms
//
//   - Peer: a simulated server.
//   - Kind: a type of server that topologies can name, with its options.
//   - Behavior: what the options of a server make it do, or do wrong.
//   - Rule of a mail server: an action and conditions, see topology.MailRule. MailRules evaluates
//     them at each stage of a conversation and counts what they did.
//   - Report: what a peer tells about itself, for the control API.
//
// # Adding a kind
//
// A kind registers itself under the name that topologies use:
//
//	var _ = register(Kind{Name: "echo", Port: 7, New: newEcho})
//
// To add a kind, write one file. A peer communicates through the network.Transport that it
// is given, and listens only on its host's addresses, because all hosts share one
// transport. It belongs to the world that started it: Stop returns when every goroutine of
// the peer has ended. A peer that stores data is a Reporter. Tests reach a peer by
// World.Peer and a type assertion, and use the exported methods of its type.
//
// # Mail exchangers
//
// An mx is the server of github.com/emersion/go-smtp, which implements the protocol,
// behind a proxy of ours, which misbehaves on request. The library gives a server no
// control over its greeting, over refusing DATA itself, over late replies, over closing the
// connection, or over what is said before TLS. So the proxy refuses commands before the
// library's server sees them, and it terminates TLS, so that it sees every command in TLS
// too. Its hooks do suffice for MAIL, RCPT and the end of a message: there the library has parsed
// the addresses, and the session evaluates the rules. The proxy only replaces the reply, since
// the library sends no reply of several lines.
//
// The rules outlive the server, as faults do: the world's Faults own them. Greylisting measures
// time by the marks of the world's clock, on which the appliance waits for its next attempt too.
// Delays of replies are in real time, as everything that the appliance's own time-outs for
// packets are compared with.
//
// Messages are stored in pieces within one bound for all of them, including those that are
// arriving. A message that does not fit is accepted, and its beginning is stored. Content is
// decoded with github.com/emersion/go-message, without its charset package, whose tables every
// binary would carry for texts that are rare in tests.
//
// # Locks
//
// MailExchanger.admitting is taken before MailExchanger.mu. The locks of MailRules and of the
// mailbox are leaves.
//
// # Servers for uploads
//
// An ftpd and an scpd accept uploads into memory and keep the latest. Both are small
// servers of our own, because they accept files and do nothing else: the FTP library on
// which the appliance's server is built would need everything that package transfer adds to
// it. SSH itself is golang.org/x/crypto/ssh.
//
// # DHCP servers
//
// A dhcp receives by a socket that is bound to all addresses and to its interface, since clients
// without an address broadcast. It replies to such a client with a frame of its own
// (network.FrameSender), as a socket could reach the client only by ARP. Leases are measured by the
// marks of the world's clock, and survive Stop, as a server's database does. A snapshot keeps them
// with the wall times of their beginnings, so that client and server agree when a lease ends.
//
// # Time servers
//
// An ntp answers over UDP with the clock of its world, shifted by an option. It shares the
// wire format of package ntp with the appliance.
package peers
