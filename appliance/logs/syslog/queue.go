package syslog

import (
	"errors"
	"sync"
	"sync/atomic"
)

// batchSize is how much is sent at once and, as the next batch waits until the last one
// has been acknowledged, how much is under way at most.
const batchSize = 256 << 10

// chunkSize is the unit of memory of a fifo.
const chunkSize = 64 << 10

// A fifo is a queue of records in memory. Records do not cross chunks.
type fifo struct {
	chunks  [][]byte
	offset  int // in the first chunk
	size    int64
	records int
}

func (f *fifo) append(b []byte) {
	n := len(f.chunks)
	if n == 0 || len(f.chunks[n-1])+len(b) > cap(f.chunks[n-1]) {
		f.chunks = append(f.chunks, make([]byte, 0, max(chunkSize, len(b))))
		n++
	}
	f.chunks[n-1] = append(f.chunks[n-1], b...)
	f.size += int64(len(b))
	f.records += count(b)
}

// read copies whole records from the beginning to b.
func (f *fifo) read(b []byte) []byte {
	n, from := 0, f.offset
	for _, c := range f.chunks {
		k := copy(b[n:], c[from:])
		if k < len(c)-from {
			return b[:whole(b[:n+k])]
		}
		n, from = n+k, 0
	}
	return b[:n]
}

// drop removes n bytes, which are whole records, from the beginning.
func (f *fifo) drop(n, records int) {
	f.size -= int64(n)
	f.records -= records
	f.offset += n
	for len(f.chunks) > 0 && f.offset >= len(f.chunks[0]) {
		f.offset -= len(f.chunks[0])
		f.chunks[0] = nil
		f.chunks = f.chunks[1:]
	}
	if len(f.chunks) == 0 {
		f.chunks = nil
	}
}

// A queue is what waits to be sent: records in memory and, with a buffer on disk, older
// ones there. Only put is for any number of goroutines at once; store is the keeper's,
// take and done are the sender's, and keep is for when both have ended.
type queue struct {
	memory, limit int64 // bounds of what is in memory, and of all

	disk   sync.Mutex // held while the disk works; taken before mu
	spool  *spool     // nil: memory only
	failed bool       // the last attempt to write to the disk did
	stored atomic.Int64
	batch  [batchSize]byte

	mu    sync.Mutex // held for no call that can block
	fresh fifo
}

// waiting is how much there is.
func (q *queue) waiting() (bytes int64, records int) {
	q.disk.Lock()
	defer q.disk.Unlock()
	q.mu.Lock()
	defer q.mu.Unlock()
	bytes, records = q.fresh.size, q.fresh.records
	if q.spool != nil {
		bytes, records = bytes+q.spool.size, records+q.spool.records
	}
	return bytes, records
}

// room reports whether n bytes more may wait. It is called with mu held.
func (q *queue) room(n int64) bool {
	return q.fresh.size+n <= q.memory && q.fresh.size+q.stored.Load()+n <= q.limit
}

// store brings what is in memory to the disk. It reports whether there was anything. What
// the sender has taken comes along: it is the oldest there is, on disk as in memory.
func (q *queue) store(scratch []byte) (bool, error) {
	q.disk.Lock()
	defer q.disk.Unlock()
	q.mu.Lock()
	b := q.fresh.read(scratch)
	q.mu.Unlock()
	if len(b) == 0 {
		return false, nil
	}
	err := q.spool.append(b)
	q.failed = err != nil
	if err != nil {
		return false, err
	}
	q.mu.Lock()
	q.fresh.drop(len(b), count(b))
	q.mu.Unlock()
	q.stored.Store(q.spool.size)
	return true, nil
}

// take returns the oldest records, a batch at most. They stay in the queue until done,
// and are valid until the next take.
func (q *queue) take() ([]byte, error) {
	q.disk.Lock()
	defer q.disk.Unlock()
	if q.spool != nil && q.spool.size > 0 {
		return q.spool.read(q.batch[:])
	}
	if q.spool != nil && !q.failed {
		return nil, nil // the keeper will bring what there is
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.fresh.read(q.batch[:]), nil
}

// done removes the first n bytes of what was taken.
func (q *queue) done(n, records int) error {
	q.disk.Lock()
	defer q.disk.Unlock()
	if q.spool == nil || q.spool.size == 0 {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.fresh.drop(n, records)
		return nil
	}
	if n == 0 {
		return nil
	}
	err := q.spool.advance(n, records)
	q.stored.Store(q.spool.size)
	return err
}

// errNoBuffer says why what is in memory is not kept.
var errNoBuffer = errors.New("there is no buffer on disk")

// keep brings all that is in memory to the disk.
func (q *queue) keep() error {
	if _, records := q.unkept(); records == 0 {
		return nil
	}
	if q.spool == nil {
		return errNoBuffer
	}
	scratch := make([]byte, batchSize)
	for {
		if stored, err := q.store(scratch); err != nil || !stored {
			return err
		}
	}
}

// unkept is how much is in memory only.
func (q *queue) unkept() (bytes int64, records int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.fresh.size, q.fresh.records
}

// close lets go of the disk.
func (q *queue) close() error {
	q.disk.Lock()
	defer q.disk.Unlock()
	if q.spool == nil {
		return nil
	}
	return q.spool.close()
}
