package traffic

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// A fakeSite has no network: every message fails. Its clock is moved by the test.
type fakeSite struct {
	clock  *clock.Fake
	offset *clock.Offset

	mu      sync.Mutex
	servers []string // what was done to servers
}

func newFakeSite() *fakeSite {
	c := clock.NewFake(noon)
	return &fakeSite{clock: c, offset: clock.NewOffset(c)}
}

func (s *fakeSite) Clock() clock.Clock     { return s.clock }
func (s *fakeSite) Now() time.Time         { return s.offset.Now() }
func (*fakeSite) Hello(host string) string { return host + ".example.net" }
func (*fakeSite) Route(context.Context, string) (network.Transport, netip.Addr, netip.AddrPort, error) {
	return nil, netip.Addr{}, netip.AddrPort{}, errors.New("there is no network")
}

func (s *fakeSite) SetServer(_ context.Context, name string, running bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.servers = append(s.servers, name+map[bool]string{true: " up", false: " down"}[running]+s.Now().Format(" 15:04"))
	return nil
}

func (s *fakeSite) done() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.servers...)
}

// until advances the clock minute by minute until ok returns true.
func (s *fakeSite) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for !ok() {
		if ctx.Err() != nil {
			t.Fatalf("%s does not happen", what)
		}
		_ = clock.System().Sleep(ctx, time.Millisecond)
	}
}

// play plays a flow for some minutes and returns its state.
func play(t *testing.T, seed, minutes int) FlowState {
	t.Helper()
	s := newFakeSite()
	topo := &topology.Topology{Traffic: topology.Traffic{Seed: seed, Flows: []topology.Flow{testFlow()}}}
	g := New(topo, s, slog.New(slog.DiscardHandler))
	g.Start()
	defer g.Stop()
	for n := range minutes {
		s.until(t, "a minute", func() bool { return g.Flows()[0].Played >= n })
		s.clock.Advance(time.Minute)
	}
	s.until(t, "the last minute", func() bool {
		state := g.Flows()[0]
		return state.Played >= minutes && state.Summary.Done == state.Summary.Offered
	})
	return g.Flows()[0]
}

// Two runs offer the same messages; each is done. With another seed other messages are offered.
func TestFlowRepeats(t *testing.T) {
	first := play(t, 1, 20).Summary
	if first.Offered < 100 || first.Offered > 300 || first.Failed != first.Offered || first.Errors["stopped"] != first.Failed {
		t.Errorf("in 20 minutes at 10 a minute: %+v", first)
	}
	if again := play(t, 1, 20).Summary; again.Digest != first.Digest || again.Offered != first.Offered {
		t.Errorf("the second run offers %d messages, %s, the first one %d, %s", again.Offered, again.Digest, first.Offered, first.Digest)
	}
	if other := play(t, 2, 20).Summary; other.Digest == first.Digest {
		t.Error("two seeds offer the same messages")
	}
}

// When the clock is set, a flow goes on at the new time and leaves out what was due in between.
func TestFlowFollowsTheClock(t *testing.T) {
	s := newFakeSite()
	f := testFlow()
	f.Rate, f.Rates = 0, map[topology.TimeOfDay]topology.MailRate{0: 0, 13 * 60: 600, 14 * 60: 0}
	topo := &topology.Topology{Traffic: topology.Traffic{Flows: []topology.Flow{f}}}
	g := New(topo, s, slog.New(slog.DiscardHandler))
	g.Start()
	defer g.Stop()
	advance := func(minutes int) {
		for range minutes {
			was := g.Flows()[0].Played
			s.clock.Advance(time.Minute)
			s.until(t, "a minute", func() bool { return g.Flows()[0].Played > was })
		}
	}
	advance(5)
	if n := g.Flows()[0].Summary.Offered; n != 0 {
		t.Errorf("%d messages before 13:00", n)
	}
	s.offset.Set(noon.Add(90 * time.Minute))
	advance(6)
	if n := g.Flows()[0].Summary.Offered; n < 20 || n > 120 {
		t.Errorf("%d messages in five minutes after 13:30, want about 50", n)
	}
	s.offset.Set(noon.Add(3 * time.Hour))
	advance(1)
	n := g.Flows()[0].Summary.Offered
	if advance(5); g.Flows()[0].Summary.Offered != n {
		t.Errorf("%d messages after 15:00", g.Flows()[0].Summary.Offered-n)
	}
}

func TestOutage(t *testing.T) {
	s := newFakeSite()
	topo := &topology.Topology{Traffic: topology.Traffic{
		Outages: []topology.Outage{{Server: "mx", At: 12*60 + 10, For: time.Hour}},
	}}
	g := New(topo, s, slog.New(slog.DiscardHandler))
	g.Start()
	defer g.Stop()
	for day := range 2 {
		for range 24 * 6 {
			s.clock.Advance(10 * time.Minute)
			wanted := 2 * day
			if now := s.Now(); now.After(noon.Add(time.Duration(day)*24*time.Hour + 10*time.Minute)) {
				wanted++
			}
			if now := s.Now(); now.After(noon.Add(time.Duration(day)*24*time.Hour + 70*time.Minute)) {
				wanted++
			}
			s.until(t, "the outage", func() bool { return len(s.done()) >= wanted })
		}
	}
	var did []string
	for _, x := range s.done() {
		did = append(did, x[:len(x)-len(" 15:04")])
	}
	if want := []string{"mx down", "mx up", "mx down", "mx up"}; !reflect.DeepEqual(did, want) {
		t.Errorf("in two days: %q, want %q", s.done(), want)
	}
}
