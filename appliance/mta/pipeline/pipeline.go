package pipeline

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/mta/mailevents"
	"github.com/esasim/esasim/appliance/mta/queue"
)

// defaultPolicy is the mail policy for all senders and recipients.
const defaultPolicy = "DEFAULT"

// Options configure a Pipeline. All are required.
type Options struct {
	Queue  *queue.Queue
	Events *events.Stream
	Logger *slog.Logger
	// Claim reserves a message until release is called. While the pipeline works on a message, nobody
	// else changes it. ok is false if ctx ends first.
	Claim func(ctx context.Context, mid uint64) (release func(), ok bool)
	// Deliver is called with the MID of each message that has passed. It must not block.
	Deliver func(mid uint64)
}

// A Pipeline is the work queue. It is a service of the appliance. Its methods are safe for
// concurrent use.
type Pipeline struct {
	o       Options
	running sync.WaitGroup

	mu      sync.Mutex
	ctx     context.Context // nil: not started, or stopped
	cancel  context.CancelFunc
	waiting []uint64 // MIDs, the oldest first
	working bool     // a goroutine works on them
	paused  bool
	in, out uint64 // messages since Start
}

// New returns a Pipeline that works on nothing before Start.
func New(o Options) *Pipeline { return &Pipeline{o: o} }

// Start begins with the messages that the queue has had since before. It may be called again after
// Stop.
func (p *Pipeline) Start(context.Context) error {
	p.mu.Lock()
	if p.ctx != nil {
		p.mu.Unlock()
		return errors.New("work queue: started twice")
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.waiting, p.in, p.out = nil, 0, 0
	p.mu.Unlock()
	p.o.Queue.Each(func(env *queue.Envelope) bool {
		if env.Stage == queue.WorkQueue {
			p.Enqueue(*env)
		}
		return true
	})
	return nil
}

// Stop waits for the message that is worked on. The others stay in the queue. Stop may be called
// more than once and without Start.
func (p *Pipeline) Stop(context.Context) error {
	p.mu.Lock()
	if p.ctx != nil {
		p.cancel()
		p.ctx = nil
	}
	p.mu.Unlock()
	p.running.Wait()
	return nil
}

// Enqueue has a message pass the stages. It does not block. Before Start it does nothing: Start
// finds the message in the queue.
func (p *Pipeline) Enqueue(env queue.Envelope) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ctx == nil {
		return
	}
	p.waiting = append(p.waiting, env.MID)
	p.in++
	p.work()
}

// work starts the goroutine unless it runs. mu must be held.
func (p *Pipeline) work() {
	if p.working || p.paused || p.ctx == nil || len(p.waiting) == 0 {
		return
	}
	p.working = true
	ctx := p.ctx
	p.running.Go(func() {
		for {
			mid, ok := p.next(ctx)
			if !ok {
				return
			}
			p.pass(ctx, mid)
		}
	})
}

// next returns the message to work on; ok is false if the goroutine has to end.
func (p *Pipeline) next(ctx context.Context) (mid uint64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if ctx.Err() != nil || p.paused || len(p.waiting) == 0 {
		p.working = false
		return 0, false
	}
	mid = p.waiting[0]
	if p.waiting = p.waiting[1:]; len(p.waiting) == 0 {
		p.waiting = nil // free what has passed
	}
	return mid, true
}

// pass runs a message through all stages and hands it to Deliver.
func (p *Pipeline) pass(ctx context.Context, mid uint64) {
	release, ok := p.o.Claim(ctx, mid)
	if !ok {
		return // Start finds it in the queue
	}
	defer release()
	env, ok := p.o.Queue.Message(mid)
	if !ok {
		return // an administrator has removed it
	}
	seq := events.Publish(p.o.Events, 0, mailevents.PolicyMatched{
		MID: mid, Policy: defaultPolicy, Outgoing: env.Outgoing,
	})
	if _, err := p.o.Queue.Update(context.WithoutCancel(ctx), mid, queue.StageDone()); err != nil {
		// It goes on nevertheless: after a restart it would only pass again.
		p.o.Logger.Warn("the mail queue cannot record that a message has passed the work queue",
			"mid", mid, "err", err)
	}
	p.mu.Lock()
	p.out++
	p.mu.Unlock()
	events.Publish(p.o.Events, seq, mailevents.MessageQueued{MID: mid})
	p.o.Deliver(mid)
}

// Pause has messages wait from now on. It reports whether the work queue was not paused before.
func (p *Pipeline) Pause() bool {
	p.mu.Lock()
	changed := !p.paused
	p.paused = true
	p.mu.Unlock()
	if changed {
		p.tell(true)
	}
	return changed
}

// Resume goes on with the messages that wait. It reports whether the work queue was paused.
func (p *Pipeline) Resume() bool {
	p.mu.Lock()
	changed := p.paused
	p.paused = false
	p.work()
	p.mu.Unlock()
	if changed {
		p.tell(false)
	}
	return changed
}

func (p *Pipeline) tell(paused bool) {
	events.Publish(p.o.Events, 0, mailevents.Suspension{What: mailevents.WorkQueue, Suspended: paused})
}

// A Status is the state of the work queue.
type Status struct {
	Paused  bool
	Waiting int
	In, Out uint64 // messages since Start
}

// Status returns the state of the work queue.
func (p *Pipeline) Status() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	// What is in waiting may have been deleted by an administrator.
	return Status{Paused: p.paused, Waiting: p.o.Queue.Stats().InWorkQueue, In: p.in, Out: p.out}
}
