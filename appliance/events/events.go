package events

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/esasim/esasim/appliance/clock"
)

// Fields are the data of an event. Their type belongs to the publisher and is a struct, which
// package encoding/json can encode.
type Fields interface {
	// Kind returns the kind of event, such as "smtp.in.opened". It is the same for all values of
	// a type.
	Kind() string
}

// An Event is one thing that happened. It must not be changed.
type Event struct {
	Seq       uint64     // 1, 2, 3, ... in a stream
	Wall      time.Time  // by the appliance's clock
	Monotonic clock.Mark // by the same clock
	Cause     uint64     // Seq of the event that this one follows from; 0: none
	Fields    Fields
}

// A Stream hands events to its subscribers in the order of their numbers. It is safe for
// concurrent use.
type Stream struct {
	clock clock.Clock
	// heard is len(subscribers) > 0. Publish reads it without the lock.
	heard atomic.Bool
	last  atomic.Uint64

	mu          sync.Mutex
	subscribers []*func(Event)
}

// NewStream returns a stream without subscribers whose events are stamped by c.
func NewStream(c clock.Clock) *Stream { return &Stream{clock: c} }

// Publish tells the subscribers that something happened, and returns the event's number. cause is
// the number of the event that this one follows from, 0 if there is none. Publish returns when all
// subscribers have seen the event. Without subscribers it does not allocate.
func Publish[F Fields](s *Stream, cause uint64, fields F) (seq uint64) {
	if !s.heard.Load() {
		return s.last.Add(1)
	}
	return s.publish(cause, fields)
}

func (s *Stream) publish(cause uint64, fields Fields) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := Event{
		Seq: s.last.Add(1), Wall: s.clock.Now(), Monotonic: s.clock.Mark(),
		Cause: cause, Fields: fields,
	}
	for _, f := range s.subscribers {
		(*f)(e)
	}
	return e.Seq
}

// Subscribe has f called with every event from now on, one at a time and in the order of their
// numbers. f must not block and must not publish. The caller must call cancel; f is not called
// after cancel has returned. f must not call cancel.
func (s *Stream) Subscribe(f func(Event)) (cancel func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subscribers = append(slices.Clone(s.subscribers), &f)
	s.heard.Store(true)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.subscribers = slices.DeleteFunc(slices.Clone(s.subscribers),
			func(other *func(Event)) bool { return other == &f })
		s.heard.Store(len(s.subscribers) > 0)
	}
}
