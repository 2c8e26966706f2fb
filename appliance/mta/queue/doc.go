// Package queue keeps messages on disk from their acceptance until the last of their recipients
// is delivered, bounced or deleted.
//
//	q, err := queue.Open(queue.Options{Dir: dir, Logger: log})
//	in, err := q.Create(q.NextMID())
//	io.Copy(in, body)
//	err = in.Commit(ctx, queue.Envelope{From: sender, Recipients: recipients})
//	// the message is durable: now the client may be told so
//	result, err := q.Update(ctx, mid, queue.Delivered(rid))
//	if result.Finished { ... } // true once in the life of a message
//
// The package knows neither the configuration nor the network. Which message is processed or
// delivered when is decided by its callers: they read the queue with Each when they start, and hand
// on the messages that they commit.
//
// # Terms
//
//   - Record: what is written as one piece to the log: a message, or changes.
//   - Segment: one file of the log.
//   - Batch: the records that are written and synced together.
//   - Snapshot: a record that repeats a message with its present state.
//   - Durable: on disk, so that it survives a loss of power.
//
// # Promises
//
// Commit returns nil only after the message is durable, and Update only after its changes are. A
// message or a set of changes that was not acknowledged is there as a whole or not at all after a
// crash. The exception is StageDone, which a loss of power may take back; a killed process does
// not. CommitWith adds a message and changes another one, both or neither.
//
// A full disk, a full quota or a failing disk is an error of the call that meets it. What was in
// the queue stays, and the next call may succeed. If a batch does not fit, its updates are written
// alone, because they lead to more space; so does a compaction give way to requests.
//
// Identifiers are reserved in blocks of 1,000, so that a crash skips some and reuses none.
//
// # Files
//
//	0000000000000001.seg   a segment of the log, by its number
//	000000000000002a.msg   the body of message 42, if it has more than 64 KiB
//	ids                    which identifiers are reserved
//
// All numbers are little-endian; checksums are CRC-32C. A segment begins with a header of 64 bytes:
// "esaqseg1", its number, the number of the segment before it, how much of that one is valid, the
// three reserved identifiers (8 bytes each), zeros and the checksum (4 bytes each). Records follow:
//
//	offset  size
//	     0     1  kind: 1 a message, 2 a snapshot, 3 changes
//	     1     3  zero
//	     4     4  length of the head
//	     8     4  length of the body
//	    12     4  checksum of the head
//	    16     4  checksum of the body
//	    20     4  checksum of the 20 bytes before it, the segment's number and the record's offset
//	    24        head (encode.go), body
//
// The file of the identifiers has two slots, at 0 and 4096, which are written in turn: "esaqids1",
// the slot's version, the greatest reserved MID, ICID and DCID (8 bytes each), and the checksum.
//
// # The log
//
// One goroutine, the writer, writes the log. While it waits for the disk, requests of all other
// goroutines are collected; they become the next batch, which needs one write and one sync. So the
// acceptance of a message costs one sync at low load and far less than one at high load. A large
// body costs a sync of its own file and one of the directory in addition. Changes are applied in
// memory after they are durable, so that no reader sees a state that a crash takes back.
//
// When a segment has 64 MiB, the next one begins. The header of a segment names the one before it
// and says how much of that is valid. Recovery follows these names from the newest segment to
// older ones, until one is missing, and replays them in the order of their age. So a segment of
// which only the removal was lost does not come back. In the newest segment all checksums are
// verified, and what follows the first incomplete record is ignored: it was never acknowledged. In
// older ones the bodies are skipped, because those segments were synced as a whole. Recovery never
// appends to a file of an earlier process.
//
// Segments are removed in the order of their age, once all their messages are finished: a newer
// segment may contain the record by which a message of an older one was finished. If the oldest
// segment is mostly unused, or if the log is longer than twice its messages and two segments, or
// has too many files, the writer moves the messages of the oldest segment to the end of the log,
// as snapshots of up to 1 MiB in each batch.
//
// # After a failed write or sync
//
// After a failed write the segment is cut back to the last good record and used further. After a
// failed sync its content is not trusted any more, because the kernel may take the lost pages for
// clean, so that the next sync would succeed wrongly: the batch fails, and the next batch begins a
// new segment, whose header says that the old one is valid up to the last successful sync. What the
// old one has before that is durable and stays in use. A body whose sync fails is not accepted.
//
// # Memory
//
// Bodies are streamed: a message that is being received holds up to 64 KiB. A queued message with
// one recipient needs about 280 bytes, and each further recipient about 80. Senders, errors
// and what all messages of a connection have in common are stored once (package unique); domains of
// recipients are not, because a reference to one would need as much as a usual domain. Files are
// open only while they are read.
//
// # Lock order
//
// Queue.mu guards the state, counters.mu the identifiers, sharedFile.mu the use of one file. Each
// may be taken while Queue.mu is held, and none takes another. No file is read, written or synced
// while Queue.mu is held. Only the writer changes messages and segments, so that it may read them
// without the lock.
package queue
