package syslog_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/logs/syslog"
	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/network/netsim/peers"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// patience is for failing only.
const patience = 30 * time.Second

// start is when the seed's records were written, at the appliance.
var start = time.Date(2015, 6, 25, 8, 50, 3, 0, time.FixedZone("", 7200))

// A bench is a world with a syslog server, and a pusher in it.
type bench struct {
	t       testing.TB
	world   *netsim.World
	server  *peers.SyslogServer
	clock   *clock.Fake
	options syslog.Options
	set     syslog.Settings
	*syslog.Pusher

	mu     sync.Mutex
	events []syslog.Event
}

const world = `
appliance:
  hostname: mail.example.com
  model: C370
  serial: A4BADB4712A9-511AA1E
  version: 8.0.1-023
  interfaces:
    - {name: Data 1, device: nic1, addresses: [10.229.24.230/24], gateway: 10.229.24.1}
hosts:
  - name: log
    names: [syslog.example.com]
    addresses: [10.44.167.30]
    services: [{type: syslogd, options: {%s}}]
paths:
  - {name: path, to: 10.44.167.0/24, delay: %v}
`

// newBench makes a world; options are the server's, in YAML.
func newBench(t testing.TB, options string, delay time.Duration) *bench {
	t.Helper()
	return newBenchIn(t, options, delay, netsim.Options{})
}

// newBenchIn is newBench with options of the world.
func newBenchIn(t testing.TB, options string, delay time.Duration, o netsim.Options) *bench {
	t.Helper()
	top, err := netsim.Load("test", fmt.Appendf(nil, world, options, delay))
	if err != nil {
		t.Fatal(err)
	}
	b := newBenchOf(t, top, o)
	b.server = b.world.Peer("log/syslogd").(*peers.SyslogServer)
	return b
}

// newBenchOf makes a world of a topology, and starts it.
func newBenchOf(t testing.TB, top *topology.Topology, o netsim.Options) *bench {
	t.Helper()
	o.Entropy = entropy.Seeded(1)
	b := &bench{t: t, clock: clock.NewFake(start)}
	var err error
	b.world, err = netsim.New(top, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if b.Pusher != nil {
			b.stop()
		}
		b.world.Stop(context.Background())
	})
	if err := b.world.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.options = syslog.Options{
		Net: b.world.Network(), Clock: b.clock, Owner: "hermes", User: "root",
		Header: func() []string {
			return []string{"Begin Logfile", "Version: 8.0.1-023 SN: A4BADB4712A9-511AA1E", "Time offset from UTC: 7200 seconds"}
		},
		OnEvent: func(e syslog.Event) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.events = append(b.events, e)
		},
	}
	b.set = syslog.Settings{Subscription: "Mails", Server: "10.44.167.30", Protocol: syslog.TCP, Facility: "mail"}
	return b
}

// start makes the pusher.
func (b *bench) start() {
	b.t.Helper()
	p, err := syslog.New(b.options, b.set)
	if err != nil {
		b.t.Fatal(err)
	}
	b.Pusher = p
}

func (b *bench) stop() {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := b.Close(ctx); err != nil {
		b.t.Error(err)
	}
}

// push pushes a text at the bench's time.
func (b *bench) push(format string, args ...any) {
	b.Push(b.clock.Now(), "Info", fmt.Sprintf(format, args...))
}

// eventually waits until ok holds.
func (b *bench) eventually(what string, ok func() bool) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	for !ok() {
		if clock.System().Sleep(ctx, time.Millisecond) != nil {
			b.t.Fatalf("not so after %v: %s\n%+v\n%q", patience, what, b.Stats(), b.told())
		}
	}
}

// told are the texts of the events.
func (b *bench) told() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var texts []string
	for _, e := range b.events {
		texts = append(texts, e.Text)
	}
	return texts
}

// toldOf waits for n events and no more, and wants these texts.
func (b *bench) toldOf(want ...string) {
	b.t.Helper()
	b.eventually(fmt.Sprintf("%d events", len(want)), func() bool { return len(b.told()) >= len(want) })
	if got := b.told(); strings.Join(got, "\n") != strings.Join(want, "\n") {
		b.t.Errorf("told %q\nwant %q", got, want)
	}
}

// toldNothing ends the pusher, which tells what there is to tell, and wants no events.
func (b *bench) toldNothing() {
	b.t.Helper()
	b.stop()
	if got := b.told(); len(got) > 0 {
		b.t.Errorf("told %q", got)
	}
}

// await waits until the server has n records.
func (b *bench) await(n int) []string {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	got, err := b.server.Await(ctx, n)
	if err != nil {
		b.t.Fatalf("%v\n%+v\n%q", err, b.Stats(), b.told())
	}
	return got
}

const header = "<22>Jun 25 08:50:03 Mails: Info: Begin Logfile\n" +
	"<22>Jun 25 08:50:03 Mails: Info: Version: 8.0.1-023 SN: A4BADB4712A9-511AA1E\n" +
	"<22>Jun 25 08:50:03 Mails: Info: Time offset from UTC: 7200 seconds\n"

func TestAConnectionBeginsWithTheHeader(t *testing.T) {
	b := newBench(t, "", 0)
	b.start()
	b.push("Start MID 6 ICID 5")
	b.await(4)
	b.push("MID 6 ready 100 bytes")
	b.await(5)
	b.stop()
	b.eventually("the connection is closed", func() bool { return b.server.Open() == 0 })
	want := header + "<22>Jun 25 08:50:03 Mails: Info: Start MID 6 ICID 5\n<22>Jun 25 08:50:03 Mails: Info: MID 6 ready 100 bytes\n"
	if got := b.server.Connections(); len(got) != 1 || string(got[0].Data) != want {
		t.Errorf("the server has %v", got)
	}
	if s := b.Stats(); s.Sent != 2 || s.Waiting != 0 {
		t.Errorf("%+v", s)
	}
	b.toldNothing()
}

func itoa(n int) string { return strconv.Itoa(n) }
