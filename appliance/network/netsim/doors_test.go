package netsim_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// serve runs a service of the appliance until the test ends or the listener is closed.
func serve(t testing.TB, w *netsim.World, at string, handle func(network.Conn)) network.Listener {
	t.Helper()
	l, err := w.Network().Listen(t.Context(), network.ListenConfig{Addr: addrPort(at), Backlog: 50})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.AcceptConn()
			if err != nil {
				return
			}
			go handle(c)
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return l
}

func echoAll(c network.Conn) {
	defer c.Close()
	io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c})
}

// dialDoor connects to a front door.
func dialDoor(t testing.TB, w *netsim.World, name string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", w.DoorAddrs()[name].String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(deadline())
	return c.(*net.TCPConn)
}

func TestDoorLeadsToAppliance(t *testing.T) {
	w := start(t, fixture(t, "lab"))
	from := make(chan net.Addr, 1)
	serve(t, w, "10.0.202.7:22", func(c network.Conn) {
		from <- c.RemoteAddr()
		echoAll(c)
	})
	c := dialDoor(t, w, "ssh")
	echo(t, c, "through the door")
	port := c.LocalAddr().(*net.TCPAddr).Port
	if got, want := (<-from).String(), fmt.Sprintf("10.0.201.4:%d", port); got != want {
		t.Errorf("the service sees %s, want %s", got, want)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(c); err != nil || len(rest) > 0 {
		t.Errorf("after a half-close: %q, %v, want the end of the stream", rest, err)
	}
}

func TestDoorForwardsBulkData(t *testing.T) {
	w := start(t, fixture(t, "minimal"))
	serve(t, w, "192.0.2.25:22", echoAll)
	c := dialDoor(t, w, "ssh")
	sent := strings.Repeat("0123456789abcde\n", 1<<16) // 1 MiB
	go func() {
		io.WriteString(c, sent)
		c.CloseWrite()
	}()
	got, err := io.ReadAll(c)
	if err != nil || string(got) != sent {
		t.Errorf("%d bytes came back (%v), want the same %d", len(got), err, len(sent))
	}
}

// Clients beyond the service's backlog wait outside: no SYN is retransmitted.
func TestDoorQueuesClientsBeyondBacklog(t *testing.T) {
	w := start(t, fixture(t, "minimal"))
	seen := tapOn(t, w, "Data 1")
	l, err := w.Network().Listen(t.Context(), network.ListenConfig{Addr: addrPort("192.0.2.25:22"), Backlog: 10})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	const clients = 50
	var running sync.WaitGroup
	defer running.Wait()
	for range clients {
		c := dialDoor(t, w, "ssh")
		running.Go(func() {
			if _, err := io.ReadAll(c); err != nil {
				t.Error(err)
			}
		})
	}
	for range clients {
		c, err := l.AcceptConn()
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	syns := 0
	seen.mu.Lock()
	defer seen.mu.Unlock()
	for _, p := range seen.frames {
		if tcp, ok := p.Layer(layers.LayerTypeTCP).(*layers.TCP); ok && tcp.SYN && !tcp.ACK {
			syns++
		}
	}
	if syns != clients {
		t.Errorf("%d clients sent %d SYNs", clients, syns)
	}
}

func TestDoorForwardsResets(t *testing.T) {
	w := start(t, fixture(t, "minimal"))
	got := make(chan error, 1)
	serve(t, w, "192.0.2.25:22", func(c network.Conn) {
		b := make([]byte, 1)
		c.Read(b)
		if b[0] == 'r' {
			c.Abort()
			return
		}
		c.Write(b)
		_, err := c.Read(b)
		got <- err
		c.Close()
	})
	c := dialDoor(t, w, "ssh")
	io.WriteString(c, "reset me")
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client reads %v after the service's reset", err)
	}
	c = dialDoor(t, w, "ssh")
	echo(t, c, "x")
	c.SetLinger(0)
	c.Close()
	if err := <-got; !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the service reads %v after the client's reset", err)
	}
}

func TestDoorOpensAndShutsWithService(t *testing.T) {
	w := start(t, fixture(t, "minimal"))
	early := dialDoor(t, w, "ssh") // waits until the service is up
	l := serve(t, w, "192.0.2.25:22", echoAll)
	echo(t, early, "in the end")
	if err := w.StartClients(t.Context()); err != nil {
		t.Fatal(err)
	}
	refused := func(name string) bool {
		c, err := net.Dial("tcp", w.DoorAddrs()[name].String())
		if err == nil {
			c.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	}
	if !refused("ftp") {
		t.Error("a door without a service is open")
	}
	before := w.DoorAddrs()["ssh"]
	l.Close()
	if !refused("ssh") {
		t.Error("the door is open although its service has stopped")
	}
	echo(t, early, "established connections stay")
	serve(t, w, "0.0.0.0:22", echoAll)
	echo(t, dialDoor(t, w, "ssh"), "open again")
	if after := w.DoorAddrs()["ssh"]; after != before {
		t.Errorf("the door has moved from %v to %v", before, after)
	}
}

func TestDoorFollowsAddressAndPort(t *testing.T) {
	w := start(t, fixture(t, "minimal"))
	serve(t, w, "192.0.2.25:2022", echoAll)
	if err := w.SetServicePort("ssh", 2022); err != nil {
		t.Fatal(err)
	}
	echo(t, dialDoor(t, w, "ssh"), "another port")
	net := w.Network().(network.Configurer)
	if err := net.SetAddrs("Data 1", []netip.Prefix{netip.MustParsePrefix("192.0.2.26/24")}); err != nil {
		t.Fatal(err)
	}
	serve(t, w, "192.0.2.26:2022", echoAll)
	echo(t, dialDoor(t, w, "ssh"), "another address")
}

func TestClientsGetAddressesOfSeenAs(t *testing.T) {
	w := start(t, load(t, "pool.yaml", strings.Replace(small, "as: 203.0.113.8", "as: 203.0.113.128/30", 1)))
	from := make(chan string, 1)
	serve(t, w, "192.0.2.25:22", func(c network.Conn) {
		from <- c.RemoteAddr().(*net.TCPAddr).IP.String()
		c.Close()
	})
	for _, test := range []struct{ local, want string }{
		{"127.0.0.1", "203.0.113.129"},
		{"127.0.0.2", "203.0.113.130"},
		{"127.0.0.1", "203.0.113.129"},
		{"127.0.0.3", "203.0.113.131"},
		{"127.0.0.4", "203.0.113.129"}, // all addresses are in use
	} {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(test.local)}}
		c, err := d.Dial("tcp", w.DoorAddrs()["ssh"].String())
		if err != nil {
			t.Skipf("this machine has no address %s: %v", test.local, err)
		}
		if got := <-from; got != test.want {
			t.Errorf("%s is seen as %s, want %s", test.local, got, test.want)
		}
		c.Close()
	}
}

// The real client uses IPv6, the simulated one IPv4.
func TestFTPDoorTranslatesAddressFamilies(t *testing.T) {
	probe, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skipf("this machine has no IPv6: %v", err)
	}
	probe.Close()
	lab := fixture(t, "lab")
	w, err := netsim.New(lab, netsim.Options{DoorAddrs: map[string]netip.AddrPort{"ssh": addrPort("127.0.0.1:0"), "ftp": addrPort("[::1]:0"), "http": addrPort("127.0.0.1:0"), "https": addrPort("127.0.0.1:0"), "smtp": addrPort("127.0.0.1:0")}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Stop(context.Background()) })
	if err := w.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	d := serveFTP(t, w)
	c := dialFTP(t, w)
	c.send("EPSV")
	reply := c.expect("229 ")
	<-d.commands
	var port int
	fmt.Sscanf(reply[strings.Index(reply, "("):], "(|||%d|)", &port)
	data, err := net.Dial("tcp", fmt.Sprintf("[::1]:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer data.Close()
	c.send("RETR x.cap")
	c.expect("150 ")
	if b, err := io.ReadAll(data); err != nil || string(b) != "data" {
		t.Errorf("RETR brings %q, %v", b, err)
	}
	c.expect("226 ")
	<-d.commands
	c.send("EPRT |2|::1|50000|")
	c.expect("200 ")
	if received := <-d.commands; !strings.HasPrefix(received, "EPRT |1|10.0.201.4|") {
		t.Errorf("ftpd received %q, want the simulated client's address", received)
	}
}

func TestRestartKeepsDoorAddresses(t *testing.T) {
	minimal := fixture(t, "minimal")
	first := start(t, minimal)
	doors := first.DoorAddrs()
	if err := first.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	w, err := netsim.New(minimal, netsim.Options{DoorAddrs: doors})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Stop(context.Background()) })
	if err := w.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	serve(t, w, "192.0.2.25:22", echoAll)
	c, err := net.Dial("tcp", doors["ssh"].String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	echo(t, c, "after the restart")
}

func TestStopDeliversLastOutput(t *testing.T) {
	w := start(t, fixture(t, "minimal"))
	ready := make(chan network.Conn, 1)
	serve(t, w, "192.0.2.25:22", func(c network.Conn) { ready <- c })
	c := dialDoor(t, w, "ssh")
	service := <-ready
	io.WriteString(service, "The system is going down.\n")
	service.Close()
	stopped := make(chan error, 1)
	go func() { stopped <- w.Stop(context.Background()) }()
	got, err := io.ReadAll(c)
	if err != nil || string(got) != "The system is going down.\n" {
		t.Errorf("the client reads %q, %v", got, err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestStopResetsRemainingConnections(t *testing.T) {
	w := start(t, fixture(t, "minimal"))
	serve(t, w, "192.0.2.25:22", echoAll)
	c := dialDoor(t, w, "ssh")
	echo(t, c, "here to stay")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := w.Stop(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Stop = %v", err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client reads %v, want a reset", err)
	}
}

// backDoorTopology returns a topology with the given back doors.
func backDoorTopology(t testing.TB, out string) *topology.Topology {
	return load(t, "exits.yaml", replaceIn(small, map[string]string{
		"# out":              "  out:\n" + out,
		"192.0.2.25/24]":     "192.0.2.25/24, '2001:db8::25/64']",
		"gateway: 192.0.2.1": "gateway: 192.0.2.1\n      gateway6: 2001:db8::1",
	}))
}

func TestBackDoor(t *testing.T) {
	real, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer real.Close()
	go func() {
		for {
			c, err := real.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				b := make([]byte, 64)
				n, _ := c.Read(b)
				if string(b[:n]) == "reset" {
					c.(*net.TCPConn).SetLinger(0)
					return
				}
				c.Write(b[:n])
			}()
		}
	}()
	// The port of a client is in use, but no server listens there.
	client, err := net.Dial("tcp", real.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	port := func(a net.Addr) int { return a.(*net.TCPAddr).Port }
	w := start(t, backDoorTopology(t, fmt.Sprintf(`
    - {address: 203.0.113.30, port: 514, to: 127.0.0.1, to_port: %[1]d}
    - {address: "2001:db8:9::30", port: 514, to: 127.0.0.1, to_port: %[1]d}
    - {address: 203.0.113.31, port: 514, to: 127.0.0.1, to_port: %[2]d}`, port(real.Addr()), port(client.LocalAddr()))))

	echo(t, mustDial(t, w, "203.0.113.30:514"), "to the real network")
	c := mustDial(t, w, "203.0.113.30:514")
	c.SetDeadline(deadline())
	io.WriteString(c, "reset")
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("after the real server's reset: %v", err)
	}
	echo(t, mustDial(t, w, "[2001:db8:9::30]:514"), "by IPv6")
	for _, to := range []string{"203.0.113.31:514", "203.0.113.30:515"} { // closed; not mapped
		if _, err := dial(t, w, to); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("to %s: %v", to, err)
		}
	}
}

// If a back door replaces a host, none of the host's simulated services runs.
func TestBackDoorReplacesHost(t *testing.T) {
	real, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer real.Close()
	go func() {
		for {
			c, err := real.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.Copy(c, c)
			}()
		}
	}()
	w := start(t, backDoorTopology(t, fmt.Sprintf("    - {address: 203.0.113.7, port: 25, to: 127.0.0.1, to_port: %d}", real.Addr().(*net.TCPAddr).Port)))
	echo(t, mustDial(t, w, "203.0.113.7:25"), "to the real machine")
	if p := w.Peer("far/sink"); p != nil {
		t.Errorf("the replaced host has a %T", p)
	}
	for _, s := range w.Servers() {
		if s.Host == "far" {
			t.Errorf("the replaced host has the server %+v", s)
		}
	}
}

func TestBackDoorForwardsDatagrams(t *testing.T) {
	real, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer real.Close()
	w := start(t, backDoorTopology(t, fmt.Sprintf("    - {address: 203.0.113.30, port: 514, to: 127.0.0.1, to_port: %d}", real.LocalAddr().(*net.UDPAddr).Port)))
	open := func(to string) network.PacketConn {
		c, err := w.Network().ListenPacket(t.Context(), network.DialConfig{Remote: addrPort(to)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(deadline())
		return c
	}
	c := open("203.0.113.30:514")
	real.SetDeadline(deadline())
	b := make([]byte, 100)
	for range 2 {
		if _, err := c.Write([]byte("<22>hello")); err != nil {
			t.Fatal(err)
		}
		n, from, err := real.ReadFrom(b)
		if err != nil || string(b[:n]) != "<22>hello" {
			t.Fatalf("the real server got %q, %v", b[:n], err)
		}
		real.WriteTo([]byte("received"), from)
		if n, err = c.Read(b); err != nil || string(b[:n]) != "received" {
			t.Fatalf("the answer: %q, %v", b[:n], err)
		}
	}
	unmapped := open("203.0.113.30:515")
	unmapped.Write([]byte("hello?"))
	if _, err := unmapped.Read(b); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("from a port that is not mapped: %v", err)
	}
}

// A script of lookups opens a flow for each. Flows are ended soon after their answers, and the
// number of open ones is bounded.
func TestBackDoorBoundsFlows(t *testing.T) {
	real, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer real.Close()
	w := start(t, backDoorTopology(t, fmt.Sprintf("    - {address: 203.0.113.30, port: 514, to: 127.0.0.1, to_port: %d}", real.LocalAddr().(*net.UDPAddr).Port)))
	lookup := func(answer bool) {
		t.Helper()
		c, err := w.Network().ListenPacket(t.Context(), network.DialConfig{Remote: addrPort("203.0.113.30:514")})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(deadline())
		real.SetDeadline(deadline())
		b := make([]byte, 100)
		if _, err := c.Write([]byte("question")); err != nil {
			t.Fatal(err)
		}
		_, from, err := real.ReadFrom(b)
		if err != nil {
			t.Fatal(err)
		}
		if answer {
			real.WriteTo([]byte("answer"), from)
			if _, err := c.Read(b); err != nil {
				t.Fatal(err)
			}
		}
	}
	before := runtime.NumGoroutine()
	for range 300 {
		lookup(false)
	}
	const perFlow, limit = 2, 128 // goroutines of a flow; flows
	if got := runtime.NumGoroutine() - before; got > perFlow*limit+20 {
		t.Errorf("%d goroutines after 300 requests without an answer, want at most %d", got, perFlow*limit)
	}
	for range limit {
		lookup(true) // these take the place of the others
	}
	for ctx := within(t, testTimeout); runtime.NumGoroutine() > before+20; {
		if clock.System().Sleep(ctx, 10*time.Millisecond) != nil {
			t.Fatalf("%d goroutines are left of answered requests", runtime.NumGoroutine()-before)
		}
	}
}

// Another program cannot take the port of a door while the service, or the whole world, is stopped.
func TestDoorKeepsItsPort(t *testing.T) {
	w := start(t, fixture(t, "minimal"))
	if err := w.StartClients(t.Context()); err != nil {
		t.Fatal(err)
	}
	addrs := w.DoorAddrs()
	at := addrs["ssh"].String()
	isRefused := func() {
		t.Helper()
		if c, err := net.Dial("tcp", at); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatalf("a client gets %v, %v", c, err)
		}
		if l, err := net.Listen("tcp", at); err == nil && runtime.GOOS == "linux" {
			l.Close()
			t.Error("another program can take the port")
		}
	}
	isRefused()
	l := serve(t, w, "192.0.2.25:22", echoAll)
	isServed(t, at)
	l.Close()
	isRefused()
	held := w.ReserveDoors()
	defer held.Close()
	if err := w.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	isRefused()
	w = start(t, fixture(t, "minimal"), func(o *netsim.Options) { o.DoorAddrs, o.HeldDoors = addrs, held })
	serve(t, w, "192.0.2.25:22", echoAll)
	isServed(t, at)
}

// isServed waits until a door leads to a service that echoes.
func isServed(t *testing.T, at string) {
	t.Helper()
	for ctx := within(t, testTimeout); ; {
		c, err := net.Dial("tcp", at)
		if err == nil {
			echo(t, c, "served")
			c.Close()
			return
		}
		if clock.System().Sleep(ctx, 50*time.Millisecond) != nil {
			t.Fatalf("the door stayed shut: %v", err)
		}
	}
}

// A world takes over the doors of another one that could not be held, and another program has the port
// meanwhile. The door opens when the port is free again.
func TestDoorRetriesPortInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	at := taken.Addr().String()
	earlier := start(t, fixture(t, "minimal"))
	if err := earlier.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	w := start(t, fixture(t, "minimal"), func(o *netsim.Options) {
		o.DoorAddrs["ssh"] = addrPort(at)
		o.HeldDoors = earlier.HoldDoors() // too late
	})
	serve(t, w, "192.0.2.25:22", echoAll)
	taken.Close()
	isServed(t, at)
}
