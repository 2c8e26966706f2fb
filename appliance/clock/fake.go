package clock

import (
	"context"
	"slices"
	"sync"
	"time"
)

// A Fake is a clock that stands still until Advance moves it. Sleep advances it and returns
// immediately.
type Fake struct {
	mu     sync.Mutex
	start  time.Time
	now    time.Time
	timers []*timer
}

type timer struct {
	at time.Time
	f  func()
}

// NewFake returns a Fake whose wall time is start.
func NewFake(start time.Time) *Fake { return &Fake{start: start, now: start} }

// Now returns the clock's time.
func (f *Fake) Now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

// Mark returns the time by which the clock has moved since NewFake.
func (f *Fake) Mark() Mark { return Mark(f.Now().Sub(f.start)) }

// Since returns the time by which the clock has moved since m.
func (f *Fake) Since(m Mark) time.Duration { return time.Duration(f.Mark() - m) }

// Sleep advances the clock by d, unless ctx has ended: then it returns ctx's cause.
func (f *Fake) Sleep(ctx context.Context, d time.Duration) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	f.Advance(d)
	return nil
}

// AfterFunc calls fn when the clock has moved by d, in the goroutine that moves it.
func (f *Fake) AfterFunc(d time.Duration, fn func()) func() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := &timer{f.now.Add(d), fn}
	f.timers = append(f.timers, t)
	return func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		i := slices.Index(f.timers, t)
		if i < 0 {
			return false
		}
		f.timers = slices.Delete(f.timers, i, i+1)
		return true
	}
}

// Advance moves the clock forward by d. It calls the functions of the timers that expire, in the
// order of their times; while one runs, the clock shows the time of its timer.
func (f *Fake) Advance(d time.Duration) {
	f.mu.Lock()
	end := f.now.Add(d)
	for {
		next := -1
		for i, t := range f.timers {
			if !t.at.After(end) && (next < 0 || t.at.Before(f.timers[next].at)) {
				next = i
			}
		}
		if next < 0 {
			break
		}
		t := f.timers[next]
		f.timers = slices.Delete(f.timers, next, next+1)
		if t.at.After(f.now) {
			f.now = t.at
		}
		f.mu.Unlock()
		t.f()
		f.mu.Lock()
	}
	if end.After(f.now) {
		f.now = end
	}
	f.mu.Unlock()
}
