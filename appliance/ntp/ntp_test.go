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

// patience is for failing only.
const patience = 30 * time.Second

func newHost(t *testing.T) *vnet.Host {
	h := vnet.NewHost(vnet.Options{Name: "host", LoopbackIndex: 1, Rand: entropy.Seeded(1)})
	t.Cleanup(h.Close)
	return h
}

// A server answers as its test wants.
type server struct {
	mu     sync.Mutex
	answer func(ntp.Packet) [][]byte
	asked  int
}

// serve starts a server on an address.
func serve(t *testing.T, h *vnet.Host, addr netip.Addr, answer func(ntp.Packet) [][]byte) *server {
	t.Helper()
	c, err := h.ListenPacket(t.Context(), network.DialConfig{Local: netip.AddrPortFrom(addr, ntp.Port)})
	if err != nil {
		t.Fatal(err)
	}
	s := &server{answer: answer}
	done := make(chan struct{})
	t.Cleanup(func() { c.Close(); <-done })
	go func() {
		defer close(done)
		s.serve(c)
	}()
	return s
}

func (s *server) serve(c network.PacketConn) {
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
		s.asked++
		answers := s.answer(q)
		s.mu.Unlock()
		for _, a := range answers {
			c.WriteTo(a, from)
		}
	}
}

func (s *server) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// good is an answer of a server whose time is at.
func good(q ntp.Packet, at time.Time) ntp.Packet {
	return ntp.Packet{
		Version: q.Version, Mode: ntp.ModeServer, Stratum: 2, Precision: -20, RefID: [4]byte{10, 0, 0, 1},
		Reference: at, Origin: q.Transmit, Receive: at, Transmit: ntp.TimestampOf(at),
	}
}

// with is a good answer with something changed.
func with(change func(*ntp.Packet)) func(ntp.Packet) [][]byte {
	return func(q ntp.Packet) [][]byte {
		p := good(q, start)
		change(&p)
		return [][]byte{p.Append(nil)}
	}
}

func newClock() *clock.Offset { return clock.NewOffset(clock.NewFake(start)) }

func query(t *testing.T, h *vnet.Host, own *clock.Offset, limit time.Duration) (ntp.Sample, error) {
	return ntp.Query(t.Context(), h, own, network.DialConfig{Remote: netip.AddrPortFrom(localhost, ntp.Port)}, limit)
}

func TestQueryMeasuresTheOffset(t *testing.T) {
	h := newHost(t)
	serve(t, h, localhost, func(q ntp.Packet) [][]byte { return [][]byte{good(q, start.Add(time.Hour)).Append(nil)} })
	own := newClock()
	own.SetShift(-time.Minute) // which does not matter
	if s, err := query(t, h, own, patience); err != nil || s != (ntp.Sample{Shift: time.Hour, Stratum: 2}) {
		t.Errorf("got %+v, %v", s, err)
	}
}

func TestQueryPassesOverWhatAnswersSomebodyElse(t *testing.T) {
	h := newHost(t)
	serve(t, h, localhost, func(q ntp.Packet) [][]byte {
		forged, own := good(q, start.Add(-time.Hour)), good(q, start.Add(-time.Hour))
		forged.Origin++
		own.Mode = ntp.ModeClient
		return [][]byte{[]byte("junk"), forged.Append(nil), own.Append(nil), good(q, start.Add(time.Hour)).Append(nil)}
	})
	if s, err := query(t, h, newClock(), patience); err != nil || s.Shift != time.Hour {
		t.Errorf("got %+v, %v", s, err)
	}
}

func TestQueryDoesNotBelieveEverything(t *testing.T) {
	for name, change := range map[string]func(*ntp.Packet){
		"version 0":            func(p *ntp.Packet) { p.Version = 0 },
		"version 5":            func(p *ntp.Packet) { p.Version = 5 },
		"stratum 16":           func(p *ntp.Packet) { p.Stratum = 16 },
		"unsynchronized":       func(p *ntp.Packet) { p.Leap = ntp.LeapUnsynchronized },
		"no transmit time":     func(p *ntp.Packet) { p.Transmit = 0 },
		"no receive time":      func(p *ntp.Packet) { p.Receive = time.Time{} },
		"left before it came":  func(p *ntp.Packet) { p.Receive = start.Add(time.Second) },
		"held for a minute":    func(p *ntp.Packet) { p.Receive = start.Add(-time.Minute) },
		"far from a clock":     func(p *ntp.Packet) { p.RootDisp = 16 * time.Second },
		"far along a slow way": func(p *ntp.Packet) { p.RootDelay = 32 * time.Second },
	} {
		h := newHost(t)
		serve(t, h, localhost, with(change))
		if s, err := query(t, h, newClock(), patience); !errors.Is(err, ntp.ErrBogus) {
			t.Errorf("%s: got %+v, %v", name, s, err)
		}
	}
}

func TestQueryHearsTheKissOfDeath(t *testing.T) {
	h := newHost(t)
	serve(t, h, localhost, with(func(p *ntp.Packet) { p.Stratum, p.RefID = 0, [4]byte{'R', 'A', 'T', 'E'} }))
	var kiss *ntp.KissError
	if _, err := query(t, h, newClock(), patience); !errors.As(err, &kiss) || kiss.Code != "RATE" {
		t.Errorf("got %v", err)
	}
}

func TestQueryGivesUp(t *testing.T) {
	h := newHost(t)
	if _, err := query(t, h, newClock(), patience); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("nobody is there: %v", err)
	}
	serve(t, h, localhost, func(ntp.Packet) [][]byte { return nil })
	if _, err := query(t, h, newClock(), 20*time.Millisecond); !errors.Is(err, ntp.ErrNoAnswer) {
		t.Errorf("silence: %v", err)
	}
}

func TestQueryNoticesThatTheClockWasMoved(t *testing.T) {
	h := newHost(t)
	fake := clock.NewFake(start)
	own := clock.NewOffset(fake)
	serve(t, h, localhost, func(q ntp.Packet) [][]byte {
		fake.Advance(time.Hour)
		return [][]byte{good(q, own.Now()).Append(nil)}
	})
	if s, err := query(t, h, own, patience); !errors.Is(err, ntp.ErrClockMoved) {
		t.Errorf("got %+v, %v", s, err)
	}
}

// A rig is a daemon in a world of its own, whose server's time is an hour ahead.
type rig struct {
	*ntp.Daemon
	fake     *clock.Fake
	own      *clock.Offset
	settings ntp.Settings
	said     chan string
}

func newRig(t *testing.T, h *vnet.Host, names map[string]netip.Addr, servers ...string) *rig {
	t.Helper()
	r := &rig{fake: clock.NewFake(start), settings: ntp.Settings{Servers: servers}, said: make(chan string, 100)}
	r.own = clock.NewOffset(r.fake)
	r.Daemon = ntp.New(ntp.Options{
		Net: h, Clock: r.own, Rand: entropy.Seeded(1).Stream("ntp"),
		Settings: func() ntp.Settings { return r.settings },
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
		SetShift: func(shift time.Duration) error { r.own.SetShift(shift); return nil },
		Log:      func(_ bool, text string) { r.said <- text },
		Timeout:  patience,
	})
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Stop(context.Background()) })
	return r
}

// hear waits for the next line of the log.
func (r *rig) hear(t *testing.T, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	select {
	case got := <-r.said:
		if !strings.HasPrefix(got, want) {
			t.Fatalf("heard %q, want %q", got, want)
		}
	case <-ctx.Done():
		t.Fatalf("heard nothing, want %q", want)
	}
}

func hourAhead(own clock.Clock) func(ntp.Packet) [][]byte {
	return func(q ntp.Packet) [][]byte { return [][]byte{good(q, own.Now().Add(time.Hour)).Append(nil)} }
}

const (
	answered = "sntp query host 127.0.0.1 delay 0 offset 3600000"
	changed  = "The system time was changed from Thu, 25 Jun 2015 "
)

func TestDaemonSetsTheClockAWhileAfterTheStart(t *testing.T) {
	h := newHost(t)
	r := newRig(t, h, map[string]netip.Addr{"time.example.com": localhost}, "time.example.com")
	s := serve(t, h, localhost, hourAhead(r.fake))
	r.fake.Advance(time.Minute - time.Second)
	if n := s.count(); n != 0 {
		t.Errorf("%d queries in the first minute", n)
	}
	r.fake.Advance(4*time.Minute + time.Second)
	r.hear(t, answered)
	r.hear(t, changed)
	if got := r.own.Shift(); got != time.Hour {
		t.Errorf("the clock is set by %v", got)
	}
	// The second time there is nothing to set.
	r.fake.Advance(20 * time.Minute)
	r.hear(t, "sntp query host 127.0.0.1 delay 0 offset 0")
	r.Stop(t.Context())
	if n := len(r.said); n != 0 || r.own.Shift() != time.Hour {
		t.Errorf("%d more lines, set by %v", n, r.own.Shift())
	}
}

func TestDaemonTriesTheNextServer(t *testing.T) {
	h := newHost(t)
	down := netip.AddrFrom4([4]byte{127, 0, 0, 2})
	liar := netip.AddrFrom4([4]byte{127, 0, 0, 3})
	r := newRig(t, h, map[string]netip.Addr{"down": down, "liar": liar, "up": localhost}, "unknown", "down", "liar", "up")
	serve(t, h, liar, with(func(p *ntp.Packet) { p.Leap = ntp.LeapUnsynchronized }))
	serve(t, h, localhost, hourAhead(r.fake))
	r.Reload()
	r.hear(t, "The NTP server unknown gives no time: look up: no such name.")
	r.hear(t, "The NTP server down gives no time: ")
	r.hear(t, "The NTP server liar gives no time: its answer is not to be believed (the server is not synchronized).")
	r.hear(t, answered)
	r.hear(t, changed)
}

func TestDaemonLeavesAloneWhoWantsThat(t *testing.T) {
	for code, after := range map[string]time.Duration{"RATE": time.Hour, "DENY": 0, "RSTR": 0} {
		h := newHost(t)
		kisser := netip.AddrFrom4([4]byte{127, 0, 0, 2})
		r := newRig(t, h, map[string]netip.Addr{"kisser": kisser, "up": localhost}, "kisser", "up")
		s := serve(t, h, kisser, with(func(p *ntp.Packet) { p.Stratum, p.RefID = 0, [4]byte([]byte(code)) }))
		serve(t, h, localhost, func(q ntp.Packet) [][]byte { return [][]byte{good(q, r.fake.Now()).Append(nil)} })
		r.Reload()
		r.hear(t, "The NTP server kisser does not want to be asked: "+code+".")
		r.hear(t, "sntp query")
		for range 2 { // 20 and 40 minutes later
			r.fake.Advance(20 * time.Minute)
			r.hear(t, "sntp query")
		}
		if n := s.count(); n != 1 {
			t.Errorf("%s: asked %d times", code, n)
		}
		r.fake.Advance(20 * time.Minute)
		if after != 0 {
			r.hear(t, "The NTP server kisser does not want")
		}
		r.hear(t, "sntp query")
		// A change of the configuration gives everybody another chance.
		r.Reload()
		r.hear(t, "The NTP server kisser does not want")
		r.hear(t, "sntp query")
	}
}

func TestDaemonAsksFromItsInterface(t *testing.T) {
	h := newHost(t)
	r := newRig(t, h, map[string]netip.Addr{"up": localhost, "v6": netip.IPv6Loopback()}, "v6", "up")
	r.settings.Source = "Data 1"
	serve(t, h, localhost, hourAhead(r.fake))
	r.Reload()
	r.hear(t, "The NTP server v6 gives no time: no address in reach of the source interface.")
	r.hear(t, answered)
	r.hear(t, changed)
}

func TestDaemonStopsWhileItAsks(t *testing.T) {
	h := newHost(t)
	asked := make(chan struct{}, 1)
	r := newRig(t, h, map[string]netip.Addr{"silent": localhost}, "silent")
	serve(t, h, localhost, func(ntp.Packet) [][]byte { asked <- struct{}{}; return nil })
	r.Reload()
	<-asked
	r.Stop(t.Context())
	r.Stop(t.Context())
	r.Reload()
	if n := len(r.said); n != 0 {
		t.Errorf("it says %q", <-r.said)
	}
}

func TestDaemonThatNeverStarted(t *testing.T) {
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
