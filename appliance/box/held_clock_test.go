package box_test

import (
	"context"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/clock"
)

// A heldClock stands still until it is released, and then runs like the machine's. With it a box
// starts at the same time however long its start takes.
type heldClock struct {
	start time.Time

	mu       sync.Mutex
	released bool
	at       clock.Mark // of the release, by the machine's clock
	timers   []*heldTimer
}

// A heldTimer was set before the release.
type heldTimer struct {
	after time.Duration
	f     func()
	stop  func() bool // stops its timer on the machine's clock; nil before the release
	done  bool        // it was stopped before the release
}

func (h *heldClock) Mark() clock.Mark {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.released {
		return 0
	}
	return clock.Mark(clock.System().Since(h.at))
}

func (h *heldClock) Now() time.Time                   { return h.start.Add(time.Duration(h.Mark())) }
func (h *heldClock) Since(m clock.Mark) time.Duration { return time.Duration(h.Mark() - m) }
func (h *heldClock) Sleep(ctx context.Context, d time.Duration) error {
	over := make(chan struct{})
	stop := h.AfterFunc(d, func() { close(over) })
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		stop()
		return context.Cause(ctx)
	}
}

func (h *heldClock) AfterFunc(d time.Duration, f func()) (stop func() bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.released {
		return clock.System().AfterFunc(d, f)
	}
	t := &heldTimer{after: d, f: f}
	h.timers = append(h.timers, t)
	return func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		if t.stop != nil {
			return t.stop()
		}
		was := t.done
		t.done = true
		return !was
	}
}

// release lets the clock run.
func (h *heldClock) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.released, h.at = true, clock.System().Mark()
	for _, t := range h.timers {
		if !t.done {
			t.stop = clock.System().AfterFunc(t.after, t.f)
		}
	}
	h.timers = nil
}
