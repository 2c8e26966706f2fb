package vnet_test

import (
	"io"
	"net/netip"
	"testing"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim/ether"
	"github.com/esasim/esasim/appliance/network/netsim/vnet"
)

var (
	addrA = netip.MustParseAddr("10.0.202.7")
	addrB = netip.MustParseAddr("10.0.203.4")
)

// A pair is two hosts on one segment, or on two segments with a router between them.
type pair struct {
	fabric *ether.Fabric
	a, b   *vnet.Host
}

func mac(n byte) ether.MAC { return ether.MAC{2, 0, 0, 0, 0, n} }

func newPair(tb testing.TB, routed bool) pair {
	tb.Helper()
	p := pair{fabric: ether.NewFabric(ether.Options{})}
	near := p.fabric.NewSegment("near")
	far := near
	bits := 16
	if routed {
		far, bits = p.fabric.NewSegment("far"), 24
	}
	host := func(
		name string, seg *ether.Segment, m ether.MAC, a netip.Addr, gw string, window int,
	) *vnet.Host {
		h := vnet.NewHost(vnet.Options{
			Name: name, LoopbackIndex: 4, Rand: entropy.Seeded(1), MaxReceiveBuffer: window,
		})
		err := h.AddInterface(vnet.InterfaceConfig{
			Name: "Data 1", Device: "nic1", Index: 1, Segment: seg, MAC: m,
			Addrs: []netip.Prefix{netip.PrefixFrom(a, bits)},
		})
		if err != nil {
			tb.Fatal(err)
		}
		if routed {
			err := h.SetRoutes([]network.Route{
				{Dst: netip.MustParsePrefix("0.0.0.0/0"), Gateway: netip.MustParseAddr(gw)},
			})
			if err != nil {
				tb.Fatal(err)
			}
		}
		tb.Cleanup(h.Close)
		return h
	}
	p.a = host("a", near, mac(1), addrA, "10.0.202.1", 0)
	p.b = host("b", far, mac(2), addrB, "10.0.203.1", 1<<20)
	if routed {
		newRouter(near, far)
	}
	tb.Cleanup(p.fabric.Close)
	return p
}

// newRouter connects two segments by a minimal router: it answers all ARP requests and only
// replaces MACs.
func newRouter(near, far *ether.Segment) {
	ports := [2]*ether.Port{}
	receive := func(in, out int, to ether.MAC) func([]byte) {
		return func(f []byte) {
			me := ports[in].MAC()
			if f[12] == 8 && f[13] == 6 { // ARP: swap sender and target, answer
				var reply [42]byte
				copy(reply[:], f[:42])
				copy(reply[:6], f[6:12])
				copy(reply[6:12], me[:])
				reply[21] = 2
				copy(reply[22:28], me[:])
				copy(reply[28:32], f[38:42])
				copy(reply[32:42], f[22:32])
				ports[in].Transmit(reply[:])
				return
			}
			if f[12] == 8 && f[13] == 0 {
				src := ports[out].MAC()
				copy(f, to[:])
				copy(f[6:], src[:])
				ports[out].Transmit(f)
			}
		}
	}
	ports[0] = near.NewNodePort("near", mac(11), 1500, receive(0, 1, mac(2)))
	ports[1] = far.NewNodePort("far", mac(12), 1500, receive(1, 0, mac(1)))
}

// connect opens a connection from one host to an address of another. It returns the client's
// and the server's end.
func (p pair) connect(
	tb testing.TB, from, to *vnet.Host, addr netip.Addr,
) (network.Conn, network.Conn) {
	tb.Helper()
	l, err := to.Listen(tb.Context(), network.ListenConfig{Addr: netip.AddrPortFrom(addr, 0)})
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(interface{ AddrPort() netip.AddrPort }).AddrPort()
	c, err := from.Dial(tb.Context(), network.DialConfig{Remote: port})
	if err != nil {
		tb.Fatal(err)
	}
	s, err := l.AcceptConn()
	if err != nil {
		tb.Fatal(err)
	}
	return c, s
}

// eachWay runs a benchmark on one segment and through a router.
func eachWay(b *testing.B, f func(b *testing.B, p pair)) {
	for _, routed := range []bool{false, true} {
		name := "segment"
		if routed {
			name = "router"
		}
		b.Run(name, func(b *testing.B) { f(b, newPair(b, routed)) })
	}
}

// BenchmarkBulk measures data that the appliance sends, as with sftp get.
func BenchmarkBulk(b *testing.B) {
	eachWay(b, func(b *testing.B, p pair) {
		c, s := p.connect(b, p.b, p.a, addrA)
		bulk(b, s, c)
	})
}

// BenchmarkBulkIn measures data that the appliance receives, as with sftp put.
func BenchmarkBulkIn(b *testing.B) {
	eachWay(b, func(b *testing.B, p pair) {
		c, s := p.connect(b, p.b, p.a, addrA)
		bulk(b, c, s)
	})
}

func bulk(b *testing.B, from, to network.Conn) {
	buf := make([]byte, 32<<10)
	b.SetBytes(int64(len(buf)))
	done := make(chan int64)
	go func() {
		n, _ := io.CopyBuffer(io.Discard, struct{ io.Reader }{to}, make([]byte, 32<<10))
		done <- n
	}()
	b.ResetTimer()
	for range b.N {
		if _, err := from.Write(buf); err != nil {
			b.Fatal(err)
		}
	}
	from.CloseWrite()
	if n := <-done; n != int64(b.N*len(buf)) {
		b.Fatalf("%d bytes of %d", n, b.N*len(buf))
	}
	b.StopTimer()
	from.Abort()
	to.Abort()
}

func BenchmarkEcho(b *testing.B) {
	eachWay(b, func(b *testing.B, p pair) {
		c, s := p.connect(b, p.b, p.a, addrA)
		echo(b, c, s)
	})
}

func echo(b *testing.B, c, s network.Conn) {
	go func() {
		buf := make([]byte, 64)
		for {
			n, err := s.Read(buf)
			if err != nil {
				return
			}
			s.Write(buf[:n])
		}
	}()
	buf := make([]byte, 64)
	b.ResetTimer()
	for range b.N {
		c.Write(buf)
		if _, err := io.ReadFull(c, buf); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	c.Abort()
}

func BenchmarkConnect(b *testing.B) {
	eachWay(b, func(b *testing.B, p pair) {
		l, err := p.a.Listen(
			b.Context(),
			network.ListenConfig{Addr: netip.AddrPortFrom(addrA, 22), Backlog: 50},
		)
		if err != nil {
			b.Fatal(err)
		}
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				c.Close()
			}
		}()
		for range b.N {
			c, err := p.b.Dial(b.Context(), network.DialConfig{Remote: netip.AddrPortFrom(addrA, 22)})
			if err != nil {
				b.Fatal(err)
			}
			c.Abort()
		}
	})
}

// BenchmarkHost measures the creation of a host like the appliance's in the topology lab: three
// interfaces, one of them with addresses.
func BenchmarkHost(b *testing.B) {
	fabric := ether.NewFabric(ether.Options{})
	defer fabric.Close()
	hosts := make([]*vnet.Host, 0, b.N)
	before := heapInUse()
	start := clock.System().Mark()
	for range b.N {
		h := vnet.NewHost(vnet.Options{Name: "esa", LoopbackIndex: 4, Rand: entropy.Seeded(1)})
		for i, name := range []string{"Data 1", "Data 2", "Management"} {
			c := vnet.InterfaceConfig{
				Name:    name,
				Device:  "nic" + name,
				Index:   i + 1,
				Segment: fabric.NewSegment(name),
				MAC:     mac(byte(i)),
			}
			if i == 0 {
				c.Addrs = []netip.Prefix{
					netip.MustParsePrefix("10.0.202.7/24"),
					netip.MustParsePrefix("2001:db8::7/64"),
				}
			}
			if err := h.AddInterface(c); err != nil {
				b.Fatal(err)
			}
		}
		hosts = append(hosts, h)
	}
	b.ReportMetric(float64(clock.System().Since(start).Microseconds())/float64(b.N), "us/boot")
	b.StopTimer()
	b.ReportMetric(float64(heapInUse()-before)/float64(b.N)/1024, "KiB/host")
	for _, h := range hosts {
		h.Close()
	}
}
