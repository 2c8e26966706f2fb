package events

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/clock"
)

type opened struct{ ID int }

func (opened) Kind() string { return "test.opened" }

// TestSubscribersSeeEveryEventInOneOrder: however many goroutines publish, all subscribers see the
// same events, numbered without gaps.
func TestSubscribersSeeEveryEventInOneOrder(t *testing.T) {
	s := NewStream(clock.System())
	var first, second []Event
	defer s.Subscribe(func(e Event) { first = append(first, e) })()
	defer s.Subscribe(func(e Event) { second = append(second, e) })()
	var publishers sync.WaitGroup
	for id := range 4 {
		publishers.Go(func() {
			cause := uint64(0)
			for range 100 {
				cause = Publish(s, cause, opened{id})
			}
		})
	}
	publishers.Wait()
	if !slices.Equal(first, second) {
		t.Error("two subscribers saw different events")
	}
	last := map[Fields]uint64{}
	for i, e := range first {
		if e.Seq != uint64(i+1) {
			t.Fatalf("event %d has the number %d", i+1, e.Seq)
		}
		if e.Cause != last[e.Fields] {
			t.Fatalf("event %d of %v has the cause %d, want %d", e.Seq, e.Fields, e.Cause, last[e.Fields])
		}
		last[e.Fields] = e.Seq
	}
	if len(first) != 400 {
		t.Errorf("%d events were seen, want 400", len(first))
	}
}

// TestEventsHaveTheAppliancesTime: an event has the wall time that is set on the appliance.
func TestEventsHaveTheAppliancesTime(t *testing.T) {
	c := clock.NewOffset(clock.System())
	c.SetShift(-48 * time.Hour)
	s := NewStream(c)
	var got Event
	defer s.Subscribe(func(e Event) { got = e })()
	before := c.Mark()
	Publish(s, 0, opened{1})
	if age := time.Since(got.Wall); age < 47*time.Hour || age > 49*time.Hour {
		t.Errorf("the event is stamped %v", got.Wall)
	}
	if got.Monotonic < before {
		t.Errorf("the event's mark %v is before %v", got.Monotonic, before)
	}
}

// TestCanceledSubscriberSeesNothing: after cancel no event is seen, and the others go on.
func TestCanceledSubscriberSeesNothing(t *testing.T) {
	s := NewStream(clock.System())
	var gone, stays int
	cancel := s.Subscribe(func(Event) { gone++ })
	defer s.Subscribe(func(Event) { stays++ })()
	Publish(s, 0, opened{1})
	cancel()
	Publish(s, 0, opened{2})
	if gone != 1 || stays != 2 {
		t.Errorf("the canceled subscriber saw %d events, the other one %d; want 1 and 2", gone, stays)
	}
}

// TestPublishWithoutSubscribersDoesNotAllocate also checks that numbers go on.
func TestPublishWithoutSubscribersDoesNotAllocate(t *testing.T) {
	s := NewStream(clock.System())
	before := Publish(s, 0, opened{1})
	if n := testing.AllocsPerRun(100, func() { Publish(s, 0, opened{2}) }); n != 0 {
		t.Errorf("Publish allocates %v times", n)
	}
	if now := Publish(s, 0, opened{3}); now <= before+100 {
		t.Errorf("numbers went from %d to %d in more than 100 events", before, now)
	}
}

type other struct{ ID int }

func (other) Kind() string { return "other.thing" }

// TestTopics: a subscriber of a topic sees its events only, and those of other topics cost nothing.
func TestTopics(t *testing.T) {
	s := NewStream(clock.System())
	var kinds []string
	defer s.Subscribe(func(e Event) { kinds = append(kinds, e.Fields.Kind()) }, "test")()
	Publish(s, 0, opened{1})
	if n := testing.AllocsPerRun(100, func() { Publish(s, 0, other{2}) }); n != 0 {
		t.Errorf("Publish allocates %v times for events that nobody listens to", n)
	}
	if !slices.Equal(kinds, []string{"test.opened"}) {
		t.Errorf("the subscriber saw %q", kinds)
	}
}

// TestFollowingEvents: an event that a subscriber publishes comes after the one that it was told, for
// all subscribers, and names it as its cause.
func TestFollowingEvents(t *testing.T) {
	s := NewStream(clock.System())
	var seen [2][]Event
	defer s.Subscribe(func(e Event) {
		seen[0] = append(seen[0], e)
		if e.Fields.Kind() == "test.opened" {
			Follow(s, e.Seq, other{1})
			Follow(s, e.Seq, other{2})
		}
	})()
	defer s.Subscribe(func(e Event) { seen[1] = append(seen[1], e) })()
	Publish(s, 0, opened{1})
	Publish(s, 0, opened{2})
	if !slices.Equal(seen[0], seen[1]) || len(seen[0]) != 6 {
		t.Fatalf("the subscribers saw %v and %v", seen[0], seen[1])
	}
	for i, cause := range []uint64{0, 1, 1, 0, 4, 4} {
		if e := seen[0][i]; e.Cause != cause || e.Seq != uint64(i+1) {
			t.Errorf("event %d is %+v, want the cause %d", i+1, e, cause)
		}
	}
}

// TestPublishBySubscriber: a subscriber that calls Publish, as it does not know better, publishes an
// event that follows.
func TestPublishBySubscriber(t *testing.T) {
	s := NewStream(clock.System())
	var seen []Event
	defer s.Subscribe(func(e Event) {
		if e.Fields.Kind() == "test.opened" {
			Publish(s, e.Seq, other{1})
		}
	})()
	defer s.Subscribe(func(e Event) { seen = append(seen, e) })()
	var publishers sync.WaitGroup
	for range 4 {
		publishers.Go(func() {
			for range 100 {
				Publish(s, 0, opened{1})
			}
		})
	}
	publishers.Wait()
	if len(seen) != 800 {
		t.Fatalf("%d events, want 800", len(seen))
	}
	for i, e := range seen {
		if i%2 == 1 && (e.Fields.Kind() != "other.thing" || e.Cause != uint64(i)) {
			t.Fatalf("event %d is %+v", i+1, e)
		}
	}
}

// TestFollowOutside: Follow is for subscribers only.
func TestFollowOutside(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("Follow did not panic")
		}
	}()
	Follow(NewStream(clock.System()), 0, opened{1})
}

// TestReadersSeeEveryEvent: readers that begin at a cursor see what was kept, and then what is
// published, without gaps.
func TestReadersSeeEveryEvent(t *testing.T) {
	s := NewStream(clock.System())
	s.Keep(DefaultKept)
	for range 10 {
		Publish(s, 0, opened{1})
	}
	var readers sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	for _, from := range []uint64{0, 7, 10} {
		readers.Go(func() {
			want := from
			for e, err := range s.Read(ctx, from) {
				if want++; err != nil || e.Seq != want {
					t.Errorf("after %d: event %d, %v, want %d", from, e.Seq, err, want)
					return
				}
				if want == 1010 {
					return
				}
			}
			t.Errorf("after %d: it ended at %d", from, want)
		})
	}
	for range 1000 {
		Publish(s, 0, other{2})
	}
	readers.Wait()
}

// TestOldCursors: a reader is told if events that it wants are no longer kept, at the beginning and
// if it is too slow.
func TestOldCursors(t *testing.T) {
	s := NewStream(clock.System())
	Publish(s, 0, opened{1}) // before anything is kept
	s.Keep(2 * maxBatch)
	for range 2*maxBatch + 5 {
		Publish(s, 0, opened{1})
	}
	var gone *GoneError
	if _, err := s.After(5); !errors.As(err, &gone) || gone.Oldest != 6 || s.Oldest() != 6 {
		t.Errorf("cursor 5: %v", err)
	}
	if list, err := s.After(6); err != nil || len(list) != maxBatch || list[0].Seq != 7 {
		t.Errorf("cursor 6: %d events, %v", len(list), err)
	}
	if list, err := s.After(0); err != nil || len(list) != maxBatch || list[0].Seq != 7 {
		t.Errorf("cursor 0, for the oldest: %d events, %v", len(list), err)
	}
	seen := 0
	var last error
	for _, err := range s.Read(t.Context(), 6) {
		if last = err; err != nil {
			break
		}
		if seen++; seen == 1 { // it does not read on before all that was kept is dropped
			s.ring.limit = 2 * maxBatch
			for range 4 * maxBatch {
				Publish(s, 0, opened{2})
			}
		}
	}
	if !errors.As(last, &gone) || seen != maxBatch {
		t.Errorf("a slow reader saw %d events and %v", seen, last)
	}
}

// TestReadEndsWithItsContext: a reader that waits returns when its context ends.
func TestReadEndsWithItsContext(t *testing.T) {
	s := NewStream(clock.System())
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range s.Read(ctx, 0) {
		}
	}()
	stop()
	<-done
}

type detailed struct {
	MessageID string
	ICID      uint64
	Err       error
	Tags      []struct{ BodySize int }
	Named     int `json:"other"`
	Empty     int `json:"empty,omitzero"`
	At        netip.Addr
}

func (detailed) Kind() string { return "test.detailed" }

func TestJSON(t *testing.T) {
	e := Event{
		Seq: 3, Wall: time.Date(2015, 6, 25, 8, 50, 3, 0, time.UTC), Cause: 2,
		Fields: detailed{"<a@b>", 5, errors.New("lost"), []struct{ BodySize int }{{7}}, 1, 0, netip.MustParseAddr("10.0.0.1")},
	}
	got, err := json.Marshal(e)
	want := `{"seq":3,"time":"2015-06-25T08:50:03Z","kind":"test.detailed","cause":2,"fields":{"message_id":"\u003ca@b\u003e","icid":5,"err":"lost","tags":[{"body_size":7}],"other":1,"at":"10.0.0.1"}}`
	if err != nil || string(got) != want {
		t.Errorf("%s, %v\nwant %s", got, err, want)
	}
}

// TestNilStream: what is published to no stream is not told, and that is no error.
func TestNilStream(t *testing.T) {
	if seq := Publish(nil, 0, opened{1}); seq != 0 {
		t.Errorf("number %d", seq)
	}
}

// What PublishThen calls is in the order of the events, whoever publishes them.
func TestPublishThenIsInOrder(t *testing.T) {
	s := NewStream(clock.System())
	var told, done []int // guarded by the stream
	defer s.Subscribe(func(e Event) { told = append(told, e.Fields.(numbered).N) })()
	var publishers sync.WaitGroup
	for g := range 8 {
		publishers.Go(func() {
			for i := range 200 {
				n := g*1000 + i
				PublishThen(s, 0, numbered{n}, func() { done = append(done, n) })
			}
		})
	}
	publishers.Wait()
	if !slices.Equal(told, done) || len(told) != 1600 {
		t.Errorf("%d events were told, %d things done, in another order", len(told), len(done))
	}
}

// A numbered is an event with a number.
type numbered struct{ N int }

func (numbered) Kind() string { return "test.numbered" }
