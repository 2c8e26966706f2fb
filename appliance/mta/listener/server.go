package listener

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/mta/mailevents"
	"github.com/esasim/esasim/appliance/mta/queue"
	"github.com/esasim/esasim/appliance/resolver"
)

// A Resolver answers the questions about clients and senders. *resolver.Client implements it.
type Resolver interface {
	Lookup(ctx context.Context, name string, family int) ([]netip.Addr, error)
	LookupAddr(ctx context.Context, addr netip.Addr) (string, error)
	LookupMX(ctx context.Context, domain string) ([]resolver.MX, error)
	Records(ctx context.Context, name, kind string) ([]resolver.Record, error)
}

// Options configure a Server.
type Options struct {
	// Listen opens the sockets of all listeners. They follow the configuration.
	Listen    func(context.Context) (net.Listener, error)
	Committed func() *config.Config
	Hostname  func() string         // of the appliance, for interfaces without a name of their own
	Zone      func() *time.Location // for Received fields
	Clock     clock.Clock
	Resolver  Resolver
	Queue     *queue.Queue
	Events    *events.Stream
	// HexDigits returns six random hexadecimal digits, for Message-IDs that the appliance makes.
	HexDigits func() string
	// TLS returns the configuration of a server that shows the certificate with a name; "" is the one
	// that every appliance has. It must not be changed.
	TLS func(certificate string) (*tls.Config, error)
	// Authenticate reports whether user may send mail with the passphrase. It may block.
	Authenticate func(ctx context.Context, user, passphrase string) bool
	// Accepted is called after a message is in the queue. It must not block.
	Accepted func(queue.Envelope)
	// OnRateLimited is called when an envelope sender begins to be limited, with the text of the
	// alert. It must not block.
	OnRateLimited func(text string)
	// OnHarvest is called when a client is cut off because it seems to guess recipients, with the text
	// of the alert. It must not block.
	OnHarvest func(text string)
	// Record reports whether what is said over a connection is published.
	Record func(icid uint64, remote netip.Addr, host string) bool
	// ResourcesLow reports whether new messages are refused for now.
	ResourcesLow func() bool
}

// A Server is the SMTP server of all listeners. It is a service of the appliance. Its methods are
// safe for concurrent use.
type Server struct {
	o Options

	mu        sync.Mutex
	listener  net.Listener // nil: not started, or stopped
	sessions  map[*session]bool
	suspended map[string]bool // names of listeners in lower case
	clients   clients
	cache     tables // of the newest configuration
	wg        sync.WaitGroup
}

// NewServer returns a Server that does not listen before Start.
func NewServer(o Options) *Server {
	return &Server{
		o: o, sessions: map[*session]bool{}, suspended: map[string]bool{}, clients: newClients(),
	}
}

// Start opens the sockets and returns. It may be called again after Stop.
func (s *Server) Start(ctx context.Context) error {
	l, err := s.o.Listen(ctx)
	if err != nil {
		return fmt.Errorf("open the mail listeners: %w", err)
	}
	s.mu.Lock()
	s.listener = l
	s.mu.Unlock()
	s.wg.Go(func() { s.accept(l) })
	return nil
}

// Stop closes the sockets, ends all connections and waits for their sessions. It may be called
// more than once and without Start.
func (s *Server) Stop(context.Context) error {
	s.mu.Lock()
	l := s.listener
	s.listener = nil
	for c := range s.sessions {
		c.end(endStopped)
	}
	s.mu.Unlock()
	var err error
	if l != nil {
		err = l.Close()
	}
	s.wg.Wait()
	return err
}

func (s *Server) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		if s.listener != l {
			s.mu.Unlock()
			c.Close()
			continue
		}
		session := newSession(s, c)
		s.sessions[session] = true
		s.wg.Go(func() {
			session.serve()
			session.leave()
			s.mu.Lock()
			defer s.mu.Unlock()
			delete(s.sessions, session)
		})
		s.mu.Unlock()
	}
}

// Suspend has the listeners of the given names refuse new connections, and ends the sessions that
// are still there when ctx ends. Without names it concerns all listeners. It returns the names of
// the listeners that were not suspended before.
func (s *Server) Suspend(ctx context.Context, names ...string) []string {
	changed := s.setSuspended(true, names)
	s.awaitSessions(ctx, changed)
	return changed
}

// Resume has the listeners of the given names, or all, accept connections again, and returns the
// names of those that were suspended.
func (s *Server) Resume(names ...string) []string { return s.setSuspended(false, names) }

func (s *Server) setSuspended(on bool, names []string) (changed []string) {
	list := Section.Get(s.o.Committed()).Listeners
	s.mu.Lock()
	for _, l := range list {
		named := func(n string) bool { return sameName(n, l.Name) }
		chosen := len(names) == 0 || slices.ContainsFunc(names, named)
		// The listener for a central quarantine accepts nothing anyway.
		if key := lower(l.Name); chosen && l.Type != Quarantine && s.suspended[key] != on {
			if on {
				s.suspended[key] = true
			} else {
				delete(s.suspended, key)
			}
			changed = append(changed, l.Name)
		}
	}
	s.mu.Unlock()
	if len(changed) > 0 {
		events.Publish(s.o.Events, 0, mailevents.Suspension{
			What: mailevents.Receiving, Listeners: changed, Suspended: on,
		})
	}
	return changed
}

// awaitSessions waits until the sessions of listeners have ended, and ends those that are left when
// ctx ends.
func (s *Server) awaitSessions(ctx context.Context, names []string) {
	for _, c := range s.sessionsOf(names) {
		select {
		case <-c.done:
		case <-ctx.Done():
			c.end(endSuspended)
			<-c.done
		}
	}
}

func (s *Server) sessionsOf(names []string) (out []*session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.sessions {
		if slices.ContainsFunc(names, func(n string) bool { return sameName(n, c.conf.Name) }) {
			out = append(out, c)
		}
	}
	return out
}

// Suspended reports whether the listener of that name is suspended.
func (s *Server) Suspended(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.suspended[lower(name)]
}

// errRefused ends a session whose client was told why already.
var errRefused = errors.New("the client was refused")
