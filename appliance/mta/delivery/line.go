package delivery

import (
	"container/heap"
	"slices"
	"time"

	"github.com/esasim/esasim/appliance/mta/queue"
)

// A line holds the recipients of one destination that wait: by message, ordered by the time of
// their next attempt. It is kept small, since there may be a million recipients.
type line struct {
	byTime entries
	byMID  map[uint64]*entry
	count  int // recipients
}

// An entry holds the waiting recipients of one message.
type entry struct {
	mid  uint64
	next int64 // of the first recipient that is due, in Unix nanoseconds
	recs []waiting
	at   int // index in byTime
}

// A waiting recipient is due at a time.
type waiting struct {
	next int64
	rid  int32
}

func newLine() line { return line{byMID: map[uint64]*entry{}} }

// add puts a recipient into the line.
func (l *line) add(mid uint64, rid int, next time.Time) {
	w := waiting{next: nanos(next), rid: int32(rid)}
	l.count++
	e := l.byMID[mid]
	if e == nil {
		e = &entry{mid: mid, next: w.next, recs: []waiting{w}}
		l.byMID[mid] = e
		heap.Push(&l.byTime, e)
		return
	}
	e.recs = append(e.recs, w)
	if w.next < e.next {
		e.next = w.next
		heap.Fix(&l.byTime, e.at)
	}
}

// due returns when the first recipient is due; ok is false if none waits.
func (l *line) due() (next int64, ok bool) {
	if len(l.byTime) == 0 {
		return 0, false
	}
	return l.byTime[0].next, true
}

// take removes the recipients of one message that are due at now; at most limit. rids is nil if no
// recipient is due.
func (l *line) take(now int64, limit int) (mid uint64, rids []int) {
	if next, ok := l.due(); !ok || next > now || limit < 1 {
		return 0, nil
	}
	e := l.byTime[0]
	return e.mid, l.remove(e, func(w waiting) bool {
		limit--
		return w.next <= now && limit >= 0
	})
}

// remove removes the recipients of an entry for which chosen returns true.
func (l *line) remove(e *entry, chosen func(waiting) bool) (rids []int) {
	left := e.recs[:0]
	for _, w := range e.recs {
		if chosen(w) {
			rids = append(rids, int(w.rid))
		} else {
			left = append(left, w)
		}
	}
	e.recs = left
	l.count -= len(rids)
	if len(left) == 0 {
		heap.Remove(&l.byTime, e.at)
		delete(l.byMID, e.mid)
		return sortedRIDs(rids)
	}
	e.next = left[0].next
	for _, w := range left {
		e.next = min(e.next, w.next)
	}
	heap.Fix(&l.byTime, e.at)
	return sortedRIDs(rids)
}

// has reports whether a recipient is in the line.
func (l *line) has(mid uint64, rid int) bool {
	e := l.byMID[mid]
	return e != nil && slices.ContainsFunc(e.recs, func(w waiting) bool { return int(w.rid) == rid })
}

// takeRecipient removes a recipient. It reports whether it was in the line.
func (l *line) takeRecipient(mid uint64, rid int) bool {
	e := l.byMID[mid]
	return e != nil && len(l.remove(e, func(w waiting) bool { return int(w.rid) == rid })) > 0
}

// makeAllDue makes all recipients due.
func (l *line) makeAllDue() {
	for _, e := range l.byTime {
		e.next = 0
		for i := range e.recs {
			e.recs[i].next = 0
		}
	}
	heap.Init(&l.byTime)
}

// nanos returns a time for a line. The zero time is before all others.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// entries implements heap.Interface.
type entries []*entry

func (e entries) Len() int { return len(e) }
func (e entries) Less(i, j int) bool {
	if e[i].next != e[j].next {
		return e[i].next < e[j].next
	}
	return e[i].mid < e[j].mid
}
func (e entries) Swap(i, j int) {
	e[i], e[j] = e[j], e[i]
	e[i].at, e[j].at = i, j
}
func (e *entries) Push(x any) {
	n := x.(*entry)
	n.at = len(*e)
	*e = append(*e, n)
}
func (e *entries) Pop() any {
	old := *e
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*e = old[:len(old)-1]
	return last
}

// A job is a message with those of its recipients that are tried together.
type job struct {
	env  queue.Envelope
	rids []int
}

// recipient returns the recipient with the given number.
func (j *job) recipient(rid int) queue.Recipient {
	for _, r := range j.env.Recipients {
		if r.RID == rid {
			return r
		}
	}
	return queue.Recipient{RID: rid}
}
