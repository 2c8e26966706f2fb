package vnet_test

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim/ether"
	"github.com/esasim/esasim/appliance/network/netsim/vnet"
)

// A dormantPair is a machine and one with an interface that may be dormant, on one segment.
type dormantPair struct {
	near, far *vnet.Host
	mu        sync.Mutex
	frames    []string // at near
}

func newDormantPair(t *testing.T, dormant bool) *dormantPair {
	t.Helper()
	fabric := ether.NewFabric(ether.Options{})
	t.Cleanup(fabric.Close)
	segment := fabric.NewSegment("wire")
	add := func(name string, m ether.MAC, a string, dormant bool) *vnet.Host {
		h := vnet.NewHost(vnet.Options{Name: name, LoopbackIndex: 4, Rand: entropy.Seeded(1)})
		t.Cleanup(h.Close)
		err := h.AddInterface(vnet.InterfaceConfig{
			Name: "Data 1", Device: "nic1", Index: 1, Segment: segment, MAC: m, Dormant: dormant,
			Addrs: []netip.Prefix{
				netip.MustParsePrefix("10.1.1." + a + "/24"), netip.MustParsePrefix("2001:db8::" + a + "/64"),
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	p := &dormantPair{near: add("near", mac(1), "1", false), far: add("far", mac(2), "2", dormant)}
	p.near.Port("Data 1").Tap(func(_ time.Time, _ network.Direction, frame []byte) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.frames = append(p.frames, string(frame))
	})
	return p
}

// seen returns the frames at near so far.
func (p *dormantPair) seen() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.frames)
}

func (p *dormantPair) ping(t *testing.T, to string) {
	t.Helper()
	if _, err := p.near.Ping(t.Context(), network.PingRequest{
		Dst: netip.MustParseAddr(to), ID: 7, Seq: 1, TTL: 64,
	}); err != nil {
		t.Fatalf("ping %s: %v", to, err)
	}
}

// The frames of a ping are the same whether or not the interface was dormant, and so are the counters
// and addresses of the interface.
func TestDormantInterfaceLooksLikeOthers(t *testing.T) {
	for _, to := range []string{"10.1.1.2", "2001:db8::2", "fe80::ff:fe00:2%Data 1"} {
		awake, dormant := newDormantPair(t, false), newDormantPair(t, true)
		if dormant.far.Attached("Data 1") {
			t.Fatal("a dormant interface has a NIC")
		}
		for _, p := range []*dormantPair{awake, dormant} {
			p.ping(t, to)
		}
		if got, want := dormant.seen(), awake.seen(); !slices.Equal(got, want) || len(want) < 4 {
			t.Errorf("ping %s: frames %q, want %q", to, got, want)
		}
		got, err := dormant.far.Counters("Data 1")
		want, errWant := awake.far.Counters("Data 1")
		if got != want || err != nil || errWant != nil {
			t.Errorf("ping %s: counters %+v, want %+v", to, got, want)
		}
		if got, want := dormant.far.Interfaces()[0], awake.far.Interfaces()[0]; !slices.Equal(got.Addrs, want.Addrs) {
			t.Errorf("addresses %v, want %v", got.Addrs, want.Addrs)
		}
	}
}

// A machine ignores ARP requests about others, and stays dormant.
func TestRequestAboutAnotherMachineWakesNobody(t *testing.T) {
	p := newDormantPair(t, true)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := p.near.Ping(ctx, network.PingRequest{Dst: netip.MustParseAddr("10.1.1.9"), TTL: 64}); err == nil {
		t.Error("a machine that does not exist answers")
	}
	if len(p.seen()) == 0 {
		t.Error("no request was sent")
	}
	if c, _ := p.far.Counters("Data 1"); c.RxPackets == 0 || c.RxDropped != 0 {
		t.Errorf("counters of the other machine are %+v", c)
	}
	if p.far.Attached("Data 1") {
		t.Error("the other machine has been woken")
	}
	p.ping(t, "10.1.1.2")
	if !p.far.Attached("Data 1") {
		t.Error("the machine answers without NIC")
	}
}

// A machine that sends, or that opens a socket at an address of its own, wakes.
func TestUseOfAddressWakes(t *testing.T) {
	own := netip.MustParseAddrPort("10.1.1.2:99")
	other := netip.MustParseAddrPort("10.1.1.1:99")
	for name, use := range map[string]func(h *vnet.Host) error{
		"listen": func(h *vnet.Host) error {
			_, err := h.Listen(t.Context(), network.ListenConfig{Addr: own})
			return err
		},
		"datagrams": func(h *vnet.Host) error {
			_, err := h.ListenPacket(t.Context(), network.DialConfig{Local: own})
			return err
		},
		"dial": func(h *vnet.Host) error {
			c, err := h.NewDial(network.DialConfig{Local: own, Remote: other})
			if err == nil {
				_, _ = c.Connect(t.Context()) // nobody listens there
			}
			return err
		},
		"ping": func(h *vnet.Host) error {
			_, err := h.Ping(t.Context(), network.PingRequest{Dst: other.Addr(), TTL: 64})
			return err
		},
	} {
		p := newDormantPair(t, true)
		if err := use(p.far); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !p.far.Attached("Data 1") {
			t.Errorf("%s does not wake the interface", name)
		}
	}
}
