package logs

import (
	"fmt"
	"time"
)

// A backlog keeps, in order, the lines that are to be pushed by a Pusher that is not open yet.
// It is not open because the one before it, which has the same queue on disk, is still being
// closed.
type backlog struct {
	limit    int // of size
	size     int // bytes of the texts in lines
	lines    []pushedLine
	dropped  int // how many lines after these did not fit
	lastTime time.Time
}

// A pushedLine is one call of Pusher.Push.
type pushedLine struct {
	at          time.Time
	level, text string
}

func (b *backlog) add(l pushedLine) {
	b.lastTime = l.at
	if b.dropped > 0 || b.size+len(l.text) > b.limit {
		b.dropped++
		return
	}
	b.lines = append(b.lines, l)
	b.size += len(l.text)
}

// replay pushes the lines that were kept, and then one that says how many were not.
func (b *backlog) replay(to Pusher) {
	for _, l := range b.lines {
		to.Push(l.at, l.level, l.text)
	}
	if b.dropped > 0 {
		to.Push(b.lastTime, Warning.String(),
			fmt.Sprintf("%d messages were dropped: the buffer was full.", b.dropped))
	}
}
