// Package syslog sends the lines of a log subscription to a syslog server.
//
//	p, err := syslog.New(syslog.Options{Net: net, OnEvent: report}, syslog.Settings{
//		Subscription: "Mail_Log", Server: "10.44.167.30", Protocol: syslog.TCP, Facility: "mail",
//	})
//	p.Push(now, "Info", "Start MID 6 ICID 5")
//
// # Terms
//
//   - A record is one message in the form in which it is sent.
//   - A pusher sends the records of one subscription. Two goroutines work for it: the sender,
//     which keeps the connection, and the spooler, which writes records to disk and delivers
//     events.
//   - The queue holds the records that wait: in memory and, with a buffer on disk, in the spool.
//   - A batch is a run of whole records that is sent at once.
//   - A break is the end of an established connection that the appliance did not end itself.
//   - Records are in doubt if the server's TCP has acknowledged them but the server may not have
//     read or written them.
//
// # On the wire
//
// A record is `<PRI>Mmm dd hh:mm:ss TAG: Level: text` (A5, A22, A25). Over TCP and TLS each record
// ends with one LF; over UDP each is a datagram, without the LF. Characters that would end a
// record early are escaped. A text that is longer than the limit is split into several records,
// each with its own stamp and tag.
//
// A TCP connection begins with the three header records of a log file (A6), which carry the stamp
// of the record that the connection is opened for (A16). Over UDP, which has no connections, the
// header precedes the first record that a pusher sends, and the first after the address of the
// server's name has changed.
//
// # One batch at a time
//
// Queued records are sent in batches of 256 KiB at most, and a batch is written when the one
// before it has been acknowledged. That is Nagle's algorithm, which is also left on, repeated at a
// place where the boundaries of records are known. On any path, including fast ones, it gives the
// segments of A3 and A19: the first record of the header is alone in its segment, then everything
// else in the queue follows. It also bounds the records in flight: after a crash, one batch at
// most is sent twice. Large batches make up for the waiting; see the benchmarks.
//
// # What may be lost
//
// TCP tells which records the server has acknowledged (network.Conn.Acknowledged). When a
// connection breaks and there is a buffer on disk, the rest of the batch is sent again. Without a
// buffer it counts as sent, and is lost (A14). If the server closed the connection by FIN, records
// in flight are given one second to be acknowledged. Then the connection is reset if some were
// not, so that they cannot arrive after they have been sent again.
//
// Records that the server's TCP had acknowledged may still be lost, if the server exits before it
// has read or written them. No client can tell. They are one contiguous run at the end of the
// acknowledged records, and no longer than what system and server can hold: the largest receive
// buffer (6 MiB on Linux) and the server's own queue (10000 messages of 1 KiB in rsyslogd).
// Therefore the number of records in the last 16 MiB acknowledged on the broken connection
// (Options.InDoubtLimit) is the bound that is counted, logged and shown. Without a buffer on disk the
// log says, at each break, how many messages may be lost: these and the ones in flight.
//
// The server's own queue makes up most of that bound, and no network can tell what is in it. Many
// servers have none, or write it to disk before they exit. Therefore the log also says how many
// records at most the server's process had not read from its connection, if the network knows that
// (network.ReadReporter). The simulated network knows it of real servers on this machine. With TLS,
// the record of TLS that the server may have read in part counts as not read.
//
// # When TLS is established
//
// In TLS 1.3 a client may send before the server has judged it: a server that requires a
// certificate of the client refuses the session by a fatal alert when the client's handshake is
// over. Therefore only the first record of the header is sent at first. The batch follows when the
// server has shown that it accepts the session, by a session ticket or by data, or when it has not
// refused the session for two seconds: not every server sends something. An alert before that is a
// failure to connect whose reason is the alert; nothing is taken from the queue. In TLS 1.2 the end
// of the handshake is the server's acceptance.
//
// # The queue
//
// Push appends to memory and returns. With a buffer on disk, the spooler moves records from memory
// to the spool, and the sender reads them from there: the disk is always ahead of the network, or
// a crash would lose records. If the disk has no room, the sender takes records from memory, and
// the spooler keeps trying. Records that the sender has taken stay the oldest in the queue until
// they are acknowledged, and the spooler writes them like the others. The files of the spool
// contain the records as they are sent; a further file holds the position up to which they are
// acknowledged.
//
// When the limit of the queue is reached, new records are dropped until half of the queue is free.
// The first record after the gap is preceded by one that says how many are missing. An Event says
// the same.
//
// # Events
//
// If the server ends an established connection by RST or FIN, the event is ConnectionBroken (A2,
// A13), even if the connection was idle. If a connection cannot be opened, or TCP gives up on it,
// the event is Unreachable (A35). A slow server causes no event: the queue grows. With UDP, the
// event is Unreachable if the server's name cannot be resolved or no socket can be opened;
// datagrams that are lost cause no events.
//
// Each break is reported. Unreachable is reported once for each reason until the connection has
// worked again, which is when the server's TCP has acknowledged a record that was pushed; records
// of the header do not count. The delays below keep both events rare, and the alert desk holds
// back equal alerts.
//
// After a break or a failure the next connection is opened when there is a record to send, at the
// earliest after one second. Each further failure doubles the delay, up to a minute.
//
// # Lock order
//
// queue.disk, then queue.mu; and Pusher.mu, then queue.mu. No lock is held while OnEvent runs.
package syslog
