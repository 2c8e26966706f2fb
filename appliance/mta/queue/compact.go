package queue

import (
	"errors"
	"io"
)

// errNoRecords means that messages of a segment have no readable record in it.
var errNoRecords = errors.New("records of messages in the queue are missing")

// compactBytes is about how much a step of the compaction copies.
const compactBytes = 1 << 20

// A compaction moves the messages of the oldest segment to the end of the log, so that the segment
// can be removed. It proceeds in steps, each of which is written with the next batch.
type compaction struct {
	seg    *segment // the oldest one; nil between segments
	reader recordReader
	from   int64 // where the latest step began to read; a step that is not written is repeated
	paused bool  // until the next successful write
}

// compactionDue reports whether the oldest segment should be compacted: less than a quarter of it
// is in use, or the log has become long for what it holds. This bounds the log to twice the size of
// its messages and two segments, and the number of its files. The caller holds mu.
func (w *writer) compactionDue() bool {
	segs := w.q.segments
	if w.compact.paused || len(segs) < 2 || segs[0].live == 0 || segs[0].damaged {
		return false
	}
	total, live := int64(0), int64(0)
	for _, s := range segs {
		total += s.end
		live += s.bytes
	}
	return segs[0].bytes < segs[0].end/4 || total > 2*live+2*w.segmentSize ||
		len(segs) > 8+int(2*live/w.segmentSize)
}

// snapshots returns requests that move some messages out of the oldest segment, or nil if no
// compaction is due.
func (w *writer) snapshots() []*request {
	w.q.mu.Lock()
	due := w.compactionDue()
	var seg *segment
	if due {
		seg = w.q.segments[0]
	}
	w.q.mu.Unlock()
	if !due {
		return nil
	}
	if w.compact.seg != seg {
		w.compact.seg = seg
		w.compact.reader = recordReader{number: seg.number, off: segmentHeaderSize, limit: seg.end}
	}
	w.compact.from = w.compact.reader.off
	seg.file.pin()
	file, err := seg.file.open()
	var list []*request
	if err == nil {
		w.compact.reader.file = file
		list, err = w.collect(seg)
	}
	if errors.Is(err, io.EOF) {
		if err = nil; len(list) == 0 {
			err = errNoRecords
		}
	}
	if err != nil {
		w.q.log.Error("queue: a segment of the log cannot be compacted", "path", seg.file.path,
			"err", err)
		w.q.mu.Lock()
		seg.damaged = true
		w.q.mu.Unlock()
	}
	if err := seg.file.unpin(); err != nil {
		w.q.log.Warn("queue: close a segment", "path", seg.file.path, "err", err)
	}
	return list
}

// collect reads on in the oldest segment. It returns io.EOF after the last record.
func (w *writer) collect(seg *segment) (list []*request, err error) {
	for bytes := 0; bytes < compactBytes; {
		rec, err := w.compact.reader.next()
		if errors.Is(err, errBroken) && rec.head != nil {
			w.q.log.Error("queue: a record is damaged", "path", seg.file.path, "err", err)
			w.compact.reader.skip(&rec)
			continue
		}
		if err != nil {
			return list, err
		}
		r, err := w.snapshot(seg, &rec)
		if err != nil {
			return list, err
		}
		if r != nil {
			bytes += len(r.head) + len(r.body)
			list = append(list, r)
		}
	}
	return list, nil
}

// snapshot returns a request that moves the message whose newest record is rec, or nil.
func (w *writer) snapshot(seg *segment, rec *record) (*request, error) {
	if rec.kind == kindUpdate {
		return nil, nil
	}
	r := &request{kind: kindSnapshot}
	w.q.mu.Lock()
	m := w.q.messages[(&decoder{b: rec.head}).uint()]
	if m != nil && m.seg == seg && int64(m.off) == rec.off {
		r.msg, r.head = m, appendMessage(nil, m)
	}
	w.q.mu.Unlock()
	if r.msg == nil || rec.bodyLen == 0 {
		if r.msg == nil {
			r = nil
		}
		return r, nil
	}
	r.body = make([]byte, rec.bodyLen)
	if _, err := w.compact.reader.file.ReadAt(r.body, rec.bodyOff()); err != nil {
		return nil, err
	}
	if checksum(r.body) != rec.bodySum {
		w.q.log.Error("queue: the body of a message is damaged", "mid", m.mid)
	}
	return r, nil
}
