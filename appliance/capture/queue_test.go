package capture

import (
	"testing"

	"github.com/esasim/esasim/appliance/clock"
)

func TestDroppedFramesAreCounted(t *testing.T) {
	q := newQueue(clock.System())
	defer q.close()
	frame := make([]byte, 1500)
	const fit = maxChunks * (chunkSize / (recordHeaderLen + 1500))
	for range fit + 10 {
		q.push(frame, len(frame)) // without take
	}
	if q.droppedFrames() != 10 {
		t.Errorf("%d frames were dropped, want 10", q.droppedFrames())
	}
	waiting := 0
	for _, c := range q.take() {
		n, records := wholeRecords(c, chunkSize)
		if n != len(c) {
			t.Fatalf("a chunk of %d bytes ends within a record", len(c))
		}
		waiting += records
	}
	if waiting != fit {
		t.Errorf("%d frames waited, want %d", waiting, fit)
	}
}

func TestLongestFrameFitsIntoAChunk(t *testing.T) {
	q := newQueue(clock.System())
	defer q.close()
	q.push(make([]byte, 10), 10)
	q.push(make([]byte, snapLen+1), snapLen+1)
	chunks := q.take()
	if len(chunks) != 2 || len(chunks[1]) != chunkSize {
		t.Errorf("%d chunks", len(chunks))
	}
}

func TestPushDoesNotAllocate(t *testing.T) {
	q := newQueue(clock.System())
	defer q.close()
	frame := make([]byte, 64)
	round := func() {
		for range 100 {
			q.push(frame, len(frame))
		}
		q.recycle(q.take())
	}
	round()
	// One timer and one list of chunks a round.
	if n := testing.AllocsPerRun(100, round); n > 6 {
		t.Errorf("%v allocations for 100 frames", n)
	}
}
