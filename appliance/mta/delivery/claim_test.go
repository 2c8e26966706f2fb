package delivery

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/mta/mailevents"
	"github.com/esasim/esasim/appliance/mta/pipeline"
	"github.com/esasim/esasim/appliance/mta/queue"
)

// accept puts a message into the work queue.
func (b *fixture) accept(to ...string) queue.Envelope {
	b.t.Helper()
	env := queue.Envelope{MID: b.queue.NextMID(), Received: b.clock.Now()}
	for rid, a := range to {
		env.Recipients = append(env.Recipients, queue.Recipient{RID: rid, Address: a})
	}
	in, err := b.queue.Create(env.MID)
	if err != nil {
		b.t.Fatal(err)
	}
	io.WriteString(in, "Subject: test\r\n\r\nhello\r\n")
	if err := in.Commit(b.t.Context(), env); err != nil {
		b.t.Fatal(err)
	}
	return env
}

// waitsFor reports whether a recipient waits for delivery to a domain.
func (b *fixture) waitsFor(domain string, mid uint64, rid int) bool {
	b.Server.mu.Lock()
	defer b.Server.mu.Unlock()
	d := b.destinations[domain]
	return d != nil && d.line.has(mid, rid)
}

// TestMailIsNotHandedOnWhileItIsWithdrawn: a message that leaves the work queue while a command
// deletes or redirects it is delivered as the queue has it after the command.
func TestMailIsNotHandedOnWhileItIsWithdrawn(t *testing.T) {
	f := newFixture(t, nil)
	f.Suspend(t.Context())
	f.expect("Mail delivery suspended.")
	env := f.accept("b@example.com", "c@other.example")
	handOn := func() {
		f.Enqueue(env.MID)
		if f.waitsFor("example.com", env.MID, 0) || f.waitsFor("other.example", env.MID, 1) {
			t.Error("the message waits for delivery while a command deals with it")
		}
	}
	f.each(t.Context(), Selection{Domain: "example.com"}, func(j job) {
		handOn()
		f.delete(t.Context(), j, "example.com", byAdmin)
	})
	f.expect("Message deleted MID 1 to RID [0]")
	if f.waitsFor("example.com", env.MID, 0) || !f.waitsFor("other.example", env.MID, 1) {
		t.Error("not exactly the recipient that is left waits")
	}
	f.each(t.Context(), Selection{}, func(job) {
		handOn()
		if _, ok := f.record(t.Context(), env.MID, queue.Redirected(1, "[127.0.0.1]")); !ok {
			t.Error("the recipient cannot be redirected")
		}
	})
	if f.waitsFor("other.example", env.MID, 1) || !f.waitsFor("[127.0.0.1]", env.MID, 1) {
		t.Error("the redirected recipient does not wait for its new host alone")
	}
}

// TestCommandsWaitForTheWorkQueue: while the work queue works on a message, a command waits, and so
// it finds the message where it is afterwards.
func TestCommandsWaitForTheWorkQueue(t *testing.T) {
	f := newFixture(t, nil)
	f.Suspend(t.Context())
	env := f.accept("b@example.com")
	release, _ := f.Claim(t.Context(), env.MID)
	ended, end := context.WithCancel(t.Context())
	end()
	if _, ok := f.Claim(ended, env.MID); ok {
		t.Error("a message was claimed twice")
	}
	if n, _ := f.Delete(ended, Selection{}); n != 0 {
		t.Error("a message was deleted while it was claimed")
	}
	done := make(chan int)
	go func() {
		n, _ := f.Delete(t.Context(), Selection{})
		done <- n
	}()
	// Delete cannot return before release. It is selecting messages now, or waits.
	events.Publish(f.o.Events, 0, mailevents.MessageQueued{MID: env.MID})
	f.Enqueue(env.MID)
	release()
	if n := <-done; n != 1 {
		t.Errorf("%d messages were deleted", n)
	}
	f.expect("Mail delivery suspended.", "MID 1 queued for delivery", "Message deleted MID 1 to RID [0]",
		"Message finished MID 1 done")
}

// TestMailIsDeliveredOrDeleted: whatever the work queue, the workers and a command do at the same
// time, a message is delivered or deleted, and not both.
func TestMailIsDeliveredOrDeleted(t *testing.T) {
	f := newFixture(t, nil)
	m := f.serve(first, nil)
	p := pipeline.New(pipeline.Options{
		Queue: f.queue, Events: f.o.Events, Logger: slog.New(slog.DiscardHandler),
		Claim: f.Claim, Deliver: f.Enqueue,
	})
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer p.Stop(context.Background())
	const messages = 60
	deleted := 0
	for range messages {
		env := f.accept("b@example.com")
		var wg sync.WaitGroup
		wg.Go(func() { p.Enqueue(env) })
		n, _ := f.Delete(t.Context(), Selection{MID: env.MID})
		deleted += n
		wg.Wait()
	}
	for deadline := time.Now().Add(testTimeout); f.queue.Stats().Messages > 0; {
		if time.Now().After(deadline) {
			t.Fatal("messages are left in the queue")
		}
		f.await(func() bool { return true })
	}
	f.await(func() bool { return f.connections == 0 || f.destinations["example.com"].waiting == f.connections })
	if delivered := len(m.messages()); delivered+deleted != messages {
		t.Errorf("%d messages were delivered and %d deleted, want %d in all", delivered, deleted, messages)
	}
}
