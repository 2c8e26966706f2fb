package users_test

import (
	"context"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/users"
	"github.com/google/go-cmp/cmp"
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

// guess begins count attempts at once, each of which fails, and returns how many of them the guard
// has permitted. The clock stands still until every attempt has ended or waits for its turn.
func guess(t *testing.T, g *users.Guard, f *clock.Fake, count int) (permitted int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		ended := 0
		for range count {
			go func() {
				ok := g.Begin(t.Context(), attacker)
				if ok {
					g.Failed(attacker)
					g.End(attacker)
				}
				mu.Lock()
				defer mu.Unlock()
				ended++
				if ok {
					permitted++
				}
			}()
		}
		for synctest.Wait(); ended < count; synctest.Wait() {
			f.Advance(100 * time.Millisecond)
		}
	})
	return permitted
}

func TestParallelAttemptsOfAStrangerAreNoMoreThanEleven(t *testing.T) {
	g, _, f := newGuard()
	if n := guess(t, g, f, 200); n != 11 {
		t.Errorf("%d attempts were permitted, want 11", n)
	}
	if g.Admit(attacker) || g.Begin(t.Context(), attacker) {
		t.Error("the address is not blocked")
	}
}

// A trusted address is never blocked. It can guess once in 2 seconds.
func TestTrustedAddressIsSlowedDown(t *testing.T) {
	g, _, f := newGuard()
	g.Succeeded(attacker)
	failTimes(g, attacker, 11)
	begin := f.Mark()
	if n := guess(t, g, f, 20); n != 20 {
		t.Errorf("%d attempts were permitted, want 20", n)
	}
	if took := f.Since(begin); took < 38*time.Second {
		t.Errorf("20 attempts took %v, want 2 s each", took)
	}
	if !g.Admit(attacker) {
		t.Error("blocked")
	}
	f.Advance(10 * time.Minute)
	if n := guess(t, g, f, 11); n != 11 {
		t.Errorf("%d attempts were permitted after a pause, want 11", n)
	}
}

func TestAttemptsThatWaitAreLimited(t *testing.T) {
	g, _, _ := newGuard()
	g.Succeeded(attacker)
	failTimes(g, attacker, 11)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	permitted := make(chan bool, 100)
	for range 100 {
		go func() { permitted <- g.Begin(ctx, attacker) }()
	}
	for n := range 100 {
		if n == 80 { // time does not pass, so that the other 20 wait
			cancel()
		}
		if <-permitted {
			t.Fatal("an attempt began before its turn")
		}
	}
}

func TestRightPassphrasesInParallelAreNotRefused(t *testing.T) {
	g, _, _ := newGuard()
	failTimes(g, attacker, 3)
	var running sync.WaitGroup
	for range 300 {
		running.Go(func() {
			if !g.Begin(t.Context(), attacker) {
				t.Error("refused")
				return
			}
			runtime.Gosched()
			g.Succeeded(attacker)
			g.End(attacker)
		})
	}
	running.Wait()
}

func TestAttemptThatIsGivenUpWhileItWaits(t *testing.T) {
	g, _, f := newGuard()
	g.Succeeded(attacker)
	failTimes(g, attacker, 11)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if g.Begin(ctx, attacker) {
		t.Error("began before its turn")
	}
	f.Advance(5 * time.Second)
	if !g.Begin(t.Context(), attacker) {
		t.Error("refused although nothing waits")
	}
}

func TestBeginDoesNotAllocate(t *testing.T) {
	g, _, _ := newGuard()
	g.Succeeded(attacker)
	if n := testing.AllocsPerRun(1000, func() {
		if g.Begin(t.Context(), attacker) {
			g.Succeeded(attacker)
			g.End(attacker)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestFailingAddressesAreListedAndFreed(t *testing.T) {
	g, _, f := newGuard()
	other, v6 := netip.MustParseAddr("10.0.201.1"), netip.MustParseAddr("2001:db8::1")
	failTimes(g, attacker, 11)
	failTimes(g, v6, 11)
	failTimes(g, other, 2)
	g.Failed(netip.Addr{}) // on the serial console
	f.Advance(time.Minute)
	want := []users.FailingAddress{
		{Address: netip.MustParsePrefix("10.0.201.9/32"), Failures: 11, Blocked: true, Left: 14 * time.Minute},
		{Address: netip.MustParsePrefix("2001:db8::/64"), Failures: 11, Blocked: true, Left: 14 * time.Minute},
		{Address: netip.MustParsePrefix("10.0.201.1/32"), Failures: 2, Left: time.Minute},
	}
	same := cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
	if diff := cmp.Diff(want, g.Failing(), same); diff != "" {
		t.Error(diff)
	}
	if !g.Free(v6.Next()) || !g.Admit(v6) || g.Free(v6) {
		t.Error("want the address unblocked, once")
	}
	g.FreeAll()
	if !g.Admit(attacker) || len(g.Failing()) != 0 {
		t.Error("want all addresses unblocked")
	}
}
