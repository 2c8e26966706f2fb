package transfer_test

import (
	"context"
	"errors"
	"net"
	"sync"

	"github.com/esasim/esasim/appliance/network"
)

// A loopback is a network.Transport on the loopback interface of this machine. It records all
// calls.
type loopback struct {
	mu     sync.Mutex
	open   map[*loopListener]bool
	dialed []network.DialConfig
	listen []network.ListenConfig
}

func newLoopback() *loopback { return &loopback{open: map[*loopListener]bool{}} }

func (l *loopback) Listen(ctx context.Context, c network.ListenConfig) (network.Listener, error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", c.Addr.String())
	if err != nil {
		return nil, err
	}
	ll := &loopListener{Listener: ln, of: l}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[ll] = true
	l.listen = append(l.listen, c)
	return ll, nil
}

func (l *loopback) Dial(ctx context.Context, c network.DialConfig) (network.Conn, error) {
	l.mu.Lock()
	l.dialed = append(l.dialed, c)
	l.mu.Unlock()
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(c.Local)}
	conn, err := d.DialContext(ctx, "tcp", c.Remote.String())
	if err != nil {
		return nil, err
	}
	return loopConn{conn.(*net.TCPConn)}, nil
}

func (l *loopback) ListenPacket(context.Context, network.DialConfig) (network.PacketConn, error) {
	return nil, errors.ErrUnsupported
}

// listeners returns the number of open listeners.
func (l *loopback) listeners() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.open)
}

type loopListener struct {
	net.Listener
	of *loopback
}

func (l *loopListener) AcceptConn() (network.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return loopConn{c.(*net.TCPConn)}, nil
}

func (l *loopListener) Accept() (net.Conn, error) { return l.AcceptConn() }

func (l *loopListener) Close() error {
	l.of.mu.Lock()
	delete(l.of.open, l)
	l.of.mu.Unlock()
	return l.Listener.Close()
}

type loopConn struct{ *net.TCPConn }

// Acknowledged returns 0: this machine does not tell, and the FTP server does not call it.
func (loopConn) Acknowledged() int64 { return 0 }

func (loopConn) AwaitAcknowledged(ctx context.Context, _ int64) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

func (c loopConn) Abort() {
	_ = c.SetLinger(0)
	c.Close()
}

var _ network.Transport = (*loopback)(nil)
