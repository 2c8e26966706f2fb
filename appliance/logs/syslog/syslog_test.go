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

// testTimeout is how long a test waits before it fails.
const testTimeout = 2 * time.Minute

// start is the time of the seed document's records.
var start = time.Date(2015, 6, 25, 8, 50, 3, 0, time.FixedZone("", 7200))

// A harness is a world with a syslog server, and a pusher in it.
type harness struct {
	t        testing.TB
	world    *netsim.World
	server   *peers.SyslogServer
	clock    *clock.Fake
	options  syslog.Options
	settings syslog.Settings
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

// newHarness makes a world; options are the server's, in YAML.
func newHarness(t testing.TB, options string, delay time.Duration) *harness {
	t.Helper()
	return newHarnessWith(t, options, delay, netsim.Options{})
}

// newHarnessWith is newHarness with options of the world.
func newHarnessWith(t testing.TB, options string, delay time.Duration, o netsim.Options) *harness {
	t.Helper()
	top, err := netsim.Load("test", fmt.Appendf(nil, world, options, delay))
	if err != nil {
		t.Fatal(err)
	}
	h := newHarnessIn(t, top, o)
	if h.server, err = h.world.SyslogServer("log"); err != nil {
		t.Fatal(err)
	}
	return h
}

// newHarnessIn makes a world of the given topology, and starts it.
func newHarnessIn(t testing.TB, top *topology.Topology, o netsim.Options) *harness {
	t.Helper()
	o.Entropy = entropy.Seeded(1)
	h := &harness{t: t, clock: clock.NewFake(start)}
	var err error
	h.world, err = netsim.New(top, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if h.Pusher != nil {
			h.stop()
		}
		h.world.Stop(context.Background())
	})
	if err := h.world.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.options = syslog.Options{
		Net: h.world.Network(), Clock: h.clock, Owner: "hermes", User: "root",
		Header: func() []string {
			return []string{
				"Begin Logfile", "Version: 8.0.1-023 SN: A4BADB4712A9-511AA1E",
				"Time offset from UTC: 7200 seconds",
			}
		},
		OnEvent: func(e syslog.Event) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.events = append(h.events, e)
		},
	}
	h.settings = syslog.Settings{
		Subscription: "Mails", Server: "10.44.167.30", Protocol: syslog.TCP, Facility: "mail",
	}
	return h
}

// start makes the pusher.
func (h *harness) start() {
	h.t.Helper()
	p, err := syslog.New(h.options, h.settings)
	if err != nil {
		h.t.Fatal(err)
	}
	h.Pusher = p
}

func (h *harness) stop() {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	if err := h.Close(ctx); err != nil {
		h.t.Error(err)
	}
}

// push pushes a text with the harness's time.
func (h *harness) push(format string, args ...any) {
	h.Push(h.clock.Now(), "Info", fmt.Sprintf(format, args...))
}

// eventually polls until ok returns true.
func (h *harness) eventually(what string, ok func() bool) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), testTimeout)
	defer cancel()
	for !ok() {
		if clock.System().Sleep(ctx, time.Millisecond) != nil {
			h.t.Fatalf("not within %v: %s\n%+v\n%q", testTimeout, what, h.Stats(), h.eventTexts())
		}
	}
}

// eventTexts returns the texts of the events so far. Without a buffer on disk each break has two
// events; the second one, RecordsInDoubt, is left out.
func (h *harness) eventTexts() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var texts []string
	for _, e := range h.events {
		if e.Kind != syslog.RecordsInDoubt || h.settings.Buffer > 0 {
			texts = append(texts, e.Text)
		}
	}
	return texts
}

// wantEvents waits for as many events as there are texts, and compares.
func (h *harness) wantEvents(want ...string) {
	h.t.Helper()
	h.eventually(fmt.Sprintf("%d events", len(want)),
		func() bool { return len(h.eventTexts()) >= len(want) })
	if got := h.eventTexts(); strings.Join(got, "\n") != strings.Join(want, "\n") {
		h.t.Errorf("events %q\nwant %q", got, want)
	}
}

// wantNoEvents closes the pusher, which delivers all events, and fails if there are any.
func (h *harness) wantNoEvents() {
	h.t.Helper()
	h.stop()
	if got := h.eventTexts(); len(got) > 0 {
		h.t.Errorf("events %q", got)
	}
}

// waitRecords blocks until the server has n records, and returns them.
func (h *harness) waitRecords(n int) []string {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), testTimeout)
	defer cancel()
	got, err := h.server.Await(ctx, n)
	if err != nil {
		h.t.Fatalf("%v\n%+v\n%q", err, h.Stats(), h.eventTexts())
	}
	return got
}

const header = "<22>Jun 25 08:50:03 Mails: Info: Begin Logfile\n" +
	"<22>Jun 25 08:50:03 Mails: Info: Version: 8.0.1-023 SN: A4BADB4712A9-511AA1E\n" +
	"<22>Jun 25 08:50:03 Mails: Info: Time offset from UTC: 7200 seconds\n"

func TestConnectionBeginsWithHeader(t *testing.T) {
	h := newHarness(t, "", 0)
	h.start()
	h.push("Start MID 6 ICID 5")
	h.waitRecords(4)
	h.push("MID 6 ready 100 bytes")
	h.waitRecords(5)
	h.stop()
	h.eventually("the connection is closed", func() bool { return h.server.Open() == 0 })
	want := header +
		"<22>Jun 25 08:50:03 Mails: Info: Start MID 6 ICID 5\n<22>Jun 25 08:50:03 Mails: Info: MID 6 ready 100 bytes\n"
	if got := h.server.Connections(); len(got) != 1 || string(got[0].Data) != want {
		t.Errorf("the server got %v", got)
	}
	if s := h.Stats(); s.Sent != 2 || s.Waiting != 0 {
		t.Errorf("%+v", s)
	}
	h.wantNoEvents()
}

func itoa(n int) string { return strconv.Itoa(n) }
