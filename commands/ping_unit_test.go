package commands_test

import (
	"bytes"
	"context"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/shell"
)

// A scriptedNet is a network that only answers echo requests and probes, by its functions.
type scriptedNet struct {
	network.Network
	ping  func(ctx context.Context, seq int) (network.Reply, error)
	probe func(ctx context.Context, r network.ProbeRequest) (network.Reply, error)
}

func (n scriptedNet) Ping(ctx context.Context, r network.PingRequest) (network.Reply, error) {
	return n.ping(ctx, int(r.Seq))
}

func (n scriptedNet) Probe(ctx context.Context, r network.ProbeRequest) (network.Reply, error) {
	return n.probe(ctx, r)
}

func (scriptedNet) Interfaces() []network.Interface { return nil }

// A silentPrompter is a Prompter without a terminal. It keeps the output and gives no answers.
type silentPrompter struct {
	shell.Prompter
	mu  sync.Mutex
	buf bytes.Buffer
}

func (p *silentPrompter) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.buf.Write(b)
}

func (p *silentPrompter) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.buf.String()
}

var pingTarget = netip.MustParseAddr("216.58.194.206")

func echoReply(ms float64) (network.Reply, error) {
	return network.Reply{Kind: network.EchoReply, From: pingTarget, TTL: 56, Bytes: 64, RTT: time.Duration(ms * 1e6)}, nil
}

func lostEcho(ctx context.Context) (network.Reply, error) {
	<-ctx.Done()
	return network.Reply{}, context.Cause(ctx)
}

// runPing runs "ping 216.58.194.206" as runOnNet does.
func runPing(t *testing.T, net func(ctx context.Context, seq int) (network.Reply, error), interrupt <-chan struct{}) string {
	t.Helper()
	text, err := runOnNet(t, scriptedNet{ping: net}, interrupt, "ping", pingTarget.String())
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// runOnNet runs a command without a terminal on the given network and returns its output. The
// clock is a fake that advances when the command sleeps. Closing interrupt presses Ctrl-C.
func runOnNet(t *testing.T, net network.Network, interrupt <-chan struct{}, word string, args ...string) (string, error) {
	t.Helper()
	app, err := appliance.New(appliance.Options{
		Net: net, Dir: t.TempDir(),
		Product:  product.Facts{Model: "C100V", Version: product.Version{Major: 14}},
		Clock:    clock.NewFake(time.Date(2015, 6, 25, 8, 50, 3, 0, time.UTC)),
		Timeouts: appliance.Timeouts{Probe: time.Millisecond, Lookup: time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { app.Stop(context.Background()) })
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	go func() {
		select {
		case <-interrupt:
			cancel(shell.ErrInterrupt)
		case <-ctx.Done():
		}
	}()
	out := &silentPrompter{}
	env := &shell.Env{Dialogue: shell.NewDialogue(out), Appliance: app, Draft: app.Config.NewDraft(), Args: args, Inline: true, SessionContext: t.Context()}
	err = runCommand(ctx, env, word)
	return out.text(), err
}

func TestPingComputesItsSummary(t *testing.T) { // B51, B52
	times := []float64{2.095, 1.824, 2.005, 1.939, 1.868, 1.963}
	sixth := make(chan struct{})
	got := runPing(t, func(ctx context.Context, seq int) (network.Reply, error) {
		if seq == len(times) {
			close(sixth)
			return lostEcho(ctx)
		}
		return echoReply(times[seq])
	}, sixth)
	want := `Press Ctrl-C to stop.
PING 216.58.194.206 (216.58.194.206): 56 data bytes
64 bytes from 216.58.194.206: icmp_seq=0 ttl=56 time=2.095 ms
64 bytes from 216.58.194.206: icmp_seq=1 ttl=56 time=1.824 ms
64 bytes from 216.58.194.206: icmp_seq=2 ttl=56 time=2.005 ms
64 bytes from 216.58.194.206: icmp_seq=3 ttl=56 time=1.939 ms
64 bytes from 216.58.194.206: icmp_seq=4 ttl=56 time=1.868 ms
64 bytes from 216.58.194.206: icmp_seq=5 ttl=56 time=1.963 ms
--- 216.58.194.206 ping statistics ---
7 packets transmitted, 6 packets received, 14.3% packet loss
round-trip min/avg/max/stddev = 1.824/1.949/2.095/0.088 ms
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestPingWithoutTerminalSendsTenEchoes(t *testing.T) {
	got := runPing(t, func(context.Context, int) (network.Reply, error) { return echoReply(2) }, nil)
	if !strings.Contains(got, "icmp_seq=9 ") || strings.Contains(got, "icmp_seq=10 ") {
		t.Errorf("echoes:\n%s", got)
	}
	if want := "ms\n\n--- 216.58.194.206 ping statistics ---\n10 packets transmitted, 10 packets received, 0.0% packet loss\n"; !strings.Contains(got, want) {
		t.Errorf("no %q in\n%s", want, got)
	}
}

func TestLostEchoDoesNotDelayNext(t *testing.T) {
	var mu sync.Mutex
	waiting, most := 0, 0
	got := runPing(t, func(ctx context.Context, seq int) (network.Reply, error) {
		if seq > 1 {
			return echoReply(2)
		}
		mu.Lock()
		waiting++
		most = max(most, waiting)
		mu.Unlock()
		return lostEcho(ctx)
	}, nil)
	if most != 2 {
		t.Errorf("at most %d requests were outstanding, want 2", most)
	}
	if !strings.Contains(got, "10 packets transmitted, 8 packets received, 20.0% packet loss\n") {
		t.Errorf("printed:\n%s", got)
	}
}

func TestPingWithoutRepliesOmitsRoundTripLine(t *testing.T) {
	third := make(chan struct{})
	got := runPing(t, func(ctx context.Context, seq int) (network.Reply, error) {
		if seq == 2 {
			close(third)
		}
		return lostEcho(ctx)
	}, third)
	if want := "--- 216.58.194.206 ping statistics ---\n3 packets transmitted, 0 packets received, 100.0% packet loss\n"; !strings.HasSuffix(got, want) {
		t.Errorf("printed:\n%s", got)
	}
}

func TestPingReportsSendErrors(t *testing.T) {
	for errno, want := range map[syscall.Errno]string{
		syscall.ENETUNREACH:  "ping: sendto: No route to host\n",
		syscall.EHOSTUNREACH: "ping: sendto: Host is down\n",
	} {
		got := runPing(t, func(context.Context, int) (network.Reply, error) { return network.Reply{}, errno }, nil)
		if n := strings.Count(got, want); n != 10 {
			t.Errorf("%v: %d times %q in\n%s", errno, n, want, got)
		}
		if !strings.HasSuffix(got, "10 packets transmitted, 0 packets received, 100.0% packet loss\n") {
			t.Errorf("%v:\n%s", errno, got)
		}
	}
}

func TestPingShowsQuotedHeaderOfICMPError(t *testing.T) {
	quoted := []byte{
		0x45, 0, 0, 84, 0xd3, 0xd7, 0x40, 0, 1, 1, 0x40, 0xd7, 10, 0, 202, 7, 216, 58, 194, 206,
	}
	for _, c := range []struct {
		reply network.Reply
		want  string
	}{
		{network.Reply{Kind: network.TimeExceeded, Type: 11}, "Time to live exceeded"},
		{network.Reply{Kind: network.NetUnreachable, Type: 3}, "Destination Net Unreachable"},
		{network.Reply{Kind: network.Prohibited, Type: 3, Code: 13}, "Communication prohibited by filter"},
		{network.Reply{Kind: network.OtherError, Type: 3, Code: 10}, "Dest Unreachable, Bad Code: 10"},
		{network.Reply{Kind: network.FragmentationNeeded, Type: 3, Code: 4, MTU: 1400}, "frag needed and DF set (MTU 1400)"},
	} {
		c.reply.From, c.reply.Bytes, c.reply.Quoted = netip.MustParseAddr("10.0.202.1"), 92, quoted
		got := runPing(t, func(context.Context, int) (network.Reply, error) { return c.reply, nil }, nil)
		want := "92 bytes from 10.0.202.1: " + c.want + `
Vr HL TOS  Len   ID Flg  off TTL Pro  cks      Src      Dst
 4  5  00 0054 d3d7   2 0000  01  01 40d7 10.0.202.7  216.58.194.206 

`
		if n := strings.Count(got, want); n != 10 {
			t.Errorf("%d times %q in\n%s", n, want, got)
		}
	}
}
