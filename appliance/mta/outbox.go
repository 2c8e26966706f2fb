package mta

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/mta/delivery"
	"github.com/esasim/esasim/appliance/mta/mailevents"
)

// maxPosted is how many messages an Outbox holds.
const maxPosted = 1000

// postInterval is the time between attempts to queue a message that the queue has no room for.
const postInterval = time.Minute

// Errors of Post.
var (
	ErrOutboxFull    = errors.New("mail: too many messages wait for room in the queue")
	ErrOutboxStopped = errors.New("mail: the appliance is stopping")
)

// OutboxOptions configure an Outbox. All are required.
type OutboxOptions struct {
	// Submit queues a message: see Server.Submit. It is not called before Start.
	Submit func(context.Context, OwnMessage) (mid uint64, err error)
	Events *events.Stream
	Clock  clock.Clock
	Logger *slog.Logger
}

// A Posted is a message of the internal SMTP system to one recipient.
type Posted struct {
	About    string // see mailevents.InternalMessage
	From, To string // addresses of the envelope
	Subject  string
	Data     []byte // header and body
}

// An Outbox hands the messages of the internal SMTP system to the queue, which may have no room for
// them: an alert that says so is kept in memory until there is room. It is a service of the
// appliance, and runs longer than the mail system. Its methods are safe for concurrent use.
type Outbox struct {
	o       OutboxOptions
	running sync.WaitGroup

	mu      sync.Mutex
	ctx     context.Context // nil before Start
	cancel  context.CancelFunc
	stopped bool
	working bool // a goroutine queues messages
	posted  []Posted
}

// NewOutbox returns an Outbox that queues nothing before Start.
func NewOutbox(o OutboxOptions) *Outbox { return &Outbox{o: o} }

// Name implements appliance.Service.
func (*Outbox) Name() string { return "internal SMTP" }

// Post has a message queued, as soon as the queue has room for it. It does not block. The errors
// are ErrOutboxFull and ErrOutboxStopped.
func (b *Outbox) Post(m Posted) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.stopped:
		return ErrOutboxStopped
	case len(b.posted) >= maxPosted:
		return ErrOutboxFull
	}
	b.posted = append(b.posted, m)
	b.work()
	return nil
}

// Start begins to queue messages, first those that were posted before.
func (b *Outbox) Start(context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ctx != nil {
		return errors.New("internal mail: started twice")
	}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.work()
	return nil
}

// Stop gives up the messages that the queue has no room for. It may be called more than once and
// without Start.
func (b *Outbox) Stop(context.Context) error {
	b.mu.Lock()
	b.stopped = true
	if b.cancel != nil {
		b.cancel()
	}
	b.mu.Unlock()
	b.running.Wait()
	b.mu.Lock()
	left := b.posted
	b.posted = nil
	b.mu.Unlock()
	for _, m := range left {
		events.Publish(b.o.Events, 0, mailevents.InternalGivenUp{
			Message: mailevents.InternalMessage{About: m.About, To: m.To, Subject: m.Subject},
			Reason:  "The system is going down",
		})
	}
	return nil
}

// work starts the goroutine unless it runs. mu must be held.
func (b *Outbox) work() {
	if b.working || b.ctx == nil || b.stopped || len(b.posted) == 0 {
		return
	}
	b.working = true
	b.running.Go(func() {
		for failures := 0; ; {
			m, ok := b.next()
			if !ok {
				return
			}
			err := b.submit(m)
			if err == nil {
				failures = 0
				continue
			}
			if failures++; failures == 1 {
				b.o.Logger.Warn("the mail queue has no room for a message of the appliance's own; it is "+
					"kept in memory", "subject", m.Subject, "err", err)
			}
			b.o.Clock.Sleep(b.ctx, postInterval) //nolint:errcheck // next sees that ctx has ended
		}
	})
}

// next returns the first message; ok is false if the goroutine has to end.
func (b *Outbox) next() (m Posted, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ctx.Err() != nil || len(b.posted) == 0 {
		b.working = false
		return m, false
	}
	return b.posted[0], true
}

// submit queues the first message and removes it.
func (b *Outbox) submit(m Posted) error {
	// What has begun is finished even if the appliance stops.
	_, err := b.o.Submit(context.WithoutCancel(b.ctx), OwnMessage{
		By: delivery.InternalSMTP(m.About), From: m.From, To: []string{m.To}, Data: m.Data,
	})
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.posted = b.posted[1:]
	return nil
}
