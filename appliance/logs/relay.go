package logs

import (
	"fmt"
	"time"
)

// A relay keeps, in order, what is to be pushed by a Pusher that is not open yet: the one
// before it is given time to send what it has, and both have one queue on disk.
type relay struct {
	limit   int // bytes that are kept
	size    int
	kept    []message
	dropped int // messages after those, for which there was no room
	last    time.Time
}

// A message is what a Pusher is given.
type message struct {
	at          time.Time
	level, text string
}

func (r *relay) push(m message) {
	r.last = m.at
	if r.dropped > 0 || r.size+len(m.text) > r.limit {
		r.dropped++
		return
	}
	r.kept = append(r.kept, m)
	r.size += len(m.text)
}

// pour hands over what was kept, and tells what was not.
func (r *relay) pour(to Pusher) {
	for _, m := range r.kept {
		to.Push(m.at, m.level, m.text)
	}
	if r.dropped > 0 {
		to.Push(r.last, Warning.String(), fmt.Sprintf("%d messages were dropped: the buffer was full.", r.dropped))
	}
}
