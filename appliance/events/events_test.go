package events

import (
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
