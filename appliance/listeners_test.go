package appliance_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/daemon"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/refusal"
)

// serve accepts connections until the test ends, and keeps them.
func serve(t *testing.T, app *appliance.Appliance, p daemon.Port) (accepted <-chan net.Conn) {
	t.Helper()
	l, err := app.Daemons.Listen(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	conns := make(chan net.Conn, 16)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns <- c
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
		close(conns)
		for c := range conns {
			c.Close()
		}
	})
	return conns
}

// dial connects to the appliance from its neighbour.
func dial(t *testing.T, w *netsim.World, to string) (network.Conn, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := w.Hosts().Dial(ctx, network.DialConfig{
		Local: netip.MustParseAddrPort("192.0.2.53:0"), Remote: netip.MustParseAddrPort(to),
	})
	if err == nil {
		t.Cleanup(func() { c.Close() })
	}
	return c, err
}

// listening are the appliance's open ports.
func listening(t *testing.T, app *appliance.Appliance) []string {
	t.Helper()
	sockets, err := app.Net.Sockets()
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, s := range sockets {
		if s.State == "LISTEN" {
			list = append(list, s.Local.String()+" "+s.Owner)
		}
	}
	slices.Sort(list)
	return list
}

func wantListening(t *testing.T, app *appliance.Appliance, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, listening(t, app)); diff != "" {
		t.Error("open ports:\n", diff)
	}
}

func TestAServiceFollowsTheConfiguration(t *testing.T) {
	w := minimal(t)
	app := newBox(t, w)
	accepted := serve(t, app, daemon.SSHPort())
	wantListening(t, app, "192.0.2.25:22 ginetd")
	if _, err := dial(t, w, "192.0.2.25:22"); err != nil {
		t.Fatal(err)
	}
	first := <-accepted

	second := data1
	second.Name, second.IPv4, second.SSH = "Second", netip.MustParseAddr("192.0.2.26"), 2222
	if err := commit(t, app, data1, second); err != nil {
		t.Fatal(err)
	}
	wantListening(t, app, "192.0.2.25:22 ginetd", "192.0.2.26:2222 ginetd")
	client, err := dial(t, w, "192.0.2.26:2222")
	if err != nil {
		t.Fatal(err)
	}
	conn := <-accepted

	if err := commit(t, app, second); err != nil {
		t.Fatal(err)
	}
	wantListening(t, app, "192.0.2.26:2222 ginetd")
	if _, err := first.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNABORTED) {
		t.Errorf("a connection to the address that went: %v, want that it was aborted", err)
	}
	if _, err := client.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		t.Errorf("a connection to the address that stays: %v", err)
	}

	second.SSH = 0
	if err := commit(t, app, second); err != nil {
		t.Fatal(err)
	}
	wantListening(t, app)
	if _, err := dial(t, w, "192.0.2.26:2222"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a service that is off: %v, want a refusal", err)
	}
}

// One of two services cannot have its new port: the other is not moved either.
func TestACommitThatCannotListenIsUndone(t *testing.T) {
	w := minimal(t)
	app := newBox(t, w)
	accepted := serve(t, app, daemon.SSHPort())
	serve(t, app, daemon.FTPPort())
	client, err := dial(t, w, "192.0.2.25:22")
	if err != nil {
		t.Fatal(err)
	}
	conn := <-accepted
	taken, err := app.Net.Listen(t.Context(), network.ListenConfig{Addr: netip.MustParseAddrPort("192.0.2.25:2121"), Owner: "other"})
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()

	moved, another := data1, data1
	moved.SSH, moved.FTP = 2222, 2121
	another.Name, another.IPv4 = "Second", netip.MustParseAddr("192.0.2.26")
	err = commit(t, app, moved, another)
	if text, _ := refusal.Text(err); !errors.Is(err, syscall.EADDRINUSE) || text != notCommitted+"Port 2121 of 192.0.2.25 is in use." {
		t.Fatalf("commit: %v, want that the port is in use", err)
	}
	wantListening(t, app, "192.0.2.25:21 ftpd.main", "192.0.2.25:2121 other", "192.0.2.25:22 ginetd")
	if addrs := app.Net.Interfaces()[0].Addrs; len(addrs) != 1 {
		t.Errorf("the interface has %v", addrs)
	}
	if _, err := client.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		t.Errorf("a connection that was there before: %v", err)
	}
}

func TestAnInterfaceNeedsAJack(t *testing.T) {
	app := newBox(t, minimal(t))
	elsewhere := data1
	elsewhere.Port = "Data 9"
	if err := commit(t, app, elsewhere); err == nil || !strings.Contains(err.Error(), "Data 9, which does not exist") {
		t.Errorf("commit: %v", err)
	}
	if addrs := app.Net.Interfaces()[0].Addrs; len(addrs) != 1 || addrs[0].String() != "192.0.2.25/24" {
		t.Errorf("Data 1 has %v", addrs)
	}
}

func TestAServiceThatCannotListenLeavesNothing(t *testing.T) {
	app := newBox(t, minimal(t))
	taken, err := app.Net.Listen(t.Context(), network.ListenConfig{Addr: netip.MustParseAddrPort("192.0.2.25:22"), Owner: "other"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := app.Daemons.Listen(t.Context(), daemon.SSHPort()); !errors.Is(err, syscall.EADDRINUSE) {
		t.Fatalf("ListenService: %v", err)
	}
	taken.Close()
	moved := data1
	moved.SSH = 2222
	if err := commit(t, app, moved); err != nil {
		t.Fatal(err)
	}
	wantListening(t, app) // nobody follows the configuration
}

func TestACloseOfAServiceEndsItsAccept(t *testing.T) {
	app := newBox(t, minimal(t))
	l, err := app.Daemons.Listen(t.Context(), daemon.SSHPort())
	if err != nil {
		t.Fatal(err)
	}
	if got := l.Addr().String(); got != "192.0.2.25:22" {
		t.Errorf("Addr = %s", got)
	}
	ended := make(chan error)
	go func() {
		_, err := l.Accept()
		ended <- err
	}()
	for range 2 {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept = %v", err)
	}
	wantListening(t, app)
}

// A look-up crosses the appliance's own network.
func TestTheResolverAsksOverTheNetwork(t *testing.T) {
	app := newBox(t, minimal(t))
	got, err := app.Resolver.Lookup(t.Context(), "mail.example.com", 4)
	if err != nil || len(got) != 1 || got[0] != data1.IPv4 {
		t.Errorf("Lookup = %v, %v", got, err)
	}
}
