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
//  4. up-and-down: The appliance and a simulated server go up and down in turn, and a service goes
//     down after it went up.
//  5. sessions-in-logins: A login ends once, and its user enters commands and transfers files only
//     before that.
//  6. faults-count-up: Each hit of a fault raises its count of packets, and no hit lowers that of
//     connections.
//  7. connections-end-once: A connection is closed once at most, with the addresses with which it
//     was opened.
//  8. addresses-are-free: No connection is opened between two addresses that an open connection
//     has.
//  9. frames-belong: Every TCP segment and UDP datagram of the appliance in a capture belongs to a
//     recorded connection, refusal, socket or probe.
//  10. connections-show: Every connection that was opened, refused or closed while a capture
//     without a filter ran on its interface is in that capture, with all acknowledged bytes.
//  11. bytes-agree: A connection that a capture shows from SYN to FIN has sent as many bytes as the
//     record says, and its process has received no more than the capture shows.
//  12. captures-are-whole: A capture has as many frames and bytes as the record says, and its times
//     do not decrease.
//  13. arp-is-recorded: Every ARP request of the appliance for an address, and every reply to it,
//     is a recorded change of its ARP cache with that address and MAC.
//  14. probes-are-recorded: Every echo request of the appliance in a capture is a recorded probe,
//     and an answered probe shows with its reply.
//  15. queries-are-recorded: Every DNS query of the appliance in a capture is a recorded query, and
//     an answered query shows with its answer.
//  16. counters-have-all-frames: An interface has counted at least the frames that a capture shows
//     of it.
//  17. segments-at-their-interface: A capture at an interface of the appliance shows what the
//     appliance sends over connections of that interface only.
//  18. lines-once: An event is told once in a log: it does not cause the same line twice.
//  19. lines-name-their-cause: A line of the mail log names the MID, ICID or DCID of the event that
//     it tells.
//  20. commands-in-the-log: A command is in the CLI log once, or never if there is no such log.
//  21. alerts-have-trouble: An alert is about a trouble that was found, with the same text, or a
//     repetition of one.
//  22. syslog-was-logged: A record that a syslog server has received is a line that was logged
//     before.
//  23. syslog-numbers: A syslog server numbers the records that it receives without gaps.
//  24. mail-over-connections: Each ICID and DCID has an address and port of a connection that was
//     opened before.
//  25. messages-live-once: A message is started once and finished once, and nothing happens to it
//     after that.
//  26. accepted-mail-is-somewhere: When the mail system stops, each accepted message is finished or
//     in the queue, and not both.
//  27. recipients-end-once: Each recipient of a finished message was delivered, bounced or deleted,
//     and only one of these, once.
//  28. deliveries-arrive: A message that was delivered to a simulated mail server was received
//     there.
//  29. one-capture-at-a-time: The appliance runs one capture of its users at a time.
//  30. transfers-are-whole: A file that was fetched or stored has the size and the SHA-256 that the
//     record says.
//  31. log-files-agree: A log file has the lines that were written to that log, in their order,
//     each once.
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
