package listener

import (
	"context"
	"net"
	"net/netip"
	"testing"
)

// A pipeListener accepts connections that tests make, with the addresses that they choose. They are
// TCP connections of the machine's loopback interface.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	close(l.done)
	return nil
}

func (*pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

// dial returns the client's end of a new connection from the given address.
func (l *pipeListener) dial(t testing.TB, from netip.AddrPort) net.Conn {
	t.Helper()
	real, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer real.Close()
	client, err := net.Dial("tcp", real.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err := real.Accept()
	if err != nil {
		t.Fatal(err)
	}
	l.conns <- addressed{server.(*net.TCPConn), from}
	return client
}

// An addressed connection has the addresses of the test's choice.
type addressed struct {
	*net.TCPConn
	remote netip.AddrPort
}

func (addressed) LocalAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort("192.0.2.1:25"))
}
func (c addressed) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }
func (c addressed) Abort() {
	c.SetLinger(0)
	c.Close()
}
