package clock

import (
	"context"
	"sync/atomic"
	"time"
)

// A Clock tells the time and waits. Its methods are safe for concurrent use.
type Clock interface {
	// Now returns the wall time.
	Now() time.Time
	// Mark returns the current point of monotonic time.
	Mark() Mark
	// Since returns the monotonic time that has passed since m, which must be a mark of the
	// same clock.
	Since(m Mark) time.Duration
	// Sleep waits for d. If ctx ends first, Sleep returns ctx's cause.
	Sleep(ctx context.Context, d time.Duration) error
	// AfterFunc waits for d and then calls f in its own goroutine. stop cancels the call and
	// reports whether it did so; it reports false if f has been called or stop was called
	// before.
	AfterFunc(d time.Duration, f func()) (stop func() bool)
}

// A Mark is a point of monotonic time: the time since an origin that is the clock's own. Marks of
// the same clock can be compared, later ones are greater.
type Mark time.Duration

// System returns the machine's clock.
func System() Clock { return system{} }

type system struct{}

// origin is the time that marks of the machine's clock count from. It has a monotonic reading.
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

// An Offset is a clock whose wall time can be set. Its monotonic time is that of the clock that it
// wraps.
type Offset struct {
	Clock
	shift atomic.Int64 // nanoseconds
}

// NewOffset returns an Offset over c whose shift is 0.
func NewOffset(c Clock) *Offset { return &Offset{Clock: c} }

// Now returns the wrapped clock's wall time plus the shift.
func (o *Offset) Now() time.Time { return o.Clock.Now().Add(time.Duration(o.shift.Load())) }

// Set sets the wall time to t.
func (o *Offset) Set(t time.Time) { o.shift.Store(int64(t.Sub(o.Clock.Now()))) }

// Advance moves the wall time forward by d, or back if d is negative.
func (o *Offset) Advance(d time.Duration) { o.shift.Add(int64(d)) }

// Shift returns the difference between the wall time and that of the wrapped clock.
func (o *Offset) Shift() time.Duration { return time.Duration(o.shift.Load()) }

// SetShift sets the shift.
func (o *Offset) SetShift(d time.Duration) { o.shift.Store(int64(d)) }
