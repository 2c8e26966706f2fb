package pipeline

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/mta/mailevents"
	"github.com/esasim/esasim/appliance/mta/queue"
)

type fixture struct {
	*Pipeline
	t         *testing.T
	queue     *queue.Queue
	delivered chan uint64
	told      chan string
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	q, err := queue.Open(queue.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	b := &fixture{t: t, queue: q, delivered: make(chan uint64, 10), told: make(chan string, 100)}
	s := events.NewStream(clock.System())
	cancel := s.Subscribe(func(e events.Event) { b.told <- fmt.Sprintf("%+v", e.Fields) })
	b.Pipeline = New(Options{
		Queue: q, Events: s, Logger: slog.New(slog.DiscardHandler),
		Claim:   func(context.Context, uint64) (func(), bool) { return func() {}, true },
		Deliver: func(mid uint64) { b.delivered <- mid },
	})
	t.Cleanup(func() {
		if err := b.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		cancel()
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func (b *fixture) submit() {
	b.t.Helper()
	in, err := b.queue.Create(b.queue.NextMID())
	if err != nil {
		b.t.Fatal(err)
	}
	env := queue.Envelope{Recipients: []queue.Recipient{{Address: "b@example.com"}}, Received: time.Now(), Outgoing: true}
	if err := in.Commit(b.t.Context(), env); err != nil {
		b.t.Fatal(err)
	}
	env.MID, _, _ = b.queue.LastIDs()
	b.Enqueue(env)
}

func (b *fixture) expectDelivered(mid uint64) {
	b.t.Helper()
	select {
	case got := <-b.delivered:
		if got != mid {
			b.t.Errorf("message %d was delivered, want %d", got, mid)
		}
	case <-time.After(30 * time.Second):
		b.t.Fatalf("message %d is not delivered", mid)
	}
}

// TestMessagesPassInOrder: each message is matched to a policy, told to be queued, and handed on.
func TestMessagesPassInOrder(t *testing.T) {
	b := newFixture(t)
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.submit()
	b.submit()
	b.expectDelivered(1)
	b.expectDelivered(2)
	for mid := uint64(1); mid <= 2; mid++ {
		for _, want := range []events.Fields{
			mailevents.PolicyMatched{MID: mid, Policy: "DEFAULT", Outgoing: true}, mailevents.MessageQueued{MID: mid},
		} {
			if got := <-b.told; got != fmt.Sprintf("%+v", want) {
				t.Errorf("the event is %s, want %+v", got, want)
			}
		}
	}
	if env, _ := b.queue.Message(1); env.Stage != queue.Delivery {
		t.Errorf("the message is in the stage %v", env.Stage)
	}
	if s := b.Status(); s != (Status{In: 2, Out: 2}) {
		t.Errorf("the status is %+v", s)
	}
}

// TestPause: while the work queue is paused, messages wait.
func TestPause(t *testing.T) {
	b := newFixture(t)
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !b.Pause() || b.Pause() {
		t.Error("Pause does not say whether it changed anything")
	}
	b.submit()
	if s := b.Status(); s != (Status{Paused: true, Waiting: 1, In: 1}) {
		t.Errorf("the status is %+v", s)
	}
	if n := len(b.delivered); n > 0 {
		t.Errorf("%d messages passed a paused work queue", n)
	}
	if !b.Resume() || b.Resume() {
		t.Error("Resume does not say whether it changed anything")
	}
	b.expectDelivered(1)
}

// TestRestart: messages that had not passed before a stop pass after the next start.
func TestRestart(t *testing.T) {
	b := newFixture(t)
	b.submit()
	if s := b.Status(); s.Waiting != 1 {
		t.Errorf("%d messages wait while the work queue is stopped, want 1", s.Waiting)
	}
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.expectDelivered(1)
	if err := b.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := b.Status(); s.Waiting != 0 {
		t.Errorf("%d messages pass again", s.Waiting)
	}
}
