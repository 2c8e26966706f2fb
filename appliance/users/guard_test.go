package users_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/users"
)

var (
	start    = time.Date(2015, 6, 25, 8, 50, 3, 0, time.UTC)
	attacker = netip.MustParseAddr("10.0.201.9")
)

func newGuard() (*users.Guard, *clock.Offset, *clock.Fake) {
	f := clock.NewFake(start)
	c := clock.NewOffset(f)
	return users.NewGuard(c, users.DefaultLimits()), c, f
}

// failTimes reports n failures and returns the result of the last.
func failTimes(g *users.Guard, a netip.Addr, n int) (delay time.Duration, blocked bool) {
	for range n {
		delay, blocked = g.Failed(a)
	}
	return delay, blocked
}

func TestDelayGrowsWithEachFailure(t *testing.T) {
	g, _, f := newGuard()
	for i, want := range []time.Duration{500 * time.Millisecond, time.Second, 1500 * time.Millisecond} {
		if got, _ := g.Failed(attacker); got != want {
			t.Errorf("the answer to failure %d is delayed by %v, want %v", i+1, got, want)
		}
	}
	if got, _ := failTimes(g, attacker, 7); got != 5*time.Second {
		t.Errorf("the answer to the tenth failure is delayed by %v", got)
	}
	f.Advance(3 * time.Minute)
	if got, _ := g.Failed(attacker); got != 500*time.Millisecond {
		t.Errorf("after a pause, the answer to a failure is delayed by %v", got)
	}
}

func TestElevenFailuresBlockFor15Minutes(t *testing.T) {
	g, wall, f := newGuard()
	if _, blocked := failTimes(g, attacker, 10); blocked || !g.Admit(attacker) {
		t.Error("10 failures blocked the address")
	}
	if _, blocked := g.Failed(attacker); !blocked || g.Admit(attacker) {
		t.Error("11 failures did not block the address")
	}
	if _, blocked := g.Failed(attacker); blocked {
		t.Error("a blocked address was blocked again")
	}
	if !g.Admit(netip.MustParseAddr("10.0.201.10")) {
		t.Error("another address is blocked too")
	}
	wall.Set(start.Add(24 * time.Hour))
	f.Advance(15*time.Minute - time.Second)
	if g.Admit(attacker) {
		t.Error("admitted after less than 15 minutes, after settime")
	}
	f.Advance(time.Second)
	if !g.Admit(attacker) {
		t.Error("still blocked after 15 minutes")
	}
	if _, blocked := failTimes(g, attacker, 10); blocked {
		t.Error("the old failures still count")
	}
}

func TestSlowGuessingDoesNotBlock(t *testing.T) {
	g, _, f := newGuard()
	for range 100 {
		if _, blocked := g.Failed(attacker); blocked {
			t.Fatal("blocked at five failures a minute")
		}
		f.Advance(12500 * time.Millisecond)
	}
}

func TestAddressThatHasLoggedInIsNotBlocked(t *testing.T) {
	g, _, _ := newGuard()
	failTimes(g, attacker, 10)
	g.Succeeded(attacker)
	delay, blocked := failTimes(g, attacker, 50)
	if blocked || !g.Admit(attacker) {
		t.Error("blocked")
	}
	if delay != 5*time.Second {
		t.Errorf("answers are delayed by %v", delay)
	}
}

func TestIPv6AddressesOfA64CountAsOne(t *testing.T) {
	g, _, _ := newGuard()
	a := netip.MustParseAddr("2001:db8::1")
	for range 11 {
		g.Failed(a)
		a = a.Next()
	}
	if g.Admit(a) || !g.Admit(netip.MustParseAddr("2001:db8:0:1::1")) {
		t.Error("want the addresses of this /64 blocked, and no others")
	}
	failTimes(g, netip.MustParseAddr("::ffff:10.0.201.9"), 11)
	if g.Admit(attacker) || !g.Admit(attacker.Next()) {
		t.Error("want the IPv4 address blocked that was given in IPv6 form")
	}
}

func TestGuardForgetsTheOldestAddress(t *testing.T) {
	g, _, f := newGuard()
	failTimes(g, attacker, 11)
	a := netip.MustParseAddr("10.1.0.0")
	for range 4095 {
		f.Advance(time.Millisecond)
		g.Failed(a)
		a = a.Next()
	}
	if g.Admit(attacker) {
		t.Error("a block was removed before the list was full")
	}
	g.Failed(a)
	if !g.Admit(attacker) {
		t.Error("the oldest block was not removed from the full list")
	}
	for range 5000 {
		g.Succeeded(a)
		a = a.Next()
	}
}
