package wan_test

import (
	"bytes"
	"context"
	"io"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim/ether"
	"github.com/esasim/esasim/appliance/network/netsim/vnet"
	"github.com/esasim/esasim/appliance/network/netsim/wan"
)

// Data that a stack sends in trains arrives complete on every kind of path, and a tap on the
// far host's port sees separate frames that have passed the routers.
func TestTrainsOnEveryKindOfPath(t *testing.T) {
	two := []wan.Hop{hop("10.0.202.1"), hop("139.138.24.10")}
	for _, c := range []struct {
		name  string
		path  wan.Path
		rules []wan.Rule
		v6    bool
	}{
		{name: "plain", path: wan.Path{Hops: two}},
		{name: "IPv6", path: wan.Path{Hops: two}, v6: true},
		{name: "delay", path: wan.Path{Hops: two, Delay: time.Millisecond}},
		{name: "jitter", path: wan.Path{Hops: two, Jitter: time.Millisecond}},
		{name: "loss", path: wan.Path{Hops: two, Loss: 0.001}},
		{name: "small MTU", path: wan.Path{Hops: two, MTU: 1300}},
		{name: "rule", path: wan.Path{Hops: two}, rules: []wan.Rule{
			{Protocol: wan.TCP, Action: wan.Reset, AfterBytes: 1 << 20},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			near, gate, far, site, away := near4, gate4, far4, addr("169.254.0.1"), prefix("0.0.0.0/0")
			if c.v6 {
				near, gate, far, site, away = near6, gate6, far6, wan.LinkLocalAddr(siteMAC), prefix("::/0")
			}
			c.path.To = away
			l := newLab(t, c.path)
			l.setRules(c.rules...)
			l.near.port.Close()
			l.far.port.Close()
			a := newHost(t, l.near.port.Segment(), nearMAC, netip.PrefixFrom(near, near.BitLen()-8), gate)
			b := newHost(t, l.far.port.Segment(), farMAC, netip.PrefixFrom(far, far.BitLen()), site)
			var frames atomic.Int32
			b.Port("nic").Tap(func(_ time.Time, dir network.Direction, frame []byte) {
				if frames.Add(1); dir == network.In {
					checkFrame(t, frame)
				}
			})
			data := bytes.Repeat([]byte("0123456789abcdef"), 20000)
			if got := transfer(t, a, b, near, netip.AddrPortFrom(far, 80), data); !bytes.Equal(got, data) {
				t.Errorf("%d bytes arrived, want the %d that were sent", len(got), len(data))
			}
			if n := int(frames.Load()); n < len(data)/1460 {
				t.Errorf("the tap saw %d frames", n)
			}
		})
	}
}

func newHost(
	t *testing.T, s *ether.Segment, mac ether.MAC, p netip.Prefix, gateway netip.Addr,
) *vnet.Host {
	t.Helper()
	h := vnet.NewHost(vnet.Options{
		Name: mac.String(), Rand: entropy.Seeded(1), MaxReceiveBuffer: 1 << 18,
	})
	t.Cleanup(h.Close)
	err := h.AddInterface(vnet.InterfaceConfig{
		Name: "nic", Device: "nic", Index: 1, Segment: s, MAC: mac,
		Addrs: []netip.Prefix{p, prefix("169.254.0.2/16")},
	})
	if err != nil {
		t.Fatal(err)
	}
	err = h.SetRoutes([]network.Route{{
		Dst: netip.PrefixFrom(gateway, 0).Masked(), Gateway: gateway, Interface: "nic",
	}})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func checkFrame(t *testing.T, frame []byte) {
	p := gopacket.NewPacket(frame, layers.LayerTypeEthernet, gopacket.Default)
	tcp, ok := p.TransportLayer().(*layers.TCP)
	if !ok {
		return
	}
	_ = tcp.SetNetworkLayerForChecksum(p.NetworkLayer())
	if err, bad := p.VerifyChecksums(); err != nil || len(bad) > 0 {
		t.Errorf("wrong checksums: %v %v in %v", err, bad, p)
	}
	if len(frame) > 1514 {
		t.Errorf("a frame of %d bytes", len(frame))
	}
	if ip, ok := p.NetworkLayer().(*layers.IPv4); ok && ip.TTL != 64-2 {
		t.Errorf("TTL %d after two routers", ip.TTL)
	}
}

// transfer sends data from a to b over TCP and returns the data that arrived.
func transfer(
	t *testing.T, a, b *vnet.Host, from netip.Addr, to netip.AddrPort, data []byte,
) []byte {
	t.Helper()
	ln, err := b.Listen(t.Context(), network.ListenConfig{Addr: to})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	go func() {
		c, err := a.Dial(ctx, network.DialConfig{Local: netip.AddrPortFrom(from, 0), Remote: to})
		if err != nil {
			t.Error(err)
			ln.Close()
			return
		}
		defer c.Close()
		if _, err := c.Write(data); err != nil {
			t.Error(err)
		}
	}()
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	got, err := io.ReadAll(c)
	if err != nil {
		t.Error(err)
	}
	return got
}
