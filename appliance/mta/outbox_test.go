package mta

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/mta/mailevents"
	"github.com/esasim/esasim/appliance/mta/queue"
)

// A sleepClock is a clock whose sleepers are woken by a receive from slept.
type sleepClock struct {
	*clock.Fake
	slept chan time.Duration
}

func (c sleepClock) Sleep(ctx context.Context, d time.Duration) error {
	select {
	case c.slept <- d:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// posts is a queue that refuses messages while it is full.
type posts struct {
	*Outbox
	clock sleepClock
	full  chan bool // is asked for each message
	taken chan OwnMessage
	told  chan events.Fields
}

func newPosts(t *testing.T) *posts {
	t.Helper()
	p := &posts{
		clock: sleepClock{clock.NewFake(time.Date(2015, 6, 25, 8, 50, 3, 0, time.UTC)), make(chan time.Duration)},
		full:  make(chan bool, 10), taken: make(chan OwnMessage, 10), told: make(chan events.Fields, 10),
	}
	s := events.NewStream(p.clock)
	t.Cleanup(s.Subscribe(func(e events.Event) { p.told <- e.Fields }))
	p.Outbox = NewOutbox(OutboxOptions{
		Submit: func(_ context.Context, m OwnMessage) (uint64, error) {
			if <-p.full {
				return 0, queue.ErrDiskFull
			}
			p.taken <- m
			return 1, nil
		},
		Events: s, Clock: p.clock, Logger: slog.New(slog.DiscardHandler),
	})
	t.Cleanup(func() { p.Stop(context.Background()) })
	return p
}

func (p *posts) post(t *testing.T, subject string) {
	t.Helper()
	m := Posted{About: "System/Critical alert", From: "alert@esa", To: "joe@example.com", Subject: subject}
	if err := p.Post(m); err != nil {
		t.Fatal(err)
	}
}

// TestAlertsWaitForRoom: a message that the queue has no room for is queued when there is room, in
// the order in which messages were posted.
func TestAlertsWaitForRoom(t *testing.T) {
	p := newPosts(t)
	p.post(t, "the queue is full") // before Start
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.full <- true
	p.post(t, "another")
	for range 3 {
		if d := <-p.clock.slept; d != postInterval {
			t.Errorf("the next attempt is after %v", d)
		}
		p.full <- true
	}
	<-p.clock.slept
	p.full <- false
	p.full <- false
	if m := <-p.taken; m.By != "internal SMTP: System/Critical alert" || m.To[0] != "joe@example.com" {
		t.Errorf("the queue gets %+v", m)
	}
	<-p.taken
	if err := p.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(p.told) > 0 {
		t.Errorf("the log has %+v", <-p.told)
	}
	if err := p.Post(Posted{}); err != ErrOutboxStopped { //nolint:errorlint // it is returned as it is
		t.Errorf("after Stop: %v", err)
	}
}

// TestAlertsWithoutRoomAreGivenUpAtTheEnd: what the queue has not taken when the appliance stops is
// told of, and what does not fit into the outbox is refused.
func TestAlertsWithoutRoomAreGivenUpAtTheEnd(t *testing.T) {
	p := newPosts(t)
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.post(t, "the queue is full")
	p.full <- true
	<-p.clock.slept
	p.full <- true
	if err := p.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	f, ok := (<-p.told).(mailevents.InternalGivenUp)
	if !ok || f.Message.Subject != "the queue is full" || !strings.Contains(f.Reason, "going down") {
		t.Errorf("the log has %+v", f)
	}

	p = newPosts(t)
	for range maxPosted {
		p.post(t, "text")
	}
	if err := p.Post(Posted{}); err != ErrOutboxFull { //nolint:errorlint // it is returned as it is
		t.Errorf("the message too many: %v", err)
	}
	go func() { // Stop tells of all that is left
		for range maxPosted {
			<-p.told
		}
	}()
}
