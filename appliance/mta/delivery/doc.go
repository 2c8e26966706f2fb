// Package delivery brings the messages of the queue to their mail servers: it finds the servers,
// connects, speaks SMTP, tries again, and makes bounce messages.
//
// # Terms
//
//   - A destination is the domain of recipients, as it stands after the @ of their addresses. Its
//     recipients wait in one line.
//   - A route says which hosts take the mail of a destination instead of those that DNS names.
//   - An attempt is the delivery of one message to one server for some of its recipients.
//   - A soft bounce is an attempt that failed and is repeated; a hard bounce ends a recipient.
//   - A destination is down when no address of it could be reached at the last try.
//
// # How it is used
//
// A Server is a service of the appliance. It is told of messages that are ready, and after a
// restart finds those that the queue still has:
//
//	s := delivery.NewServer(delivery.Options{...})
//	err := s.Start(ctx)
//	s.Enqueue(mid)
//
// Commands ask it for the state of destinations, and tell it to deliver now, to suspend, or to
// delete, bounce or redirect recipients.
//
// # How recipients wait
//
// Each recipient has a time of its next attempt, which the queue keeps. If a server refuses a
// recipient for now, the time moves on by the bounce profile: after 60 seconds, 120, ..., up to an
// hour. If the destination is down, its recipients stay as they are and wait for the destination,
// which is tried again by the same rule; they count as unattempted. A recipient that is too old
// bounces just before its next try, one with too many tries right after the last.
//
// If the bounce profile says so, the sender is warned about recipients that a server refuses for now:
// the nth warning is sent with the first failed attempt that is n intervals after the message's
// arrival, from the second attempt on (the vendor's note 212837). The warning and the count of
// warnings are written to the queue with the failed attempt, in one step. The text of the log line
// about it is not public.
//
// Times are wall times of the appliance's clock, as the log shows them; a clock that is set moves
// attempts with it (ClockSet).
//
// # Decisions
//
// A recipient is finished in the queue before the event that says so is published, and a bounce
// message is committed together with the bounce, so that a process that is killed neither loses nor
// repeats one. Only a kill between a server's 250 and the queue's record causes a second delivery.
//
// A connection takes several messages, and waits five seconds for another one. A second connection
// to a destination is opened when more messages wait than connections can take soon.
//
// Which code and phrase a failure has follows the basic SMTP code and the step, not the server's own
// enhanced code (mail.md 1.6).
//
// The work queue and administrators' commands claim a message (Claim) while they deal with it, and
// Enqueue of a claimed message takes effect when the claim ends, with the recipients that the queue
// has then. So a command never acts on a message that is handed on at the same time.
//
// # TLS
//
// A destination that prefers TLS gets mail in clear text if the server does not offer TLS or refuses
// to begin it; after the server's 220 there is no way back. Certificates are verified after the
// handshake. The names that count are the domain, the host as the MX record or the route names it,
// and the name of the host's address: none of them is protected by DNS, but the real appliance
// accepts them. A destination that prefers a verified certificate gets the mail over TLS even if it
// is not verified; one that requires it gets no mail over that connection.
//
// A worker counts as a connection with TLS from before it connects until it knows that the server
// has none. Destinations that find no room wait until another connection ends.
//
// # Locks
//
// Server.mu guards destinations, claims and counts. It is held neither while a connection is used nor
// while the queue writes. The queue is read and events are published with it held. outcomes.mu is a
// leaf.
package delivery
