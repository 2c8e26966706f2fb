package door

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"testing"

	"github.com/esasim/esasim/appliance/network"
)

// slowHosts is a network whose Dial connects at once but returns only after release is
// closed.
type slowHosts struct {
	network.Transport
	dialed  chan struct{} // closed when the service has the connection
	release chan struct{}
}

// tcpConn is a connection of the machine in the role of a simulated one.
type tcpConn struct{ *net.TCPConn }

func (tcpConn) Abort()                                         {}
func (tcpConn) Acknowledged() int64                            { return 0 }
func (tcpConn) AwaitAcknowledged(context.Context, int64) error { return nil }

func (h slowHosts) Dial(_ context.Context, c network.DialConfig) (network.Conn, error) {
	conn, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(c.Remote))
	close(h.dialed)
	<-h.release
	return tcpConn{conn}, err
}

func (f *Front) isClosed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state == closed
}

// A service may have accepted, sent data and closed before the door's Dial returns.
func TestClosePassesOnDataThatArrivedWhileTheDoorDialled(t *testing.T) {
	service, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer service.Close()
	hosts := slowHosts{dialed: make(chan struct{}), release: make(chan struct{})}
	f := NewFront(FrontConfig{
		Listen: netip.MustParseAddrPort("127.0.0.1:0"), Hosts: hosts, Logger: slog.New(slog.DiscardHandler),
		Enter: func(client netip.Addr) (netip.Addr, netip.AddrPort, error) {
			return client, realAddr(service.Addr()), nil
		},
	})
	if err := f.Claim(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.SetOpen(true)
	client, err := net.Dial("tcp", f.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	c, err := service.Accept()
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(c, "The system is going down.\n")
	c.Close()
	<-hosts.dialed
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		f.Close(context.Background())
	}()
	for !f.isClosed() { // once it is, Close has counted the connections that are inside
		runtime.Gosched()
	}
	close(hosts.release)
	if got, err := io.ReadAll(client); err != nil || string(got) != "The system is going down.\n" {
		t.Errorf("the client reads %q, %v", got, err)
	}
	<-closed
}
