package metrics

import (
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/mta/mailevents"
)

// A fixture is a Set that follows a stream.
type fixture struct {
	*Set
	clock  *clock.Fake
	stream *events.Stream
	file   string
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	b := &fixture{
		clock: clock.NewFake(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)),
		file:  filepath.Join(t.TempDir(), "counters"),
	}
	b.stream = events.NewStream(b.clock)
	b.open(t)
	return b
}

// open opens the Set, as the appliance does at each start.
func (b *fixture) open(t *testing.T) {
	t.Helper()
	b.Set = Open(Options{Clock: b.clock, File: b.file, Logger: slog.New(slog.DiscardHandler)})
	cancel := b.stream.Subscribe(b.Set.Handle)
	t.Cleanup(func() {
		cancel()
		b.Close()
	})
}

func (b *fixture) publish(list ...events.Fields) {
	for _, f := range list {
		events.Publish(b.stream, 0, f)
	}
}

func (b *fixture) now() *Snapshot {
	x := b.Snapshot()
	return &x
}

// lifetimes returns the lifetime counters that are not 0, in the order of status detail.
func (b *fixture) lifetimes() string {
	out := ""
	for _, c := range append(Counters(), InjectedBytes) {
		if n := b.now().Counter(c).Lifetime; n > 0 {
			out += fmt.Sprintf("%s %d ", c.Key(), n)
		}
	}
	return out
}

func TestWhatEachEventCounts(t *testing.T) {
	for _, test := range []struct {
		event events.Fields
		want  string
	}{
		{mailevents.MessageReady{Bytes: 500, Recipients: 3}, "inj_msgs 1 inj_recips 3 inj_bytes 500 "},
		{mailevents.MessageReady{Bytes: 9, Recipients: 1, Generated: mailevents.GeneratedBounce},
			"inj_msgs 1 inj_recips 1 gen_bounce_recips 1 inj_bytes 9 "},
		{mailevents.RecipientRejected{}, "rejected_recips 1 "},
		{mailevents.MessageAborted{Receiving: true, Recipients: 2}, "rejected_recips 2 "},
		{mailevents.MessageAborted{}, "dropped_msgs 1 "},
		{mailevents.Delayed{}, "soft_bounced_evts 1 "},
		{mailevents.Delivered{RIDs: []int{0, 4}}, "completed_recips 2 delivered_recips 2 "},
		{mailevents.RecipientsDeleted{RIDs: []int{1}}, "completed_recips 1 deleted_recips 1 "},
		{mailevents.Bounced{Category: mailevents.DNSBounce},
			"completed_recips 1 hard_bounced_recips 1 dns_hard_bounced_recips 1 "},
		{mailevents.Bounced{Category: mailevents.FiveXXBounce},
			"completed_recips 1 hard_bounced_recips 1 5xx_hard_bounced_recips 1 "},
		{mailevents.Bounced{Category: mailevents.FilterBounce},
			"completed_recips 1 hard_bounced_recips 1 filter_hard_bounced_recips 1 "},
		{mailevents.Bounced{Category: mailevents.ExpiredBounce},
			"completed_recips 1 hard_bounced_recips 1 expired_hard_bounced_recips 1 "},
		{mailevents.Bounced{Category: mailevents.OtherBounce},
			"completed_recips 1 hard_bounced_recips 1 other_hard_bounced_recips 1 "},
		{mailevents.MessageQueued{}, ""},
	} {
		b := newFixture(t)
		b.publish(test.event)
		if got := b.lifetimes(); got != test.want {
			t.Errorf("%#v counts %q, want %q", test.event, got, test.want)
		}
	}
}

// TestColumns: Reset counts since the last reset, Uptime since the start, Lifetime always.
func TestColumns(t *testing.T) {
	b := newFixture(t)
	b.publish(mailevents.Delayed{}, mailevents.Delayed{})
	b.Close()
	b.open(t)
	b.publish(mailevents.Delayed{})
	if got, want := b.now().Counter(SoftBounces), (Values{3, 1, 3}); got != want {
		t.Errorf("after a restart: %v, want %v", got, want)
	}
	if !b.now().LastReset.IsZero() {
		t.Error("the counters were reset before anybody did so")
	}
	b.clock.Advance(time.Hour)
	at := b.Reset()
	b.publish(mailevents.Delayed{})
	if got, want := b.now().Counter(SoftBounces), (Values{1, 2, 4}); got != want {
		t.Errorf("after a reset: %v, want %v", got, want)
	}
	b.Close()
	b.open(t)
	if got, want := b.now().Counter(SoftBounces), (Values{1, 0, 4}); got != want {
		t.Errorf("after a reset and a restart: %v, want %v", got, want)
	}
	if !b.now().LastReset.Equal(at) || !at.Equal(b.clock.Now()) {
		t.Errorf("the last reset was at %v, want %v", b.now().LastReset, at)
	}
}

// TestCountersAreSavedWithinAMinute: a killed process loses at most the last minute of counts.
func TestCountersAreSavedWithinAMinute(t *testing.T) {
	b := newFixture(t)
	b.publish(mailevents.Delayed{})
	if _, err := os.Stat(b.file); err == nil {
		t.Fatal("the file was written for a single event")
	}
	b.clock.Advance(saveInterval)
	b.timers.Wait()
	if v, err := load(b.file); err != nil || v.Lifetime["soft_bounced_evts"] != 1 {
		t.Errorf("the file has %v, %v", v, err)
	}
}

// TestResetIsSaved: a reset is in the file when Reset returns.
func TestResetIsSaved(t *testing.T) {
	b := newFixture(t)
	at := b.Reset()
	if v, err := load(b.file); err != nil || !v.LastReset.Equal(at) {
		t.Errorf("the file has %v, %v", v, err)
	}
}

// TestFailedSaveIsRepeatedAtClose: what a full disk did not take is written at the end.
func TestFailedSaveIsRepeatedAtClose(t *testing.T) {
	b := newFixture(t)
	if err := os.Mkdir(b.file, 0o700); err != nil { // a directory cannot be replaced by a file
		t.Fatal(err)
	}
	b.publish(mailevents.Delayed{})
	b.clock.Advance(saveInterval)
	b.timers.Wait()
	if err := os.Remove(b.file); err != nil {
		t.Fatal(err)
	}
	b.Close()
	if v, err := load(b.file); err != nil || v.Lifetime["soft_bounced_evts"] != 1 {
		t.Errorf("the file has %v, %v", v, err)
	}
}

// TestDamagedFile: the appliance starts and counts even if the file of the counters is damaged.
func TestDamagedFile(t *testing.T) {
	for _, content := range []string{"", "{", "\x00\x00", `{"lifetime":{"soft_bounced_evts":-1}}`, "[]"} {
		b := newFixture(t)
		if err := os.WriteFile(b.file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		b.open(t)
		b.publish(mailevents.Delayed{})
		if got := b.now().Counter(SoftBounces).Uptime; got == 0 {
			t.Errorf("with the file %q nothing is counted", content)
		}
	}
}

// TestRates: a rate is an hour's worth of the events of the last minutes (mail.md 2.4).
func TestRates(t *testing.T) {
	b := newFixture(t)
	for range 100 {
		b.publish(mailevents.Delayed{})
	}
	expect := func(when string, want Rate) {
		t.Helper()
		if got := b.now().Rate(SoftBounces); got != want {
			t.Errorf("%s: %v, want %v", when, got, want)
		}
	}
	expect("at once", Rate{6000, 1200, 400})
	b.clock.Advance(61 * time.Second)
	expect("after a minute", Rate{0, 1200, 400})
	b.clock.Advance(4 * time.Minute)
	expect("after five minutes", Rate{0, 0, 400})
	b.clock.Advance(10 * time.Minute)
	expect("after fifteen minutes", Rate{})
	b.publish(mailevents.Delayed{})
	b.clock.Advance(24 * time.Hour)
	expect("after a day", Rate{})
}

// TestRateOfASum: hard bounces of all kinds make one rate.
func TestRateOfASum(t *testing.T) {
	b := newFixture(t)
	b.publish(mailevents.Bounced{Category: mailevents.DNSBounce},
		mailevents.Bounced{Category: mailevents.ExpiredBounce}, mailevents.Delivered{RIDs: []int{0}})
	if got, want := b.now().Rate(CompletedRecipients), (Rate{180, 36, 12}); got != want {
		t.Errorf("completed recipients: %v, want %v", got, want)
	}
}

// TestHosts: events are counted for the destination that they are about, whatever the case of its
// letters.
func TestHosts(t *testing.T) {
	b := newFixture(t)
	remote := netip.MustParseAddrPort("192.0.2.25:25")
	if _, ok := b.Host("example.com"); ok {
		t.Error("a destination is known before there is mail for it")
	}
	b.publish(
		mailevents.DeliveryConnectionOpened{DCID: 8, Domain: "Example.com", Remote: remote},
		mailevents.HostChanged{Domain: "example.com", Up: true},
		mailevents.Delivered{DCID: 8, Domain: "example.com", RIDs: []int{0, 1}},
		mailevents.Bounced{DCID: 8, Domain: "example.com", Category: mailevents.FiveXXBounce,
			Failure: mailevents.Failure{Reply: mailevents.Reply{Code: 550, Lines: []string{"no"}}}},
		mailevents.Delayed{DCID: 0, Domain: "example.org"},
	)
	h, ok := b.Host("EXAMPLE.COM")
	if !ok || h.State != HostUp || h.Connections != 1 || h.Count(CompletedRecipients) != 3 ||
		h.Last5XX.Code != 550 || !h.Last5XXAt.Equal(b.clock.Now()) || !h.LastActivity.Equal(b.clock.Now()) {
		t.Errorf("got %+v, %v", h, ok)
	}
	b.publish(mailevents.DeliveryConnectionClosed{DCID: 8}, mailevents.DeliveryConnectionClosed{DCID: 9},
		mailevents.HostChanged{Domain: "example.com"})
	if h, _ := b.Host("example.com"); h.Connections != 0 || h.State != HostDown {
		t.Errorf("after the connection has closed: %+v", h)
	}
	if list := b.Hosts(); len(list) != 2 || list[1].Domain != "example.org" || list[1].Count(SoftBounces) != 1 {
		t.Errorf("the hosts are %+v", list)
	}
}

// TestHostsAreBounded: the destination whose last event is oldest is forgotten, unless a
// connection to it is open.
func TestHostsAreBounded(t *testing.T) {
	b := newFixture(t)
	b.publish(mailevents.DeliveryConnectionOpened{DCID: 1, Domain: "open"})
	for i := range maxHosts {
		b.clock.Advance(time.Second)
		b.publish(mailevents.Delayed{Domain: fmt.Sprint(i)})
	}
	_, open := b.Host("open")
	_, first := b.Host("0")
	if n := len(b.Hosts()); n != maxHosts || !open || first {
		t.Errorf("%d destinations, the connected one %v, the oldest %v; want %d, true, false",
			n, open, first, maxHosts)
	}
}

// TestClients: topin has a row for each address and listener, and the address for a name that is
// not verified.
func TestClients(t *testing.T) {
	b := newFixture(t)
	from := netip.MustParseAddrPort
	b.publish(
		mailevents.ConnectionOpened{ICID: 1, Listener: "In", Remote: from("192.0.2.9:1"), Host: "a.example", Verified: true},
		mailevents.ConnectionOpened{ICID: 2, Listener: "In", Remote: from("192.0.2.7:1"), Host: "forged.example"},
		mailevents.ConnectionOpened{ICID: 3, Listener: "In", Remote: from("192.0.2.9:2"), Host: "a.example", Verified: true},
		mailevents.ConnectionOpened{ICID: 4, Listener: "Out", Remote: from("192.0.2.9:3"), Host: "a.example", Verified: true},
		mailevents.ConnectionClosed{ICID: 4},
	)
	got := fmt.Sprint(b.Clients(), b.now().ConnectionsIn)
	if want := "[{a.example 192.0.2.9 In 2} {192.0.2.7 192.0.2.7 In 1}] 3"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestMissingFile: a first start has no file, and an appliance without mail makes none.
func TestMissingFile(t *testing.T) {
	b := newFixture(t)
	b.Close()
	if _, err := os.Stat(b.file); !os.IsNotExist(err) {
		t.Errorf("the file exists without mail: %v", err)
	}
	if _, err := load(filepath.Join(t.TempDir(), "none")); err != nil {
		t.Errorf("a missing file is an error: %v", err)
	}
}

// FuzzSavedCounters: counters that load accepts from any file survive being saved and loaded.
func FuzzSavedCounters(f *testing.F) {
	for _, seed := range []string{
		"", "{", "null", `{"lifetime":{"inj_msgs":3},"at_reset":{"inj_msgs":9},"last_reset":"2026-01-02T03:04:05Z"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		file := filepath.Join(t.TempDir(), "counters")
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		v, err := load(file)
		if err != nil {
			return
		}
		lifetime, atReset, lastReset := v.tallies()
		if err := newSaved(lifetime, atReset, lastReset).write(file); err != nil {
			return // a year that JSON cannot write
		}
		again, err := load(file)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		if l, r, at := again.tallies(); l != lifetime || r != atReset || !at.Equal(lastReset) {
			t.Errorf("read %v %v %v, wrote %v %v %v", l, r, at, lifetime, atReset, lastReset)
		}
	})
}
