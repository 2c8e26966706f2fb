package vnet_test

import (
	"errors"
	"io"
	"net/netip"
	"syscall"
	"testing"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim/vnet"
)

func interfaceUp(t *testing.T, h *vnet.Host, name string) bool {
	t.Helper()
	for _, i := range h.Interfaces() {
		if i.Name == name {
			return i.Up
		}
	}
	t.Fatalf("there is no interface %q", name)
	return false
}

// While an interface is down, nothing can be sent through it. Its connections survive.
func TestSetUp(t *testing.T) {
	p := newPair(t, false)
	near, far := p.connect(t, p.a, p.b, addrB)
	exchange := func(from, to network.Conn, text string) {
		t.Helper()
		if err := to.SetReadDeadline(clock.System().Now().Add(timeout)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(from, text); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, len(text))
		if n, err := io.ReadFull(to, b); string(b) != text {
			t.Fatalf("read %q, %v, want %q", b[:n], err, text)
		}
	}
	exchange(near, far, "before")
	for range 2 {
		if err := p.a.SetUp("Data 1", false); err != nil {
			t.Fatal(err)
		}
	}
	if interfaceUp(t, p.a, "Data 1") {
		t.Error("the interface is up")
	}
	_, err := p.a.Dial(t.Context(), network.DialConfig{Remote: netip.AddrPortFrom(addrB, 9)})
	if !errors.Is(err, syscall.ENETUNREACH) && !errors.Is(err, syscall.EHOSTUNREACH) &&
		!errors.Is(err, syscall.ENETDOWN) {
		t.Errorf("dial through an interface that is down: %v", err)
	}
	if err := p.a.SetUp("Data 1", true); err != nil {
		t.Fatal(err)
	}
	exchange(near, far, "the connection has survived")
	exchange(far, near, "in both directions")
	if err := p.a.SetUp("no such", true); !errors.Is(err, syscall.ENXIO) {
		t.Errorf("an interface that does not exist: %v", err)
	}
}

func TestSetUpOfAParentIncludesItsVLANs(t *testing.T) {
	p := newPair(t, false)
	if err := p.a.SetVLANs([]network.VLAN{{ID: 12, Parent: "Data 1"}}); err != nil {
		t.Fatal(err)
	}
	for _, up := range []bool{false, true} {
		if err := p.a.SetUp("Data 1", up); err != nil {
			t.Fatal(err)
		}
		if got := interfaceUp(t, p.a, "VLAN 12"); got != up {
			t.Errorf("the VLAN's state is %v, its parent's %v", got, up)
		}
	}
}
