package users_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/users"
)

var (
	start   = time.Date(2015, 6, 25, 8, 50, 3, 0, time.UTC)
	mallory = netip.MustParseAddr("10.0.201.9")
)

func guard() (*users.Guard, *clock.Offset, *clock.Fake) {
	f := clock.NewFake(start)
	c := clock.NewOffset(f)
	return users.NewGuard(c, users.DefaultLimits()), c, f
}

// fail fails n times and reports whether the last try blocked the address.
func fail(g *users.Guard, a netip.Addr, n int) (delay time.Duration, blocked bool) {
	for range n {
		delay, blocked = g.Failed(a)
	}
	return delay, blocked
}

func TestFailuresAreSlowedMoreAndMore(t *testing.T) {
	g, _, f := guard()
	for i, want := range []time.Duration{500 * time.Millisecond, time.Second, 1500 * time.Millisecond} {
		if got, _ := g.Failed(mallory); got != want {
			t.Errorf("failure %d is held back for %v, want %v", i+1, got, want)
		}
	}
	if got, _ := fail(g, mallory, 7); got != 5*time.Second {
		t.Errorf("the tenth is held back for %v", got)
	}
	f.Advance(3 * time.Minute)
	if got, _ := g.Failed(mallory); got != 500*time.Millisecond {
		t.Errorf("after a pause a failure is held back for %v", got)
	}
}

func TestMoreThanTenFailuresBlockForAQuarterOfAnHour(t *testing.T) {
	g, wall, f := guard()
	if _, blocked := fail(g, mallory, 10); blocked || !g.Admit(mallory) {
		t.Error("ten failures blocked")
	}
	if _, blocked := g.Failed(mallory); !blocked || g.Admit(mallory) {
		t.Error("eleven did not block")
	}
	if _, blocked := g.Failed(mallory); blocked {
		t.Error("a blocked address was blocked again")
	}
	if !g.Admit(netip.MustParseAddr("10.0.201.10")) {
		t.Error("a neighbour is blocked too")
	}
	wall.Set(start.Add(24 * time.Hour))
	f.Advance(15*time.Minute - time.Second)
	if g.Admit(mallory) {
		t.Error("admitted before a quarter of an hour, after settime")
	}
	f.Advance(time.Second)
	if !g.Admit(mallory) {
		t.Error("still blocked after a quarter of an hour")
	}
	if _, blocked := fail(g, mallory, 10); blocked {
		t.Error("the old failures still count")
	}
}

func TestSlowGuessingDoesNotBlock(t *testing.T) {
	g, _, f := guard()
	for range 100 {
		if _, blocked := g.Failed(mallory); blocked {
			t.Fatal("blocked at five tries a minute")
		}
		f.Advance(12500 * time.Millisecond)
	}
}

func TestAnAddressThatHasLoggedInIsSpared(t *testing.T) {
	g, _, _ := guard()
	fail(g, mallory, 10)
	g.Succeeded(mallory)
	delay, blocked := fail(g, mallory, 50)
	if blocked || !g.Admit(mallory) {
		t.Error("blocked")
	}
	if delay != 5*time.Second {
		t.Errorf("guesses are held back for %v", delay)
	}
}

func TestOfIPv6ANetworkCountsAsOneAddress(t *testing.T) {
	g, _, _ := guard()
	a := netip.MustParseAddr("2001:db8::1")
	for range 11 {
		g.Failed(a)
		a = a.Next()
	}
	if g.Admit(a) || !g.Admit(netip.MustParseAddr("2001:db8:0:1::1")) {
		t.Error("a /64 is not one address, or more than one")
	}
	fail(g, netip.MustParseAddr("::ffff:10.0.201.9"), 11)
	if g.Admit(mallory) || !g.Admit(mallory.Next()) {
		t.Error("an IPv4 address in IPv6's form is another")
	}
}

func TestAGuardsMemoryIsBounded(t *testing.T) {
	g, _, f := guard()
	fail(g, mallory, 11)
	a := netip.MustParseAddr("10.1.0.0")
	for range 4095 {
		f.Advance(time.Millisecond)
		g.Failed(a)
		a = a.Next()
	}
	if g.Admit(mallory) {
		t.Error("a block was forgotten though there was room")
	}
	g.Failed(a)
	if !g.Admit(mallory) {
		t.Error("there was room for one more")
	}
	for range 5000 {
		g.Succeeded(a)
		a = a.Next()
	}
}
