package vnet_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"testing"

	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim/ether"
	"github.com/esasim/esasim/appliance/network/netsim/vnet"
)

// Close ends all goroutines and closes all sockets, in whatever state these are.
func TestCloseLeavesNothing(t *testing.T) {
	cycle := func() {
		fabric := ether.NewFabric(ether.Options{})
		lan := fabric.NewSegment("lan")
		host := func(m ether.MAC, addr string) *vnet.Host {
			h := vnet.NewHost(vnet.Options{Name: addr, LoopbackIndex: 4, Rand: entropy.Seeded(1)})
			err := h.AddInterface(vnet.InterfaceConfig{
				Name: "Data 1", Device: "nic1", Index: 2, Segment: lan, MAC: m,
				Addrs: []netip.Prefix{netip.MustParsePrefix(addr)},
			})
			if err != nil {
				t.Fatal(err)
			}
			return h
		}
		a, b := host(mac(1), "10.0.202.7/24"), host(mac(2), "10.0.202.8/24")
		service := netip.MustParseAddrPort("10.0.202.8:25")
		l, err := b.Listen(t.Context(), network.ListenConfig{Addr: service})
		if err != nil {
			t.Fatal(err)
		}
		var waiting sync.WaitGroup
		wait := func(f func() error) {
			waiting.Go(func() {
				if err := f(); !errors.Is(err, net.ErrClosed) {
					t.Errorf("a blocked call returned %v", err)
				}
			})
		}
		for range 3 { // established, closed (TIME_WAIT), waiting to be accepted
			_, err := a.Dial(t.Context(), network.DialConfig{Remote: service})
			if err != nil {
				t.Fatal(err)
			}
		}
		c, err := l.AcceptConn()
		if err != nil {
			t.Fatal(err)
		}
		wait(func() error { _, err := c.Read(make([]byte, 1)); return err })
		c2, err := l.AcceptConn()
		if err != nil {
			t.Fatal(err)
		}
		c2.Close()
		wait(func() error {
			for {
				if _, err := l.AcceptConn(); err != nil {
					return err
				}
			}
		})
		wait(func() error {
			_, err := a.Dial(
				context.Background(),
				network.DialConfig{Remote: netip.MustParseAddrPort("10.0.202.9:25")},
			)
			return err
		})
		wait(func() error {
			_, err := a.Ping(
				context.Background(),
				network.PingRequest{Dst: netip.MustParseAddr("10.0.202.10")},
			)
			return err
		})
		eventually(t, "a connection is in state SYN_SENT", func() bool {
			rows, err := a.Sockets()
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range rows {
				if s.State == "SYN_SENT" {
					return true
				}
			}
			return false
		})
		a.Close()
		b.Close()
		b.Close()
		waiting.Wait()
		if _, err := a.Listen(t.Context(), network.ListenConfig{}); !errors.Is(err, net.ErrClosed) {
			t.Errorf("listening on a closed host: %v", err)
		}
		fabric.Close()
	}
	cycle() // allocates what is needed once in a process
	goroutines := runtime.NumGoroutine()
	heap := heapInUse()
	for range 20 {
		cycle()
	}
	eventually(t, "all goroutines have ended", func() bool {
		return runtime.NumGoroutine() <= goroutines
	})
	if grown := int64(heapInUse()) - int64(heap); grown > 2<<20 {
		t.Errorf("the heap has grown by %d KiB in 20 cycles", grown>>10)
	}
}

// heapInUse returns the bytes of reachable heap objects.
func heapInUse() uint64 {
	var m runtime.MemStats
	for range 3 { // pools are emptied by the second collection
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
