package door

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"testing"
)

// While a door is shut, clients are refused, its port belongs to it, and established connections go
// on.
func TestShutDoorKeepsItsAddress(t *testing.T) {
	for _, listen := range []string{"127.0.0.1:0", "[::1]:0", "0.0.0.0:0", "[::]:0"} {
		t.Run(listen, func(t *testing.T) { testShutDoor(t, netip.MustParseAddrPort(listen)) })
	}
}

func testShutDoor(t *testing.T, at netip.AddrPort) {
	if at.Addr() == netip.IPv6Loopback() {
		l, err := net.Listen("tcp", "[::1]:0")
		if err != nil {
			t.Skip(err)
		}
		l.Close()
	}
	service, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer service.Close()
	f := newTestFront(at, realAddr(service.Addr()))
	defer f.Close(t.Context())
	if err := f.Claim(t.Context()); err != nil {
		t.Fatal(err)
	}
	host := at.Addr()
	if host.IsUnspecified() {
		host = netip.MustParseAddr("127.0.0.1")
	}
	client := netip.AddrPortFrom(host, f.Addr().Port()).String()
	var before net.Conn
	for range 3 {
		f.SetOpen(true)
		before = connectThrough(t, client, service)
		defer before.Close()
		f.SetOpen(false)
		if c, err := net.Dial("tcp", client); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatalf("a client of the shut door gets %v, %v", c, err)
		}
		for _, a := range []string{client, net.JoinHostPort("", strconv.Itoa(int(f.Addr().Port())))} {
			if l, err := net.Listen("tcp", a); err == nil {
				l.Close()
				t.Fatalf("another program can listen at %s", a)
			}
		}
	}
	if _, err := io.WriteString(before, "x"); err != nil {
		t.Errorf("an established connection: %v", err)
	}
	held, err := f.Reserve()
	if err != nil || held == nil {
		t.Fatal(held, err)
	}
	next := newTestFront(f.Addr(), realAddr(service.Addr()))
	next.Held = func() *net.TCPListener { return held }
	f.Close(t.Context())
	if l, err := net.Listen("tcp", client); err == nil {
		l.Close()
		t.Fatal("another program can take the address of a reserved door")
	}
	if err := next.Claim(t.Context()); err != nil {
		t.Fatal(err)
	}
	next.SetOpen(true)
	connectThrough(t, client, service).Close()
	next.Close(t.Context())
	l, err := net.Listen("tcp", client)
	if err != nil {
		t.Fatalf("the address of a closed door is not free: %v", err)
	}
	l.Close()
}

// newTestFront returns a door to a service of the machine.
func newTestFront(at, service netip.AddrPort) *Front {
	return NewFront(FrontConfig{
		Listen: at, Hosts: machineHosts{}, Logger: slog.New(slog.DiscardHandler),
		Enter: func(client netip.Addr) (netip.Addr, netip.AddrPort, error) { return client, service, nil },
	})
}

// connectThrough connects to a door and exchanges a byte with the service behind it.
func connectThrough(t *testing.T, door string, service net.Listener) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", door)
	if err != nil {
		t.Fatal(err)
	}
	s, err := service.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	b := make([]byte, 1)
	io.WriteString(s, "x")
	if _, err := io.ReadFull(c, b); err != nil {
		t.Fatal(err)
	}
	return c
}
