package events

import (
	"context"
	"fmt"
	"iter"
)

// DefaultKept is the number of past events that a stream keeps for its readers, unless its owner
// wants another one.
const DefaultKept = 16384

// A ring holds the last events. The zero ring holds none.
type ring struct {
	limit   int
	events  []Event // used as a ring once it has limit events
	next    int     // the index of the oldest event once the ring is full
	dropped uint64  // Seq of the last event that is no longer held, or was never
	wake    chan struct{}
}

func (r *ring) add(e Event) {
	if r.limit == 0 {
		return
	}
	if len(r.events) < r.limit {
		r.events = append(r.events, e)
	} else {
		r.dropped = r.events[r.next].Seq
		r.events[r.next] = e
		r.next = (r.next + 1) % r.limit
	}
	if r.wake != nil {
		close(r.wake)
		r.wake = nil
	}
}

// maxBatch is the number of events that a reader takes at a time.
const maxBatch = 256

// after appends to batch up to maxBatch of the events after a number.
func (r *ring) after(seq uint64, batch []Event) []Event {
	n := len(r.events)
	low, high := 0, n // binary search: numbers rise from the oldest to the newest
	for low < high {
		mid := (low + high) / 2
		if r.events[(r.next+mid)%n].Seq > seq {
			high = mid
		} else {
			low = mid + 1
		}
	}
	for i := low; i < n && len(batch) < maxBatch; i++ {
		batch = append(batch, r.events[(r.next+i)%n])
	}
	return batch
}

// Keep makes the stream keep the last n events from now on, for readers. It keeps no fewer than it
// has been told before.
func (s *Stream) Keep(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n <= s.ring.limit {
		return
	}
	if s.ring.limit == 0 {
		s.ring.dropped = s.last.Load()
	}
	kept := make([]Event, 0, len(s.ring.events))
	for i := range s.ring.events {
		kept = append(kept, s.ring.events[(s.ring.next+i)%len(s.ring.events)])
	}
	s.ring.events, s.ring.next, s.ring.limit = kept, 0, n
	s.listen()
}

// A GoneError says that events after a cursor are no longer kept.
type GoneError struct {
	After  uint64 `json:"after"`  // the cursor
	Oldest uint64 `json:"oldest"` // the least cursor after which all events are kept
}

func (e *GoneError) Error() string {
	return fmt.Sprintf("the events after %d are no longer kept: expected a cursor of %d or more",
		e.After, e.Oldest)
}

// Oldest returns the least cursor after which all events are kept.
func (s *Stream) Oldest() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.oldest()
}

func (s *Stream) oldest() uint64 {
	if s.ring.limit == 0 {
		return s.last.Load()
	}
	return s.ring.dropped
}

// After returns kept events after a cursor, at most a few hundred and without blocking. Cursor 0
// stands for the oldest event that is kept. The error is a *GoneError.
func (s *Stream) After(cursor uint64) ([]Event, error) {
	events, _, err := s.take(cursor, nil, false)
	return events, err
}

// take appends to batch the next events after a cursor. If there are none and wait is set, wake is
// a channel that is closed when there are.
func (s *Stream) take(cursor uint64, batch []Event, wait bool) (
	events []Event, wake chan struct{}, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if oldest := s.oldest(); cursor == 0 {
		cursor = oldest
	} else if cursor < oldest {
		return nil, nil, &GoneError{cursor, oldest}
	}
	if events = s.ring.after(cursor, batch); len(events) > 0 || !wait {
		return events, nil, nil
	}
	if s.ring.wake == nil {
		s.ring.wake = make(chan struct{})
	}
	return nil, s.ring.wake, nil
}

// Read yields the events after a cursor, and then each new one, until ctx ends. If the reader is so
// slow that events are dropped before it has seen them, or if events after the cursor are dropped
// already, the last thing that it yields is a *GoneError. Cursor 0 stands for the oldest event that
// is kept. Publishers never wait for readers.
func (s *Stream) Read(ctx context.Context, cursor uint64) iter.Seq2[Event, error] {
	s.Keep(DefaultKept)
	return func(yield func(Event, error) bool) {
		var batch []Event
		for ctx.Err() == nil {
			events, wake, err := s.take(cursor, batch[:0], true)
			if err != nil {
				yield(Event{}, err)
				return
			}
			if wake != nil {
				select {
				case <-wake:
				case <-ctx.Done():
				}
				continue
			}
			for _, e := range events {
				if !yield(e, nil) {
					return
				}
				cursor = e.Seq
			}
			batch = events
		}
	}
}
