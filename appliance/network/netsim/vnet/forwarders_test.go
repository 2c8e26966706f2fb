package vnet_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim/ether"
	"github.com/esasim/esasim/appliance/network/netsim/vnet"
)

// The forwarders of a promiscuous host decide about traffic to addresses that it does not have.
func TestForwarders(t *testing.T) {
	fabric := ether.NewFabric(ether.Options{})
	defer fabric.Close()
	lan := fabric.NewSegment("lan")
	near := vnet.NewHost(vnet.Options{Name: "near", Rand: entropy.Seeded(1)})
	defer near.Close()
	const buffer = 16 << 10
	out := vnet.NewHost(vnet.Options{
		Name: "out", Rand: entropy.Seeded(2), Promiscuous: true, MaxReceiveBuffer: buffer,
	})
	defer out.Close()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	prefix := netip.MustParsePrefix
	must(near.AddInterface(vnet.InterfaceConfig{
		Name:    "a",
		Device:  "a",
		Index:   1,
		Segment: lan,
		MAC:     mac(1),
		Addrs:   []netip.Prefix{prefix("172.31.0.1/16")},
	}))
	must(out.AddInterface(vnet.InterfaceConfig{
		Name:    "b",
		Device:  "b",
		Index:   1,
		Segment: lan,
		MAC:     mac(2),
		Addrs:   []netip.Prefix{prefix("172.31.0.3/16")},
	}))
	must(near.SetRoutes([]network.Route{
		{Dst: prefix("0.0.0.0/0"), Gateway: netip.MustParseAddr("172.31.0.3")},
	}))
	must(out.SetRoutes([]network.Route{
		{Dst: prefix("0.0.0.0/0"), Gateway: netip.MustParseAddr("172.31.0.1")},
	}))
	out.SetForwarders(vnet.Forwarders{
		TCP: func(ctx context.Context, r *vnet.TCPRequest) {
			switch r.To.Port() {
			case 25:
				c, err := r.Accept()
				if err != nil {
					t.Error(err)
					return
				}
				fmt.Fprintf(c, "%v for %v", r.To, r.From.Addr())
				c.Close()
			case 26:
				r.Refuse()
			case 27:
				<-ctx.Done() // as while a real host is being dialed
			}
		},
		UDP: func(from, to netip.AddrPort) func(context.Context, network.PacketConn) {
			if to.Port() != 53 {
				return nil
			}
			return func(ctx context.Context, c network.PacketConn) {
				defer c.Close()
				b := make([]byte, 100)
				n, err := c.Read(b)
				if err != nil {
					t.Error(err)
					return
				}
				fmt.Fprintf(c, "%s at %v for %v", b[:n], to, from.Addr())
			}
		},
	})

	seen := recordSegments(near.Port("a"))
	dial := func(ctx context.Context, a string) (string, error) {
		c, err := near.Dial(ctx, network.DialConfig{Remote: netip.MustParseAddrPort(a)})
		if err != nil {
			return "", err
		}
		defer c.Close()
		got, err := io.ReadAll(c)
		return string(got), err
	}
	if got, err := dial(t.Context(), "203.0.113.9:25"); got != "203.0.113.9:25 for 172.31.0.1" {
		t.Errorf("mapped: %q, %v", got, err)
	}
	for _, s := range seen.list() {
		if s.SrcPort == 25 && s.Window > buffer {
			t.Errorf("a window of %d bytes is announced with a buffer of %d", s.Window, buffer)
		}
	}
	if _, err := dial(t.Context(), "203.0.113.9:26"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("refused: %v", err)
	}
	for _, port := range []string{"27", "28"} { // undecided, ignored
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		if _, err := dial(ctx, "203.0.113.9:"+port); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("port %s: %v", port, err)
		}
		cancel()
	}
	ask := func(a string) (string, error) {
		c, err := near.ListenPacket(t.Context(), network.DialConfig{Remote: netip.MustParseAddrPort(a)})
		must(err)
		defer c.Close()
		must(c.SetDeadline(clock.System().Now().Add(timeout)))
		if _, err := c.Write([]byte("question")); err != nil {
			return "", err
		}
		b := make([]byte, 100)
		n, err := c.Read(b)
		return string(b[:n]), err
	}
	if got, err := ask("203.0.113.9:53"); got != "question at 203.0.113.9:53 for 172.31.0.1" {
		t.Errorf("mapped: %q, %v", got, err)
	}
	if _, err := ask("203.0.113.9:54"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("not mapped: %v", err)
	}
}
