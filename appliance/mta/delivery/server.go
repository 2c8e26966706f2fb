package delivery

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/mail"
	"github.com/esasim/esasim/appliance/mta/mailevents"
	"github.com/esasim/esasim/appliance/mta/queue"
	"github.com/esasim/esasim/appliance/resolver"
)

// A Resolver finds mail servers. *resolver.Client implements it.
type Resolver interface {
	LookupMX(ctx context.Context, domain string) ([]resolver.MX, error)
	LookupAddr(ctx context.Context, addr netip.Addr) (string, error)
	Lookup(ctx context.Context, name string, family int) ([]netip.Addr, error)
}

// Options configure a Server.
type Options struct {
	Client    *mail.Client
	Resolver  Resolver
	Queue     *queue.Queue
	Events    *events.Stream
	Committed func() *config.Config
	Clock     clock.Clock
	Rand      *entropy.Stream
	Hostname  func() string
	Logger    *slog.Logger
	// BounceProfile returns the name of a listener's bounce profile, "" for the default.
	BounceProfile func(listener string) string
	// TLS returns the configuration of a client that shows servers the certificate with a name; ""
	// shows none. It verifies nothing.
	TLS func(certificate string) (*tls.Config, error)
	// TrustedRoots returns the authorities whose certificates are accepted where they are verified.
	TrustedRoots func() (*x509.CertPool, error)
	// OnTLSFailed is called with the text of an alert if a destination that requires TLS cannot have
	// it, and the administrator wants to know. It must not block.
	OnTLSFailed func(text string)
	// LoggedHeaders returns the names of the header fields that are logged with a delivery.
	LoggedHeaders func() []string
	// Record reports whether what is said over a connection to a domain is published. NotRecorded
	// takes that back, as there was no connection.
	Record      func(dcid uint64, domain string) bool
	NotRecorded func(dcid uint64)
	// BounceBytes returns how much of a bounced message is logged.
	BounceBytes func() int
}

// A Server delivers the messages of the queue. It is a service of the appliance. Its methods are
// safe for concurrent use.
type Server struct {
	o       Options
	workers sync.WaitGroup
	timers  clock.Group

	outcomes outcomes

	mu           sync.Mutex
	ctx          context.Context // nil: not started, or stopped
	cancel       context.CancelFunc
	suspended    bool
	destinations map[string]*destination
	flights      map[recipientKey]int // how many workers deal with a recipient
	claimed      map[uint64]bool      // by MID; true: Enqueue was called meanwhile
	connections  int
	internal     int // of the connections, those of the internal SMTP system
	// tlsConnections are those of connections that use TLS, or may yet do so.
	tlsConnections int
	crowded        bool      // a destination waits because there are too many connections
	idle           sync.Cond // a worker or a claim has ended, or deliveries were resumed
	suspensions    uint64    // how often deliveries were suspended or resumed
}

// A recipientKey names a recipient of the queue.
type recipientKey struct {
	mid uint64
	rid int
}

// A destination holds the recipients and workers of one domain. Server.mu guards it.
type destination struct {
	domain   string
	internal bool // of the internal SMTP system
	line     line
	workers  int
	wake     chan struct{} // a worker with an open connection waits for messages
	waiting  int           // such workers

	down     bool
	known    bool      // it has been up or down
	fails    int       // tries in a row in which no host could be reached
	hold     time.Time // no try before
	window   time.Time // end of the present period of the recipient limit
	inWindow int       // recipients that were tried in it

	stopTimer func() bool
}

// NewServer returns a Server that delivers nothing before Start.
func NewServer(o Options) *Server {
	s := &Server{
		o: o, destinations: map[string]*destination{},
		flights: map[recipientKey]int{}, claimed: map[uint64]bool{},
	}
	s.idle.L = &s.mu
	return s
}

// Start begins to deliver what waits, and all that the queue has had since before. It may be called
// again after Stop.
func (s *Server) Start(context.Context) error {
	s.mu.Lock()
	if s.ctx != nil {
		s.mu.Unlock()
		return errors.New("mail delivery: started twice")
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.destinations = map[string]*destination{}
	s.mu.Unlock()
	s.o.Queue.Each(func(env *queue.Envelope) bool {
		if env.Stage == queue.Delivery {
			s.Enqueue(env.MID)
		}
		return true
	})
	return nil
}

// Stop ends all connections. A message that a server is about to accept may be delivered again after
// the next start. Stop may be called more than once and without Start.
func (s *Server) Stop(context.Context) error {
	s.mu.Lock()
	if s.ctx != nil {
		s.cancel()
		s.ctx = nil
	}
	for _, d := range s.destinations {
		s.unschedule(d)
	}
	s.mu.Unlock()
	s.workers.Wait()
	s.timers.Wait()
	return nil
}

// Enqueue has a message of the queue delivered to its unfinished recipients, each when its next
// attempt is due, as the queue has them now. Recipients that wait already, or are being tried, stay
// as they are. Enqueue does not block. Before Start it does nothing: Start finds the message in the
// queue. If the message is claimed, Enqueue takes effect when the claim ends.
func (s *Server) Enqueue(mid uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.enqueue(mid)
}

// enqueue is Enqueue. mu must be held.
func (s *Server) enqueue(mid uint64) {
	if s.ctx == nil {
		return
	}
	if _, claimed := s.claimed[mid]; claimed {
		s.claimed[mid] = true
		return
	}
	env, _ := s.o.Queue.Message(mid) // with mu held, so that no claim begins in the meantime
	touched := map[*destination]bool{}
	for _, r := range env.Recipients {
		d := s.destination(&env, r)
		if s.flights[recipientKey{mid, r.RID}] == 0 && !d.line.has(mid, r.RID) {
			d.line.add(mid, r.RID, r.Next)
		}
		touched[d] = true
	}
	for d := range touched {
		s.schedule(d)
	}
}

// Claim reserves a message of the queue for its caller until release is called: no recipient of it
// begins to be delivered, and others that claim it wait. Deliveries that are under way go on. ok is
// false if ctx ends before another claim does. The work queue claims each message that it works on,
// and so does each command of an administrator, so that a message is never handed on while it is
// withdrawn.
func (s *Server) Claim(ctx context.Context, mid uint64) (release func(), ok bool) {
	wake := func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.idle.Broadcast()
	}
	defer context.AfterFunc(ctx, wake)()
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if ctx.Err() != nil {
			return nil, false
		}
		if _, claimed := s.claimed[mid]; !claimed {
			break
		}
		s.idle.Wait()
	}
	s.claimed[mid] = false
	return func() { s.release(mid) }, true
}

func (s *Server) release(mid uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	enqueue := s.claimed[mid]
	delete(s.claimed, mid)
	s.idle.Broadcast()
	if enqueue {
		s.enqueue(mid)
	}
}

// destinationOf returns the destination of a recipient: the host that it was redirected to, or the
// domain of its address.
func destinationOf(r queue.Recipient) string {
	if r.Host != "" {
		return strings.ToLower(r.Host)
	}
	return strings.ToLower(r.Address[strings.LastIndexByte(r.Address, '@')+1:])
}

// key returns the key of a recipient's destination. Messages of the internal SMTP system have
// destinations of their own, and so connections.
func key(env *queue.Envelope, r queue.Recipient) string {
	if _, internal := internalMail(env); internal {
		return internalKey(destinationOf(r))
	}
	return destinationOf(r)
}

func internalKey(domain string) string { return internalPrefix + domain }

// destination returns the destination of a recipient, which it makes if there is none. mu must be
// held.
func (s *Server) destination(env *queue.Envelope, r queue.Recipient) *destination {
	k := key(env, r)
	d := s.destinations[k]
	if d == nil {
		_, internal := internalMail(env)
		d = &destination{
			domain: destinationOf(r), internal: internal, line: newLine(), wake: make(chan struct{}, 1),
		}
		s.destinations[k] = d
	}
	return d
}

// perConnection is how many messages wait for each connection before another one is opened.
const perConnection = 4

// schedule starts a connection to a destination if messages are due and limits allow it, or sets
// the timer for when one is. mu must be held.
func (s *Server) schedule(d *destination) {
	s.unschedule(d)
	if s.ctx == nil || s.suspended && !d.internal {
		return
	}
	next, ok := d.line.due()
	if !ok {
		s.forget(d)
		return
	}
	now := s.o.Clock.Now()
	if at := max(next, nanos(d.hold)); at > now.UnixNano() {
		d.stopTimer = s.timers.AfterFunc(s.o.Clock, time.Duration(at-now.UnixNano()), func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.schedule(d)
		})
		return
	}
	if d.waiting > 0 {
		d.wakeWorker()
		return
	}
	limits := Destinations.Get(s.o.Committed()).Find(d.domain)
	busy := d.workers > 0 && len(d.line.byTime) <= d.workers*perConnection
	if busy || d.workers >= limits.MaxConnections {
		return // a worker that ends schedules again
	}
	if s.connections >= Config.Get(s.o.Committed()).MaxConnections {
		s.crowded = true
		return
	}
	if limits.TLS != TLSOff && s.tlsIsCrowded() {
		s.crowded = true
		return
	}
	d.workers++
	s.connections++
	if d.internal {
		s.internal++
	}
	w := &worker{server: s, d: d, ctx: s.ctx, limits: limits}
	s.workers.Go(w.run)
}

// forget removes a destination without waiting recipients and workers. Its down state is
// remembered only while something waits. mu must be held.
func (s *Server) forget(d *destination) {
	if d.workers > 0 || d.line.count > 0 {
		return
	}
	if left := d.window.Sub(s.o.Clock.Now()); d.inWindow > 0 && left > 0 {
		d.stopTimer = s.timers.AfterFunc(s.o.Clock, left, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.schedule(d)
		})
		return
	}
	if d.internal {
		delete(s.destinations, internalKey(d.domain))
	} else {
		delete(s.destinations, d.domain)
	}
}

// unschedule stops the timer. mu must be held.
func (s *Server) unschedule(d *destination) {
	if d.stopTimer != nil {
		d.stopTimer()
		d.stopTimer = nil
	}
}

// wakeWorker wakes a worker that waits with an open connection.
func (d *destination) wakeWorker() {
	select {
	case d.wake <- struct{}{}:
	default: // one has been told already
	}
}

// Reschedule adapts all waits to a wall time that has been set, or to limits that have changed.
func (s *Server) Reschedule() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.scheduleAll()
}

// scheduleAll calls schedule for all destinations. mu must be held.
func (s *Server) scheduleAll() {
	s.crowded = false
	for _, d := range s.destinations {
		s.schedule(d)
	}
}

// workerEnded makes room for another worker.
func (s *Server) workerEnded(d *destination) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d.workers--
	s.connections--
	if d.internal {
		s.internal--
	}
	s.idle.Broadcast()
	s.schedule(d)
	if s.crowded {
		s.scheduleAll()
	}
}

// take returns the next due message; the worker must finish or requeue it. ok is false if
// there is none now.
func (s *Server) take(d *destination, limits Destination) (j job, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.ctx != nil && (!s.suspended || d.internal) {
		now := s.o.Clock.Now()
		if d.hold.After(now) {
			return job{}, false
		}
		most := s.allowance(d, limits, now)
		mid, rids := d.line.take(now.UnixNano(), most)
		if rids == nil {
			return job{}, false
		}
		if limits.RecipientLimit > 0 {
			d.inWindow += len(rids)
		}
		if env, found := s.o.Queue.Message(mid); found {
			for _, rid := range rids {
				s.flights[recipientKey{mid, rid}]++
			}
			return job{env, rids}, true
		}
	}
	return job{}, false
}

// land ends the flight of a job that take has returned. If the worker was cut off, the recipients
// that are left are put back into their lines.
func (s *Server) land(j job, cutOff bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rid := range j.rids {
		key := recipientKey{j.env.MID, rid}
		if s.flights[key]--; s.flights[key] == 0 {
			delete(s.flights, key)
		}
	}
	if cutOff {
		s.enqueue(j.env.MID)
	}
}

// allowance returns for how many recipients the destination's limit leaves room. If there is none,
// the destination is held until the period is over. mu must be held.
func (s *Server) allowance(d *destination, limits Destination, now time.Time) int {
	const maxRecipients = 1000 // of one attempt
	if limits.RecipientLimit == 0 {
		d.inWindow = 0
		return maxRecipients
	}
	period := time.Duration(limits.Minutes) * time.Minute
	if left := d.window.Sub(now); left <= 0 || left > period {
		d.window, d.inWindow = now.Add(period), 0
	}
	left := limits.RecipientLimit - d.inWindow
	if left <= 0 {
		d.hold = d.window
		return 0
	}
	return min(left, maxRecipients)
}

// putBack returns recipients to the line, to be tried at a time.
func (s *Server) putBack(d *destination, mid uint64, rids []int, next time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rid := range rids {
		d.line.add(mid, rid, next)
	}
	s.schedule(d)
}

// setReachable notes whether a host of the destination could be reached. If not, the destination
// waits for its next try.
func (s *Server) setReachable(d *destination, up bool, profile Profile) {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := !d.known || d.down == up
	d.known, d.down = true, !up
	if up {
		d.fails, d.hold = 0, time.Time{}
	} else {
		d.fails++
		d.hold = s.o.Clock.Now().Add(profile.retryAfter(d.fails))
	}
	if changed { // with mu held, so that the last event is the present state
		events.Publish(s.o.Events, 0, mailevents.HostChanged{Domain: d.domain, Up: up})
	}
}

// profile returns the bounce profile of a message to a destination.
func (s *Server) profile(env *queue.Envelope, limits Destination) Profile {
	if _, internal := internalMail(env); internal {
		return internalProfile()
	}
	return Profiles.Get(s.o.Committed()).Find(limits.BounceProfile, s.o.BounceProfile(env.Listener))
}
