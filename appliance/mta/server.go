package mta

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/daemon"
	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/logs"
	"github.com/esasim/esasim/appliance/mail"
	"github.com/esasim/esasim/appliance/mta/delivery"
	"github.com/esasim/esasim/appliance/mta/listener"
	"github.com/esasim/esasim/appliance/mta/mailevents"
	"github.com/esasim/esasim/appliance/mta/maillog"
	"github.com/esasim/esasim/appliance/mta/pipeline"
	"github.com/esasim/esasim/appliance/mta/queue"
	"github.com/esasim/esasim/appliance/resolver"
	"github.com/esasim/esasim/appliance/tlsconfig"
)

// Options connect a Server with the appliance. All are required, except where a comment says
// otherwise.
type Options struct {
	Dir          string // of the queue
	Quota        int64  // of the queue in bytes; 0: queue.DefaultQuota
	StateFile    string // keeps what is suspended
	Daemons      *daemon.Table
	Client       *mail.Client
	Resolver     *resolver.Client
	Events       *events.Stream
	Committed    func() *config.Config
	Hostname     func() string
	Zone         func() *time.Location
	Clock        clock.Clock
	Entropy      entropy.Source
	Logger       *slog.Logger
	Certificates *tlsconfig.Store
	// TrustedRoots returns the authorities that sign the certificates of mail servers.
	TrustedRoots func() (*x509.CertPool, error)
	// OnTLSFailed is that of delivery.Options.
	OnTLSFailed func(text string)
	// OnRateLimited and OnHarvest are those of listener.Options.
	OnRateLimited, OnHarvest func(text string)
	// Recorder decides which SMTP conversations are logged.
	Recorder *maillog.Recorder
	// OnConserving is called when the appliance begins to refuse messages because its resources run
	// out, with the text of the alert. It must not block.
	OnConserving func(text string)
}

// A Server is the mail system. It is a service of the appliance, and can be restarted like its
// other processes. It is safe for concurrent use.
type Server struct {
	Queue    *queue.Queue
	Listener *listener.Server
	Delivery *delivery.Server
	Pipeline *pipeline.Pipeline

	o Options

	mu         sync.Mutex
	state      state
	conserving bool
}

// Open opens the queue. The server accepts and delivers nothing before Start. The caller must call
// Close.
func Open(o Options) (*Server, error) {
	q, err := queue.Open(queue.Options{Dir: o.Dir, Quota: o.Quota, Logger: o.Logger})
	if err != nil {
		return nil, err
	}
	s := &Server{o: o, Queue: q}
	if s.state, err = loadState(o.StateFile); err != nil {
		o.Logger.Warn("a state file is ignored", "file", o.StateFile, "err", err)
	}
	digits := o.Entropy.Stream("mail/message-id")
	headers := func() []string { return logs.General.Get(o.Committed()).Headers }
	s.Delivery = delivery.NewServer(delivery.Options{
		Client: o.Client, Resolver: o.Resolver, Queue: q, Events: o.Events, Committed: o.Committed,
		Clock: o.Clock, Rand: o.Entropy.Stream("mail/delivery"), Hostname: o.Hostname,
		Logger: o.Logger, TLS: o.Certificates.Client, TrustedRoots: o.TrustedRoots,
		OnTLSFailed: o.OnTLSFailed, LoggedHeaders: headers,
		Record: o.Recorder.RecordDelivery, NotRecorded: o.Recorder.NotDelivered,
		BounceBytes: func() int { return logs.Section.Get(o.Committed()).BounceBytes() },
		BounceProfile: func(name string) string {
			l, _ := listener.Section.Get(o.Committed()).Find(name)
			return l.BounceProfile
		},
	})
	s.Pipeline = pipeline.New(pipeline.Options{
		Queue: q, Events: o.Events, Logger: o.Logger,
		Claim: s.Delivery.Claim, Deliver: s.Delivery.Enqueue,
	})
	s.Listener = listener.NewServer(listener.Options{
		Record: o.Recorder.RecordInjection,
		Listen: func(ctx context.Context) (net.Listener, error) {
			return o.Daemons.Listen(ctx, port())
		},
		Committed: o.Committed, Hostname: o.Hostname, Zone: o.Zone, Clock: o.Clock,
		Resolver: o.Resolver, Queue: q, Events: o.Events,
		HexDigits: func() string { return fmt.Sprintf("%06x", digits.Uint64()&0xffffff) },
		TLS: func(certificate string) (*tls.Config, error) {
			return o.Certificates.Server(tlsconfig.Inbound, certificate)
		},
		Authenticate:  s.authenticate,
		Accepted:      s.Pipeline.Enqueue,
		OnRateLimited: o.OnRateLimited, OnHarvest: o.OnHarvest,
		ResourcesLow: s.Conserving,
	})
	return s, nil
}

// port returns the sockets of all listeners.
func port() daemon.Port {
	return daemon.Port{
		Process: daemon.Hermes, Addrs: listener.Addrs, BacklogOf: listener.Backlog,
	}
}

// Name implements appliance.Service.
func (*Server) Name() string { return daemon.Hermes.Name() }

// Process implements appliance.Restarter.
func (*Server) Process() daemon.Process { return daemon.Hermes }

// Start begins to deliver and to accept mail, except for what is suspended. It may be called again
// after Stop.
func (s *Server) Start(ctx context.Context) error {
	s.applyState()
	if err := s.Delivery.Start(ctx); err != nil {
		return err
	}
	err := s.Pipeline.Start(ctx)
	if err == nil {
		err = s.Listener.Start(ctx)
	}
	if err != nil {
		return errors.Join(err, s.Stop(context.WithoutCancel(ctx)))
	}
	return nil
}

// Stop ends all connections; mail stays in the queue. It may be called more than once and without
// Start.
func (s *Server) Stop(ctx context.Context) error {
	err := errors.Join(s.Listener.Stop(ctx), s.Pipeline.Stop(ctx), s.Delivery.Stop(ctx))
	if s.o.Events.Hears("mail.waiting") { // the list costs
		events.Publish(s.o.Events, 0, mailevents.MessagesWaiting{MIDs: s.Queue.MIDs()})
	}
	return err
}

// Close closes the queue. The server must have been stopped.
func (s *Server) Close() error { return s.Queue.Close() }

// The parts of the queue's space at which the appliance begins and ends to refuse messages, in
// percent.
const (
	conserveAbove = 90
	acceptBelow   = 80
)

// Conserving reports whether new messages are refused because the queue is nearly full.
func (s *Server) Conserving() bool {
	stats := s.Queue.Stats()
	percent := int64(100)
	if all := stats.BytesUsed + stats.BytesFree; all > 0 {
		percent = stats.BytesUsed * 100 / all
	}
	s.mu.Lock()
	began := percent >= conserveAbove && !s.conserving
	switch {
	case percent >= conserveAbove:
		s.conserving = true
	case percent < acceptBelow:
		s.conserving = false
	}
	low := s.conserving
	s.mu.Unlock()
	if began {
		s.o.OnConserving(fmt.Sprintf("This system (hostname: %s) has entered a 'resource conservation' "+
			"mode in order to prevent the rapid depletion of critical system resources. "+
			"The mail queue is nearly full.", s.o.Hostname()))
	}
	return low
}
