package vnet_test

import (
	"errors"
	"net/netip"
	"sync"
	"syscall"
	"testing"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network"
)

// A client whose handshake is finished on its own side, while the listener is closed, learns
// of it: its connection is reset. The listener's stack may not have processed the client's
// last handshake segment yet.
func TestClosedListenerResetsUnfinishedHandshakes(t *testing.T) {
	p := newPair(t, false)
	service := netip.AddrPortFrom(addrB, 25)
	for range 300 {
		l, err := p.b.Listen(t.Context(), network.ListenConfig{Addr: service, Backlog: 50})
		if err != nil {
			t.Fatal(err)
		}
		var clients sync.WaitGroup
		var once sync.Once
		for range 8 {
			clients.Go(func() {
				c, err := p.a.Dial(t.Context(), network.DialConfig{Remote: service})
				once.Do(func() { l.Close() })
				switch {
				case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET):
					return
				case err != nil:
					t.Errorf("dial = %v", err)
					return
				}
				defer c.Abort()
				_ = c.SetDeadline(clock.System().Now().Add(timeout))
				if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("a connection to a closed listener: %v", err)
				}
			})
		}
		clients.Wait()
		if t.Failed() {
			return
		}
	}
}

// A backlog that is changed is that of the socket table; 0 stands for the default.
func TestBacklogIsChanged(t *testing.T) {
	p := newPair(t, false)
	l, err := p.b.Listen(t.Context(), network.ListenConfig{Addr: netip.AddrPortFrom(addrB, 25), Backlog: 50})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, n := range []int{3, 70, 0} {
		l.(network.BacklogSetter).SetBacklog(n)
		want := n
		if n == 0 {
			want = 10 // the default
		}
		got := 0
		sockets, err := p.b.Sockets()
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range sockets {
			if s.State == "LISTEN" {
				got = s.MaxQLen
			}
		}
		if got != want {
			t.Errorf("the backlog is %d, want %d", got, want)
		}
	}
}
