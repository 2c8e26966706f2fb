// Package check looks for contradictions in what a run of an appliance has left: the record of its
// events, captures, log files, and files that were fetched. All of them have to tell one story.
//
//	record, err := check.ReadRecord("run.jsonl", file)
//	capture, err := check.ReadCapture("run.cap", file2)
//	run := check.Run{Record: record, Captures: []*check.Capture{capture}}
//	for _, c := range run.Check().Contradictions {
//
// It is a caller of the simulator and not a part of an appliance. It reads files, shares no code
// with the parts that wrote them, and knows an event by the keys of its JSON form only: a mistake in a
// part is not made twice.
//
// # Terms
//
//   - An invariant is a statement that holds for every run. It has a number and a name.
//   - A contradiction is a violated invariant, with its witnesses: the lines of the record or of a
//     log, and the frames, that cannot both be true.
//   - A capture covers an interface if the record says that it shows every frame that passed there
//     between its beginning and its end: it has no filter and no frame was dropped.
//
// # The invariants
//
//  1. events-in-order: Events are numbered in the order of their lines, without gaps and
//     repetitions.
//  2. causes-come-first: The cause of an event is an earlier event of a kind that can cause it.
//  3. time-goes-on: No event is earlier than the one before it, unless the clock was set.
//  4. connections-end-once: A connection is closed once at most, with the addresses with which it
//     was opened.
//  5. addresses-are-free: No connection is opened between two addresses that an open connection
//     has.
//  6. frames-belong: Every TCP segment and UDP datagram of the appliance in a capture belongs to a
//     recorded connection, refusal, socket or probe.
//  7. connections-show: Every connection that sent, received or was opened by the appliance while a
//     capture without a filter ran on its interface is in that capture, with all acknowledged
//     bytes.
//  8. captures-are-whole: A capture has as many frames and bytes as the record says, and its times
//     do not decrease.
//
// # Decisions
//
// The order of events is that of their numbers, and the order of frames is that of their file. Times
// do not decide anything except within one file, so that a slow machine causes no contradiction. An
// event has to show in a capture only if it lies, with all that it is made of, between the events that
// say that the capture has begun and that it is about to end.
//
// An event that was lost (a record that could not be written as fast as events came) makes the
// invariants silent that would need it.
package check
