package ntp_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim/vnet"
	"github.com/esasim/esasim/appliance/ntp"
)

var (
	localhost = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	start     = time.Date(2015, 6, 25, 8, 50, 3, 0, time.UTC)
)

// testTimeout is how long a test waits before it fails.
const testTimeout = 2 * time.Minute

func newHost(t *testing.T) *vnet.Host {
	h := vnet.NewHost(vnet.Options{Name: "host", LoopbackIndex: 1, Rand: entropy.Seeded(1)})
	t.Cleanup(h.Close)
	return h
}

// A fakeServer answers as its test wants.
type fakeServer struct {
	mu      sync.Mutex
	answer  func(ntp.Packet) [][]byte
	queries int
}

// serve starts a server on an address. answer returns the packets to send for a query.
func serve(
	t *testing.T, host *vnet.Host, addr netip.Addr, answer func(ntp.Packet) [][]byte,
) *fakeServer {
	t.Helper()
	c, err := host.ListenPacket(t.Context(),
		network.DialConfig{Local: netip.AddrPortFrom(addr, ntp.Port)})
	if err != nil {
		t.Fatal(err)
	}
	s := &fakeServer{answer: answer}
	done := make(chan struct{})
	t.Cleanup(func() { c.Close(); <-done })
	go func() {
		defer close(done)
		s.serve(c)
	}()
	return s
}

func (s *fakeServer) serve(c network.PacketConn) {
	buf := make([]byte, 512)
	for {
		n, from, err := c.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		q, err := ntp.ParsePacket(buf[:n])
		if err != nil {
			continue
		}
		s.mu.Lock()
		s.queries++
		answers := s.answer(q)
		s.mu.Unlock()
		for _, a := range answers {
			c.WriteTo(a, from)
		}
	}
}

func (s *fakeServer) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queries
}

// goodAnswer returns the answer of a server whose clock shows at.
func goodAnswer(q ntp.Packet, at time.Time) ntp.Packet {
	return ntp.Packet{
		Version: q.Version, Mode: ntp.ModeServer, Stratum: 2, Precision: -20,
		RefID:     [4]byte{10, 0, 0, 1},
		Reference: at, Origin: q.Transmit, Receive: at, Transmit: ntp.TimestampOf(at),
	}
}

// changedAnswer returns a function that returns a good answer with a change.
func changedAnswer(change func(*ntp.Packet)) func(ntp.Packet) [][]byte {
	return func(q ntp.Packet) [][]byte {
		p := goodAnswer(q, start)
		change(&p)
		return [][]byte{p.Append(nil)}
	}
}

func newClock() *clock.Offset { return clock.NewOffset(clock.NewFake(start)) }

func query(
	t *testing.T, host *vnet.Host, own *clock.Offset, limit time.Duration,
) (ntp.Sample, error) {
	return ntp.Query(t.Context(), host, own,
		network.DialConfig{Remote: netip.AddrPortFrom(localhost, ntp.Port)}, limit)
}

func TestQueryMeasuresTheOffset(t *testing.T) {
	host := newHost(t)
	serve(t, host, localhost, func(q ntp.Packet) [][]byte {
		return [][]byte{goodAnswer(q, start.Add(time.Hour)).Append(nil)}
	})
	own := newClock()
	own.SetShift(-time.Minute) // must not matter
	if s, err := query(t, host, own, testTimeout); err != nil || s != (ntp.Sample{Shift: time.Hour, Stratum: 2}) {
		t.Errorf("got %+v, %v", s, err)
	}
}

func TestQueryIgnoresUnrelatedPackets(t *testing.T) {
	host := newHost(t)
	serve(t, host, localhost, func(q ntp.Packet) [][]byte {
		forged, own := goodAnswer(q, start.Add(-time.Hour)), goodAnswer(q, start.Add(-time.Hour))
		forged.Origin++
		own.Mode = ntp.ModeClient
		return [][]byte{
			[]byte("junk"), forged.Append(nil), own.Append(nil),
			goodAnswer(q, start.Add(time.Hour)).Append(nil),
		}
	})
	if s, err := query(t, host, newClock(), testTimeout); err != nil || s.Shift != time.Hour {
		t.Errorf("got %+v, %v", s, err)
	}
}

func TestQueryRejectsBogusAnswers(t *testing.T) {
	for name, change := range map[string]func(*ntp.Packet){
		"version 0":             func(p *ntp.Packet) { p.Version = 0 },
		"version 5":             func(p *ntp.Packet) { p.Version = 5 },
		"stratum 16":            func(p *ntp.Packet) { p.Stratum = 16 },
		"unsynchronized":        func(p *ntp.Packet) { p.Leap = ntp.LeapUnsynchronized },
		"no transmit time":      func(p *ntp.Packet) { p.Transmit = 0 },
		"no receive time":       func(p *ntp.Packet) { p.Receive = time.Time{} },
		"sent before received":  func(p *ntp.Packet) { p.Receive = start.Add(time.Second) },
		"held for a minute":     func(p *ntp.Packet) { p.Receive = start.Add(-time.Minute) },
		"large root dispersion": func(p *ntp.Packet) { p.RootDisp = 16 * time.Second },
		"large root delay":      func(p *ntp.Packet) { p.RootDelay = 32 * time.Second },
	} {
		host := newHost(t)
		serve(t, host, localhost, changedAnswer(change))
		if s, err := query(t, host, newClock(), testTimeout); !errors.Is(err, ntp.ErrBogus) {
			t.Errorf("%s: got %+v, %v", name, s, err)
		}
	}
}

func TestQueryReturnsKissOfDeath(t *testing.T) {
	host := newHost(t)
	serve(t, host, localhost, changedAnswer(func(p *ntp.Packet) {
		p.Stratum, p.RefID = 0, [4]byte{'R', 'A', 'T', 'E'}
	}))
	var kiss *ntp.KissError
	if _, err := query(t, host, newClock(), testTimeout); !errors.As(err, &kiss) || kiss.Code != "RATE" {
		t.Errorf("got %v", err)
	}
}

func TestQueryWithoutAnswer(t *testing.T) {
	host := newHost(t)
	if _, err := query(t, host, newClock(), testTimeout); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("without a server: %v", err)
	}
	serve(t, host, localhost, func(ntp.Packet) [][]byte { return nil })
	if _, err := query(t, host, newClock(), 20*time.Millisecond); !errors.Is(err, ntp.ErrNoAnswer) {
		t.Errorf("with a silent server: %v", err)
	}
}

func TestQueryDetectsMovedClock(t *testing.T) {
	host := newHost(t)
	fake := clock.NewFake(start)
	own := clock.NewOffset(fake)
	serve(t, host, localhost, func(q ntp.Packet) [][]byte {
		fake.Advance(time.Hour)
		return [][]byte{goodAnswer(q, own.Now()).Append(nil)}
	})
	if s, err := query(t, host, own, testTimeout); !errors.Is(err, ntp.ErrClockMoved) {
		t.Errorf("got %+v, %v", s, err)
	}
}

// A harness is a daemon whose clock can be set.
type harness struct {
	*ntp.Daemon
	fake     *clock.Fake
	offset   *clock.Offset
	settings ntp.Settings
	lines    chan string // of the log
}

func newHarness(t *testing.T, host *vnet.Host, names map[string]netip.Addr,
	servers ...string,
) *harness {
	t.Helper()
	h := &harness{
		fake: clock.NewFake(start), settings: ntp.Settings{Servers: servers},
		lines: make(chan string, 100),
	}
	h.offset = clock.NewOffset(h.fake)
	h.Daemon = ntp.New(ntp.Options{
		Net: host, Clock: h.offset, Rand: entropy.Seeded(1).Stream("ntp"),
		Settings: func() ntp.Settings { return h.settings },
		Lookup: func(_ context.Context, name string) ([]netip.Addr, error) {
			if a, ok := names[name]; ok {
				return []netip.Addr{a}, nil
			}
			return nil, errors.New("no such name")
		},
		Source: func(name string, v6 bool) netip.Addr {
			if name == "Data 1" && !v6 {
				return netip.AddrFrom4([4]byte{127, 0, 0, 9})
			}
			return netip.Addr{}
		},
		SetShift: func(shift time.Duration) error { h.offset.SetShift(shift); return nil },
		Log:      func(_ bool, text string) { h.lines <- text },
		Timeout:  testTimeout,
	})
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Stop(context.Background()) })
	return h
}

// wantLine waits for the next line of the log, which must begin with want.
func (h *harness) wantLine(t *testing.T, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	select {
	case got := <-h.lines:
		if !strings.HasPrefix(got, want) {
			t.Fatalf("logged %q, want %q", got, want)
		}
	case <-ctx.Done():
		t.Fatalf("logged nothing, want %q", want)
	}
}

func anHourAhead(own clock.Clock) func(ntp.Packet) [][]byte {
	return func(q ntp.Packet) [][]byte {
		return [][]byte{goodAnswer(q, own.Now().Add(time.Hour)).Append(nil)}
	}
}

const (
	answered = "sntp query host 127.0.0.1 delay 0 offset 3600000"
	changed  = "The system time was changed from Thu, 25 Jun 2015 "
)

func TestDaemonSetsClockAfterStart(t *testing.T) {
	host := newHost(t)
	h := newHarness(t, host, map[string]netip.Addr{"time.example.com": localhost},
		"time.example.com")
	s := serve(t, host, localhost, anHourAhead(h.fake))
	h.fake.Advance(time.Minute - time.Second)
	if n := s.count(); n != 0 {
		t.Errorf("%d queries in the first minute", n)
	}
	h.fake.Advance(4*time.Minute + time.Second)
	h.wantLine(t, answered)
	h.wantLine(t, changed)
	if got := h.offset.Shift(); got != time.Hour {
		t.Errorf("the clock is set by %v", got)
	}
	// The second query finds the clock right.
	h.fake.Advance(20 * time.Minute)
	h.wantLine(t, "sntp query host 127.0.0.1 delay 0 offset 0")
	h.Stop(t.Context())
	if n := len(h.lines); n != 0 || h.offset.Shift() != time.Hour {
		t.Errorf("%d more lines, set by %v", n, h.offset.Shift())
	}
}

// On a clock that runs 3600 times as fast, a round trip takes seconds. It does not count as a jump of
// the clock, and the sample is wrong by no more than half of it.
func TestQueryWithFastClock(t *testing.T) {
	own := clock.NewOffset(clock.NewScaled(clock.System(), 3600))
	host := newHost(t)
	serve(t, host, localhost, func(q ntp.Packet) [][]byte {
		began := clock.System().Mark()
		for clock.System().Since(began) < time.Millisecond {
		} // the answer takes 3.6 seconds of the clock, and is late by less than half of that
		p := goodAnswer(q, own.Now().Add(-time.Second))
		return [][]byte{p.Append(nil)}
	})
	s, err := query(t, host, own, testTimeout)
	if err != nil {
		t.Fatal(err)
	}
	if s.Delay < 3600*time.Millisecond || (s.Shift-own.Shift()).Abs() > s.Delay/2 {
		t.Errorf("the sample is %+v, want a shift below half of the delay", s)
	}
}

func TestDaemonTriesNextServer(t *testing.T) {
	host := newHost(t)
	down := netip.AddrFrom4([4]byte{127, 0, 0, 2})
	bogus := netip.AddrFrom4([4]byte{127, 0, 0, 3})
	h := newHarness(t, host, map[string]netip.Addr{"down": down, "bogus": bogus, "up": localhost},
		"unknown", "down", "bogus", "up")
	serve(t, host, bogus, changedAnswer(func(p *ntp.Packet) { p.Leap = ntp.LeapUnsynchronized }))
	serve(t, host, localhost, anHourAhead(h.fake))
	h.Reload()
	h.wantLine(t, "The NTP server unknown did not return the time: look up: no such name.")
	h.wantLine(t, "The NTP server down did not return the time: ")
	h.wantLine(t, "The NTP server bogus did not return the time: "+
		"its answer was rejected (the server is not synchronized).")
	h.wantLine(t, answered)
	h.wantLine(t, changed)
}

func TestDaemonObeysKissOfDeath(t *testing.T) {
	for code, after := range map[string]time.Duration{"RATE": time.Hour, "DENY": 0, "RSTR": 0} {
		host := newHost(t)
		refusing := netip.AddrFrom4([4]byte{127, 0, 0, 2})
		h := newHarness(t, host, map[string]netip.Addr{"refusing": refusing, "up": localhost}, "refusing",
			"up")
		s := serve(t, host, refusing, changedAnswer(func(p *ntp.Packet) {
			p.Stratum, p.RefID = 0, [4]byte([]byte(code))
		}))
		serve(t, host, localhost, func(q ntp.Packet) [][]byte {
			return [][]byte{goodAnswer(q, h.fake.Now()).Append(nil)}
		})
		h.Reload()
		h.wantLine(t, "The NTP server refusing refuses queries: "+code+".")
		h.wantLine(t, "sntp query")
		for range 2 { // 20 and 40 minutes later
			h.fake.Advance(20 * time.Minute)
			h.wantLine(t, "sntp query")
		}
		if n := s.count(); n != 1 {
			t.Errorf("%s: queried %d times", code, n)
		}
		h.fake.Advance(20 * time.Minute)
		if after != 0 {
			h.wantLine(t, "The NTP server refusing refuses queries")
		}
		h.wantLine(t, "sntp query")
		// After a change of the configuration the server is queried again.
		h.Reload()
		h.wantLine(t, "The NTP server refusing refuses queries")
		h.wantLine(t, "sntp query")
	}
}

func TestDaemonQueriesFromConfiguredInterface(t *testing.T) {
	host := newHost(t)
	h := newHarness(t, host, map[string]netip.Addr{"up": localhost, "v6": netip.IPv6Loopback()},
		"v6", "up")
	h.settings.Source = "Data 1"
	serve(t, host, localhost, anHourAhead(h.fake))
	h.Reload()
	h.wantLine(t, "The NTP server v6 did not return the time: "+
		"the source interface has no address of the same IP version.")
	h.wantLine(t, answered)
	h.wantLine(t, changed)
}

func TestStopDuringQuery(t *testing.T) {
	host := newHost(t)
	asked := make(chan struct{}, 1)
	h := newHarness(t, host, map[string]netip.Addr{"silent": localhost}, "silent")
	serve(t, host, localhost, func(ntp.Packet) [][]byte { asked <- struct{}{}; return nil })
	h.Reload()
	<-asked
	h.Stop(t.Context())
	h.Stop(t.Context())
	h.Reload()
	if n := len(h.lines); n != 0 {
		t.Errorf("logged %q", <-h.lines)
	}
}

func TestStopWithoutStart(t *testing.T) {
	d := ntp.New(ntp.Options{})
	d.Reload()
	if err := d.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestServersAreChecked(t *testing.T) {
	for _, good := range []string{"time.ironport.com", "10.1.1.1", "2001:db8::1", "0.pool.ntp.org"} {
		if err := ntp.CheckServer(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{"", "time", "time..com", "-a.com", "a b.com", "10.1.1", "10.1.1.300", "0.0.0.0", "224.0.1.1", "fe80::1%em0"} {
		if err := ntp.CheckServer(bad); err == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
}
