package netsim_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
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
	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

func addr(s string) netip.Addr         { return netip.MustParseAddr(s) }
func addrPort(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// testTimeout bounds operations that are quick unless they hang, on a busy machine too.
const testTimeout = 2 * time.Minute

// deadline returns a deadline for sockets.
func deadline() time.Time { return clock.System().Now().Add(testTimeout) }

// within returns a context that ends after d or with the test.
func within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// start runs a world on free ports until the test ends.
func start(t testing.TB, topo *topology.Topology, change ...func(*netsim.Options)) *netsim.World {
	t.Helper()
	o := netsim.Options{Entropy: entropy.Seeded(1), DoorAddrs: make(map[string]netip.AddrPort)}
	for _, d := range topo.Doors.In {
		o.DoorAddrs[d.Name] = addrPort("127.0.0.1:0")
	}
	for _, f := range change {
		f(&o)
	}
	world, err := netsim.New(topo, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { world.Stop(context.Background()) })
	if err := world.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return world
}

func TestPingGoogle(t *testing.T) {
	w := start(t, fixture(t, "lab"))
	for seq := range uint16(6) {
		r, err := w.Network().Ping(within(t, testTimeout), network.PingRequest{Dst: addr("216.58.194.206"), ID: 7, Seq: seq, DataSize: 56})
		if err != nil {
			t.Fatal(err)
		}
		if r.Kind != network.EchoReply || r.TTL != 56 || r.Bytes != 64 {
			t.Errorf("seq %d: kind %d, ttl=%d, %d bytes, want a reply of 64 bytes with ttl=56 (B51)", seq, r.Kind, r.TTL, r.Bytes)
		}
		if seq > 0 && r.RTT < 1700*time.Microsecond { // the first waits for ARP
			t.Errorf("seq %d: time=%v, want about 2 ms", seq, r.RTT)
		}
	}
}

func TestPingIPv6(t *testing.T) {
	w := start(t, fixture(t, "lab"))
	for _, test := range []struct {
		dst string
		ttl int
	}{{"2001:db8:202::1", 64}, {"2001:db8:202::53", 64}, {"2001:db8:4005::200e", 61}} {
		r, err := w.Network().Ping(within(t, testTimeout), network.PingRequest{Dst: addr(test.dst), DataSize: 8})
		if err != nil || r.Kind != network.EchoReply || r.TTL != test.ttl {
			t.Errorf("ping %s: %+v, %v, want hop limit %d", test.dst, r, err, test.ttl)
		}
	}
}

func TestTracerouteGoogle(t *testing.T) {
	w := start(t, fixture(t, "lab"))
	want := strings.Fields(`
		68.232.129.2 68.232.129.3 68.232.129.3
		139.138.24.10 139.138.24.10 139.138.24.10
		68.232.128.2 68.232.128.2 68.232.128.2
		139.138.24.42 208.90.63.209 139.138.24.42
		63.150.59.25 63.150.59.25 63.150.59.25
		67.14.34.82 67.14.34.82 67.14.34.82
		108.170.242.225 108.170.242.225 108.170.243.1
		108.170.242.225 108.170.243.1 108.170.243.1
		108.170.237.105 216.58.194.206 216.58.194.206`)
	var got []string
	for i := range want {
		r, err := w.Network().Probe(within(t, testTimeout), network.ProbeRequest{
			Dst: addr("216.58.194.206"), Port: uint16(33435 + i), TTL: uint8(i/3 + 1), PacketSize: 40,
		})
		if err != nil {
			t.Fatal(err)
		}
		kind := network.TimeExceeded
		if i > 24 {
			kind = network.PortUnreachable
		}
		if r.Kind != kind {
			t.Errorf("probe %d: kind %d, want %d", i, r.Kind, kind)
		}
		got = append(got, r.From.String())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("routers (-want +got), B49:\n%s", diff)
	}
}

func TestRoutesAndNeighbors(t *testing.T) {
	w := start(t, fixture(t, "lab"))
	routes, err := w.Network().Routes()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range routes {
		if r.Dst.Addr().Is4() {
			got = append(got, fmt.Sprint(r.Dst, " ", r.Gateway, " ", r.Link, " ", r.Flags, " ", r.Interface))
		}
	}
	want := []string{ // B40
		"0.0.0.0/0 10.0.202.1 2 UGS Data 1",
		"10.0.202.0/24 invalid IP 2 U Data 1",
		"10.0.202.7/32 invalid IP 2 UHS lo0",
		"127.0.0.1/32 invalid IP 4 UH lo0",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("routes (-want +got):\n%s", diff)
	}
	if _, err := w.Network().Ping(within(t, testTimeout), network.PingRequest{Dst: addr("10.0.202.53")}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Network().Ping(within(t, testTimeout), network.PingRequest{Dst: addr("10.0.201.5")}); err != nil {
		t.Fatal(err)
	}
	neighbors, err := w.Network().Neighbors()
	if err != nil {
		t.Fatal(err)
	}
	macs := make(map[netip.Addr]string)
	for _, n := range neighbors {
		macs[n.Addr] = n.MAC.String()
	}
	if macs[addr("10.0.202.53")] != "00:50:56:0a:02:53" || macs[addr("10.0.202.1")] != "02:00:00:02:00:01" {
		t.Errorf("neighbors: %v", macs)
	}
}

// echo sends text and checks that the same text comes back.
func echo(t testing.TB, c net.Conn, text string) {
	t.Helper()
	c.SetDeadline(deadline())
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(text))
	if _, err := io.ReadFull(c, got); err != nil {
		t.Fatal(err)
	}
	if string(got) != text {
		t.Fatalf("got %q, want %q", got, text)
	}
}

func dial(t testing.TB, w *netsim.World, to string) (network.Conn, error) {
	t.Helper()
	c, err := w.Network().Dial(within(t, testTimeout), network.DialConfig{Remote: addrPort(to)})
	if err == nil {
		t.Cleanup(func() { c.Close() })
	}
	return c, err
}

func mustDial(t testing.TB, w *netsim.World, to string) network.Conn {
	t.Helper()
	c, err := dial(t, w, to)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A link whose MTU is too small carries no IPv6 (RFC 8200 section 5), and has no IPv6 routes.
func TestSmallMTUDisablesIPv6(t *testing.T) {
	w := start(t, fixture(t, "lab"))
	mtu := func(n int) {
		if err := w.Network().(network.Configurer).SetMTU("Data 1", n); err != nil {
			t.Fatal(err)
		}
	}
	ping := func() error {
		_, err := w.Network().Ping(within(t, testTimeout), network.PingRequest{Dst: addr("2001:db8:202::53")})
		return err
	}
	mtu(1279)
	if err := ping(); !errors.Is(err, syscall.ENETUNREACH) {
		t.Errorf("with an MTU of 1279: %v", err)
	}
	echo(t, mustDial(t, w, "10.0.201.5:7"), "IPv4 still works")
	routes, err := w.Network().Routes()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range routes {
		if r.Dst.Addr().Is6() && r.Interface == "Data 1" {
			t.Errorf("route %+v is still there", r)
		}
	}
	mtu(1280)
	if err := ping(); err != nil {
		t.Errorf("with an MTU of 1280: %v", err)
	}
}

func TestEcho(t *testing.T) {
	w := start(t, fixture(t, "lab"))
	echo(t, mustDial(t, w, "10.0.201.5:7"), "hello")
	if _, err := dial(t, w, "10.0.201.5:8"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("port without a server: %v", err)
	}
}

// As in A3, the server has received all data, and the client still sees a reset.
func TestResetAfterBytes(t *testing.T) {
	w := start(t, load(t, "reset.yaml", replaceIn(small, map[string]string{"# rules": `
rules: [{to: 203.0.113.7, protocol: tcp, port: 25, action: reset, after_bytes: 412}]`})))
	c := mustDial(t, w, "203.0.113.7:25")
	c.SetDeadline(deadline())
	for _, n := range []int{47, 365} {
		if _, err := c.Write(make([]byte, n)); err != nil {
			t.Fatalf("writing %d bytes: %v", n, err)
		}
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("Read = %v, want ECONNRESET", err)
	}
	sink, err := w.Sink("far")
	if err != nil {
		t.Fatal(err)
	}
	if err := sink.Await(within(t, testTimeout), 412); err != nil {
		t.Errorf("the server got less than 412 bytes: %v", err)
	}
}

// A capture has the frames that a tap has shown.
type capture struct {
	mu     sync.Mutex
	frames []gopacket.Packet
	times  []time.Time
}

func tapOn(t testing.TB, w *netsim.World, ifname string) *capture {
	t.Helper()
	c := new(capture)
	tap, err := w.Network().Tap(network.TapConfig{Interface: ifname, Sink: func(f network.Frame) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.frames = append(c.frames, gopacket.NewPacket(slices.Clone(f.Data), layers.LayerTypeEthernet, gopacket.Default))
		c.times = append(c.times, f.Time)
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tap.Close() })
	return c
}

// defects returns what a packet analyzer would mark as wrong.
func (c *capture) defects() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var faults []string
	for i, p := range c.frames {
		for _, layer := range p.Layers() {
			if n, ok := layer.(interface {
				SetNetworkLayerForChecksum(gopacket.NetworkLayer) error
			}); ok {
				n.SetNetworkLayerForChecksum(p.NetworkLayer())
			}
		}
		if err, bad := p.VerifyChecksums(); err != nil || len(bad) > 0 {
			faults = append(faults, fmt.Sprintf("frame %d: checksums %v %v: %v", i, err, bad, p))
		}
		if e := p.ErrorLayer(); e != nil {
			faults = append(faults, fmt.Sprintf("frame %d: malformed: %v", i, e.Error()))
		}
		if i > 0 && c.times[i].Before(c.times[i-1]) {
			faults = append(faults, fmt.Sprintf("frame %d: earlier than frame %d", i, i-1))
		}
	}
	return faults
}

func (c *capture) count(layer gopacket.LayerType) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, p := range c.frames {
		if p.Layer(layer) != nil {
			n++
		}
	}
	return n
}

// A capture contains every kind of traffic, and all frames in it are valid.
func TestCaptureIsCompleteAndValid(t *testing.T) {
	w := start(t, fixture(t, "lab"))
	c := tapOn(t, w, "Data 1")
	if err := w.StartClients(within(t, testTimeout)); err != nil {
		t.Fatal(err)
	}
	for dst, size := range map[string]int{"216.58.194.206": 3000, "2001:db8:4005::200e": 1000, "10.0.202.53": 56, "198.51.100.1": 56} {
		if _, err := w.Network().Ping(within(t, testTimeout), network.PingRequest{Dst: addr(dst), DataSize: size}); err != nil {
			t.Fatal(dst, err)
		}
	}
	for ttl := range uint8(10) {
		if _, err := w.Network().Probe(within(t, testTimeout), network.ProbeRequest{Dst: addr("216.58.194.206"), Port: 33435 + uint16(ttl), TTL: ttl + 1, PacketSize: 40}); err != nil {
			t.Fatal(err)
		}
	}
	lookup(t, w, "udp", "google.com.", "A")
	conn := mustDial(t, w, "10.0.201.5:7")
	echo(t, conn, strings.Repeat("x", 10000))
	add(t, w, topology.Rule{Action: "reset"})
	conn.SetDeadline(deadline())
	io.WriteString(conn, "too late")
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("after the rule: %v", err)
	}
	for _, kind := range []gopacket.LayerType{
		layers.LayerTypeARP, layers.LayerTypeICMPv6NeighborSolicitation, layers.LayerTypeICMPv4,
		layers.LayerTypeICMPv6Echo, layers.LayerTypeTCP, layers.LayerTypeDNS,
	} {
		if c.count(kind) == 0 {
			t.Errorf("no %v in the capture", kind)
		}
	}
	for _, f := range c.defects() {
		t.Error(f)
	}
}

// The sockets of the topology's clients are listed as in B38, the newest first.
func TestClientSocketsAreThoseOfB38(t *testing.T) {
	w := start(t, fixture(t, "lab"))
	served := make(chan struct{})
	serve(t, w, "10.0.202.7:22", func(network.Conn) { <-served })
	defer close(served)
	if err := w.StartClients(within(t, testTimeout)); err != nil {
		t.Fatal(err)
	}
	conn, err := w.Hosts().Dial(within(t, testTimeout), network.DialConfig{Local: addrPort("10.0.201.4:57759"), Remote: addrPort("10.0.202.7:22")})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	want := []string{
		"tcp4 10.0.202.7:22 0.0.0.0:0 LISTEN ",
		"tcp4 10.0.202.7:10256 10.0.201.5:443 ESTABLISHED hermes",
		"tcp4 10.0.202.7:10260 10.0.201.5:443 ESTABLISHED hermes",
		"tcp4 10.0.202.7:10273 96.17.177.18:80 TIME_WAIT ",
		"tcp4 10.0.202.7:22 10.0.201.4:57759 ESTABLISHED ",
		"tcp4 10.0.202.7:10275 10.0.201.4:6025 ESTABLISHED hermes",
	}
	// The last connection is opened after the one to SSH.
	diff := ""
	for ctx := within(t, testTimeout); ctx.Err() == nil; _ = clock.System().Sleep(ctx, time.Millisecond) {
		sockets, err := w.Network().Sockets()
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range sockets {
			got = append(got, fmt.Sprint(s.Proto, " ", s.Local, " ", s.Remote, " ", s.State, " ", s.Owner))
		}
		if diff = cmp.Diff(want, got); diff == "" {
			return
		}
	}
	t.Errorf("sockets (-want +got):\n%s", diff)
}

// A topology's clients may connect from a host to the appliance.
func TestClientsOfHosts(t *testing.T) {
	w := start(t, load(t, "clients.yaml", strings.Replace(small, "# clients", `
clients:
  - {from: far, local: '203.0.113.7:57759', remote: '192.0.2.25:22'}
  - {from: far, local: '203.0.113.7:57760', remote: '192.0.2.25:22', send: "hello", close: true}
  - {from: far, local: '203.0.113.7:57761', remote: '192.0.2.25:23'}`, 1)))
	serve(t, w, "192.0.2.25:22", echoAll)
	err := w.StartClients(within(t, testTimeout))
	if !errors.Is(err, syscall.ECONNREFUSED) || !strings.HasPrefix(err.Error(), "client 203.0.113.7:57761: ") {
		t.Errorf("StartClients = %v, want an error that names the refused connection", err)
	}
	sockets, err := w.Network().Sockets()
	if err != nil {
		t.Fatal(err)
	}
	open := 0
	for _, s := range sockets {
		if s.Remote == addrPort("203.0.113.7:57759") && s.State == "ESTABLISHED" {
			open++
		}
	}
	if open != 1 {
		t.Errorf("the host has %d connections, want 1: %v", open, sockets)
	}
}

func TestStartNamesDoorWithAddressInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	checkLeaks(t, func() {
		w, err := netsim.New(fixture(t, "minimal"), netsim.Options{DoorAddrs: map[string]netip.AddrPort{
			"ftp": taken.Addr().(*net.TCPAddr).AddrPort(),
		}})
		if err != nil {
			t.Fatal(err)
		}
		err = w.Start(t.Context())
		if !errors.Is(err, syscall.EADDRINUSE) || !strings.HasPrefix(err.Error(), "door ftp: listen") {
			t.Errorf("Start = %v", err)
		}
		ssh := w.DoorAddrs()["ssh"]
		if c, err := net.Dial("tcp", ssh.String()); err == nil {
			c.Close()
			t.Error("a door is open although the world failed to start")
		}
	})
}

func TestNewRefusesMistakes(t *testing.T) {
	lab := *fixture(t, "lab")
	lab.Paths = slices.Clone(lab.Paths)
	lab.Paths[0].End = "void"
	if _, err := netsim.New(&lab, netsim.Options{}); err == nil || !strings.Contains(err.Error(), `paths[0].end: "void" is no end of a path`) {
		t.Errorf("a topology with a mistake: %v", err)
	}
	o := netsim.Options{DoorAddrs: map[string]netip.AddrPort{"telnet": addrPort("127.0.0.1:0")}}
	if _, err := netsim.New(fixture(t, "lab"), o); err == nil || err.Error() != `lab.yaml has no door "telnet"` {
		t.Errorf("an address of a door that does not exist: %v", err)
	}
}

// A thousand worlds, one after another, leave no goroutine and no memory behind.
func TestWorldsDoNotLeak(t *testing.T) {
	cycles := 1000
	if testing.Short() {
		cycles = 50
	}
	minimal := fixture(t, "minimal")
	checkLeaks(t, func() {
		for range cycles {
			w, err := netsim.New(minimal, netsim.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			l, err := w.Network().Listen(t.Context(), network.ListenConfig{Addr: addrPort("192.0.2.25:22")})
			if err != nil {
				t.Fatal(err)
			}
			if err := w.StartClients(t.Context()); err != nil {
				t.Fatal(err)
			}
			l.Close()
			if err := w.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	})
}
