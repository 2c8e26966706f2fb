package door

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network"
)

// machineHosts is a network whose connections are the machine's.
type machineHosts struct{ network.Transport }

func (machineHosts) Dial(_ context.Context, c network.DialConfig) (network.Conn, error) {
	conn, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(c.Remote))
	return tcpConn{conn}, err
}

// splicesOf returns the number of splices, and of those that linger.
func (f *Front) splicesOf() (all, lingering int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.splices), len(f.lingering)
}

// awaitSplices blocks until f has want splices, all of which linger.
func awaitSplices(t *testing.T, f *Front, want int) {
	t.Helper()
	for {
		all, lingering := f.splicesOf()
		if all == want && lingering == want {
			return
		}
		if all < want {
			t.Fatalf("the door has %d splices, and %d linger; want %d", all, lingering, want)
		}
		runtime.Gosched()
	}
}

// openFront returns an open door, its service and its clock.
func openFront(t *testing.T) (*Front, net.Listener, *clock.Fake) {
	t.Helper()
	service, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { service.Close() })
	now := clock.NewFake(time.Unix(0, 0))
	f := NewFront(FrontConfig{
		Listen: netip.MustParseAddrPort("127.0.0.1:0"), Hosts: machineHosts{},
		Logger: slog.New(slog.DiscardHandler),
		Enter: func(client netip.Addr) (netip.Addr, netip.AddrPort, error) {
			return netip.Addr{}, realAddr(service.Addr()), nil
		},
	})
	f.clock = now
	if err := f.Claim(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.SetOpen(true)
	t.Cleanup(func() { f.Close(context.Background()) })
	return f, service, now
}

// exchange opens a connection through f whose service says "bye" and closes. The client reads
// that and does not close.
func exchange(t *testing.T, f *Front, service net.Listener) net.Conn {
	t.Helper()
	client, err := net.Dial("tcp", f.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	c, err := service.Accept()
	if err != nil {
		t.Fatal(err)
	}
	f.Accepted()
	io.WriteString(c, "bye")
	c.Close()
	if got, err := io.ReadAll(client); err != nil || string(got) != "bye" {
		t.Fatalf("the client reads %q, %v", got, err)
	}
	return client
}

// Clients that do not close connections that the service has closed cost a bounded number of
// descriptors, and all of them only for a time.
func TestConnectionsThatOnlyTheServiceHasClosedEnd(t *testing.T) {
	f, service, now := openFront(t)
	for range maxLingering + 20 {
		exchange(t, f, service)
	}
	awaitSplices(t, f, maxLingering)
	now.Advance(lingerTimeout - time.Second)
	awaitSplices(t, f, maxLingering)
	now.Advance(time.Second)
	awaitSplices(t, f, 0)
}

// A client that closes is not counted any more.
func TestSpliceThatBothHaveClosedDoesNotLinger(t *testing.T) {
	f, service, _ := openFront(t)
	stays := exchange(t, f, service)
	for range 2 * maxLingering {
		exchange(t, f, service).Close()
		awaitSplices(t, f, 1)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for p := range f.splices {
		if p.a.RemoteAddr().String() != stays.LocalAddr().String() {
			t.Errorf("the splice of %v is left, want that of %v", p.a.RemoteAddr(), stays.LocalAddr())
		}
	}
}
