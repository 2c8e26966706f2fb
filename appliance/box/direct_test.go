package box

import (
	"context"
	"net"
	"net/netip"

	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/shell"
	"github.com/esasim/esasim/transfer"
)

// ServeDirect serves a box's SSH daemon on a real listener, without the simulated network, for
// comparison.
func ServeDirect(ctx context.Context, b *Box, addr string) (*shell.Server, error) {
	s := newSSHServer(b.Appliance(), b.o)
	s.Listen = func(context.Context) (net.Listener, error) { return net.Listen("tcp", addr) }
	return s, s.Start(ctx)
}

// ServeFTPDirect is ServeDirect for the FTP daemon.
func ServeFTPDirect(ctx context.Context, b *Box, addr string) (*DirectFTP, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	o := ftpOptions(b.Appliance(), b.o)
	o.Listen = func(context.Context) (net.Listener, error) { return l, nil }
	o.Net = machine{}
	s := &DirectFTP{transfer.NewFTPServer(o), l.Addr()}
	return s, s.Start(ctx)
}

// A DirectFTP is an FTP daemon on a real listener.
type DirectFTP struct {
	*transfer.FTPServer
	addr net.Addr
}

// Addr returns the address that it listens on.
func (d *DirectFTP) Addr() net.Addr { return d.addr }

// machine is the real network of this machine, with the methods that FTP data connections need.
type machine struct{ network.Transport }

func (machine) Listen(_ context.Context, c network.ListenConfig) (network.Listener, error) {
	l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(c.Addr))
	if err != nil {
		return nil, err
	}
	return tcpListener{l}, nil
}

func (machine) Dial(ctx context.Context, c network.DialConfig) (network.Conn, error) {
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(c.Local.Addr(), c.Local.Port()))}
	n, err := d.DialContext(ctx, "tcp", c.Remote.String())
	if err != nil {
		return nil, err
	}
	return tcpConn{n.(*net.TCPConn)}, nil
}

type tcpListener struct{ *net.TCPListener }

func (l tcpListener) AcceptConn() (network.Conn, error) {
	c, err := l.AcceptTCP()
	if err != nil {
		return nil, err
	}
	return tcpConn{c}, nil
}

// A tcpConn is a connection of the real network. It does not know how much its peer has
// acknowledged, which FTP does not need.
type tcpConn struct{ *net.TCPConn }

func (tcpConn) Acknowledged() int64 { return 0 }

func (tcpConn) AwaitAcknowledged(ctx context.Context, _ int64) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

func (c tcpConn) Abort() {
	c.SetLinger(0) //nolint:errcheck // the connection is closed next
	c.Close()
}
