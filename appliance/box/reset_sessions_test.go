package box_test

import (
	"context"
	"io"
	"net"
	"net/netip"
	"net/textproto"
	"runtime"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network"
)

// TestResetEndsFTPSessions: the last reply of a session says why it ends.
func TestResetEndsFTPSessions(t *testing.T) {
	b := snapshotBox(t, t.TempDir())
	c, err := net.Dial("tcp", b.DoorAddrs()["ftp"].String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ftp := textproto.NewConn(c)
	for _, step := range []struct {
		line string
		code int
	}{{"", 220}, {"USER admin", 331}, {"PASS ironport", 230}} {
		if step.line != "" {
			if err := ftp.PrintfLine("%s", step.line); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := ftp.ReadResponse(step.code); err != nil {
			t.Fatal(step.line, err)
		}
	}
	if err := b.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, text, err := ftp.ReadResponse(421); err != nil || text != "The simulator was reset." {
		t.Errorf("the session ends with %q, %v", text, err)
	}
	if _, err := ftp.ReadLine(); err != io.EOF {
		t.Error(err)
	}
}

// TestResetForgetsCaches: ARP and DNS caches, sockets and counters are those of a start.
func TestResetForgetsCaches(t *testing.T) {
	b := snapshotBox(t, t.TempDir())
	for range 2 {
		a := b.Appliance()
		before := a.Resolver.Stats()
		if _, err := a.Resolver.Lookup(t.Context(), "www.google.com", 4); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Net.Ping(t.Context(), network.PingRequest{Dst: netip.MustParseAddr("10.0.202.109")}); err == nil {
			t.Error("the cluster answers")
		}
		if got := a.Resolver.Stats(); got == before || len(a.Resolver.Cached("www.google.com", "A")) == 0 {
			t.Fatalf("%+v", got)
		}
		if err := b.Reset(t.Context()); err != nil {
			t.Fatal(err)
		}
		now := b.Appliance()
		if list := now.Resolver.Cached("www.google.com", "A"); len(list) > 0 {
			t.Errorf("cached after a reset: %v", list)
		}
		if got := now.Resolver.Lifetime(); got != now.Resolver.Stats() {
			t.Errorf("the counters of the DNS client: %+v, since the start %+v", got, now.Resolver.Stats())
		}
	}
}

// TestResetKeepsTheClockRate: the clock runs as fast as before, and its setting is that of the start.
func TestResetKeepsTheClockRate(t *testing.T) {
	fake := clock.NewFake(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	b := run(t, box.Options{Clock: fake, ClockRate: 60})
	if err := b.Appliance().AdvanceTime(time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := b.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	if shift := b.Appliance().Clock.Shift(); shift != 0 {
		t.Errorf("the clock is set forward by %v", shift)
	}
	from := b.Now()
	fake.Advance(time.Second)
	if d := b.Now().Sub(from); d != time.Minute || b.ClockRate() != 60 {
		t.Errorf("a second is %v, at rate %d", d, b.ClockRate())
	}
}

// BenchmarkResets reports what a thousand resets (-benchtime 1000x) leave behind, between the first
// and the last.
func BenchmarkResets(b *testing.B) {
	x := run(b, box.Options{})
	reset := func() {
		if err := x.Reset(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
	reset()
	goroutines, memory := runtime.NumGoroutine(), heapInUse()
	for b.Loop() {
		reset()
	}
	b.ReportMetric(float64(runtime.NumGoroutine()-goroutines), "goroutines")
	b.ReportMetric((float64(heapInUse())-float64(memory))/1024, "KiB")
}
