// Package events tells what happened to an appliance, once and in order.
//
// # Terms
//
//   - An event is one thing that happened: a message was accepted, a connection was refused. It
//     has a sequence number, times, a kind, fields, and a cause: the event that it follows from.
//   - A stream numbers the events of one appliance and hands each to its subscribers and readers.
//   - A topic is the first word of a kind: "mail" of "mail.in.opened".
//   - A cursor is the number of an event: a reader that begins at a cursor sees the events after it.
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
// A subscriber of a topic sees the events of that topic only, and those of other topics cost nothing.
// If it publishes an event because of one that it is told (a line in a log), it uses Follow. A Publish
// that was not meant for a subscriber does the same: nobody has to know who calls it.
//
// A program that waits for something, or shows what happens, reads the stream at its own pace. The
// stream keeps a bounded number of events for readers:
//
//	for e, err := range stream.Read(ctx, cursor) {
//
// # Decisions
//
// A stream outlives the appliance that publishes: package box hands it to the next one when the
// appliance reboots, so that cursors go on. Readers never hold up publishers: one that is too slow is
// told that it has missed events.
//
// Fields are a value of the publisher's own type and not a map: a misspelt field does not compile,
// and a subscriber uses a type switch. Publish is generic, so that a value becomes an interface,
// which allocates, only if somebody subscribes.
//
// Subscribers run on the goroutine of the publisher with the stream's lock held. That is the
// simplest way to give all of them one order, and is why they must not block. Publish finds out that it
// is called by a subscriber only when the lock is taken, by the functions on its stack: that costs
// nothing otherwise.
// A subscriber with more to do keeps the event in a queue of its own, which it has to bound.
//
// # Locks
//
// Stream.mu is held while subscribers run. They may take locks of their own; nobody may publish
// while holding one of those.
package events
