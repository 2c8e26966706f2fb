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

// later moves the clock on until ok holds: past back-offs.
func (b *bench) later(what string, ok func() bool) {
	b.t.Helper()
	b.eventually(what, func() bool {
		b.clock.Advance(time.Second)
		return ok()
	})
}

// A server that resets once it has read four records has taken them: the trouble is told,
// and told again when it happens again, as each connection has worked.
func TestReset(t *testing.T) {
	b := newBench(t, "after: 4 records, then: reset", 0)
	b.start()
	b.push("one")
	b.toldOf(brokenText)
	b.push("two")
	b.later("a second connection", func() bool { return len(b.told()) == 2 })
	b.toldOf(brokenText, brokenText)
	if s := b.Stats(); s.Sent != 2 || s.Breaks != 2 || s.Lost != 0 || s.Waiting != 0 || s.Connected != "" {
		t.Errorf("%+v", s)
	}
	var live []string
	for _, r := range b.await(8) {
		if !strings.Contains(r, "Begin Logfile") && !strings.Contains(r, "Version: ") && !strings.Contains(r, "Time offset") {
			live = append(live, r[strings.LastIndexByte(r, ' ')+1:])
		}
	}
	if strings.Join(live, " ") != "one two" {
		t.Errorf("the server has %q", live)
	}
}

// Of a server that closes whatever it accepts each break is told: records are lost in it.
func TestClosedAtOnce(t *testing.T) {
	b := newBench(t, "after: accept, then: close, times: 4, pause: 0s", 2*time.Millisecond)
	b.start()
	b.push("one")
	b.toldOf(brokenText)
	b.later("it works", func() bool { b.push("more"); return b.server.Total() > 3 })
	b.toldOf(brokenText, brokenText, brokenText, brokenText)
	if s := b.Stats(); s.Breaks != 4 {
		t.Errorf("%+v", s)
	}
}

// Another reason why there is no connection is told, and the figures have the last one.
func TestAnotherReasonIsTold(t *testing.T) {
	b := newBench(t, "", 0)
	const noRouteText = "Log Error: Subscription Mails: Failed to connect to 10.44.167.30: No route to host"
	last := func(want string) func() bool { return func() bool { return b.Stats().LastError == want } }
	b.rule(topology.Rule{Protocol: "tcp", Port: 514, Action: "host-unreachable"})
	b.start()
	b.push("one")
	b.toldOf(noRouteText)
	b.rule(topology.Rule{Protocol: "tcp", Port: 514, Action: "refuse"})
	b.later("it is refused", last(refusedText))
	b.rule(topology.Rule{Protocol: "tcp", Port: 514, Action: "host-unreachable"})
	b.later("there is no route again", last(noRouteText))
	b.toldOf(noRouteText, refusedText)
}

// FIN in an orderly way, on an idle connection too, is as good as a reset (A13).
func TestHalfClose(t *testing.T) {
	b := newBench(t, "after: 4 records, then: half-close, times: 1", 0)
	b.start()
	b.push("one")
	b.toldOf(brokenText)
	b.push("two")
	b.later("all is there", func() bool { return b.server.Total() == 8 })
	b.toldOf(brokenText)
}

func TestRefused(t *testing.T) {
	b := newBench(t, "", 0)
	b.set.Port = 515
	b.start()
	b.push("one")
	b.toldOf(refusedText)
	b.later("more attempts", func() bool { return b.Stats().Failures > 3 })
	b.toldOf(refusedText)
	if s := b.Stats(); s.Waiting != 1 || s.Dropped != 0 {
		t.Errorf("%+v", s)
	}
}

// A firewall that drops SYNs is a time-out, and so is a server whose backlog is full.
func TestConnectTimesOut(t *testing.T) {
	for name, options := range map[string]string{"firewall": "", "backlog": "backlog: full"} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, options, 0)
			if name == "firewall" {
				b.rule(topology.Rule{Protocol: "tcp", Port: 514, Action: "drop"})
			}
			b.options.ConnectTimeout = 50 * time.Millisecond
			b.start()
			b.push("one")
			b.toldOf(timeoutText)
		})
	}
}

// A path that swallows everything, in the middle of a connection: TCP gives up at
// last, which is no refusal (A13). With a buffer on disk nothing is missing then.
func TestSilence(t *testing.T) {
	b := newBenchIn(t, "", 0, netsim.Options{Retries: 1})
	b.set.Buffer, b.options.Dir = 1<<20, t.TempDir()
	b.start()
	b.push("number 0")
	b.await(4)
	b.rule(topology.Rule{Action: "drop", Protocol: "tcp", Port: 514})
	b.push("number 1")
	b.eventually("it is told", func() bool { return len(b.told()) == 2 })
	if got := b.told(); got[0] != timeoutText || !strings.Contains(got[1], "1 messages are sent again") {
		t.Errorf("told %q", got)
	}
	b.rule(topology.Rule{})
	b.later("all is sent", func() bool { return b.Stats().Waiting == 0 })
	b.eventually("all is there", func() bool { return len(numbers(t, b.server.Records())) >= 2 })
	wantRun(t, numbers(t, b.server.Records()), 0, 1)
}

// rule sets the world's only rule; none if it has no action.
func (b *bench) rule(r topology.Rule) {
	b.t.Helper()
	b.world.Faults().Clear()
	if r.Action != "" {
		if _, err := b.world.Faults().Add(r); err != nil {
			b.t.Fatal(err)
		}
	}
}

// An IPS that resets in mid-stream tells both ends.
func TestResetOnTheWay(t *testing.T) {
	b := newBench(t, "", 0)
	b.rule(topology.Rule{Protocol: "tcp", Port: 514, Action: "reset", AfterRecords: 5})
	b.start()
	b.push("one")
	b.await(4)
	b.push("two")
	b.toldOf(brokenText)
	if got := b.await(5); !strings.HasSuffix(got[4], "two") {
		t.Errorf("the server has %q", got)
	}
	if s := b.Stats(); s.Sent != 2 {
		t.Errorf("%+v", s)
	}
}

// A slow reader is no trouble: the queue grows.
func TestSlowReader(t *testing.T) {
	b := newBench(t, "after: 4 records, then: stop-reading", 0)
	b.options.MemoryLimit = 64 << 20
	b.start()
	b.push("one")
	b.await(4)
	window := b.watchWindow()
	line := strings.Repeat("x", 900)
	for range 5000 {
		b.push("%s", line)
	}
	window.closes()
	b.clock.Advance(time.Hour)
	if s := b.Stats(); s.Waiting < 3000 || s.Dropped != 0 || s.Connected != "10.44.167.30:514" {
		t.Errorf("%+v", s)
	}
	b.toldNothing()
}

func TestNameNotFound(t *testing.T) {
	b := newBench(t, "", 0)
	b.set.Server = "syslog.example.com"
	known := false
	b.options.Lookup = func(_ context.Context, host string) ([]netip.Addr, error) {
		if host != "syslog.example.com" || !known {
			known = true
			return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
		}
		return []netip.Addr{netip.MustParseAddr("10.44.167.99"), netip.MustParseAddr("10.44.167.30")}, nil
	}
	b.rule(topology.Rule{To: netip.MustParsePrefix("10.44.167.99/32"), Action: "host-unreachable"})
	b.start()
	b.push("one")
	b.toldOf("Log Error: Subscription Mails: Failed to connect to syslog.example.com: The host name could not be resolved")
	b.later("the second address answers", func() bool { return b.server.Total() == 4 })
	b.toldOf("Log Error: Subscription Mails: Failed to connect to syslog.example.com: The host name could not be resolved")
}

// A server that answers UDP with nothing, or not at all, is no trouble.
func TestDatagramsRaiseNothing(t *testing.T) {
	b := newBench(t, "protocol: tcp", 0)
	b.set.Protocol = syslog.UDP
	b.start()
	for i := range 5 {
		b.push("message %d", i)
		b.eventually("it is sent", func() bool { return b.Stats().Sent == i+1 })
	}
	b.stop()
	b.set.Server = "nowhere.example.com"
	var asked atomic.Int32
	b.options.Lookup = func(_ context.Context, host string) ([]netip.Addr, error) {
		asked.Add(1)
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	b.start()
	b.push("one")
	b.later("more attempts", func() bool { return asked.Load() > 3 })
	b.toldNothing()
}

// Each datagram is a record without a line end, and there is no header among them.
func TestDatagrams(t *testing.T) {
	b := newBench(t, "protocol: udp", time.Millisecond)
	b.set.Protocol = syslog.UDP
	b.start()
	var want []string
	for _, s := range []string{"one", "two", "three"} {
		b.push("%s", s)
		want = append(want, "<22>Jun 25 08:50:03 Mails: Info: "+s)
	}
	if got := b.await(3); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// Memory is bounded while the server is away, and what is dropped is told: to the
// administrator, and in the stream where the gap is.
func TestMemoryIsBounded(t *testing.T) {
	b := newBench(t, "", 0)
	b.rule(topology.Rule{Protocol: "tcp", Port: 514, Action: "refuse"})
	b.options.MemoryLimit = 100 << 10
	b.start()
	b.push("message 0")
	b.eventually("it is refused", func() bool { return len(b.told()) == 1 })
	for i := 1; i < 10000; i++ {
		b.push("message %d", i)
	}
	s := b.Stats()
	if s.WaitingBytes > b.options.MemoryLimit || s.WaitingBytes < b.options.MemoryLimit*9/10 || s.Waiting+s.Dropped != 10000 {
		t.Errorf("%+v", s)
	}
	b.rule(topology.Rule{})
	b.later("the queue is sent", func() bool { return b.Stats().Waiting == 0 })
	b.push("after the gap")
	got := b.await(3 + s.Waiting + 2)
	tail := got[len(got)-2:]
	if !strings.HasSuffix(tail[0], "Mails: Warning: "+itoa(s.Dropped)+" messages were dropped: the buffer was full.") ||
		!strings.HasSuffix(tail[1], "Mails: Info: after the gap") {
		t.Errorf("the stream ends in %q", tail)
	}
	b.eventually("all is told", func() bool { return len(b.told()) == 3 })
	told := b.told()
	slices.Sort(told)
	if told[1] != "Log Error: Subscription Mails: The buffer for syslog server 10.44.167.30 is full, new messages are dropped" ||
		told[2] != "Subscription Mails: "+itoa(s.Dropped)+" messages for syslog server 10.44.167.30 were dropped: the buffer was full" {
		t.Errorf("told %q", told)
	}
}

// Without a buffer on disk, what was under way when the connection broke is lost and
// counted; nothing is sent twice (A14).
func TestWithoutABufferNothingIsSentTwice(t *testing.T) {
	b := newBench(t, "after: 4 records, then: stop-reading, times: 1", 0)
	b.options.MemoryLimit = 64 << 20
	b.start()
	b.push("first")
	b.await(4)
	window := b.watchWindow()
	line := strings.Repeat("x", 900)
	for i := range 3000 {
		b.push("%d %s", i, line)
	}
	window.closes()
	b.rule(topology.Rule{Protocol: "tcp", Port: 514, Action: "reset"}) // acts on the next window probe
	b.eventually("it breaks", func() bool { return len(b.told()) > 0 })
	b.toldOf(brokenText)
	b.rule(topology.Rule{})
	b.later("the queue is sent", func() bool { return b.Stats().Waiting == 0 })
	s := b.Stats()
	if s.Lost == 0 || s.Resent != 0 || s.Sent+s.Lost != 3001 {
		t.Errorf("%+v", s)
	}
	got := b.server.Records()
	if n := len(got) - 7; n >= 3000 {
		t.Errorf("%d of 3000 records came, although some were lost", n)
	}
}

// A window is how much the server's TCP says that it takes.
type window struct {
	b   *bench
	tap network.Tap
}

// watchWindow looks at the window from now on.
func (b *bench) watchWindow() window {
	b.t.Helper()
	shut, err := pcapfilter.Compile("tcp src port 514 and tcp[tcpflags] & tcp-rst == 0 and tcp[14:2] == 0", pcapfilter.Options{})
	if err != nil {
		b.t.Fatal(err)
	}
	tap, err := b.world.Network().Tap(network.TapConfig{Interface: "Data 1", Match: shut.Match, Sink: func(network.Frame) {}})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { tap.Close() })
	return window{b, tap}
}

// closes waits until the server's TCP takes no more.
func (w window) closes() {
	w.b.t.Helper()
	w.b.eventually("the window is closed", func() bool {
		_, kept := w.tap.Stats()
		return kept > 0
	})
}
