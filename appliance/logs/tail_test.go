package logs_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/esasim/esasim/appliance/logs"
)

func TestFollowingOverARollOver(t *testing.T) {
	d := newDesk(t, 0, nil)
	for i := range 20 {
		d.mail(logs.Information, "%d", i)
	}
	f, err := d.Follow(t.Context(), "mail_logs", 2)
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
	d.want(got.String(), at+"Info: 18\n"+at+"Info: 19\n")
	d.mail(logs.Information, "20")
	if err := d.RollOver(t.Context(), "mail_logs"); err != nil {
		t.Fatal(err)
	}
	d.mail(logs.Information, "21")
	for strings.Count(got.String(), "\n") < 8 {
		next()
	}
	d.want(got.String(), at+"Info: 18\n"+at+"Info: 19\n"+at+"Info: 20\n"+at+"Info: End Logfile\n"+header+at+"Info: 21\n")
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("why")
	cancel(why)
	if _, err := f.Next(ctx); !errors.Is(err, why) {
		t.Errorf("nothing to read: %v", err)
	}
}

func TestFollowingALogWithoutAFile(t *testing.T) {
	d := newDesk(t, 0, nil)
	f, err := d.Follow(t.Context(), "mail_logs", 10)
	if err != nil {
		t.Fatal(err)
	}
	d.mail(logs.Information, "first")
	b, err := f.Next(t.Context())
	if err != nil || string(b) != header+"Thu Jun 25 08:50:03 2015 Info: first\n" {
		t.Errorf("got %q, %v", b, err)
	}
	if err := d.Configure(nil); err != nil {
		t.Fatal(err)
	}
	if b, err := f.Next(t.Context()); err != nil || string(b) != "Thu Jun 25 08:50:03 2015 Info: End Logfile\n" {
		t.Errorf("got %q, %v", b, err)
	}
	if _, err := f.Next(t.Context()); !errors.Is(err, logs.ErrNoSubscription) {
		t.Errorf("the log is gone: %v", err)
	}
}

// Who waits for the next line of a log learns that it was removed.
func TestFollowingALogThatIsRemoved(t *testing.T) {
	d := newDesk(t, 0, nil)
	d.mail(logs.Information, "first")
	f, err := d.Follow(t.Context(), "mail_logs", 10)
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
	if err := d.Configure(nil); err != nil {
		t.Fatal(err)
	}
	for range 8 {
		if err := <-ended; !errors.Is(err, logs.ErrNoSubscription) {
			t.Errorf("the log is gone: %v", err)
		}
	}
}

// Who asks for a log while it is removed and made again gets it, or learns that it is gone.
func TestFollowingALogThatComesAndGoes(t *testing.T) {
	d := newDesk(t, 0, nil)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	var wg sync.WaitGroup
	wg.Go(func() {
		for range 300 {
			d.Configure(nil)
			d.Configure([]logs.Subscription{mailLogs()})
		}
	})
	for range 3000 {
		f, err := d.Follow(t.Context(), "mail_logs", 1)
		if err == nil {
			_, err = f.Next(ended)
		}
		if !errors.Is(err, logs.ErrNoSubscription) && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	wg.Wait()
}
