// Package listener takes mail in: it is the SMTP server of the appliance (RFC 5321), with the
// tables that decide who may send what to whom.
//
// # Terms
//
//   - A listener is a place where mail is accepted: an IP interface, a port, and the tables below.
//     A public one takes mail for the recipients in its recipient access table, a private one
//     relays the mail of hosts that it knows.
//   - The host access table (HAT) says by a client's address what happens to its connection. It is
//     a list of sender groups, of which the first with a matching entry counts; each has a mail flow
//     policy: an action and limits.
//     An entry outside a group has one host.
//   - The recipient access table (RAT) says which recipients a public listener accepts.
//   - The alias table replaces accepted recipients by others, at any listener. It has global aliases
//     and those of domains; the domains that a list of aliases is for are its context.
//   - The reputation is a score from -10 to 10 that a DNS service gives an address.
//
// # How it is used
//
// A Server is a service of the appliance. It listens through daemon.Table, so that its sockets
// follow the configuration, and gives each message to the queue:
//
//	s := listener.New(listener.Options{...})
//	err := s.Start(ctx)
//
// A session is one goroutine for each connection, which reads commands and answers them in turn; the
// dialogue is that of mail.md 4, to the byte. What happens is published as events of package
// mailevents and nowhere else: logs and figures are made from those. An event is published before
// the client gets the answer, so a client that has the answer finds the log line. A 250 for a
// message is sent when the queue has it on disk.
//
// # Decisions
//
// A message ends with CRLF "." CRLF and with nothing else: bare CR and LF never count as the end of
// a line there, so no server behind this one can see two messages where this one saw one (SMTP
// smuggling). By default bare CR and LF become CRLF within the message.
//
// The body of a message goes to the queue as it arrives. Only the header is held, until its end
// shows whether a Message-ID has to be added in front of it; its size is bounded.
//
// TCPREFUSE resets a connection right after the handshake: the simulated stack, like most real
// ones, accepts connections before a program sees them.
//
// SenderBase is asked with one DNS query for each connection. The form of that query is not public;
// ours is ReputationZone's.
//
// The alias table is applied when RCPT is accepted, so each recipient that an alias stands for has
// an RID, a line in the log and a fate of its own. An alias is not applied to its own targets; other
// loops are refused when the table is committed. A recipient that is mapped to /dev/null is accepted
// and not queued; a message that has no other one counts as dropped. No log line of the appliance
// about aliases is public: ours has the form of the one about refused recipients.
//
// Limits on the time of a connection run in the real time of the appliance's clock, since a client is
// no faster on a clock that runs fast; limits per hour run on the clock itself. When the time is over,
// the session's read is interrupted.
//
// # Locks
//
// Server.mu guards the sessions and the counters of clients; it is a leaf.
package listener
