package vnet_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim/ether"
	"github.com/esasim/esasim/appliance/network/netsim/vnet"
)

const timeout = 2 * time.Minute

// eventually waits until ok returns true, and fails the test after timeout.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	for !ok() {
		if clock.System().Sleep(ctx, time.Millisecond) != nil {
			t.Fatalf("timed out after %v, waiting until %s", timeout, what)
		}
	}
}

// segments records the TCP segments that pass a port.
type segments struct {
	mu  sync.Mutex
	all []*layers.TCP
}

func recordSegments(p *ether.Port) *segments {
	s := new(segments)
	p.Tap(func(_ time.Time, _ network.Direction, frame []byte) {
		packet := gopacket.NewPacket(bytes.Clone(frame), layers.LayerTypeEthernet, gopacket.Default)
		if tcp, ok := packet.Layer(layers.LayerTypeTCP).(*layers.TCP); ok {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.all = append(s.all, tcp)
		}
	})
	return s
}

func (s *segments) list() []*layers.TCP {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*layers.TCP{}, s.all...)
}

// With Nagle's algorithm a second small write waits until the first has been acknowledged, and
// is sent together with the third. Without it, each write is sent in a segment of its own.
func TestNagleDelay(t *testing.T) {
	for _, delay := range []bool{false, true} {
		p := newPair(t, false)
		l, err := p.b.Listen(t.Context(), network.ListenConfig{Addr: netip.AddrPortFrom(addrB, 514)})
		if err != nil {
			t.Fatal(err)
		}
		c, err := p.a.Dial(
			t.Context(),
			network.DialConfig{Remote: netip.AddrPortFrom(addrB, 514), Delay: delay},
		)
		if err != nil {
			t.Fatal(err)
		}
		s, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		p.b.Port("Data 1").SetImpairment(ether.Impairment{Delay: 20 * time.Millisecond})
		seen := recordSegments(p.a.Port("Data 1"))
		for range 3 {
			if _, err := c.Write([]byte("record\n")); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := io.ReadFull(s, make([]byte, 21)); err != nil {
			t.Fatal(err)
		}
		var got []int
		sent := map[uint32]bool{} // a slow machine sends a segment again
		for _, seg := range seen.list() {
			if len(seg.Payload) > 0 && !sent[seg.Seq] {
				got = append(got, len(seg.Payload))
				sent[seg.Seq] = true
			}
		}
		want := []int{7, 7, 7}
		if delay {
			want = []int{7, 14}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("delay %v: segments (-want +got):\n%s", delay, d)
		}
	}
}

// All clients are served, even if more of them connect at once than the backlog allows.
func TestBurstOfConnections(t *testing.T) {
	p := newPair(t, false)
	at := netip.AddrPortFrom(addrB, 22)
	l, err := p.b.Listen(t.Context(), network.ListenConfig{Addr: at, Backlog: 10})
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			c, err := l.AcceptConn()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	var clients sync.WaitGroup
	for range 50 {
		clients.Go(func() {
			for range 30 {
				ctx, cancel := context.WithTimeout(t.Context(), timeout)
				c, err := p.a.Dial(ctx, network.DialConfig{Remote: at})
				cancel()
				if err != nil {
					t.Error(err)
					return
				}
				_ = c.SetDeadline(clock.System().Now().Add(timeout))
				if _, err := c.Write([]byte("SSH-2.0-client\r\n")); err != nil {
					t.Error(err)
				}
				if _, err := io.ReadFull(c, make([]byte, 16)); err != nil {
					t.Error(err)
				}
				c.Close()
			}
		})
	}
	clients.Wait()
}

// A connection is half open if the last segment of its handshake is lost.
func TestHalfOpenConnectionsAreCounted(t *testing.T) {
	p := newPair(t, false)
	service := netip.AddrPortFrom(addrA, 25)
	_, err := p.a.Listen(t.Context(), network.ListenConfig{Addr: service, Backlog: 50})
	if err != nil {
		t.Fatal(err)
	}
	remove := p.b.Port("Data 1").AllowOnly(func(dir network.Direction, f []byte) bool {
		return dir == network.In || len(f) < 54 || f[23] != 6 || f[47]&0x3f != 0x10
	})
	defer remove()
	c, err := p.b.Dial(t.Context(), network.DialConfig{Remote: service})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Abort()
	eventually(t, "one connection is half open", func() bool {
		rows, err := p.a.Sockets()
		if err != nil {
			t.Fatal(err)
		}
		return len(rows) == 2 && rows[0].State == "LISTEN" && rows[0].IncQLen == 1 && rows[0].QLen == 0 &&
			rows[1].State == "SYN_RCVD"
	})
}

// Data that the peer does not acknowledge is counted in the send queue.
func TestSendQueueOfASilentPeer(t *testing.T) {
	p := newPair(t, false)
	c, s := p.connect(t, p.a, p.b, addrB)
	for range 3 { // so that data has been acknowledged before
		if _, err := c.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(s, make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
	}
	queue := func() int {
		rows, err := p.a.Sockets()
		if err != nil {
			t.Fatal(err)
		}
		return rows[0].SendQ
	}
	eventually(t, "everything is acknowledged", func() bool { return queue() == 0 })
	p.b.Port("Data 1").SetUp(false)
	if _, err := c.Write(make([]byte, 777)); err != nil {
		t.Fatal(err)
	}
	if got := queue(); got != 777 {
		t.Errorf("Send-Q is %d, want 777", got)
	}
	c.Close()
	if got := queue(); got != 777 {
		t.Errorf("Send-Q of a closed connection is %d, want 777", got)
	}
}

// Routes are listed as in B40: default, network, own address and localhost.
func TestRoutesAreListedAsByBSD(t *testing.T) {
	fabric := ether.NewFabric(ether.Options{})
	defer fabric.Close()
	h := vnet.NewHost(vnet.Options{Name: "esa", LoopbackIndex: 4, Rand: entropy.Seeded(1)})
	defer h.Close()
	err := h.AddInterface(vnet.InterfaceConfig{
		Name:    "Data 1",
		Device:  "nic1",
		Index:   2,
		Segment: fabric.NewSegment("data1"),
		MAC:     mac(1),
		Addrs:   []netip.Prefix{netip.MustParsePrefix("10.0.202.7/24")},
	})
	if err != nil {
		t.Fatal(err)
	}
	err = h.SetRoutes([]network.Route{
		{Dst: netip.MustParsePrefix("0.0.0.0/0"), Gateway: netip.MustParseAddr("10.0.202.1")},
	})
	if err != nil {
		t.Fatal(err)
	}
	rows, err := h.Routes()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range rows {
		gateway := fmt.Sprintf("link#%d", r.Link)
		if r.Gateway.IsValid() {
			gateway = r.Gateway.String()
		}
		got = append(got, strings.Join([]string{r.Dst.String(), gateway, r.Flags, r.Interface}, " "))
	}
	want := []string{
		"0.0.0.0/0 10.0.202.1 UGS Data 1",
		"10.0.202.0/24 link#2 U Data 1",
		"10.0.202.7/32 link#2 UHS lo0",
		"127.0.0.1/32 link#4 UH lo0",
		"::1/128 link#4 UH lo0",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("routes (-want +got):\n%s", d)
	}
}

// An ARP entry is removed when it expires, and stays "reachable" until then.
func TestNeighborsExpire(t *testing.T) {
	fabric := ether.NewFabric(ether.Options{})
	defer fabric.Close()
	lan := fabric.NewSegment("lan")
	const life = 2 * time.Second // long enough to list the entries
	host := func(m ether.MAC, addr string) *vnet.Host {
		h := vnet.NewHost(vnet.Options{Name: addr, Rand: entropy.Seeded(1), NeighborLife: life})
		t.Cleanup(h.Close)
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
	_, err := a.Ping(t.Context(), network.PingRequest{Dst: netip.MustParseAddr("10.0.202.8")})
	if err != nil {
		t.Fatal(err)
	}
	count := func(h *vnet.Host) (n int) {
		list, err := h.Neighbors()
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range list {
			if x.State == "reachable" && x.Expires <= life {
				n++
			}
		}
		return n
	}
	if count(a) != 1 || count(b) != 1 { // b has learned a's MAC from its ARP request
		t.Errorf("%d and %d neighbors", count(a), count(b))
	}
	eventually(t, "both hosts have no neighbors", func() bool {
		return count(a) == 0 && count(b) == 0
	})
	list, err := a.Neighbors()
	if err != nil || len(list) != 1 || list[0].State != "permanent" {
		t.Errorf("the remaining entries are %+v, %v", list, err)
	}
}

// One Host can have the addresses of all simulated machines: each service listens on its own.
func TestManyAddresses(t *testing.T) {
	fabric := ether.NewFabric(ether.Options{})
	defer fabric.Close()
	lan := fabric.NewSegment("farm")
	near := vnet.NewHost(vnet.Options{Name: "near", Rand: entropy.Seeded(1)})
	defer near.Close()
	far := vnet.NewHost(vnet.Options{
		Name: "hosts", Rand: entropy.Seeded(2), MaxReceiveBuffer: 1 << 20,
	})
	defer far.Close()
	addrs := []netip.Prefix{netip.MustParsePrefix("172.31.0.2/16")}
	for i := range 200 {
		addrs = append(addrs, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 201, byte(i + 1)}), 32))
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(far.AddInterface(vnet.InterfaceConfig{
		Name:    "eth0",
		Device:  "eth0",
		Index:   1,
		Segment: lan,
		MAC:     mac(2),
		Addrs:   addrs,
	}))
	must(near.AddInterface(vnet.InterfaceConfig{
		Name: "Data 1", Device: "nic1", Index: 1, Segment: lan, MAC: mac(1),
		Addrs: []netip.Prefix{netip.MustParsePrefix("172.31.0.1/16")},
	}))
	must(near.SetRoutes([]network.Route{
		{Dst: netip.MustParsePrefix("10.0.201.0/24"), Gateway: netip.MustParseAddr("172.31.0.2")},
	}))
	for _, a := range []string{"10.0.201.4", "10.0.201.5"} {
		l, err := far.Listen(
			t.Context(),
			network.ListenConfig{Addr: netip.AddrPortFrom(netip.MustParseAddr(a), 25)},
		)
		must(err)
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = io.WriteString(c, a)
				c.Close()
			}
		}()
	}
	for _, a := range []string{"10.0.201.4", "10.0.201.5"} {
		c, err := near.Dial(
			t.Context(),
			network.DialConfig{Remote: netip.AddrPortFrom(netip.MustParseAddr(a), 25)},
		)
		must(err)
		if got, _ := io.ReadAll(c); string(got) != a {
			t.Errorf("%s answers as %q", a, got)
		}
		c.Close()
	}
	_, err := near.Dial(
		t.Context(),
		network.DialConfig{Remote: netip.MustParseAddrPort("10.0.201.6:25")},
	)
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a host without the service: %v", err)
	}
}

// A connect fails with ETIMEDOUT after Options.ConnectTimeout.
func TestConnectTimesOut(t *testing.T) {
	fabric := ether.NewFabric(ether.Options{})
	defer fabric.Close()
	lan := fabric.NewSegment("lan")
	h := vnet.NewHost(vnet.Options{
		Name: "esa", Rand: entropy.Seeded(1), ConnectTimeout: 20 * time.Millisecond,
	})
	defer h.Close()
	err := h.AddInterface(vnet.InterfaceConfig{
		Name:    "a",
		Device:  "a",
		Index:   1,
		Segment: lan,
		MAC:     mac(1),
		Addrs:   []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24")},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.Dial(t.Context(), network.DialConfig{Remote: netip.MustParseAddrPort("10.0.0.2:25")})
	if !errors.Is(err, syscall.ETIMEDOUT) {
		t.Errorf("dial: %v", err)
	}
}

// The same seed gives the same ports.
func TestRandomnessIsSeeded(t *testing.T) {
	first := func(seed uint64) string {
		fabric := ether.NewFabric(ether.Options{})
		defer fabric.Close()
		h := vnet.NewHost(vnet.Options{Name: "esa", Rand: entropy.Seeded(seed)})
		defer h.Close()
		err := h.AddInterface(vnet.InterfaceConfig{
			Name:    "a",
			Device:  "a",
			Index:   1,
			Segment: fabric.NewSegment("lan"),
			MAC:     mac(1),
			Addrs:   []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24")},
		})
		if err != nil {
			t.Fatal(err)
		}
		p, err := h.ListenPacket(t.Context(), network.DialConfig{})
		if err != nil {
			t.Fatal(err)
		}
		return p.LocalAddr().String()
	}
	if a, b := first(1), first(1); a != b {
		t.Errorf("one seed gave the ports %s and %s", a, b)
	}
	if a, b := first(1), first(2); a == b {
		t.Errorf("two seeds gave the port %s", a)
	}
}

// Data arrives complete in both directions if the cable loses and delays frames and has a
// limited rate.
func TestTransferOverImpairedCable(t *testing.T) {
	p := newPair(t, true)
	near, far := p.connect(t, p.a, p.b, addrB)
	p.a.Port("Data 1").SetImpairment(ether.Impairment{
		Loss: 0.02, Delay: 300 * time.Microsecond, Jitter: 200 * time.Microsecond,
	})
	p.b.Port("Data 1").SetImpairment(ether.Impairment{Loss: 0.01, Rate: 200_000_000})
	sent := make([]byte, 1<<20)
	_, _ = entropy.Seeded(3).Stream("data").Read(sent)
	var all sync.WaitGroup
	for _, c := range []network.Conn{near, far} {
		_ = c.SetDeadline(clock.System().Now().Add(4 * timeout))
		all.Go(func() {
			if _, err := c.Write(sent); err != nil {
				t.Error(err)
			}
			_ = c.CloseWrite()
		})
		all.Go(func() {
			if got, err := io.ReadAll(c); !bytes.Equal(got, sent) {
				t.Errorf("%d bytes arrived, want the %d that were sent (%v)", len(got), len(sent), err)
			}
		})
	}
	all.Wait()
}

// lo0 has counters, but it cannot be tapped or switched off.
func TestLoopbackInterface(t *testing.T) {
	p := newPair(t, false)
	if _, err := p.a.Tap(network.TapConfig{Interface: "lo0"}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("tap: %v", err)
	}
	ping := network.PingRequest{Dst: netip.MustParseAddr("127.0.0.1"), DataSize: 56}
	if _, err := p.a.Ping(t.Context(), ping); err != nil {
		t.Error(err)
	}
	if c, err := p.a.Counters("lo0"); err != nil || c.RxPackets != 2 || c.TxPackets != 2 {
		t.Errorf("after request and reply: %+v, %v", c, err)
	}
	if err := p.a.SetUp("lo0", false); !errors.Is(err, syscall.ENXIO) {
		t.Errorf("switching lo0 off: %v", err)
	}
}

// An interface without addresses receives frames, and can be used as soon as it has one.
func TestInterfaceWithoutAddresses(t *testing.T) {
	fabric := ether.NewFabric(ether.Options{})
	defer fabric.Close()
	lan := fabric.NewSegment("lan")
	host := func(m ether.MAC, addrs ...netip.Prefix) *vnet.Host {
		h := vnet.NewHost(vnet.Options{Name: m.String(), Rand: entropy.Seeded(1)})
		t.Cleanup(h.Close)
		err := h.AddInterface(vnet.InterfaceConfig{
			Name: "Data 2", Device: "nic2", Index: 3, Segment: lan, MAC: m, Addrs: addrs,
		})
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	a, b := host(mac(1)), host(mac(2), netip.MustParsePrefix("10.0.203.8/24"))
	to := network.DialConfig{Interface: "Data 2", Remote: netip.MustParseAddrPort("10.0.203.8:25")}
	if _, err := a.Dial(t.Context(), to); !errors.Is(err, syscall.ENXIO) {
		t.Errorf("dial by an interface without address: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { _, _ = b.Ping(ctx, network.PingRequest{Dst: netip.MustParseAddr("10.0.203.7")}) }()
	eventually(t, "the interface has received the ARP request", func() bool {
		c, err := a.Counters("Data 2")
		return err == nil && c.RxPackets > 0
	})
	if err := a.SetUp("Data 2", false); err != nil {
		t.Fatal(err)
	}
	addrs := []netip.Prefix{netip.MustParsePrefix("10.0.203.7/24")}
	if err := a.SetAddrs("Data 2", addrs); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Dial(t.Context(), to); !errors.Is(err, syscall.ENETUNREACH) &&
		!errors.Is(err, syscall.EHOSTUNREACH) {
		t.Errorf("dial by an interface that is down: %v", err)
	}
	if err := a.SetUp("Data 2", true); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Dial(t.Context(), to); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial: %v", err)
	}
}
