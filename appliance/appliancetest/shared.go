package appliancetest

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
)

// A Shared is one box for all tests of a package, which take turns:
//
//	var esa appliancetest.Shared
//
//	func TestMain(m *testing.M) { os.Exit(appliancetest.Run(m, &esa)) }
//
//	func TestVersion(t *testing.T) {
//		box := esa.Box(t)
//		...
//	}
//
// The box starts when the first test asks for it.
type Shared struct {
	turn sync.Mutex // held by the test that has the box

	mu      sync.Mutex
	running bool // Run runs
	options []Option
	dir     string // of the data; "" before the start
	box     *Box   // nil before the start
	test    testing.TB
}

// Run runs the tests of m, which may call s.Box, stops the box, and returns the exit status for
// os.Exit. Options are as those of Start.
func Run(m interface{ Run() int }, s *Shared, options ...Option) int {
	s.mu.Lock()
	s.running, s.options = true, options
	s.mu.Unlock()
	status := m.Run()
	if err := s.stop(); err != nil {
		fmt.Fprintln(os.Stderr, "appliancetest: stop:", err)
		status = max(status, 1)
	}
	return status
}

// Box returns the box for the test t, in the state after its start, until t ends. If another test
// has the box, Box blocks until that test ends. A subtest of the test that has the box gets it as it
// is. If the box does not start or cannot be reset, the test fails.
func (s *Shared) Box(t testing.TB) *Box {
	t.Helper()
	if b := s.ofParent(t); b != nil {
		return b
	}
	s.turn.Lock()
	t.Cleanup(s.turn.Unlock)
	b, err := s.take(t)
	if err != nil {
		t.Fatal("appliancetest: ", err)
	}
	t.Cleanup(func() { s.setTest(nil) })
	return b
}

// ofParent returns the box bound to t if t is a subtest of the test that has it, and otherwise nil.
func (s *Shared) ofParent(t testing.TB) *Box {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.test == nil || t.Name() != s.test.Name() && !strings.HasPrefix(t.Name(), s.test.Name()+"/") {
		return nil
	}
	return s.box.For(t)
}

// take starts or resets the box. turn is held.
func (s *Shared) take(t testing.TB) (*Box, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.running {
		return nil, fmt.Errorf("there is no shared box outside of appliancetest.Run: call it in TestMain")
	}
	s.test = t
	if err := s.discardStopped(); err != nil {
		return nil, err
	}
	if s.box != nil {
		b := s.box.For(t)
		if err := b.reset(t.Context()); err != nil {
			return nil, fmt.Errorf("reset: %w", err)
		}
		return b, nil
	}
	if s.dir == "" {
		var err error
		if s.dir, err = os.MkdirTemp("", "appliancetest"); err != nil {
			return nil, err
		}
	}
	var err error
	// The log goes to standard error: a box may log between two tests, and nothing may be written to
	// the log of a test that has ended.
	s.box, err = newBox(context.Background(), os.Stderr, func() string { return s.dir }, s.options)
	if err != nil {
		return nil, err
	}
	return s.box.For(t), nil
}

// discardStopped forgets a box that a test has shut down, so that another one starts. mu is held.
func (s *Shared) discardStopped() error {
	if s.box == nil {
		return nil
	}
	select {
	case <-s.box.Done():
	default:
		return nil
	}
	dir := s.dir
	s.box, s.dir = nil, ""
	return os.RemoveAll(dir)
}

func (s *Shared) setTest(t testing.TB) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.test = t
}

// stop stops the box and removes its data. No test runs.
func (s *Shared) stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = false
	if s.box != nil {
		if err := stopBox(s.box.Box); err != nil {
			return err
		}
		s.box = nil
	}
	if s.dir == "" {
		return nil
	}
	return os.RemoveAll(s.dir)
}
