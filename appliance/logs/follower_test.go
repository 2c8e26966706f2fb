package logs_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/esasim/esasim/appliance/logs"
)

func TestFollowerContinuesAfterRollOver(t *testing.T) {
	h := newHarness(t, 0, nil)
	for i := range 20 {
		h.logMail(logs.Information, "%d", i)
	}
	f, err := h.Follow(t.Context(), "mail_logs", 2)
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	next := func() {
		t.Helper()
		b, err := f.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got.Write(b)
	}
	next()
	const at = "Thu Jun 25 08:50:03 2015 "
	h.want(got.String(), at+"Info: 18\n"+at+"Info: 19\n")
	h.logMail(logs.Information, "20")
	if err := h.RollOver(t.Context(), "mail_logs"); err != nil {
		t.Fatal(err)
	}
	h.logMail(logs.Information, "21")
	for strings.Count(got.String(), "\n") < 8 {
		next()
	}
	h.want(got.String(),
		at+"Info: 18\n"+at+"Info: 19\n"+at+"Info: 20\n"+at+"Info: End Logfile\n"+header+at+"Info: 21\n")
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("cause")
	cancel(cause)
	if _, err := f.Next(ctx); !errors.Is(err, cause) {
		t.Errorf("nothing to read: %v", err)
	}
}

func TestFollowerOfLogWithoutFile(t *testing.T) {
	h := newHarness(t, 0, nil)
	f, err := h.Follow(t.Context(), "mail_logs", 10)
	if err != nil {
		t.Fatal(err)
	}
	h.logMail(logs.Information, "first")
	b, err := f.Next(t.Context())
	if err != nil || string(b) != header+"Thu Jun 25 08:50:03 2015 Info: first\n" {
		t.Errorf("got %q, %v", b, err)
	}
	if err := h.Configure(nil); err != nil {
		t.Fatal(err)
	}
	if b, err := f.Next(t.Context()); err != nil ||
		string(b) != "Thu Jun 25 08:50:03 2015 Info: End Logfile\n" {
		t.Errorf("got %q, %v", b, err)
	}
	if _, err := f.Next(t.Context()); !errors.Is(err, logs.ErrNoSubscription) {
		t.Errorf("after the removal: %v", err)
	}
}

// A follower that waits for the next line returns when the log is removed.
func TestFollowerOfRemovedLogEnds(t *testing.T) {
	h := newHarness(t, 0, nil)
	h.logMail(logs.Information, "first")
	f, err := h.Follow(t.Context(), "mail_logs", 10)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	for range 8 { // some of them wait when the log is removed
		g := *f
		go func() {
			_, err := g.Next(t.Context())
			if err == nil { // its last line
				_, err = g.Next(t.Context())
			}
			ended <- err
		}()
	}
	if err := h.Configure(nil); err != nil {
		t.Fatal(err)
	}
	for range 8 {
		if err := <-ended; !errors.Is(err, logs.ErrNoSubscription) {
			t.Errorf("after the removal: %v", err)
		}
	}
}

// Follow either returns a usable follower or ErrNoSubscription.
func TestFollowWhileLogIsRemovedAndAdded(t *testing.T) {
	h := newHarness(t, 0, nil)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	var wg sync.WaitGroup
	wg.Go(func() {
		for range 300 {
			h.Configure(nil)
			h.Configure([]logs.Subscription{mailLogs()})
		}
	})
	for range 3000 {
		f, err := h.Follow(t.Context(), "mail_logs", 1)
		if err == nil {
			_, err = f.Next(ended)
		}
		if !errors.Is(err, logs.ErrNoSubscription) && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	wg.Wait()
}
