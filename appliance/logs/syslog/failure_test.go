package syslog_test

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/logs/syslog"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/appliance/pcapfilter"
)

const (
	brokenText  = "Log Error: Subscription Mails: Network error while sending log data to syslog server"
	refusedText = "Log Error: Subscription Mails: Failed to connect to 10.44.167.30: Connection refused"
	timeoutText = "Log Error: Subscription Mails: Failed to connect to 10.44.167.30: Operation timed out"
)

// advanceUntil advances the clock, past delays, until ok returns true.
func (h *harness) advanceUntil(what string, ok func() bool) {
	h.t.Helper()
	h.eventually(what, func() bool {
		h.clock.Advance(time.Second)
		return ok()
	})
}

// Without a buffer on disk, too, the administrator learns how many messages may be lost.
func TestRecordsInDoubtWithoutBuffer(t *testing.T) {
	h := newHarness(t, "after: 5 records, then: reset, times: 1", 0)
	h.start()
	h.push("one")
	h.push("two")
	h.eventually("two events", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return len(h.events) == 2
	})
	h.stop()
	e := h.events[1]
	if e.Kind != syslog.RecordsInDoubt || e.Records != 2 || e.Text != "Subscription Mails: "+
		"The connection to syslog server 10.44.167.30 ended: the last 2 messages may be lost" {
		t.Errorf("%+v", e)
	}
}

// The server resets the connection once it has read four records. The break is reported each
// time, as each connection has worked.
func TestReset(t *testing.T) {
	h := newHarness(t, "after: 4 records, then: reset", 0)
	h.start()
	h.push("one")
	h.wantEvents(brokenText)
	h.push("two")
	h.advanceUntil("a second connection", func() bool { return len(h.eventTexts()) == 2 })
	h.wantEvents(brokenText, brokenText)
	if s := h.Stats(); s.Sent != 2 || s.Breaks != 2 || s.Lost != 0 || s.Waiting != 0 || s.Connected != "" {
		t.Errorf("%+v", s)
	}
	var live []string
	for _, r := range h.waitRecords(8) {
		if !strings.Contains(r, "Begin Logfile") && !strings.Contains(r, "Version: ") && !strings.Contains(r, "Time offset") {
			live = append(live, r[strings.LastIndexByte(r, ' ')+1:])
		}
	}
	if strings.Join(live, " ") != "one two" {
		t.Errorf("the server got %q", live)
	}
}

// Each break of a server that closes whatever it accepts is reported, as records are lost in it.
func TestServerThatClosesEveryConnection(t *testing.T) {
	h := newHarness(t, "after: accept, then: close, times: 4, pause: 0s", 2*time.Millisecond)
	h.start()
	h.push("one")
	h.wantEvents(brokenText)
	h.advanceUntil("a connection works",
		func() bool { h.push("more"); return h.server.Total() > 3 })
	h.wantEvents(brokenText, brokenText, brokenText, brokenText)
	if s := h.Stats(); s.Breaks != 4 {
		t.Errorf("%+v", s)
	}
}

// A different reason why there is no connection is reported, and the stats have the last one.
func TestEachReasonIsReported(t *testing.T) {
	h := newHarness(t, "", 0)
	const noRouteText = "Log Error: Subscription Mails: Failed to connect to 10.44.167.30: No route to host"
	last := func(want string) func() bool { return func() bool { return h.Stats().LastError == want } }
	h.setRule(topology.Rule{Protocol: "tcp", Port: 514, Action: "host-unreachable"})
	h.start()
	h.push("one")
	h.wantEvents(noRouteText)
	h.setRule(topology.Rule{Protocol: "tcp", Port: 514, Action: "refuse"})
	h.advanceUntil("the connection is refused", last(refusedText))
	h.setRule(topology.Rule{Protocol: "tcp", Port: 514, Action: "host-unreachable"})
	h.advanceUntil("there is no route again", last(noRouteText))
	h.wantEvents(noRouteText, refusedText)
}

// A FIN counts as a break as a reset does, also on an idle connection (A13).
func TestHalfClose(t *testing.T) {
	h := newHarness(t, "after: 4 records, then: half-close, times: 1", 0)
	h.start()
	h.push("one")
	h.wantEvents(brokenText)
	h.push("two")
	h.advanceUntil("all records have arrived", func() bool { return h.server.Total() == 8 })
	h.wantEvents(brokenText)
}

func TestRefused(t *testing.T) {
	h := newHarness(t, "", 0)
	h.settings.Port = 515
	h.start()
	h.push("one")
	h.wantEvents(refusedText)
	h.advanceUntil("more attempts", func() bool { return h.Stats().Failures > 3 })
	h.wantEvents(refusedText)
	if s := h.Stats(); s.Waiting != 1 || s.Dropped != 0 {
		t.Errorf("%+v", s)
	}
}

// The connection times out if a firewall drops SYNs, and if the server's backlog is full.
func TestConnectTimesOut(t *testing.T) {
	for name, options := range map[string]string{"firewall": "", "backlog": "backlog: full"} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, options, 0)
			if name == "firewall" {
				h.setRule(topology.Rule{Protocol: "tcp", Port: 514, Action: "drop"})
			}
			h.options.ConnectTimeout = 50 * time.Millisecond
			h.start()
			h.push("one")
			h.wantEvents(timeoutText)
		})
	}
}

// If a path drops all packets during a connection, TCP gives up in the end, which is not a
// refusal (A13). With a buffer on disk no record is missing afterwards.
func TestSilentPath(t *testing.T) {
	h := newHarnessWith(t, "", 0, netsim.Options{Retries: 1})
	h.settings.Buffer, h.options.Dir = 1<<20, t.TempDir()
	h.start()
	h.push("number 0")
	h.waitRecords(4)
	h.setRule(topology.Rule{Action: "drop", Protocol: "tcp", Port: 514})
	h.push("number 1")
	h.eventually("the failure is reported", func() bool { return len(h.eventTexts()) == 2 })
	if got := h.eventTexts(); got[0] != timeoutText || !strings.Contains(got[1], "1 messages are sent again") {
		t.Errorf("events %q", got)
	}
	h.setRule(topology.Rule{})
	h.advanceUntil("all records are sent", func() bool { return h.Stats().Waiting == 0 })
	h.eventually("all records have arrived",
		func() bool { return len(numbers(t, h.server.Records())) >= 2 })
	wantRun(t, numbers(t, h.server.Records()), 0, 1)
}

// setRule replaces the rules of the world by r, or removes them if r has no action.
func (h *harness) setRule(r topology.Rule) {
	h.t.Helper()
	h.world.Faults().Clear()
	if r.Action != "" {
		if _, err := h.world.Faults().Add(r); err != nil {
			h.t.Fatal(err)
		}
	}
}

// A middlebox resets the connection at both ends.
func TestResetByMiddlebox(t *testing.T) {
	h := newHarness(t, "", 0)
	h.setRule(topology.Rule{Protocol: "tcp", Port: 514, Action: "reset", AfterRecords: 5})
	h.start()
	h.push("one")
	h.waitRecords(4)
	h.push("two")
	h.wantEvents(brokenText)
	if got := h.waitRecords(5); !strings.HasSuffix(got[4], "two") {
		t.Errorf("the server got %q", got)
	}
	if s := h.Stats(); s.Sent != 2 {
		t.Errorf("%+v", s)
	}
}

// If the server reads slowly, nothing is reported and the queue grows.
func TestSlowReaderIsNotAnError(t *testing.T) {
	h := newHarness(t, "after: 4 records, then: stop-reading", 0)
	h.options.MemoryLimit = 64 << 20
	h.start()
	h.push("one")
	h.waitRecords(4)
	window := h.watchWindow()
	line := strings.Repeat("x", 900)
	for range 5000 {
		h.push("%s", line)
	}
	window.waitClosed()
	h.clock.Advance(time.Hour)
	if s := h.Stats(); s.Waiting < 3000 || s.Dropped != 0 || s.Connected != "10.44.167.30:514" {
		t.Errorf("%+v", s)
	}
	h.wantNoEvents()
}

func TestNameNotFound(t *testing.T) {
	h := newHarness(t, "", 0)
	h.settings.Server = "syslog.example.com"
	known := false
	h.options.Lookup = func(_ context.Context, host string) ([]netip.Addr, error) {
		if host != "syslog.example.com" || !known {
			known = true
			return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
		}
		return []netip.Addr{
			netip.MustParseAddr("10.44.167.99"), netip.MustParseAddr("10.44.167.30"),
		}, nil
	}
	h.setRule(topology.Rule{
		To: netip.MustParsePrefix("10.44.167.99/32"), Action: "host-unreachable",
	})
	h.start()
	h.push("one")
	h.wantEvents("Log Error: Subscription Mails: Failed to connect to syslog.example.com: The host name could not be resolved")
	h.advanceUntil("the second address accepts", func() bool { return h.server.Total() == 4 })
	h.wantEvents("Log Error: Subscription Mails: Failed to connect to syslog.example.com: The host name could not be resolved")
}

// With UDP, a server that is missing is not noticed. A name that cannot be resolved is reported, as
// with TCP: once, and again after it could be.
func TestDatagramEvents(t *testing.T) {
	h := newHarness(t, "protocol: tcp", 0)
	h.settings.Protocol = syslog.UDP
	h.start()
	for i := range 5 {
		h.push("message %d", i)
		h.eventually("the message is sent", func() bool { return h.Stats().Sent == i+1 })
	}
	h.stop()
	h.wantEvents()
	h.settings.Server = "log.example.com"
	var lookups atomic.Int32
	var known atomic.Bool
	h.options.Lookup = func(_ context.Context, host string) ([]netip.Addr, error) {
		lookups.Add(1)
		if known.Load() {
			return []netip.Addr{netip.MustParseAddr("10.44.167.30")}, nil
		}
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	const failed = "Log Error: Subscription Mails: Failed to connect to log.example.com: " +
		"The host name could not be resolved"
	h.start()
	h.push("one")
	h.advanceUntil("more attempts", func() bool { return lookups.Load() > 3 })
	h.wantEvents(failed)
	known.Store(true)
	h.advanceUntil("the message is sent", func() bool { return h.Stats().Sent == 1 })
	known.Store(false)
	h.advanceUntil("the name is looked up again", func() bool {
		h.push("another")
		return len(h.eventTexts()) > 1
	})
	h.wantEvents(failed, failed)
	if s := h.Stats(); s.Lost+s.Dropped > 0 {
		t.Errorf("%+v", s)
	}
}

// Each datagram is a record without a line end. The header comes first, and again only if the name
// leads to another server.
func TestDatagrams(t *testing.T) {
	h := newHarness(t, "protocol: udp", time.Millisecond)
	h.settings.Protocol, h.settings.Server = syslog.UDP, "log.example.com"
	var lookups atomic.Int32
	h.options.Lookup = func(context.Context, string) ([]netip.Addr, error) {
		lookups.Add(1)
		return []netip.Addr{netip.MustParseAddr("10.44.167.30")}, nil
	}
	h.start()
	want := strings.Split(strings.TrimSpace(header), "\n")
	for i, s := range []string{"one", "two", "three"} {
		h.Push(start, "Info", s)
		want = append(want, "<22>Jun 25 08:50:03 Mails: Info: "+s)
		h.waitRecords(len(want))
		if i == 1 {
			h.clock.Advance(time.Hour) // the address may have changed
		}
	}
	if got := h.server.Records(); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if n := lookups.Load(); n != 2 {
		t.Errorf("%d lookups", n)
	}
}

// Memory is bounded while the server is away. Dropped records are reported to the administrator,
// and in the stream at the place of the gap.
func TestMemoryIsBounded(t *testing.T) {
	h := newHarness(t, "", 0)
	h.setRule(topology.Rule{Protocol: "tcp", Port: 514, Action: "refuse"})
	h.options.MemoryLimit = 100 << 10
	h.start()
	h.push("message 0")
	h.eventually("the connection is refused", func() bool { return len(h.eventTexts()) == 1 })
	for i := 1; i < 10000; i++ {
		h.push("message %d", i)
	}
	s := h.Stats()
	if s.WaitingBytes > h.options.MemoryLimit || s.WaitingBytes < h.options.MemoryLimit*9/10 || s.Waiting+s.Dropped != 10000 {
		t.Errorf("%+v", s)
	}
	h.setRule(topology.Rule{})
	h.advanceUntil("the queue is sent", func() bool { return h.Stats().Waiting == 0 })
	h.push("after the gap")
	got := h.waitRecords(3 + s.Waiting + 2)
	tail := got[len(got)-2:]
	if !strings.HasSuffix(tail[0], "Mails: Warning: "+itoa(s.Dropped)+" messages were dropped: the buffer was full.") ||
		!strings.HasSuffix(tail[1], "Mails: Info: after the gap") {
		t.Errorf("the stream ends in %q", tail)
	}
	h.eventually("all events are delivered", func() bool { return len(h.eventTexts()) == 3 })
	events := h.eventTexts()
	slices.Sort(events)
	if events[1] != "Log Error: Subscription Mails: The buffer for syslog server 10.44.167.30 is full, new messages are dropped" ||
		events[2] != "Subscription Mails: "+itoa(s.Dropped)+" messages for syslog server 10.44.167.30 were dropped: the buffer was full" {
		t.Errorf("events %q", events)
	}
}

// Without a buffer on disk, the records in flight when the connection breaks are lost and
// counted. No record is sent twice (A14).
func TestWithoutBufferNothingIsResent(t *testing.T) {
	h := newHarness(t, "after: 4 records, then: stop-reading, times: 1", 0)
	h.options.MemoryLimit = 64 << 20
	h.start()
	h.push("first")
	h.waitRecords(4)
	window := h.watchWindow()
	line := strings.Repeat("x", 900)
	for i := range 3000 {
		h.push("%d %s", i, line)
	}
	window.waitClosed()
	h.setRule(topology.Rule{Protocol: "tcp", Port: 514, Action: "reset"}) // applies to the next window probe
	h.eventually("the connection breaks", func() bool { return len(h.eventTexts()) > 0 })
	h.wantEvents(brokenText)
	h.setRule(topology.Rule{})
	h.advanceUntil("the queue is sent", func() bool { return h.Stats().Waiting == 0 })
	s := h.Stats()
	if s.Lost == 0 || s.Resent != 0 || s.Sent+s.Lost != 3001 {
		t.Errorf("%+v", s)
	}
	got := h.server.Records()
	if n := len(got) - 7; n >= 3000 {
		t.Errorf("%d of 3000 records have arrived, although some were lost", n)
	}
}

// A windowWatch looks for segments in which the server's TCP advertises a window of zero.
type windowWatch struct {
	h   *harness
	tap network.Tap
}

// watchWindow starts to look for a closed window.
func (h *harness) watchWindow() windowWatch {
	h.t.Helper()
	filter, err := pcapfilter.Compile("tcp src port 514 and tcp[tcpflags] & tcp-rst == 0 and tcp[14:2] == 0", pcapfilter.Options{})
	if err != nil {
		h.t.Fatal(err)
	}
	tap, err := h.world.Network().Tap(network.TapConfig{
		Interface: "Data 1", Match: filter.Match, Sink: func(network.Frame) {},
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { tap.Close() })
	return windowWatch{h, tap}
}

// waitClosed blocks until the server's TCP has closed its window.
func (w windowWatch) waitClosed() {
	w.h.t.Helper()
	w.h.eventually("the window is closed", func() bool {
		_, kept := w.tap.Stats()
		return kept > 0
	})
}
