package box_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/box"
)

// A screen keeps the text that is written to it, and signals new text.
type screen struct {
	mu    sync.Mutex
	text  strings.Builder
	fresh chan struct{}
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.fresh <- struct{}{}:
	default:
	}
	return s.text.Write(p)
}

// until waits until text has appeared n times.
func (s *screen) until(t *testing.T, text string, n int) {
	t.Helper()
	late := time.After(20 * time.Second)
	for s.count(text) < n {
		select {
		case <-s.fresh:
		case <-late:
			t.Fatalf("%q appears %d times on the console, want %d", text, s.count(text), n)
		}
	}
}

func (s *screen) count(text string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Count(s.text.String(), text)
}

// console starts a box and its console, on which nothing is typed.
func console(t *testing.T, ctx context.Context) (*box.Box, *screen, <-chan error) {
	t.Helper()
	b := newBox(t, t.TempDir(), loopback)
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Stop(context.Background()) })
	in, keys := io.Pipe()
	t.Cleanup(func() { keys.Close() })
	out := &screen{fresh: make(chan struct{}, 1)}
	ended := make(chan error, 1)
	go func() { ended <- b.Console(ctx, in, out, nil) }()
	out.until(t, "login: ", 1)
	return b, out, ended
}

func checkEnd(t *testing.T, ended <-chan error, want error) {
	t.Helper()
	select {
	case err := <-ended:
		if !errors.Is(err, want) {
			t.Errorf("Console = %v, want %v", err, want)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("Console does not return")
	}
}

// While the box stops slowly, its console does not ask for another login.
func TestConsoleEndsWithTheBox(t *testing.T) {
	b, out, ended := console(t, t.Context())
	b.Appliance().Add(slowService{make(chan struct{})})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := b.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Stop = %v", err)
	}
	checkEnd(t, ended, nil)
	if n := out.count("login: "); n != 1 {
		t.Errorf("the console asked %d times for a login", n)
	}
}

func TestConsoleSurvivesReboot(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	b, out, ended := console(t, ctx)
	b.Appliance().Power(appliance.Reboot, time.Minute)
	out.until(t, "login: ", 2)
	why := errors.New("why")
	cancel(why)
	checkEnd(t, ended, why)
}

// A blockingInput has no input until it is closed. It counts the reads that are blocked.
type blockingInput struct {
	blocked atomic.Int32
	closed  chan struct{}
}

func (k *blockingInput) Read([]byte) (int, error) {
	k.blocked.Add(1)
	defer k.blocked.Add(-1)
	<-k.closed
	return 0, io.ErrClosedPipe
}

func (k *blockingInput) Close() error {
	close(k.closed)
	return nil
}

// When Console returns, its input is closed and no goroutine reads it, however Console ended.
func TestConsoleWaitsForItsReader(t *testing.T) {
	for name, stop := range map[string]func(b *box.Box, cancel context.CancelFunc){
		"the box stops":    func(b *box.Box, _ context.CancelFunc) { b.Stop(context.Background()) },
		"the context ends": func(_ *box.Box, cancel context.CancelFunc) { cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t, t.TempDir(), loopback)
			if err := b.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			defer b.Stop(context.Background())
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			k := &blockingInput{closed: make(chan struct{})}
			out := &screen{fresh: make(chan struct{}, 1)}
			ended := make(chan int32, 1)
			go func() {
				b.Console(ctx, k, out, nil)
				ended <- k.blocked.Load()
			}()
			out.until(t, "login: ", 1)
			stop(b, cancel)
			if n := <-ended; n != 0 {
				t.Errorf("%d reads are blocked after Console has returned", n)
			}
		})
	}
}

// If no console reads the input, Console returns nevertheless.
func TestConsoleDropsUnreadInput(t *testing.T) {
	b := newBox(t, t.TempDir(), loopback)
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	in, keys := io.Pipe()
	typed := make(chan struct{})
	go func() {
		defer close(typed)
		io.WriteString(keys, "admin\n")
	}()
	if err := b.Console(t.Context(), in, &screen{fresh: make(chan struct{}, 1)}, nil); err != nil {
		t.Errorf("Console = %v", err)
	}
	<-typed
}
