package vnet_test

import (
	"bytes"
	"io"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim/ether"
	"github.com/esasim/esasim/appliance/network/netsim/vnet"
	"github.com/gopacket/gopacket/layers"
)

// Machines with personalities exchange data in both directions, also if a reader pauses until
// the window is closed. No segment offers more than the personality's window or carries an
// option that was not negotiated.
func TestPersonalitiesTransferData(t *testing.T) {
	fabric := ether.NewFabric(ether.Options{})
	t.Cleanup(fabric.Close)
	lan := fabric.NewSegment("lan")
	bsd := &vnet.Personality{
		Window: 16384, WholeSegments: true, ACKDelay: 20 * time.Millisecond,
		Options: []byte{vnet.OptionMSS, vnet.OptionWindowScale, vnet.OptionSACKPermitted},
	}
	old := &vnet.Personality{Window: 32120, Options: []byte{vnet.OptionMSS}}
	a := personalityHost(t, lan, 1, bsd, 1500, "10.0.202.7/24", "2001:db8::7/64")
	b := personalityHost(t, lan, 2, old, 1500, "10.0.202.8/24", "2001:db8::8/64")
	seen := recordSegments(a.Port("Data 1"))
	for _, to := range []string{"10.0.202.8:25", "[2001:db8::8]:25"} {
		l, err := b.Listen(t.Context(), network.ListenConfig{Addr: netip.MustParseAddrPort(to)})
		if err != nil {
			t.Fatal(err)
		}
		near, err := a.Dial(t.Context(), network.DialConfig{Remote: netip.MustParseAddrPort(to)})
		if err != nil {
			t.Fatal(err)
		}
		far, err := l.AcceptConn()
		if err != nil {
			t.Fatal(err)
		}
		sent := bytes.Repeat([]byte("0123456789abcdef"), 64<<10) // 1 MiB
		var transfers sync.WaitGroup
		for _, c := range [][2]network.Conn{{near, far}, {far, near}} {
			transfers.Go(func() {
				if _, err := c[0].Write(sent); err != nil {
					t.Errorf("write: %v", err)
				}
				if err := c[0].CloseWrite(); err != nil {
					t.Errorf("close: %v", err)
				}
			})
			transfers.Go(func() {
				// The window is closed when nothing more is acknowledged.
				for before := int64(-1); before != c[0].Acknowledged(); {
					before = c[0].Acknowledged()
					clock.System().Sleep(t.Context(), 20*time.Millisecond)
				}
				_ = c[1].SetDeadline(clock.System().Now().Add(timeout))
				got, err := io.ReadAll(struct{ io.Reader }{c[1]})
				if err != nil || !bytes.Equal(got, sent) {
					t.Errorf("%d of %d bytes arrived: %v", len(got), len(sent), err)
				}
			})
		}
		begun := clock.System().Mark()
		transfers.Wait()
		t.Logf("to %s: %v", to, clock.System().Since(begun))
		near.Close()
		far.Close()
		l.Close()
	}
	closed := 0
	for _, s := range seen.list() {
		limit := uint16(32120)
		if s.DstPort == 25 {
			limit = 17520 // 12 segments of 1460 bytes
			if s.SYN {
				limit = 16384
			}
		}
		if s.Window > limit {
			t.Fatalf("a segment to port %d has window %d, want at most %d", s.DstPort, s.Window, limit)
		}
		if s.Window == 0 {
			closed++
		}
		for _, o := range s.Options {
			if !s.SYN || o.OptionType == layers.TCPOptionKindTimestamps {
				t.Fatalf("a segment has the option %v", o)
			}
		}
	}
	if closed == 0 {
		t.Error("no window was closed")
	}
}
