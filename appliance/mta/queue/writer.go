package queue

import (
	"context"
	"errors"
	"slices"
)

// batchBytes bounds how much is written at once: a batch ends with the request that exceeds it.
const batchBytes = 4 << 20

// A request asks the writer to append one record.
type request struct {
	kind    byte
	msg     *message // nil for an update
	head    []byte
	body    []byte
	mid     uint64 // the message that is changed; 0 if there is none
	changes []Change
	lazy    bool // need not be synced

	off    int64 // of the record in the segment
	result Result
	drop   *sharedFile // to be removed by the requesting goroutine: that may take milliseconds
	done   chan error  // receives the outcome
}

// submit queues a request and waits for it.
func (q *Queue) submit(ctx context.Context, r *request) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	r.done = make(chan error, 1)
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return ErrClosed
	}
	q.requests = append(q.requests, r)
	q.wake.Broadcast()
	q.mu.Unlock()
	var err error
	select {
	case err = <-r.done:
	case <-ctx.Done():
		if q.withdraw(r) {
			return context.Cause(ctx)
		}
		err = <-r.done // the writer has it, which does not take long
	}
	if r.drop != nil {
		q.remove(r.drop)
	}
	return err
}

// withdraw takes a request back that the writer has not begun.
func (q *Queue) withdraw(r *request) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.requests, r)
	if i < 0 {
		return false
	}
	q.requests = slices.Delete(q.requests, i, i+1)
	return true
}

// remove removes a file that is no longer needed.
func (q *Queue) remove(f *sharedFile) {
	if err := f.drop(); err != nil {
		q.log.Warn("queue: a file remains until the next start", "path", f.path, "err", err)
	}
}

// A writer is the goroutine that writes the log. Its fields belong to it alone.
type writer struct {
	q           *Queue
	segmentSize int64

	next    uint64 // number of the next segment
	prev    uint64 // number of the segment before the current or next one; 0 if there is none
	prevEnd int64  // its valid part

	seg    *segment // the current one; nil if the next record begins one
	file   File     // of seg
	size   int64    // of seg
	synced int64    // how much of seg is durable

	buf     []byte // the batch
	compact compaction
	failing bool // the latest batch failed, which has been logged
}

func (w *writer) run() {
	defer close(w.q.done)
	for {
		reqs, ok := w.take()
		if !ok {
			w.q.closeErr = w.close()
			w.q.ids.close()
			return
		}
		w.process(reqs)
	}
}

// take waits for requests, or for a reason to compact, and returns the next batch. Requests that
// cannot be fulfilled are answered. ok is false after the end.
func (w *writer) take() (batch []*request, ok bool) {
	q := w.q
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.requests) == 0 && !w.compactionDue() {
		if q.closed {
			return nil, false
		}
		q.wake.Wait()
	}
	if q.closed && len(q.requests) == 0 {
		return nil, false
	}
	// A request is checked against the applied state. So it waits for the next batch if this one
	// has a request for the same recipient, or if an earlier one waits for that reason.
	type key struct {
		mid uint64
		rid int
	}
	const whole = -1 // the RID for the message as a whole
	touched := map[key]bool{}
	var wait []*request
	bytes := 0
	for i, r := range q.requests {
		if bytes > batchBytes {
			wait = append(wait, q.requests[i:]...)
			break
		}
		conflict := false
		keys := make([]key, 0, 4)
		for i := range r.changes {
			k := key{r.mid, r.changes[i].RID}
			if r.changes[i].Kind == KindStageDone {
				k.rid = whole
			}
			conflict = conflict || touched[k]
			keys = append(keys, k)
		}
		for _, k := range keys {
			touched[k] = true
		}
		if conflict {
			wait = append(wait, r)
			continue
		}
		if err := q.check(r); err != nil {
			r.done <- err
			continue
		}
		bytes += recordHeaderSize + len(r.head) + len(r.body)
		batch = append(batch, r)
	}
	q.requests = wait
	return batch, true
}

// check returns an error if the changes of a request cannot be made. The caller holds mu.
func (q *Queue) check(r *request) error {
	if r.mid == 0 {
		return nil
	}
	m := q.messages[r.mid]
	if m == nil {
		return ErrNoMessage
	}
	return m.check(r.changes)
}

// process writes a batch, together with a step of the compaction if one is due, and answers.
func (w *writer) process(batch []*request) {
	snapshots := w.snapshots()
	if len(batch)+len(snapshots) == 0 {
		return
	}
	err := w.write(snapshots, batch)
	if err != nil && len(snapshots) > 0 {
		// Compaction can wait; it continues after the next success.
		w.compact.paused = true
		w.compact.reader.off = w.compact.from
		w.report(err)
		if snapshots = nil; len(batch) > 0 {
			err = w.write(nil, batch)
		}
	} else if err == nil {
		w.compact.paused = false
	}
	if errors.Is(err, ErrDiskFull) {
		// The last space is for updates, which lead to more of it.
		var updates []*request
		for _, r := range batch {
			if r.msg == nil {
				updates = append(updates, r)
			} else {
				r.done <- err
			}
		}
		if len(updates) == len(batch) {
			updates = nil // there is nothing that could be left out
		} else {
			batch = updates
		}
		if len(updates) > 0 {
			err = w.write(nil, updates)
		}
	}
	w.report(err)
	if err != nil {
		for _, r := range batch {
			r.done <- err
		}
		return
	}
	w.apply(snapshots, batch)
}

// report logs the first of several failures, and the end of them. Every caller is told anyway.
func (w *writer) report(err error) {
	switch {
	case err != nil && !w.failing:
		w.q.log.Error("queue: the log could not be written", "err", err)
	case err == nil && w.failing:
		w.q.log.Info("queue: the log can be written again")
	}
	w.failing = err != nil
}

// write appends the records of a batch to the log and, unless all are lazy, syncs it. After an
// error none of them counts: the next batch goes to the same place or to a new segment.
func (w *writer) write(snapshots, batch []*request) error {
	lazy, large := true, false
	for _, r := range batch {
		lazy = lazy && r.lazy
		large = large || r.msg != nil && r.msg.large != nil
	}
	lazy = lazy && len(snapshots) == 0
	created, err := w.prepare()
	if err != nil {
		return err
	}
	if created || large {
		// The entries of files in the directory must be durable before the log refers to them.
		if err := w.q.dir.sync(); err != nil {
			if created {
				w.abandon()
			}
			return diskError("sync the directory", err)
		}
	}
	if cap(w.buf) > 4*batchBytes {
		w.buf = nil
	}
	w.buf = w.buf[:0]
	if w.size == 0 {
		h := segmentHeader{w.seg.number, w.prev, w.prevEnd, w.q.ids.limits()}
		w.buf = h.append(w.buf)
	}
	for _, list := range [2][]*request{snapshots, batch} {
		for _, r := range list {
			r.off = w.size + int64(len(w.buf))
			w.buf = appendRecord(w.buf, w.seg.number, r.off, r.kind, r.head, r.body)
		}
	}
	if _, err := w.file.WriteAt(w.buf, w.size); err != nil {
		if w.file.Truncate(w.size) != nil {
			w.abandon()
		}
		return diskError("write the log", err)
	}
	w.size += int64(len(w.buf))
	if lazy {
		return nil
	}
	return w.sync()
}

// sync makes the current segment durable, or abandons it: after a failed sync, the kernel may
// take pages for clean that are not on the disk, so that a later sync proves nothing.
func (w *writer) sync() error {
	if w.synced == w.size {
		return nil
	}
	if err := w.file.Sync(); err != nil {
		w.abandon()
		return diskError("sync the log", err)
	}
	w.synced = w.size
	w.setEnd()
	return nil
}

// setEnd publishes how much of the current segment is durable.
func (w *writer) setEnd() {
	w.q.mu.Lock()
	defer w.q.mu.Unlock()
	w.seg.end = w.synced
}

// prepare makes sure that there is a current segment with space in it, and reports whether it has
// created a file.
func (w *writer) prepare() (created bool, err error) {
	if w.seg != nil && w.size >= w.segmentSize {
		if err := w.sync(); err != nil {
			return false, err
		}
		w.finish()
	}
	if w.seg != nil {
		return false, nil
	}
	path := w.q.dir.join(segmentName(w.next))
	f, err := w.q.dir.create(path)
	if err != nil {
		return false, diskError("create a segment of the log", err)
	}
	w.file, w.size, w.synced = f, 0, 0
	w.seg = &segment{number: w.next, file: &sharedFile{fs: w.q.dir.fs, path: path}}
	w.next++
	w.q.mu.Lock()
	defer w.q.mu.Unlock()
	w.q.segments = append(w.q.segments, w.seg)
	return true, nil
}

// finish ends the current segment behind its durable part.
func (w *writer) finish() {
	w.file.Close() // what counts has been synced
	w.prev, w.prevEnd = w.seg.number, w.synced
	w.seg, w.file = nil, nil
}

// abandon ends the current segment after an error. If nothing in it is durable, it is removed.
func (w *writer) abandon() {
	if w.synced > 0 {
		w.finish()
		return
	}
	w.file.Close()
	w.q.mu.Lock()
	w.q.segments = slices.DeleteFunc(w.q.segments, func(s *segment) bool { return s == w.seg })
	w.q.mu.Unlock()
	w.q.remove(w.seg.file)
	w.seg, w.file = nil, nil
}

// close ends the log.
func (w *writer) close() error {
	if w.seg == nil {
		return nil
	}
	if err := w.sync(); err != nil {
		return err
	}
	w.finish()
	return nil
}

// apply changes the state in memory as the records of a batch say, and answers the requests.
func (w *writer) apply(snapshots, batch []*request) {
	q := w.q
	q.mu.Lock()
	for _, r := range snapshots {
		q.move(r.msg, w.seg, r.off, len(r.head))
	}
	for _, r := range batch {
		if r.msg != nil {
			q.insert(r.msg, w.seg, r.off, len(r.head))
		}
		if r.mid != 0 {
			r.result, r.drop = q.change(q.messages[r.mid], r.changes)
		}
	}
	unused := q.takeUnused(w.seg)
	q.mu.Unlock()
	for _, r := range batch {
		r.done <- nil
	}
	for _, s := range unused {
		q.remove(s.file)
	}
}

// insert adds a message whose record is at an offset of s. The caller holds mu, or has the only
// reference to q; this holds for the following methods too.
func (q *Queue) insert(m *message, s *segment, off int64, headLen int) {
	m.enter(s, off, headLen)
	q.messages[m.mid] = m
	q.used.Add(m.bytes())
	q.count(m, 1)
}

// move notes that a snapshot of a message has been written.
func (q *Queue) move(m *message, s *segment, off int64, headLen int) {
	q.used.Add(-m.bytes())
	m.leave()
	m.enter(s, off, headLen)
	q.used.Add(m.bytes())
}

// change applies changes to a message. It returns the message's own file if the message is
// finished and had one.
func (q *Queue) change(m *message, changes []Change) (Result, *sharedFile) {
	stage, unfinished := m.stage, m.unfinished
	for i := range changes {
		q.stats.Unattempted += m.apply(&changes[i])
	}
	q.stats.Recipients += int(m.unfinished - unfinished)
	if m.stage != stage {
		q.stats.InWorkQueue--
	}
	if m.unfinished > 0 {
		return Result{Remaining: int(m.unfinished)}, nil
	}
	q.delete(m)
	return Result{Finished: true}, m.large
}

// delete removes a message, which may have unfinished recipients.
func (q *Queue) delete(m *message) {
	delete(q.messages, m.mid)
	m.leave()
	q.used.Add(-m.bytes())
	q.count(m, -1)
}

// takeUnused removes the oldest segments from the list, as far as they have no messages. Only the
// oldest ones may go: a segment may say that a message in an older one is finished. The segment
// keep stays.
func (q *Queue) takeUnused(keep *segment) []*segment {
	n := 0
	for n < len(q.segments) && q.segments[n] != keep && q.segments[n].live == 0 {
		n++
	}
	unused := slices.Clone(q.segments[:n])
	q.segments = slices.Delete(q.segments, 0, n)
	return unused
}
