// Package events tells what happened to an appliance, once and in order.
//
// # Terms
//
//   - An event is one thing that happened: a message was accepted, a connection was refused. It
//     has a sequence number, times, a kind, fields, and a cause: the event that it follows from.
//   - A stream numbers the events of one appliance and hands each to its subscribers.
//
// # How it is used
//
// A part that has something to tell publishes a value of a type of its own:
//
//	opened := events.Publish(stream, 0, mailevents.ConnectionOpened{ICID: 5, ...})
//	...
//	events.Publish(stream, opened, mailevents.ConnectionClosed{ICID: 5})
//
// A part that makes something of events subscribes to the stream: a line in a log, a counter. As
// all of them see the same values in the same order, they cannot disagree.
//
// # Decisions
//
// Fields are a value of the publisher's own type and not a map: a misspelt field does not compile,
// and a subscriber uses a type switch. Publish is generic, so that a value becomes an interface,
// which allocates, only if somebody subscribes.
//
// Subscribers run on the goroutine of the publisher with the stream's lock held. That is the
// simplest way to give all of them one order, and is why they must not block and must not publish.
// A subscriber with more to do keeps the event in a queue of its own, which it has to bound.
//
// # Locks
//
// Stream.mu is held while subscribers run. They may take locks of their own; nobody may publish
// while holding one of those.
package events
