package mail

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/logs"
	"github.com/esasim/esasim/appliance/resolver"
)

// An InternalMessage is a message of the appliance's own to one recipient.
type InternalMessage struct {
	From, To string // addresses of the envelope
	Subject  string // for the log
	Data     []byte // header and body
}

// Limits and delays of the internal mail system [convention].
const (
	maxWaiting  = 1000 // messages; Submit refuses further ones
	maxAttempts = 10   // at the same time
	firstRetry  = time.Minute
	lastRetry   = 30 * time.Minute // each delay is twice the one before, up to this
	maxAge      = 24 * time.Hour   // no attempts are made afterwards
	quitTimeout = 10 * time.Second // for the reply to QUIT
	smtpPort    = 25
)

// Errors of Submit, and errors that done is called with.
var (
	// ErrFull means that too many messages wait already.
	ErrFull = errors.New("mail: too many messages wait for delivery")
	// ErrStopped means that the system stopped before the message was delivered.
	ErrStopped = errors.New("mail: the internal mail system has stopped")
	// ErrExpired means that all attempts of a whole day have failed.
	ErrExpired = errors.New("mail: too many failed attempts")
)

// A Resolver finds mail exchangers and their addresses. *resolver.Client implements it.
type Resolver interface {
	LookupMX(ctx context.Context, domain string) ([]resolver.MX, error)
	Lookup(ctx context.Context, name string, family int) ([]netip.Addr, error)
}

// InternalOptions configure an Internal. All are required.
type InternalOptions struct {
	Client   *Client
	Resolver Resolver
	Clock    clock.Clock     // of the delays between attempts
	Rand     *entropy.Stream // for the order of exchangers of one preference
	// Log writes to the mail log. It must not block.
	Log func(level logs.Level, text string)
	// AttemptLevel is the level of the lines about attempts and successes. A failed attempt is a
	// warning; that a message is given up is critical.
	AttemptLevel logs.Level
}

// An Internal is the internal mail system. It delivers the appliance's own messages, past the
// work queue and without filters. It is a service of the appliance. Its methods are safe for
// concurrent use.
type Internal struct {
	o       InternalOptions
	slots   chan struct{} // has an element for each attempt that is in flight
	sending sync.WaitGroup

	mu      sync.Mutex
	ctx     context.Context // nil before Start
	cancel  context.CancelFunc
	stopped bool
	waiting map[*delivery]bool // all that are not done
	early   []*delivery        // submitted before Start
}

// A delivery is the state of a message that is not done.
type delivery struct {
	message   InternalMessage
	done      func(error)
	attempt   int
	submitted clock.Mark
	stopTimer func() bool // stops the timer of the next attempt; nil if there is none
}

// NewInternal returns an Internal that sends nothing before Start.
func NewInternal(o InternalOptions) *Internal {
	return &Internal{o: o, slots: make(chan struct{}, maxAttempts), waiting: map[*delivery]bool{}}
}

// Name implements appliance.Service.
func (*Internal) Name() string { return "internal SMTP" }

// Submit accepts a message and returns. done is called once, in another goroutine: with nil when
// a server has accepted the message, or with the reason when it is given up. done must not
// block. If Submit returns an error, ErrFull or ErrStopped, done is not called.
func (n *Internal) Submit(m InternalMessage, done func(error)) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.stopped:
		return ErrStopped
	case len(n.waiting) >= maxWaiting:
		return ErrFull
	}
	d := &delivery{message: m, done: done, submitted: n.o.Clock.Mark()}
	n.waiting[d] = true
	if n.ctx == nil {
		n.early = append(n.early, d)
		return nil
	}
	n.startAttempt(d)
	return nil
}

// Start begins to send, first the messages that were submitted before.
func (n *Internal) Start(context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ctx != nil {
		return errors.New("internal mail: started twice")
	}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	for _, d := range n.early {
		n.startAttempt(d)
	}
	n.early = nil
	return nil
}

// Stop aborts attempts that are in flight and gives up all messages.
func (n *Internal) Stop(context.Context) error {
	n.mu.Lock()
	n.stopped = true
	if n.cancel != nil {
		n.cancel()
	}
	for d := range n.waiting {
		if d.stopTimer != nil {
			d.stopTimer()
		}
	}
	n.mu.Unlock()
	n.sending.Wait()
	n.mu.Lock()
	left := n.waiting
	n.waiting = nil
	n.mu.Unlock()
	for d := range left {
		n.giveUp(d, "The system is going down", ErrStopped)
	}
	return nil
}

// startAttempt makes an attempt in a goroutine of its own. mu must be held, and the Internal
// must run.
func (n *Internal) startAttempt(d *delivery) {
	d.stopTimer = nil
	n.sending.Go(func() {
		select {
		case n.slots <- struct{}{}:
			defer func() { <-n.slots }()
		case <-n.ctx.Done():
			return
		}
		if err := n.attempt(n.ctx, d); n.ctx.Err() == nil {
			n.finishAttempt(d, err)
		}
	})
}

// finishAttempt decides what happens to a message after an attempt.
func (n *Internal) finishAttempt(d *delivery, err error) {
	var permanent *permanentError
	switch wait := retryAfter(d.attempt); {
	case err == nil:
		n.o.Log(n.o.AttemptLevel,
			fmt.Sprintf("Internal SMTP system successfully sent a message to %s "+
				"with subject '%s'.", d.message.To, d.message.Subject))
		n.forget(d)
		d.done(nil)
	case errors.As(err, &permanent):
		n.forget(d)
		n.giveUp(d, "Unrecoverable error", err)
	case n.o.Clock.Since(d.submitted)+wait > maxAge:
		n.forget(d)
		n.giveUp(d, "Too many failed attempts", errors.Join(ErrExpired, err))
	default:
		n.retry(d, wait)
	}
}

// retryAfter returns the delay after a failed attempt. The first attempt has the number 0.
func retryAfter(attempt int) time.Duration {
	wait := firstRetry
	for ; attempt > 0 && wait < lastRetry; attempt-- {
		wait *= 2
	}
	return min(wait, lastRetry)
}

func (n *Internal) retry(d *delivery, wait time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.stopped {
		return
	}
	d.stopTimer = n.o.Clock.AfterFunc(wait, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		if !n.stopped {
			d.attempt++
			n.startAttempt(d)
		}
	})
}

func (n *Internal) forget(d *delivery) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.waiting, d)
}

// giveUp logs that a message is given up, and calls its done.
func (n *Internal) giveUp(d *delivery, reason string, err error) {
	n.o.Log(logs.Critical,
		fmt.Sprintf("Internal SMTP giving up on message to %s with subject '%s': %s.",
			d.message.To, d.message.Subject, reason))
	d.done(err)
}
