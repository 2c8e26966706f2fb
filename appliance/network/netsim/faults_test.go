package netsim_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/network/netsim/peers"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// add adds a fault to a world.
func add(t testing.TB, w *netsim.World, r topology.Rule) netsim.Fault {
	t.Helper()
	f, err := w.Faults().Add(r)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// remove removes a fault.
func remove(t testing.TB, w *netsim.World, f netsim.Fault) {
	t.Helper()
	if err := w.Faults().Remove(f.ID); err != nil {
		t.Fatal(err)
	}
}

// rule reads a rule in JSON.
func rule(t testing.TB, text string) topology.Rule {
	t.Helper()
	var r topology.Rule
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// silenceTimeout is how long a test waits for an answer that must not come.
const silenceTimeout = 100 * time.Millisecond

// Each action has its effect on new connections, behind the gateways and between neighbors.
func TestAddAndRemoveWhileRunning(t *testing.T) {
	w := start(t, fixture(t, "lab"))
	for _, to := range []string{"10.0.201.5:7", "10.0.202.53:53", "[2001:db8:202::53]:53"} {
		for action, want := range map[string]error{
			"reset":            syscall.ECONNREFUSED,
			"refuse":           syscall.ECONNREFUSED,
			"prohibit":         syscall.EHOSTUNREACH,
			"host-unreachable": syscall.EHOSTUNREACH,
			"net-unreachable":  syscall.ENETUNREACH,
			"drop":             context.Canceled,
		} {
			t.Run(to+" "+action, func(t *testing.T) {
				a := addrPort(to)
				if a.Addr().Is6() && errors.Is(want, syscall.EHOSTUNREACH) {
					t.Skip("over IPv6 the appliance's stack does not tell connections of it")
				}
				f := add(t, w, topology.Rule{Action: action, To: netip.PrefixFrom(a.Addr(), a.Addr().BitLen()), Protocol: "tcp", Port: a.Port()})
				ctx := within(t, testTimeout)
				if action == "drop" {
					ctx = contextUntilHit(t, w, f)
				}
				if _, err := w.Network().Dial(ctx, network.DialConfig{Remote: a}); !errors.Is(err, want) {
					t.Errorf("got %v, want %v", err, want)
				}
				if got, err := w.Faults().Get(f.ID); err != nil || got.Packets < 1 || got.Connections < 1 {
					t.Errorf("hits: %+v, %v", got, err)
				}
				remove(t, w, f)
				mustDial(t, w, to)
			})
		}
	}
}

// contextUntilHit returns a context that ends when a fault has applied to a packet.
func contextUntilHit(t *testing.T, w *netsim.World, f netsim.Fault) context.Context {
	ctx, hit := context.WithCancel(within(t, testTimeout))
	done := make(chan struct{})
	t.Cleanup(func() { hit(); <-done })
	go func() {
		defer close(done)
		defer hit()
		for {
			if got, err := w.Faults().Get(f.ID); err != nil || got.Packets > 0 || clock.System().Sleep(ctx, time.Millisecond) != nil {
				return
			}
		}
	}()
	return ctx
}

// A reset ends an established connection, between neighbors too.
func TestResetOfEstablishedConnection(t *testing.T) {
	w := start(t, fixture(t, "lab"))
	for _, to := range []string{"10.0.201.5:7", "10.0.202.53:53"} {
		c := mustDial(t, w, to)
		f := add(t, w, rule(t, `{"action": "reset", "protocol": "tcp", "direction": "out"}`))
		c.SetDeadline(deadline())
		c.Write([]byte("too late"))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%s: %v, want a reset", to, err)
		}
		remove(t, w, f)
	}
}

func TestFaultOfTwoConnections(t *testing.T) {
	w := start(t, fixture(t, "lab"))
	f := add(t, w, rule(t, `{"action": "refuse", "to": "10.0.201.5", "protocol": "tcp", "port": 7, "connections": 2}`))
	for range 2 {
		if _, err := dial(t, w, "10.0.201.5:7"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("one of the first two connections: %v", err)
		}
	}
	echo(t, mustDial(t, w, "10.0.201.5:7"), "the third")
	if got, _ := w.Faults().Get(f.ID); got.Connections != 2 {
		t.Errorf("the fault applied to %d connections, want 2", got.Connections)
	}
}

func TestFaultOfPath(t *testing.T) {
	w := start(t, load(t, "down.yaml", replaceIn(small, map[string]string{"# paths": `
paths:
  - name: far
    to: 203.0.113.0/24
    hops: [{members: [198.51.100.1]}, {members: [198.51.100.2]}]`})))
	mustDial(t, w, "203.0.113.7:25")
	for action, kind := range map[string]network.ReplyKind{
		"net-unreachable": network.NetUnreachable, "host-unreachable": network.HostUnreachable, "prohibit": network.Prohibited,
	} {
		f := add(t, w, topology.Rule{Path: "far", Action: action})
		r, err := w.Network().Ping(within(t, testTimeout), network.PingRequest{Dst: addr("203.0.113.7")})
		if err != nil || r.Kind != kind || r.From != addr("198.51.100.2") {
			t.Errorf("%s: %+v, %v", action, r, err)
		}
		remove(t, w, f)
	}
	add(t, w, topology.Rule{Path: "far", Action: "drop"})
	if _, err := w.Network().Ping(within(t, silenceTimeout), network.PingRequest{Dst: addr("203.0.113.7")}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("ping along a path that drops packets: %v", err)
	}
}

// The round-trip time of an echo is at least what the faults add.
func TestDelayAndRate(t *testing.T) {
	w := start(t, fixture(t, "lab"))
	for _, c := range []struct {
		rule, to string
		want     time.Duration
	}{
		{`{"action": "delay", "delay": "10ms"}`, "10.0.201.5", 20 * time.Millisecond},
		{`{"action": "delay", "delay": "10ms"}`, "10.0.202.53", 20 * time.Millisecond},
		{`{"action": "delay", "delay": "10ms", "direction": "in"}`, "10.0.202.53", 10 * time.Millisecond},
		{`{"action": "delay", "delay": "10ms", "path": "google"}`, "216.58.194.206", 20 * time.Millisecond},
		{`{"action": "delay", "delay": "10ms", "cable": "Data 1"}`, "10.0.201.5", 20 * time.Millisecond},
		{`{"action": "delay", "delay": "10ms", "cable": "resolver"}`, "10.0.202.53", 20 * time.Millisecond},
		// The rate applies to a frame of 1000 bytes in each direction.
		{`{"action": "rate", "rate": "1M"}`, "10.0.201.5", 16 * time.Millisecond},
		{`{"action": "rate", "rate": "1M", "cable": "Data 1"}`, "10.0.202.53", 16 * time.Millisecond},
	} {
		f := add(t, w, rule(t, c.rule))
		r, err := w.Network().Ping(within(t, testTimeout), network.PingRequest{Dst: addr(c.to), DataSize: 1000 - 42})
		if err != nil || r.RTT < c.want {
			t.Errorf("%s: %s answers in %v, %v, want at least %v", c.rule, c.to, r.RTT, err, c.want)
		}
		remove(t, w, f)
	}
}

// A fault of a cable applies to every frame on it, ARP included, and to no other cable.
func TestFaultOfCable(t *testing.T) {
	w := start(t, fixture(t, "lab"))
	ping := func(to string, d time.Duration) error {
		_, err := w.Network().Ping(within(t, d), network.PingRequest{Dst: addr(to)})
		return err
	}
	for _, text := range []string{
		`{"action": "unplug", "cable": "resolver"}`,
		`{"action": "loss", "loss": "100%", "cable": "resolver"}`,
	} {
		if _, err := w.Network().FlushNeighbors(); err != nil {
			t.Fatal(err)
		}
		f := add(t, w, rule(t, text))
		if err := ping("10.0.202.53", silenceTimeout); err == nil {
			t.Errorf("%s: the name server answers", text)
		}
		neighbors, err := w.Network().Neighbors()
		for _, n := range neighbors {
			if n.Addr == addr("10.0.202.53") && n.MAC != nil {
				t.Errorf("%s: ARP finds %v, %v", text, n, err)
			}
		}
		if err := ping("10.0.201.5", testTimeout); err != nil {
			t.Errorf("%s: another cable: %v", text, err)
		}
		remove(t, w, f)
		if err := ping("10.0.202.53", testTimeout); err != nil {
			t.Errorf("after %s was removed: %v", text, err)
		}
	}
	carriers := func() string {
		var text []string
		for _, i := range w.Network().Interfaces() {
			text = append(text, fmt.Sprintf("%s %v", i.Name, !i.NoCarrier))
		}
		return strings.Join(text, ", ")
	}
	f := add(t, w, rule(t, `{"action": "unplug", "cable": "Data 1"}`))
	if got, want := carriers(), "Data 1 false, Data 2 true, Management true, lo0 true"; got != want {
		t.Errorf("carriers: %s; want %s", got, want)
	}
	if err := ping("10.0.201.5", silenceTimeout); err == nil {
		t.Error("a ping is answered through an unplugged interface")
	}
	remove(t, w, f)
	if got, want := carriers(), "Data 1 true, Data 2 true, Management true, lo0 true"; got != want {
		t.Errorf("carriers: %s; want %s", got, want)
	}
	if err := ping("10.0.201.5", testTimeout); err != nil {
		t.Error("after the cable was plugged in again:", err)
	}
}

// Of two faults the newer one decides. The topology's are the oldest, the first of them first.
func TestNewestFaultDecides(t *testing.T) {
	w := start(t, load(t, "rules.yaml", replaceIn(small, map[string]string{"# rules": `
rules:
  - {name: nobody, action: reset, protocol: tcp}
  - {action: pass}`})))
	if _, err := dial(t, w, "203.0.113.7:25"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("the topology's rule: %v", err)
	}
	add(t, w, rule(t, `{"action": "prohibit"}`))
	add(t, w, rule(t, `{"action": "pass", "protocol": "tcp", "either_port": 25}`))
	mustDial(t, w, "203.0.113.7:25")
	if _, err := dial(t, w, "203.0.113.7:26"); !errors.Is(err, syscall.EHOSTUNREACH) {
		t.Errorf("the fault before the newest: %v", err)
	}
	var got []string
	for _, f := range w.Faults().List() {
		got = append(got, fmt.Sprint(f.ID, " ", f.Rule, " ", f.State))
	}
	want := []string{"4 pass protocol tcp either-port 25 acting", "3 prohibit acting", "1 reset protocol tcp acting", "2 pass acting"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
	w.Faults().Clear()
	if _, err := dial(t, w, "203.0.113.7:26"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("without faults: %v, want the host's refusal", err)
	}
	if n := len(w.Faults().List()); n != 0 {
		t.Errorf("%d faults are left", n)
	}
}

// Faults begin and end at their times, those of cables too, on the clock of NewFaults.
func TestFaultsBeginAndEnd(t *testing.T) {
	topo, machine := fixture(t, "lab"), clock.NewFake(time.Time{})
	faults := netsim.NewFaults(topo, machine)
	defer faults.Close()
	w := start(t, topo, func(o *netsim.Options) { o.Faults = faults })
	refuse := add(t, w, rule(t, `{"action": "refuse", "to": "10.0.201.5", "after": "5s", "for": "30s"}`))
	add(t, w, rule(t, `{"action": "unplug", "cable": "resolver", "after": "40s", "for": "1s"}`))
	add(t, w, rule(t, `{"action": "drop", "protocol": "udp", "for": "10s"}`))
	for _, step := range []struct {
		advance time.Duration
		refuses bool
		states  string
		left    time.Duration
	}{
		{0, false, "acting waiting waiting", 5 * time.Second},
		{5*time.Second - 1, false, "acting waiting waiting", 1},
		{1, true, "acting waiting acting", 30 * time.Second},
		{6 * time.Second, true, "over waiting acting", 24 * time.Second},
		{24 * time.Second, false, "over waiting over", 0},
	} {
		machine.Advance(step.advance)
		_, err := dial(t, w, "10.0.201.5:7")
		if refused := errors.Is(err, syscall.ECONNREFUSED); refused != step.refuses {
			t.Errorf("after another %v: %v", step.advance, err)
		}
		var states []string
		for _, f := range faults.List() {
			states = append(states, string(f.State))
		}
		f, _ := faults.Get(refuse.ID)
		if got := strings.Join(states, " "); got != step.states || time.Duration(f.Left) != step.left {
			t.Errorf("after another %v: %s, %v left; want %s, %v", step.advance, got, f.Left, step.states, step.left)
		}
	}
	if f, _ := faults.Get(refuse.ID); f.Connections != 2 {
		t.Errorf("a fault that is over has %d connections, want 2", f.Connections)
	}
	for _, step := range []struct{ advance, timeout time.Duration }{{0, testTimeout}, {5 * time.Second, silenceTimeout}, {time.Second, testTimeout}} {
		machine.Advance(step.advance)
		_, err := w.Network().Ping(within(t, step.timeout), network.PingRequest{Dst: addr("10.0.202.53")})
		if answers := err == nil; answers != (step.timeout == testTimeout) {
			t.Errorf("ping of the name server after another %v: %v", step.advance, err)
		}
	}
}

// Faults end on the machine's clock too.
func TestFaultEndsOnSystemClock(t *testing.T) {
	w := start(t, fixture(t, "lab"))
	f := add(t, w, rule(t, `{"action": "drop", "to": "10.0.201.5", "for": "50ms"}`))
	for ctx := within(t, testTimeout); ; {
		once, cancel := context.WithTimeout(ctx, silenceTimeout)
		_, err := w.Network().Ping(once, network.PingRequest{Dst: addr("10.0.201.5")})
		cancel()
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			t.Fatal("the fault does not end")
		}
	}
	if got, _ := w.Faults().Get(f.ID); got.State != netsim.FaultOver {
		t.Errorf("the fault is %s, want over", got.State)
	}
}

// Faults, their counts and stopped servers are the same in the next world.
func TestFaultsOutliveWorld(t *testing.T) {
	topo := fixture(t, "lab")
	faults := netsim.NewFaults(topo, nil)
	defer faults.Close()
	with := func(o *netsim.Options) { o.Faults = faults }
	old := start(t, topo, with)
	f := add(t, old, rule(t, `{"action": "refuse", "protocol": "tcp", "port": 7, "connections": 2}`))
	add(t, old, rule(t, `{"action": "unplug", "cable": "resolver"}`))
	if _, err := dial(t, old, "10.0.201.5:7"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("the first connection: %v", err)
	}
	if err := old.StopServer("google/web"); err != nil {
		t.Fatal(err)
	}
	old.Stop(t.Context())
	if _, err := faults.Add(topology.Rule{Action: "refuse", To: netip.MustParsePrefix("96.17.177.18/32")}); err != nil {
		t.Error("Add between two worlds:", err)
	}
	w := start(t, topo, with)
	if _, err := dial(t, w, "10.0.201.5:7"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("the second connection: %v", err)
	}
	mustDial(t, w, "10.0.201.5:7")
	if got, _ := faults.Get(f.ID); got.Connections != 2 {
		t.Errorf("the fault: %+v, want 2 connections", got)
	}
	for _, to := range []string{"96.17.177.18:80", "216.58.194.206:80"} {
		if _, err := dial(t, w, to); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%s: %v", to, err)
		}
	}
	if _, err := w.Network().Ping(within(t, silenceTimeout), network.PingRequest{Dst: addr("10.0.202.53")}); err == nil {
		t.Error("the cable is not unplugged any more")
	}
}

// The number of faults is bounded, since each packet may be checked against all of them.
func TestNumberOfFaultsIsBounded(t *testing.T) {
	w := start(t, fixture(t, "lab"))
	var f netsim.Fault
	for range topology.MaxRules {
		f = add(t, w, topology.Rule{Action: "drop", Host: netip.MustParsePrefix("10.9.9.9/32")})
	}
	if _, err := w.Faults().Add(topology.Rule{Action: "drop"}); err == nil || !strings.Contains(err.Error(), "256 faults, which is the limit") {
		t.Errorf("one fault more: %v", err)
	}
	remove(t, w, f)
	add(t, w, topology.Rule{Action: "pass"})
}

func TestStopAndStartServer(t *testing.T) {
	w := start(t, fixture(t, "lab"))
	c := mustDial(t, w, "10.0.201.5:7")
	for range 2 {
		if err := w.StopServer("server/echo"); err != nil {
			t.Fatal(err)
		}
	}
	c.SetDeadline(deadline())
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("an established connection to a stopped server: %v", err)
	}
	if _, err := dial(t, w, "10.0.201.5:7"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a new connection to a stopped server: %v", err)
	}
	if s, err := w.Server("server/echo"); err != nil || s.Running {
		t.Errorf("state of a stopped server: %+v, %v", s, err)
	}
	for range 2 {
		if err := w.StartServer(t.Context(), "server/echo"); err != nil {
			t.Fatal(err)
		}
	}
	echo(t, mustDial(t, w, "10.0.201.5:7"), "again")
	mustDial(t, w, "10.0.201.4:6025").Write([]byte("12345"))
	sink, err := w.Sink("workstation")
	if err != nil {
		t.Fatal(err)
	}
	if err := sink.Await(within(t, testTimeout), 5); err != nil {
		t.Fatal(err)
	}
	got, err := w.Server("workstation/sink")
	want := netsim.Server{
		Name: "workstation/sink", Type: "sink", Host: "workstation", Running: true,
		Addresses: []netip.AddrPort{addrPort("10.0.201.4:6025")}, Report: peers.SinkReport{Connections: 1, Bytes: 5},
	}
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	var notFound *netsim.NotFoundError
	if err := w.StopServer("nobody"); !errors.As(err, &notFound) {
		t.Errorf("StopServer of a server that does not exist: %v", err)
	}
}

// A new connection to a server whose backlog is full times out, even while the backlog is
// being filled.
func TestFullBacklogDropsConnections(t *testing.T) {
	w := start(t, load(t, "full.yaml", replaceIn(small, map[string]string{
		"{type: sink, port: 25}": "{type: sink, port: 25}, {name: full, type: syslogd, options: {backlog: full}}",
	})))
	full, err := w.Server("full")
	if err != nil {
		t.Fatal(err)
	}
	at := full.Addresses[0]
	// A client connects all the time, also while the backlog is being filled.
	ctx, stop := context.WithCancel(t.Context())
	var client sync.WaitGroup
	defer client.Wait()
	defer stop()
	client.Go(func() {
		for ctx.Err() == nil {
			if c, err := w.Network().Dial(ctx, network.DialConfig{Remote: at}); err == nil {
				defer c.Abort()
			}
		}
	})
	for range 20 {
		if _, err := w.Network().Dial(within(t, 20*time.Millisecond), network.DialConfig{Remote: at}); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("dial = %v", err)
		}
		if err := w.StopServer("full"); err != nil {
			t.Fatal(err)
		}
		if err := w.StartServer(t.Context(), "full"); err != nil {
			t.Fatal(err)
		}
	}
}

// The rules of the gateways apply between neighbors in a VLAN too.
func TestFaultBetweenNeighborsInVLAN(t *testing.T) {
	w := start(t, fixture(t, "lab"))
	c := w.Network().(network.Configurer)
	if err := c.SetVLANs([]network.VLAN{{ID: 12, Parent: "Data 1"}}); err != nil {
		t.Fatal(err)
	}
	if err := c.SetAddrs("VLAN 12", []netip.Prefix{netip.MustParsePrefix("10.0.12.7/24")}); err != nil {
		t.Fatal(err)
	}
	conn := mustDial(t, w, "10.0.12.5:7")
	echo(t, conn, "hello")
	for _, action := range []string{"refuse", "prohibit"} {
		f := add(t, w, topology.Rule{Action: action, Host: netip.MustParsePrefix("10.0.12.5/32")})
		want := map[string]error{"refuse": syscall.ECONNREFUSED, "prohibit": syscall.EHOSTUNREACH}[action]
		if _, err := dial(t, w, "10.0.12.5:7"); !errors.Is(err, want) {
			t.Errorf("%s: %v", action, err)
		}
		remove(t, w, f)
	}
	add(t, w, rule(t, `{"action": "reset", "to": "10.0.12.7", "direction": "in"}`))
	conn.SetDeadline(deadline())
	conn.Write([]byte("more"))
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("an established connection: %v", err)
	}
}
