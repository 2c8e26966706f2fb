package clock

import (
	"context"
	"sync/atomic"
	"time"
)

// A Clock tells the time and waits. Its methods are safe for concurrent use.
type Clock interface {
	// Now is the wall time, as the appliance believes it to be.
	Now() time.Time
	// Since is the monotonic time that has passed since t, which must come
	// from Mark of the same clock.
	Since(t Mark) time.Duration
	// Mark is a point of monotonic time, for Since.
	Mark() Mark
	// Sleep waits for d. It returns early, with ctx's cause, when ctx ends first.
	Sleep(ctx context.Context, d time.Duration) error
	// AfterFunc calls f on a goroutine of its own once d has passed, unless stop
	// is called first; stop reports whether it kept f from being called.
	AfterFunc(d time.Duration, f func()) (stop func() bool)
}

// A Mark is a point of monotonic time since an origin that its clock chose.
type Mark time.Duration

// System returns the machine's clock.
func System() Clock { return system{} }

type system struct{}

// origin carries the machine's monotonic reading: marks count from it.
var origin = time.Now()

func (system) Now() time.Time             { return time.Now() }
func (system) Mark() Mark                 { return Mark(time.Since(origin)) }
func (system) Since(m Mark) time.Duration { return time.Since(origin) - time.Duration(m) }

func (system) AfterFunc(d time.Duration, f func()) func() bool {
	return time.AfterFunc(d, f).Stop
}

func (system) Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// An Offset is a clock whose wall time can be set. Waiting and marks are those
// of the clock it wraps.
type Offset struct {
	Clock
	shift atomic.Int64 // nanoseconds
}

// NewOffset returns an Offset over c that shows c's time.
func NewOffset(c Clock) *Offset { return &Offset{Clock: c} }

// Now is the wrapped clock's time, shifted.
func (o *Offset) Now() time.Time { return o.Clock.Now().Add(time.Duration(o.shift.Load())) }

// Set makes Now show t at this moment.
func (o *Offset) Set(t time.Time) { o.shift.Store(int64(t.Sub(o.Clock.Now()))) }

// Advance makes Now show d more than it would.
func (o *Offset) Advance(d time.Duration) { o.shift.Add(int64(d)) }

// Shift is how far Now is ahead of the wrapped clock.
func (o *Offset) Shift() time.Duration { return time.Duration(o.shift.Load()) }

// SetShift sets what Shift reports.
func (o *Offset) SetShift(d time.Duration) { o.shift.Store(int64(d)) }
