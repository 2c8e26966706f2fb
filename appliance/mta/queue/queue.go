package queue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/esasim/esasim/appliance/refusal"
)

// Errors of the queue. Test for them with errors.Is.
var (
	// ErrQuota is returned if a message does not fit into the quota.
	ErrQuota = refusal.New("The mail queue is full.")
	// ErrDiskFull is returned if the disk has no space. The error of the disk is wrapped too.
	ErrDiskFull = refusal.New("The disk of the mail queue is full.")
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("queue: closed")
	// ErrNoMessage is returned for a message that is not in the queue (any more).
	ErrNoMessage = errors.New("queue: no such message")
	// ErrNoRecipient is returned if a recipient does not exist or is finished.
	ErrNoRecipient = errors.New("queue: no such recipient")

	errNoChanges = errors.New("queue: an update without changes")
)

// DefaultQuota is the quota that real appliances report: 8 GiB.
const DefaultQuota = 8 << 30

// Options say how a queue is opened. Only Dir is required.
type Options struct {
	Dir    string       // no other queue may use it at the same time
	Quota  int64        // bytes of queued and incoming messages; 0 means DefaultQuota
	FS     FS           // nil means the machine's
	Logger *slog.Logger // for damage and failures of the disk; nil discards them

	// SegmentSize is after how many bytes the next segment begins: 0 means 64 MiB. At most 1 GiB.
	SegmentSize int64
}

// A Queue is a durable queue of messages. Its methods are safe for concurrent use.
type Queue struct {
	dir     *directory
	log     *slog.Logger
	quota   int64
	ids     *counters
	used    atomic.Int64 // bytes of the quota, by messages and what is being received
	buffers sync.Pool    // of *[]byte: bodies of Incoming
	writer  *writer
	done    chan struct{} // closed when the writer has ended

	mu       sync.Mutex
	wake     sync.Cond // a request has been queued, or the queue was closed
	closed   bool
	closeErr error
	requests []*request
	messages map[uint64]*message
	incoming map[uint64]bool // being received
	segments []*segment      // oldest first
	stats    Stats           // without the bytes
}

// A segment is one file of the log.
type segment struct {
	number  uint64
	end     int64 // the valid and durable part, as far as the writer knows
	live    int   // messages whose newest record is here
	bytes   int64 // of those records
	damaged bool  // it cannot be compacted
	file    *sharedFile
}

// Stats are figures about the queue.
type Stats struct {
	Messages    int
	InWorkQueue int // messages of that stage
	Recipients  int // unfinished
	Unattempted int // recipients without an attempt
	Attempted   int // other recipients
	BytesUsed   int64
	BytesFree   int64 // of the quota
}

// Open opens the queue in a directory and recovers the messages that the directory holds. If it is
// missing, the first write creates it. Damaged files cost the messages that cannot be read, which
// is logged, but no error.
func Open(opts Options) (*Queue, error) {
	if opts.FS == nil {
		opts.FS = diskFS{}
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Quota == 0 {
		opts.Quota = DefaultQuota
	}
	if opts.SegmentSize <= 0 || opts.SegmentSize > 1<<30 {
		opts.SegmentSize = 64 << 20
	}
	dir := &directory{fs: opts.FS, path: opts.Dir}
	q := &Queue{
		dir: dir, log: opts.Logger, quota: opts.Quota,
		ids:      &counters{dir: dir, log: opts.Logger},
		done:     make(chan struct{}),
		messages: map[uint64]*message{}, incoming: map[uint64]bool{},
	}
	q.wake.L = &q.mu
	q.writer = &writer{q: q, segmentSize: opts.SegmentSize}
	if err := q.recover(); err != nil {
		return nil, fmt.Errorf("open the mail queue: %w", err)
	}
	go q.writer.run()
	return q, nil
}

// Close waits for the writes that have begun, and closes the files. Bodies that are open can still
// be read. Messages that are being received must be aborted by their owners.
func (q *Queue) Close() error {
	q.mu.Lock()
	q.closed = true
	q.wake.Broadcast()
	q.mu.Unlock()
	<-q.done
	return q.closeErr
}

// NextICID returns a new identifier of an incoming connection. Identifiers are never handed out
// twice and count up from 1. A crash skips at most 1,000. The call waits for the disk once in
// 1,000 identifiers of a kind. If the disk fails, the call logs that and returns identifiers
// nevertheless.
func (q *Queue) NextICID() uint64 { return q.ids.next(icidCounter) }

// NextMID returns a new identifier of a message, as NextICID does.
func (q *Queue) NextMID() uint64 { return q.ids.next(midCounter) }

// NextDCID returns a new identifier of an outgoing connection, as NextICID does.
func (q *Queue) NextDCID() uint64 { return q.ids.next(dcidCounter) }

// LastIDs returns the latest identifiers that were handed out; 0 if there was none.
func (q *Queue) LastIDs() (mid, icid, dcid uint64) { return q.ids.last() }

// reserve takes n bytes of the quota and reports whether they are there.
func (q *Queue) reserve(n int64) bool {
	if q.used.Add(n) <= q.quota {
		return true
	}
	q.used.Add(-n)
	return false
}

// Update changes the recipients of a message, or its stage. Either all changes are made or, after
// an error, none: ErrNoMessage, ErrNoRecipient, ErrDiskFull and others. Update blocks until the
// changes are durable (see StageDone for the one exception). If ctx ends before the update's turn
// to be written, Update returns ctx's cause.
func (q *Queue) Update(ctx context.Context, mid uint64, changes ...Change) (Result, error) {
	if len(changes) == 0 {
		return Result{}, errNoChanges
	}
	lazy := true
	for i := range changes {
		lazy = lazy && changes[i].Kind == KindStageDone
	}
	r := &request{kind: kindUpdate, mid: mid, changes: changes, lazy: lazy,
		head: appendUpdate(nil, mid, changes)}
	if err := q.submit(ctx, r); err != nil {
		return Result{}, err
	}
	return r.result, nil
}

// Message returns the envelope of a message.
func (q *Queue) Message(mid uint64) (Envelope, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	m := q.messages[mid]
	if m == nil {
		return Envelope{}, false
	}
	return m.envelope(), true
}

// MIDs returns the numbers of the messages in the queue, in order.
func (q *Queue) MIDs() []uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Sorted(maps.Keys(q.messages))
}

// Each calls f for the messages in the order of their MID until f returns false. Each holds no
// lock during the calls. Messages that are committed meanwhile are left out. f must not keep the
// envelope's address.
func (q *Queue) Each(f func(*Envelope) bool) {
	for _, mid := range q.MIDs() {
		if env, ok := q.Message(mid); ok && !f(&env) {
			return
		}
	}
}

// Body opens the body of a message for reading. The reader is not safe for concurrent use. It
// stays valid until it is closed, even if the message is finished meanwhile, and keeps the disk
// space of the message occupied until then.
func (q *Queue) Body(mid uint64) (io.ReadSeekCloser, error) {
	q.mu.Lock()
	m := q.messages[mid]
	if m == nil {
		q.mu.Unlock()
		return nil, ErrNoMessage
	}
	shared, off, size := m.large, int64(0), m.size
	if shared == nil {
		shared, off = m.seg.file, int64(m.off)+recordHeaderSize+int64(m.headLen)
	}
	shared.pin()
	q.mu.Unlock()
	f, err := shared.open()
	if err != nil {
		return nil, errors.Join(diskError("open a body", err), shared.unpin())
	}
	return &body{SectionReader: io.NewSectionReader(f, off, size), file: shared}, nil
}

// Stats returns the present figures.
func (q *Queue) Stats() Stats {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.stats
	s.Messages, s.Attempted = len(q.messages), s.Recipients-s.Unattempted
	s.BytesUsed = max(q.used.Load(), 0)
	s.BytesFree = max(q.quota-s.BytesUsed, 0)
	return s
}

// count adds a message's recipients to the figures, or with sign -1 takes them off. The caller
// holds mu, or has the only reference to q.
func (q *Queue) count(m *message, sign int) {
	if m.stage == WorkQueue {
		q.stats.InWorkQueue += sign
	}
	q.stats.Recipients += sign * int(m.unfinished)
	for i := range m.recipients {
		if m.recipients[i].attempts == 0 {
			q.stats.Unattempted += sign
		}
	}
}

// diskError wraps an error of the file system.
func diskError(doing string, err error) error {
	if isFull(err) {
		return fmt.Errorf("queue: %s: %w: %w", doing, ErrDiskFull, err)
	}
	return fmt.Errorf("queue: %s: %w", doing, err)
}
