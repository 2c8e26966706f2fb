package box

import (
	"context"
	"net"
	"net/netip"
	"path/filepath"

	"github.com/esasim/esasim/appliance/daemon"
	"github.com/esasim/esasim/appliance/logs"
	"github.com/esasim/esasim/appliance/mail"
	"github.com/esasim/esasim/appliance/mta"
	"github.com/esasim/esasim/appliance/mta/maillog"
	"github.com/esasim/esasim/appliance/network"
)

// ServeMailDirect serves a second mail system with a box's configuration on a real listener, and
// delivers over the machine's own network: every message goes to the server sink. Only its DNS
// queries cross the simulated network. It returns the address of the listener. The caller must call
// stop.
func ServeMailDirect(ctx context.Context, b *Box, dir, sink string) (addr string, stop func(), err error) {
	a := b.Appliance()
	n := &mailNet{sink: sink}
	client := mail.New(mail.Options{Net: n, Hello: a.Hostname})
	s, err := mta.Open(mta.Options{
		Dir: filepath.Join(dir, "queue"), StateFile: filepath.Join(dir, "suspended"),
		Daemons: daemon.New(daemon.Options{
			Net: n, Clock: a.Clock, Version: a.Product.Version, Committed: a.Config.Committed,
			Hostname: a.Hostname,
		}),
		Client: client, Resolver: a.Resolver, Events: a.Events, Committed: a.Config.Committed,
		Hostname: a.Hostname, Zone: a.Zone, Clock: a.Clock, Entropy: b.o.Entropy, Logger: a.Logger,
		Certificates: a.Certificates, TrustedRoots: a.TrustedAuthorities,
		Recorder: maillog.NewRecorder(maillog.RecorderOptions{
			Subscriptions: func() []logs.Subscription { return nil }, // no debug log records anything
		}),
		OnTLSFailed: func(string) {}, OnConserving: func(string) {},
		OnRateLimited: func(string) {}, OnHarvest: func(string) {},
	})
	if err != nil {
		return "", nil, err
	}
	if err := s.Start(ctx); err != nil {
		s.Close() //nolint:errcheck // Start's error is the one that matters
		return "", nil, err
	}
	return n.listener.String(), func() {
		s.Stop(context.Background()) //nolint:errcheck // the benchmark has what it wants
		s.Close()                    //nolint:errcheck // the same
	}, nil
}

// A mailNet is the machine's own network for a mail system: it listens on the loopback interface
// only, and connects to one server, whatever address is asked for.
type mailNet struct {
	network.Network
	sink     string
	listener net.Addr // of port 25
}

func (n *mailNet) Listen(ctx context.Context, c network.ListenConfig) (network.Listener, error) {
	configured := c.Addr
	c.Addr = netip.MustParseAddrPort("127.0.0.1:0")
	l, err := machine{}.Listen(ctx, c)
	if err != nil {
		return nil, err
	}
	if configured.Port() == 25 {
		n.listener = l.Addr()
	}
	return mailListener{l, net.TCPAddrFromAddrPort(configured)}, nil
}

// A mailListener's connections seem to have come to the configured address, by which the mail
// system finds their listener.
type mailListener struct {
	network.Listener
	configured net.Addr
}

func (l mailListener) Accept() (net.Conn, error) { return l.AcceptConn() }

func (l mailListener) AcceptConn() (network.Conn, error) {
	c, err := l.Listener.AcceptConn()
	if err != nil {
		return nil, err
	}
	return mailConn{c, l.configured}, nil
}

type mailConn struct {
	network.Conn
	configured net.Addr
}

func (c mailConn) LocalAddr() net.Addr { return c.configured }

func (n *mailNet) Dial(ctx context.Context, _ network.DialConfig) (network.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", n.sink)
	if err != nil {
		return nil, err
	}
	return tcpConn{c.(*net.TCPConn)}, nil
}
