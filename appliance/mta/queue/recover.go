package queue

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
)

const (
	segmentSuffix = ".seg"
	bodySuffix    = ".msg"
)

func segmentName(number uint64) string { return fmt.Sprintf("%016x%s", number, segmentSuffix) }
func bodyName(mid uint64) string       { return fmt.Sprintf("%016x%s", mid, bodySuffix) }

// parseName returns the number in the name of a segment or body.
func parseName(name, suffix string) (number uint64, ok bool) {
	digits, ok := strings.CutSuffix(name, suffix)
	if !ok || len(digits) != 16 || strings.ToLower(digits) != digits {
		return 0, false
	}
	number, err := strconv.ParseUint(digits, 16, 64)
	return number, err == nil && number > 0
}

// A recovery reads the files that an earlier process has left.
type recovery struct {
	q      *Queue
	sizes  map[uint64]int64 // of the segments, by number
	bodies map[uint64]int64 // sizes of the files of bodies, by MID
	ids    bool             // the file of the counters exists
	limits [numCounters]uint64
}

// recover restores the state from the files, and removes files that are not part of it.
func (q *Queue) recover() error {
	r := &recovery{q: q, sizes: map[uint64]int64{}, bodies: map[uint64]int64{}}
	if err := r.list(); err != nil {
		return err
	}
	chain, err := r.chain()
	if err != nil {
		return err
	}
	for _, l := range chain {
		if err := r.replay(l); err != nil {
			return fmt.Errorf("read %s: %w", l.seg.file.path, err)
		}
		q.segments = append(q.segments, l.seg)
	}
	if len(chain) > 0 {
		last := chain[len(chain)-1]
		// A process that was killed may have left records that are not durable yet.
		if err := r.sync(last.seg); err != nil {
			return err
		}
		q.writer.prev, q.writer.prevEnd = last.seg.number, last.seg.end
	}
	q.writer.next = 1
	for number := range r.sizes {
		q.writer.next = max(q.writer.next, number+1)
	}
	if err := r.counters(); err != nil {
		return err
	}
	r.cleanUp()
	return nil
}

func (r *recovery) list() error {
	files, err := r.q.dir.fs.List(r.q.dir.path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, f := range files {
		if n, ok := parseName(f.Name, segmentSuffix); ok {
			r.sizes[n] = f.Size
		} else if n, ok := parseName(f.Name, bodySuffix); ok {
			r.bodies[n] = f.Size
		}
		r.ids = r.ids || f.Name == idsName
	}
	return nil
}

// A link is a segment of the log that is to be replayed.
type link struct {
	seg    *segment
	sealed bool // seg.end is known; else it is the end of the file, and all records are checked
}

// chain returns the segments that belong to the log, oldest first: the newest one, the one that its
// header names, and so on. Other segments were abandoned, or their removal was not durable.
func (r *recovery) chain() ([]link, error) {
	numbers := make([]uint64, 0, len(r.sizes))
	for n := range r.sizes {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	var chain []link
	next := link{}
	for i, n := range slices.Backward(numbers) {
		if next.seg != nil && n != next.seg.number {
			continue
		}
		l := next
		if l.seg == nil {
			l.seg = r.segment(n, r.sizes[n])
		}
		h, ok, err := r.header(l.seg)
		switch {
		case err != nil:
			return nil, err
		case ok:
			chain = append(chain, l)
			for k := range h.limits {
				r.limits[k] = max(r.limits[k], min(h.limits[k], maxID))
			}
			next = link{seg: r.segment(h.prev, h.prevEnd), sealed: true}
		case len(chain) == 0 && !r.hasRecord(l.seg):
			// It was being created.
		default:
			// Its records can still be read, and those of the segment before it up to the first
			// that is not valid.
			r.q.log.Error("queue: the header of a segment is damaged", "path", l.seg.file.path)
			chain = append(chain, l)
			next = link{seg: r.segment(0, 0)}
			if i > 0 {
				next = link{seg: r.segment(numbers[i-1], r.sizes[numbers[i-1]])}
			}
		}
	}
	slices.Reverse(chain)
	return chain, nil
}

func (r *recovery) segment(number uint64, end int64) *segment {
	path := r.q.dir.join(segmentName(number))
	return &segment{number: number, end: end, file: &sharedFile{fs: r.q.dir.fs, path: path}}
}

// header reads the header of a segment; ok reports whether it is valid.
func (r *recovery) header(s *segment) (h segmentHeader, ok bool, err error) {
	f, err := r.q.dir.fs.Open(s.file.path)
	if err != nil {
		return h, false, err
	}
	defer f.Close()
	var b [segmentHeaderSize]byte
	if _, err := f.ReadAt(b[:], 0); err != nil && err != io.EOF {
		return h, false, err
	}
	h, ok = parseSegmentHeader(b[:], s.number)
	return h, ok, nil
}

// hasRecord reports whether a segment begins with a complete record.
func (r *recovery) hasRecord(s *segment) bool {
	f, err := r.q.dir.fs.Open(s.file.path)
	if err != nil {
		return false
	}
	defer f.Close()
	reader := recordReader{file: f, number: s.number, off: segmentHeaderSize, verify: true,
		limit: max(s.end, segmentHeaderSize)}
	_, err = reader.next()
	return err == nil
}

// replay applies the records of a segment. Records that cannot be read are logged and skipped.
func (r *recovery) replay(l link) error {
	f, err := r.q.dir.fs.Open(l.seg.file.path)
	if err != nil {
		return err
	}
	defer f.Close()
	size := r.sizes[l.seg.number]
	if l.seg.end > size {
		r.q.log.Error("queue: a segment is cut off", "path", l.seg.file.path,
			"lost", l.seg.end-size)
	}
	l.seg.end = max(min(l.seg.end, size), segmentHeaderSize)
	reader := recordReader{file: f, number: l.seg.number, off: segmentHeaderSize,
		limit: l.seg.end, verify: !l.sealed}
	for {
		rec, err := reader.next()
		switch {
		case err == nil:
			if err := r.record(l.seg, &rec); err != nil {
				r.q.log.Error("queue: a record is malformed", "path", l.seg.file.path, "err", err)
			}
			continue
		case err == io.EOF:
		case !errors.Is(err, errBroken):
			return err
		case !l.sealed:
			// The last write was cut off. Nothing behind it has been acknowledged.
			r.q.log.Warn("queue: the end of the log is incomplete", "path", l.seg.file.path,
				"err", err, "cut", l.seg.end-reader.off)
		case rec.head != nil:
			r.q.log.Error("queue: a record is damaged", "path", l.seg.file.path, "err", err)
			reader.skip(&rec)
			continue
		default:
			r.q.log.Error("queue: the rest of a segment is damaged", "path", l.seg.file.path,
				"err", err, "lost", l.seg.end-reader.off)
		}
		l.seg.end = reader.off
		return nil
	}
}

// record applies a record.
func (r *recovery) record(s *segment, rec *record) error {
	d := decoder{b: rec.head}
	switch rec.kind {
	case kindUpdate:
		return r.update(&d)
	case kindMessage, kindSnapshot:
	default:
		return fmt.Errorf("%w: kind %d", errBroken, rec.kind)
	}
	m, large, err := d.message()
	if err != nil {
		return err
	}
	r.limits[midCounter] = max(r.limits[midCounter], m.mid)
	if large { // if the file is missing, a later record says that the message is finished
		m.large = &sharedFile{fs: r.q.dir.fs, path: r.q.dir.join(bodyName(m.mid))}
	} else if m.size != rec.bodyLen {
		return fmt.Errorf("%w: message %d has a body of a wrong length", errBroken, m.mid)
	}
	if old := r.q.messages[m.mid]; old != nil {
		r.q.delete(old)
	}
	r.q.insert(m, s, rec.off, len(rec.head))
	if len(d.b) > 0 {
		return r.update(&d)
	}
	return nil
}

func (r *recovery) update(d *decoder) error {
	mid, changes, err := d.update()
	if err != nil {
		return err
	}
	if m := r.q.messages[mid]; m != nil {
		r.q.change(m, changes)
	}
	return nil
}

// sync makes a segment durable.
func (r *recovery) sync(s *segment) error {
	f, err := r.q.dir.fs.Open(s.file.path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// counters restores the counters of identifiers.
func (r *recovery) counters() error {
	c := r.q.ids
	ok := false
	if r.ids {
		var err error
		if ok, err = c.load(); err != nil {
			return fmt.Errorf("read the counters: %w", err)
		}
	}
	if !ok && len(r.sizes) > 0 { // they were used, and are lost
		r.q.log.Error("queue: the counters of identifiers are damaged; they skip many")
		for i := range c.limit {
			c.limit[i] = r.limits[i] + idGap
		}
	}
	c.limit[midCounter] = max(c.limit[midCounter], r.limits[midCounter])
	c.used = c.limit
	return nil
}

// cleanUp drops messages whose body is missing, and removes the files that are not part of the
// queue.
func (r *recovery) cleanUp() {
	q := r.q
	for mid, m := range q.messages {
		if size, ok := r.bodies[mid]; m.large != nil && (!ok || size != m.size) {
			q.log.Error("queue: a message is lost, because the file of its body is damaged",
				"mid", mid, "size", size, "want", m.size)
			q.delete(m)
		}
	}
	var unused []*sharedFile
	if n := len(q.segments); n > 0 {
		// The last one stays: its header says which older ones count, should they come back.
		q.takeUnused(q.segments[n-1])
	}
	listed := map[uint64]bool{}
	for _, s := range q.segments {
		listed[s.number] = true
	}
	for number := range r.sizes {
		if !listed[number] {
			unused = append(unused, r.segment(number, 0).file)
		}
	}
	for mid := range r.bodies {
		if m := q.messages[mid]; m == nil || m.large == nil {
			unused = append(unused, &sharedFile{fs: q.dir.fs, path: q.dir.join(bodyName(mid))})
		}
	}
	// The segments that stay are durable: a record is written only after the entries of its files
	// have been synced, and recover has synced the newest one.
	for _, f := range unused {
		q.remove(f)
	}
}
