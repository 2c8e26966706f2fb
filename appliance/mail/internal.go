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

// A Letter is a message of the appliance's own to one recipient.
type InternalMessage struct {
	From, To string // addresses, as the envelope has them
	Subject  string // as the log tells it
	Data     []byte // header and body
}

// Bounds and waits of the internal SMTP system [convention].
const (
	maxWaiting  = 1000 // that may wait; later ones are refused
	maxAttempts = 10   // at the same time
	firstRetry  = time.Minute
	lastRetry   = 30 * time.Minute // between two attempts: each wait is twice the one before
	maxAge      = 24 * time.Hour   // after it no more attempts are made
	quitTimeout = 10 * time.Second // for the answer to QUIT
	smtpPort    = 25
)

// Errors of letters.
var (
	// ErrFull says that too many letters wait already.
	ErrFull = errors.New("mail: too many messages wait for delivery")
	// ErrStopped says that the system went down before the letter was delivered.
	ErrStopped = errors.New("mail: the internal SMTP system has stopped")
	// ErrExpired says that every attempt failed, for a whole day.
	ErrExpired = errors.New("mail: too many failed attempts")
)

// A Resolver finds mail exchangers and their addresses; resolver.Client is one.
type Resolver interface {
	LookupMX(ctx context.Context, domain string) ([]resolver.MX, error)
	Lookup(ctx context.Context, name string, family int) ([]netip.Addr, error)
}

// InternalOptions are an Internal's surroundings. All are required.
type InternalOptions struct {
	Client   *Client
	Resolver Resolver
	Clock    clock.Clock     // for the waits between attempts
	Rand     *entropy.Stream // for the order of exchangers of one preference
	// Log writes to the mail log. It must not block.
	Log func(level logs.Level, text string)
	// Steps is the level of the lines that tell of attempts and successes; failures
	// are warnings and, where a letter is given up, critical.
	AttemptLevel logs.Level
}

// An Internal is the internal SMTP system: what carries the appliance's own letters,
// past the work queue and without filters. It is a service of the appliance, and safe
// for concurrent use.
type Internal struct {
	o       InternalOptions
	slots   chan struct{} // one for each letter that is being sent
	sending sync.WaitGroup

	mu      sync.Mutex
	ctx     context.Context // nil before Start
	cancel  context.CancelFunc
	stopped bool
	waiting map[*delivery]bool // whatever is not done
	early   []*delivery        // before Start
}

// A delivery is a letter on its way.
type delivery struct {
	message   InternalMessage
	done      func(error)
	attempt   int
	submitted clock.Mark
	stopTimer func() bool // stops the timer of the next attempt; nil without
}

// NewInternal returns an Internal that sends nothing before Start.
func NewInternal(o InternalOptions) *Internal {
	return &Internal{o: o, slots: make(chan struct{}, maxAttempts), waiting: map[*delivery]bool{}}
}

// Name is the service's.
func (*Internal) Name() string { return "internal SMTP" }

// Submit accepts a letter and returns. done is called once, on a goroutine of the
// Internal's: with nil when a server has taken the letter, or with the reason when it
// is given up. It must not block. Where Submit returns an error, ErrFull or
// ErrStopped, done is not called.
func (n *Internal) Submit(l InternalMessage, done func(error)) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.stopped:
		return ErrStopped
	case len(n.waiting) >= maxWaiting:
		return ErrFull
	}
	d := &delivery{message: l, done: done, submitted: n.o.Clock.Mark()}
	n.waiting[d] = true
	if n.ctx == nil {
		n.early = append(n.early, d)
		return nil
	}
	n.startAttempt(d)
	return nil
}

// Start begins to send, first what came before it.
func (n *Internal) Start(context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ctx != nil {
		return errors.New("internal SMTP: started twice")
	}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	for _, d := range n.early {
		n.startAttempt(d)
	}
	n.early = nil
	return nil
}

// Stop cuts what is being sent and gives up whatever waits.
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

// begin makes an attempt on a goroutine of its own. mu is held, and the Internal runs.
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

// settle decides what becomes of a letter after an attempt.
func (n *Internal) finishAttempt(d *delivery, err error) {
	var final *permanentError
	switch wait := retryAfter(d.attempt); {
	case err == nil:
		n.o.Log(n.o.AttemptLevel, fmt.Sprintf("Internal SMTP system successfully sent a message to %s with subject '%s'.", d.message.To, d.message.Subject))
		n.forget(d)
		d.done(nil)
	case errors.As(err, &final):
		n.forget(d)
		n.giveUp(d, "Unrecoverable error", err)
	case n.o.Clock.Since(d.submitted)+wait > maxAge:
		n.forget(d)
		n.giveUp(d, "Too many failed attempts", errors.Join(ErrExpired, err))
	default:
		n.retry(d, wait)
	}
}

// retryAfter is the wait after an attempt that failed.
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

// giveUp logs the end of a letter and tells its sender.
func (n *Internal) giveUp(d *delivery, why string, err error) {
	n.o.Log(logs.Critical, fmt.Sprintf("Internal SMTP giving up on message to %s with subject '%s': %s.", d.message.To, d.message.Subject, why))
	d.done(err)
}
