package syslog

import (
	"errors"
	"sync"
	"sync/atomic"
)

// batchSize is how many bytes are sent at once. It also bounds the bytes in flight, as a batch
// waits until the one before it has been acknowledged.
const batchSize = 256 << 10

// chunkSize is the size of the buffers of a memoryQueue.
const chunkSize = 64 << 10

// A memoryQueue is a queue of records in memory. Each record is in one chunk.
type memoryQueue struct {
	chunks  [][]byte
	offset  int // in the first chunk
	size    int64
	records int
}

func (f *memoryQueue) append(b []byte) {
	n := len(f.chunks)
	if n == 0 || len(f.chunks[n-1])+len(b) > cap(f.chunks[n-1]) {
		f.chunks = append(f.chunks, make([]byte, 0, max(chunkSize, len(b))))
		n++
	}
	f.chunks[n-1] = append(f.chunks[n-1], b...)
	f.size += int64(len(b))
	f.records += countRecords(b)
}

// read copies whole records from the beginning of the queue to b.
func (f *memoryQueue) read(b []byte) []byte {
	n, from := 0, f.offset
	for _, c := range f.chunks {
		k := copy(b[n:], c[from:])
		if k < len(c)-from {
			return b[:wholeRecords(b[:n+k])]
		}
		n, from = n+k, 0
	}
	return b[:n]
}

// drop removes n bytes, which must be whole records, from the beginning of the queue.
func (f *memoryQueue) drop(n, records int) {
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

// A queue holds the records that wait: records in memory and, with a buffer on disk, older ones
// in the spool. inMemory may be appended to by any goroutine that holds mu. spoolBatch is for
// the spooler, peek and remove are for the sender, and spoolAll is for a caller that has waited
// for both to exit.
type queue struct {
	memoryLimit, limit int64 // bytes in memory, and bytes in all

	disk         sync.Mutex   // held during disk operations; taken before mu
	spool        *spool       // nil: no buffer on disk
	spoolFailed  bool         // the last attempt to write to the spool failed
	spooledBytes atomic.Int64 // in the spool
	batch        [batchSize]byte

	mu       sync.Mutex // not held during calls that can block
	inMemory memoryQueue
}

// waiting returns how much is in the queue.
func (q *queue) waiting() (bytes int64, records int) {
	q.disk.Lock()
	defer q.disk.Unlock()
	q.mu.Lock()
	defer q.mu.Unlock()
	bytes, records = q.inMemory.size, q.inMemory.records
	if q.spool != nil {
		bytes, records = bytes+q.spool.size, records+q.spool.records
	}
	return bytes, records
}

// hasRoom reports whether n more bytes fit. mu must be held.
func (q *queue) hasRoom(n int64) bool {
	return q.inMemory.size+n <= q.memoryLimit && q.inMemory.size+q.spooledBytes.Load()+n <= q.limit
}

// spoolBatch moves a batch from memory to the spool, and reports whether there was anything to
// move. Records that the sender has peeked at in memory are moved too: they stay the oldest in
// the queue.
func (q *queue) spoolBatch(scratch []byte) (bool, error) {
	q.disk.Lock()
	defer q.disk.Unlock()
	q.mu.Lock()
	b := q.inMemory.read(scratch)
	q.mu.Unlock()
	if len(b) == 0 {
		return false, nil
	}
	err := q.spool.append(b)
	q.spoolFailed = err != nil
	if err != nil {
		return false, err
	}
	q.mu.Lock()
	q.inMemory.drop(len(b), countRecords(b))
	q.mu.Unlock()
	q.spooledBytes.Store(q.spool.size)
	return true, nil
}

// peek returns the oldest records, a batch at most. They stay in the queue until remove is
// called, and are valid until the next call of peek.
func (q *queue) peek() ([]byte, error) {
	q.disk.Lock()
	defer q.disk.Unlock()
	if q.spool != nil && q.spool.size > 0 {
		return q.spool.read(q.batch[:])
	}
	if q.spool != nil && !q.spoolFailed {
		return nil, nil // the spooler moves what is in memory to the spool first
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.inMemory.read(q.batch[:]), nil
}

// remove removes the first n bytes, which must be whole records that peek has returned.
func (q *queue) remove(n, records int) error {
	q.disk.Lock()
	defer q.disk.Unlock()
	if q.spool == nil || q.spool.size == 0 {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.inMemory.drop(n, records)
		return nil
	}
	if n == 0 {
		return nil
	}
	err := q.spool.advance(n, records)
	q.spooledBytes.Store(q.spool.size)
	return err
}

// errNoSpool is the reason why records in memory cannot be kept.
var errNoSpool = errors.New("there is no buffer on disk")

// spoolAll moves all records in memory to the spool.
func (q *queue) spoolAll() error {
	if _, records := q.memoryOnly(); records == 0 {
		return nil
	}
	if q.spool == nil {
		return errNoSpool
	}
	scratch := make([]byte, batchSize)
	for {
		if stored, err := q.spoolBatch(scratch); err != nil || !stored {
			return err
		}
	}
}

// memoryOnly returns how much is in memory only.
func (q *queue) memoryOnly() (bytes int64, records int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.inMemory.size, q.inMemory.records
}

// close closes the spool.
func (q *queue) close() error {
	q.disk.Lock()
	defer q.disk.Unlock()
	if q.spool == nil {
		return nil
	}
	return q.spool.close()
}
