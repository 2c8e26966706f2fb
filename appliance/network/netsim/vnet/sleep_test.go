package vnet_test

import (
	"errors"
	"net/netip"
	"reflect"
	"syscall"
	"testing"

	"github.com/esasim/esasim/appliance/network"
)

// A listener is listed alike while it sleeps and when a client has come.
func TestListenerSleepsUntilFirstSegment(t *testing.T) {
	p := newPair(t, false)
	at := netip.AddrPortFrom(addrB, 25)
	other, err := p.b.Listen(t.Context(), network.ListenConfig{Addr: netip.AddrPortFrom(addrB, 22)})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	l, err := p.b.Listen(t.Context(), network.ListenConfig{
		Addr: at, Backlog: 7, Owner: "hermes", User: "root", PID: 12, Workers: []string{"w"}, Mapped: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	l.(network.BacklogSetter).SetBacklog(9)
	if got := p.b.Asleep(); got != 2 {
		t.Fatalf("%d listeners sleep, want 2", got)
	}
	asleep, err := p.b.Sockets()
	if err != nil || len(asleep) != 2 || asleep[1].MaxQLen != 9 {
		t.Fatalf("sockets %+v, %v", asleep, err)
	}
	c, err := p.a.Dial(t.Context(), network.DialConfig{Remote: at})
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.AcceptConn()
	if err != nil {
		t.Fatal(err)
	}
	s.Abort()
	c.Close()
	if got := p.b.Asleep(); got != 1 {
		t.Errorf("%d listeners sleep, want 1", got)
	}
	awake, err := p.b.Sockets()
	if err != nil || len(awake) < 2 || !reflect.DeepEqual(awake[:2], asleep) {
		t.Errorf("sockets %+v, %v, want %+v", awake, err, asleep)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := other.Close(); err != nil {
		t.Error(err)
	}
	if left, err := p.b.Sockets(); err != nil || len(left) != 0 {
		t.Errorf("sockets %+v, %v", left, err)
	}
	if _, err := p.a.Dial(t.Context(), network.DialConfig{Remote: at}); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial a closed listener: %v", err)
	}
}

// Conflicts are those of listeners that are awake.
func TestSleepingListenersConflict(t *testing.T) {
	one, all := netip.AddrPortFrom(addrA, 80), netip.MustParseAddrPort("0.0.0.0:80")
	all6, foreign := netip.MustParseAddrPort("[::]:80"), netip.AddrPortFrom(addrB, 80)
	for _, c := range []struct {
		first, second netip.AddrPort
		want          error
	}{
		{one, one, syscall.EADDRINUSE},
		{all, all, syscall.EADDRINUSE},
		{one, all, nil},
		{all, one, nil},
		{all, all6, nil},
		{one, foreign, syscall.EADDRNOTAVAIL},
	} {
		for _, awake := range []bool{false, true} {
			p := newPair(t, false)
			if _, err := p.a.Listen(t.Context(), network.ListenConfig{Addr: c.first}); err != nil {
				t.Fatal(err)
			}
			if awake {
				to := netip.AddrPortFrom(addrA, c.first.Port())
				if _, err := p.b.Dial(t.Context(), network.DialConfig{Remote: to}); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := p.a.Listen(t.Context(), network.ListenConfig{Addr: c.second}); !errors.Is(err, c.want) {
				t.Errorf("listen on %v after %v (awake: %v): %v, want %v", c.second, c.first, awake, err, c.want)
			}
		}
	}
}

// A connection from the port of a sleeping listener fails like one from that of another listener.
func TestDialFromPortOfSleepingListener(t *testing.T) {
	var errs [2]error
	for i, awake := range []bool{false, true} {
		p := newPair(t, false)
		at := netip.AddrPortFrom(addrA, 80)
		if _, err := p.a.Listen(t.Context(), network.ListenConfig{Addr: at}); err != nil {
			t.Fatal(err)
		}
		if awake {
			if _, err := p.b.Dial(t.Context(), network.DialConfig{Remote: at}); err != nil {
				t.Fatal(err)
			}
		}
		_, errs[i] = p.a.NewDial(network.DialConfig{Local: at, Remote: netip.AddrPortFrom(addrB, 9)})
	}
	if (errs[0] == nil) != (errs[1] == nil) || errs[0] != nil && errs[0].Error() != errs[1].Error() {
		t.Errorf("errors %v, %v", errs[0], errs[1])
	}
}

// The host itself reaches its listeners, by its own address and by loopback.
func TestHostWakesItsOwnListeners(t *testing.T) {
	p := newPair(t, false)
	l, err := p.a.Listen(t.Context(), network.ListenConfig{Addr: netip.MustParseAddrPort("0.0.0.0:25")})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, to := range []netip.Addr{addrA, netip.MustParseAddr("127.0.0.1")} {
		c, err := p.a.Dial(t.Context(), network.DialConfig{Remote: netip.AddrPortFrom(to, 25)})
		if err != nil {
			t.Fatalf("dial %v: %v", to, err)
		}
		c.Abort()
	}
}

// A listener whose address the host has no longer is closed like the others.
func TestAbortConnsClosesSleepingListeners(t *testing.T) {
	p := newPair(t, false)
	l, err := p.a.Listen(t.Context(), network.ListenConfig{Addr: netip.AddrPortFrom(addrA, 25)})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.a.SetAddrs("Data 1", nil); err != nil {
		t.Fatal(err)
	}
	if rows, _ := p.a.Sockets(); len(rows) != 1 {
		t.Errorf("sockets %+v", rows)
	}
	if got := p.a.AbortConns(); got != 1 {
		t.Errorf("AbortConns returns %d, want 1", got)
	}
	if rows, _ := p.a.Sockets(); len(rows) != 0 || l.Close() == nil {
		t.Errorf("the listener is open: %+v", rows)
	}
}
