package events

import (
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/esasim/esasim/appliance/clock"
)

// Fields are the data of an event. Their type belongs to the publisher and is a struct, which
// package encoding/json can encode.
type Fields interface {
	// Kind returns the kind of event, such as "mail.in.opened". It is the same for all values of
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

// A Stream hands events to its subscribers and readers in the order of their numbers. It is safe
// for concurrent use. A nil Stream takes events and tells nobody.
type Stream struct {
	// heard says which events anybody listens to. Publish reads it without the lock.
	heard atomic.Pointer[heard]
	last  atomic.Uint64

	mu          sync.Mutex
	clock       clock.Clock
	subscribers []*subscriber
	ring        ring
	following   []following // of the event that is being told
}

// A subscriber is a function that sees the events of some topics.
type subscriber struct {
	f      func(Event)
	topics []string // nil: all
}

// heard is what the subscribers and readers of a stream listen to. It is not changed.
type heard struct {
	all    bool
	topics []string
}

// TopicOf returns the first word of a kind: "mail" of "mail.in.opened".
func TopicOf(kind string) string {
	topic, _, _ := strings.Cut(kind, ".")
	return topic
}

// A following is an event that a subscriber has published.
type following struct {
	cause  uint64
	fields Fields
}

// NewStream returns a stream without subscribers whose events are stamped by c.
func NewStream(c clock.Clock) *Stream { return &Stream{clock: c} }

// SetClock has later events stamped by c. An appliance that boots on the stream of an earlier one
// sets its own clock.
func (s *Stream) SetClock(c clock.Clock) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock = c
}

// Publish tells the subscribers that something happened, and returns the event's number. cause is
// the number of the event that this one follows from, 0 if there is none. Publish returns when all
// subscribers have seen the event. If nobody listens to events of the kind, it does not allocate.
//
// A subscriber that is told an event should use Follow. If it calls Publish, perhaps without knowing
// it, the event follows as with Follow, the number is 0, and the call is slower.
func Publish[F Fields](s *Stream, cause uint64, fields F) (seq uint64) {
	return PublishThen(s, cause, fields, nil)
}

// PublishThen is Publish, and calls then once when the subscribers have seen the event and before
// they see another one, so that what then does is in the order of the events. If nobody listens, or a
// subscriber that is told an event is the caller, then is called at once. then must not block; what
// it publishes follows. A nil then does nothing.
func PublishThen[F Fields](s *Stream, cause uint64, fields F, then func()) (seq uint64) {
	if s == nil || !s.isHeard(fields.Kind()) {
		if s != nil {
			seq = s.last.Add(1)
		}
		if then != nil {
			then()
		}
		return seq
	}
	if !s.mu.TryLock() {
		if isTelling() {
			s.following = append(s.following, following{cause, fields})
			if then != nil {
				then()
			}
			return 0
		}
		s.mu.Lock()
	}
	defer s.mu.Unlock()
	return s.publish(cause, fields, then)
}

// isTelling reports whether the calling goroutine is telling subscribers an event.
func isTelling() bool {
	var pcs [64]uintptr
	for skip := 2; ; skip += len(pcs) {
		n := runtime.Callers(skip, pcs[:])
		for _, pc := range pcs[:n] {
			if f := runtime.FuncForPC(pc - 1); f != nil && f.Name() == tellName {
				return true
			}
		}
		if n < len(pcs) {
			return false
		}
	}
}

// tellName is the name of Stream.tell.
const tellName = "github.com/esasim/esasim/appliance/events.(*Stream).tell"

// Follow is Publish for a subscriber, which may call it while it is told an event, and at no other
// time: it panics if nobody is told one. The event follows that one; all subscribers see it when they
// have seen that one.
func Follow[F Fields](s *Stream, cause uint64, fields F) {
	if s.mu.TryLock() {
		s.mu.Unlock()
		panic("events: Follow was called by no subscriber")
	}
	if s.isHeard(fields.Kind()) {
		s.following = append(s.following, following{cause, fields})
	}
}

// Hears reports whether anybody listens to events of a kind, for a publisher that has to compute
// their fields.
func (s *Stream) Hears(kind string) bool { return s != nil && s.isHeard(kind) }

func (s *Stream) isHeard(kind string) bool {
	h := s.heard.Load()
	return h != nil && (h.all || slices.Contains(h.topics, TopicOf(kind)))
}

// publish is called with mu held.
func (s *Stream) publish(cause uint64, fields Fields, then func()) uint64 {
	seq := s.tell(cause, fields, then)
	for len(s.following) > 0 {
		next := s.following[0]
		s.following = slices.Delete(s.following, 0, 1)
		s.tell(next.cause, next.fields, nil)
	}
	return seq
}

//go:noinline
func (s *Stream) tell(cause uint64, fields Fields, then func()) uint64 {
	e := Event{
		Seq: s.last.Add(1), Wall: s.clock.Now(), Monotonic: s.clock.Mark(),
		Cause: cause, Fields: fields,
	}
	s.ring.add(e)
	topic := TopicOf(fields.Kind())
	for _, x := range s.subscribers {
		if x.topics == nil || slices.Contains(x.topics, topic) {
			x.f(e)
		}
	}
	if then != nil {
		then()
	}
	return e.Seq
}

// Subscribe has f called with every event from now on, one at a time and in the order of their
// numbers. With topics, it is called only with events whose kinds begin with one of these words.
// f must not block, and must not publish to other streams. The caller must call cancel; f is not
// called after cancel has returned. f must not call cancel.
func (s *Stream) Subscribe(f func(Event), topics ...string) (cancel func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := &subscriber{f, topics}
	s.subscribers = append(slices.Clone(s.subscribers), x)
	s.listen()
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.subscribers = slices.DeleteFunc(slices.Clone(s.subscribers),
			func(other *subscriber) bool { return other == x })
		s.listen()
	}
}

// listen computes heard. It is called with mu held.
func (s *Stream) listen() {
	h := &heard{all: s.ring.limit > 0}
	for _, x := range s.subscribers {
		h.all = h.all || x.topics == nil
		h.topics = append(h.topics, x.topics...)
	}
	if !h.all && len(h.topics) == 0 {
		h = nil
	}
	s.heard.Store(h)
}

// Last returns the number of the last event, which is the cursor for those that follow.
func (s *Stream) Last() uint64 { return s.last.Load() }
