package daemon_test

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"github.com/esasim/esasim/appliance/daemon"
	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/appliance/refusal"
)

func TestListenerFollowsConfiguration(t *testing.T) {
	f := newFixture(t, product.Version{Major: 14}, data1)
	accepted := f.accept(daemon.SSHPort())
	f.wantListening("192.0.2.25:22 ginetd")
	if _, err := f.dial("192.0.2.25:22"); err != nil {
		t.Fatal(err)
	}
	first := <-accepted

	second := data1
	second.Name, second.IPv4, second.SSH = "Second", netip.MustParseAddr("192.0.2.26"), 2222
	if err := f.commit(data1, second); err != nil {
		t.Fatal(err)
	}
	f.wantListening("192.0.2.25:22 ginetd", "192.0.2.26:2222 ginetd")
	client, err := f.dial("192.0.2.26:2222")
	if err != nil {
		t.Fatal(err)
	}
	conn := <-accepted

	if err := f.commit(second); err != nil {
		t.Fatal(err)
	}
	f.wantListening("192.0.2.26:2222 ginetd")
	if _, err := first.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNABORTED) {
		t.Errorf("a connection to the removed address: %v, want that it was aborted", err)
	}
	if _, err := client.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		t.Errorf("a connection to the address that stays: %v", err)
	}

	second.SSH = 0
	if err := f.commit(second); err != nil {
		t.Fatal(err)
	}
	f.wantListening()
	if _, err := f.dial("192.0.2.26:2222"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a connection to a service that is off: %v, want a refusal", err)
	}
}

// If one of two services cannot have its new port, neither moves, and the new address is removed
// again.
func TestCommitThatCannotListenIsUndone(t *testing.T) {
	f := newFixture(t, product.Version{Major: 14}, data1)
	accepted := f.accept(daemon.SSHPort())
	f.accept(daemon.FTPPort())
	client, err := f.dial("192.0.2.25:22")
	if err != nil {
		t.Fatal(err)
	}
	conn := <-accepted
	f.occupy("192.0.2.25:2121")

	moved, second := data1, data1
	moved.SSH, moved.FTP = 2222, 2121
	second.Name, second.IPv4 = "Second", netip.MustParseAddr("192.0.2.26")
	err = f.commit(moved, second)
	const want = "The changes cannot be committed.\nPort 2121 of 192.0.2.25 is in use."
	if text, _ := refusal.Text(err); !errors.Is(err, syscall.EADDRINUSE) || text != want {
		t.Fatalf("commit: %v, want that the port is in use", err)
	}
	f.wantListening("192.0.2.25:21 ftpd.main", "192.0.2.25:2121 other", "192.0.2.25:22 ginetd")
	if addrs := f.net.Interfaces()[0].Addrs; len(addrs) != 1 {
		t.Errorf("the interface has %v", addrs)
	}
	if _, err := client.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		t.Errorf("a connection from before the commit: %v", err)
	}
}

func TestListenThatFailsLeavesNothing(t *testing.T) {
	f := newFixture(t, product.Version{Major: 14}, data1)
	taken := f.occupy("192.0.2.25:22")
	if _, err := f.Listen(t.Context(), daemon.SSHPort()); !errors.Is(err, syscall.EADDRINUSE) {
		t.Fatalf("Listen: %v", err)
	}
	taken.Close()
	moved := data1
	moved.SSH = 2222
	if err := f.commit(moved); err != nil {
		t.Fatal(err)
	}
	f.wantListening() // no listener follows the configuration
}

func TestCloseEndsAccept(t *testing.T) {
	f := newFixture(t, product.Version{Major: 14}, data1)
	l, err := f.Listen(t.Context(), daemon.SSHPort())
	if err != nil {
		t.Fatal(err)
	}
	if got := l.Addr().String(); got != "192.0.2.25:22" {
		t.Errorf("Addr = %s", got)
	}
	accept := make(chan error)
	go func() {
		_, err := l.Accept()
		accept <- err
	}()
	for range 2 {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := <-accept; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept = %v", err)
	}
	f.wantListening()
}
