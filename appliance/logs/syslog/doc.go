// Package syslog sends the lines of a log subscription to a syslog server.
//
//	p, err := syslog.New(syslog.Options{Net: net, Trouble: tell}, syslog.Settings{
//		Subscription: "Mail_Log", Server: "10.44.167.30", Protocol: syslog.TCP, Facility: "mail",
//	})
//	p.Push(now, "Info", "Start MID 6 ICID 5")
//
// # On the wire
//
// A record is `<PRI>Mmm dd hh:mm:ss TAG: Level: text` (A5, A22, A25). Over TCP and TLS
// each ends with one LF; over UDP each is a datagram, without the LF. What would end a
// record early is escaped, and what is longer than the bound is split, each part with a
// beginning of its own.
//
// A TCP connection begins with the three header records of a log file (A6), which carry
// the stamp of the record that the connection is made for (A16). Datagrams know of no
// connection, so there is no header among them (logs.md 2.3 describes that of TCP only).
//
// # One batch at a time
//
// What is queued is sent in batches of 256 KiB at most, and a batch is written when the
// one before has been acknowledged. That is Nagle's algorithm, which is left on as well,
// done once more where the records are known. It gives the picture of A3 and A19 on any
// path, fast ones too: the first record of the header is alone in its segment, then all
// that is queued follows. And it bounds what is under way: a crash sends one batch
// twice at most. Large batches make up for the waiting: see the benchmarks.
//
// # What is lost and what is not
//
// The peer's TCP tells which records it has acknowledged (network.Conn.Acknowledged).
// When a connection breaks, the rest of the batch is sent again if there is a buffer on
// disk; without one it counts as sent, and is lost (A14). If the server closed in an orderly
// way, what is on its way is given a second to be acknowledged, and the connection is
// reset if it was not, so that nothing arrives after it has been sent again.
//
// Records that the server's TCP had acknowledged may still be lost, when the server ends
// before it has read or written them. No client can know; they are one contiguous run
// that ends where the acknowledged records end. How long can it be? As long as what the
// system and the server hold: the largest receive buffer (6 MiB on Linux) and the
// server's own queue (10000 messages of rsyslogd, of 1 KiB or less). So the bound that is
// counted, logged and shown is the number of records in the last 16 MiB acknowledged on
// the connection that broke (Options.Doubt).
//
// # The queue
//
// Push appends to memory and returns. With a buffer on disk, the keeper (a goroutine)
// writes what is there to the disk, from where the sender (another) reads it: the disk
// is always ahead of the wire, or a crash would lose records. If the disk has no room,
// the sender takes records from memory, and the keeper goes on trying: what the sender
// has taken is still the oldest in the queue, and is written like the rest. Files of the
// buffer are the records as they are sent, and a position that follows the
// acknowledgements.
//
// Where the bound is reached new records are dropped until half of the queue is free.
// The first record after the gap says how many are missing, in the stream itself, and so
// does an Event.
//
// # Trouble
//
// A RST or FIN on an open connection is Broken (A2, A13), also when it is idle. A
// connection that does not come about, or on which TCP gives up, is Unreachable (A35). A
// slow server is no trouble: the queue grows. Datagrams raise nothing.
//
// Broken is told each time. Unreachable is told once for each reason until it has worked
// again, which is when the server's TCP has acknowledged a record that was pushed; headers
// do not count. The waits below keep both rare, and the alert desk holds back equal alerts.
//
// After a break or a failure the next connection is made for the next record, after one
// second at the earliest, and after twice that each time it has not worked, up to a minute.
//
// # Lock order
//
// queue.disk, then queue.mu; and Pusher.mu, then queue.mu. No lock is held while Trouble
// runs.
package syslog
