package box_test

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/check"
	"github.com/esasim/esasim/appliance/network"
)

// A lie is a change of what a run has left that one invariant must find.
type lie struct {
	about string // what is wrong
	finds string // the name of the invariant
	tell  func(t *testing.T, r *check.Run)
}

// TestCheckFindsLies: what a run leaves has no contradiction, and each planted lie is found by the
// invariant that it violates.
func TestCheckFindsLies(t *testing.T) {
	dir := t.TempDir()
	b := newBox(t, dir, loopback)
	w := watchRun(b)
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.tap(); err != nil {
		t.Fatal(err)
	}
	useEvents(t, b)
	ping := network.PingRequest{Dst: netip.MustParseAddr("10.0.202.53"), ID: 7, Seq: 1, DataSize: 56}
	if _, err := b.Appliance().Net.Ping(t.Context(), ping); err != nil {
		t.Fatal(err)
	}
	if err := b.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	run, err := w.finish(dir)
	if err != nil {
		t.Fatal(err)
	}
	report := run.Check()
	if err := contradictions(report); err != nil {
		t.Fatal(err)
	}
	if report.Events < 50 || report.Frames < 50 {
		t.Errorf("the run has %d events and %d frames", report.Events, report.Frames)
	}
	unproved := map[string]bool{}
	for _, i := range check.Invariants() {
		unproved[i.Name] = true
	}
	for _, l := range lies() {
		delete(unproved, l.finds)
		t.Run(l.about, func(t *testing.T) {
			told := w.read(t, dir)
			l.tell(t, told)
			found := told.Check().Contradictions
			i := slices.IndexFunc(found, func(c check.Contradiction) bool { return c.Name == l.finds })
			if i < 0 {
				t.Fatalf("%s is not found by the invariant %s but by %v", l.about, l.finds, found)
			}
			if len(found[i].Witnesses) == 0 {
				t.Errorf("%v has no witness", found[i])
			}
		})
	}
	for name := range unproved {
		t.Errorf("no lie is told to the invariant %s", name)
	}
}

// read returns what the run has left, again.
func (w *watchedRun) read(t *testing.T, dir string) *check.Run {
	t.Helper()
	run, err := w.left(dir)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

// eventOf returns the index of the n-th event of a kind, from 0.
func eventOf(t *testing.T, r *check.Run, kind string, n int) int {
	t.Helper()
	for i, e := range r.Record.Events {
		if e.Kind == kind {
			if n == 0 {
				return i
			}
			n--
		}
	}
	t.Fatalf("there are too few events of kind %s", kind)
	return 0
}

// changeFirst changes the first event of a kind.
func changeFirst(kind string, f func(e *check.Event)) func(*testing.T, *check.Run) {
	return func(t *testing.T, r *check.Run) { f(r.Record.Events[eventOf(t, r, kind, 0)]) }
}

// insert adds an event after the one at i, and numbers all again. Causes keep their events.
func insert(r *check.Run, i int, e check.Event) {
	list := slices.Insert(r.Record.Events, i+1, &e)
	at := e.Seq
	for j := i + 1; j < len(list); j++ {
		list[j].Seq++
		if j > i+1 && list[j].Cause > at {
			list[j].Cause++
		}
	}
	r.Record.Events = list
}

// forget removes the event at i, and numbers all again.
func forget(r *check.Run, i int) {
	gone := r.Record.Events[i].Seq
	r.Record.Events = slices.Delete(r.Record.Events, i, i+1)
	for _, e := range r.Record.Events {
		if e.Seq > gone {
			e.Seq--
		}
		switch {
		case e.Cause > gone:
			e.Cause--
		case e.Cause == gone:
			e.Cause = 0
		}
	}
}

// lineOf returns the index of the first log line whose text contains a text.
func lineOf(t *testing.T, r *check.Run, text string) int {
	t.Helper()
	for i, e := range r.Record.Events {
		if line, _ := e.Fields["text"].(string); e.Kind == "log.line" && strings.Contains(line, text) {
			return i
		}
	}
	t.Fatalf("there is no log line with %q", text)
	return 0
}

// double doubles the first event of a kind.
func double(kind string) func(*testing.T, *check.Run) {
	return func(t *testing.T, r *check.Run) {
		i := eventOf(t, r, kind, 0)
		insert(r, i, *r.Record.Events[i])
	}
}

func lies() []lie {
	return []lie{
		{"two swapped lines", "events-in-order", func(_ *testing.T, r *check.Run) {
			e := r.Record.Events
			e[20], e[21] = e[21], e[20]
		}},
		{"a missing line", "events-in-order", func(_ *testing.T, r *check.Run) {
			r.Record.Events = slices.Delete(r.Record.Events, 20, 21)
		}},
		{"a command without login", "causes-come-first", changeFirst("command.entered", func(e *check.Event) { e.Cause = 1 })},
		{"an event in the past", "time-goes-on", changeFirst("login.opened", func(e *check.Event) {
			e.Time = e.Time.Add(-time.Hour)
		})},
		{"a connection that is closed twice", "connections-end-once", double("connection.closed")},
		{"a connection that is opened twice", "addresses-are-free", double("connection.opened")},
		{"a connection that is not recorded", "frames-belong", func(t *testing.T, r *check.Run) {
			i := eventOf(t, r, "connection.opened", 0)
			gone := r.Record.Events[i].Fields
			gone["remote"] = "10.9.9.9:9"
			gone["direction"] = "out"
			for _, e := range r.Record.Events {
				if e.Kind == "socket.opened" && e.Fields["protocol"] == "tcp" {
					e.Fields["local"] = "10.9.9.9:9"
				}
			}
		}},
		{"a connection whose frames are missing", "connections-show", func(_ *testing.T, r *check.Run) {
			c := r.Captures[0]
			for i := len(c.Frames) - 1; i > 0; i-- {
				if len(c.Frames[i].Data) > 300 { // it has data
					c.Frames = slices.Delete(c.Frames, i, i+1)
				}
			}
		}},
		{"a dropped frame", "captures-are-whole", func(_ *testing.T, r *check.Run) {
			c := r.Captures[0]
			c.Frames = slices.Delete(c.Frames, 10, 11)
		}},
		{"two swapped frames", "captures-are-whole", func(_ *testing.T, r *check.Run) {
			f := r.Captures[0].Frames
			f[2], f[len(f)-2] = f[len(f)-2], f[2]
		}},
		{"a counter of bytes that is off by one", "bytes-agree", func(_ *testing.T, r *check.Run) {
			for _, e := range r.Record.Events { // one of them shows its FIN
				if e.Kind == "connection.closed" {
					e.Fields["sent"] = e.Fields["sent"].(float64) + 1
				}
			}
		}},
		{"an appliance that comes up twice", "up-and-down", double("appliance.up")},
		{"a service that goes down twice", "up-and-down", double("service.down")},
		{"a session that ends twice", "sessions-in-logins", double("login.closed")},
		{"a hit that is counted twice", "faults-count-up", double("fault.hit")},
		{"a neighbor with another MAC", "arp-is-recorded", func(_ *testing.T, r *check.Run) {
			for _, e := range r.Record.Events {
				if e.Kind == "neighbor.changed" && e.Fields["mac"] != "" {
					e.Fields["mac"] = "02:00:00:00:00:99"
				}
			}
		}},
		{"a ping with another number", "probes-are-recorded",
			changeFirst("probe.sent", func(e *check.Event) { e.Fields["number"] = 4711.0 })},
		{"a query with another ID", "queries-are-recorded", changeFirst("query.sent", func(e *check.Event) {
			e.Fields["id"] = float64(int(e.Fields["id"].(float64)) ^ 1)
		})},
		{"an interface that counts too little", "counters-have-all-frames", func(_ *testing.T, r *check.Run) {
			for _, e := range r.Record.Events {
				if e.Kind == "interface.counted" && e.Fields["tx_packets"] != 0.0 {
					e.Fields["tx_packets"] = 3.0
				}
			}
		}},
		{"a capture at another interface", "segments-at-their-interface", func(_ *testing.T, r *check.Run) {
			r.Captures[0].Interface = "Management"
		}},
		{"a doubled log line", "lines-once", func(t *testing.T, r *check.Run) {
			i := lineOf(t, r, "Start MID")
			insert(r, i, *r.Record.Events[i])
		}},
		{"a log line about another message", "lines-name-their-cause", func(t *testing.T, r *check.Run) {
			r.Record.Events[lineOf(t, r, "Start MID")].Fields["text"] = "Start MID 4711 ICID 1"
		}},
		{"a command that is logged twice", "commands-in-the-log", func(t *testing.T, r *check.Run) {
			i := lineOf(t, r, "entered 'version'")
			again := *r.Record.Events[i]
			again.Fields = maps.Clone(again.Fields)
			again.Fields["text"] = "PID 1: User admin entered 'reboot'; prompt was ''"
			insert(r, i, again)
		}},
		{"an alert without trouble", "alerts-have-trouble", func(_ *testing.T, r *check.Run) {
			e := *r.Record.Events[30]
			e.Kind, e.Cause = "alert.raised", 0
			e.Fields = check.Fields{"text": "The fan is slow."}
			insert(r, 30, e)
		}},
		{"a syslog record that was not logged", "syslog-was-logged", func(_ *testing.T, r *check.Run) {
			e := *r.Record.Events[30]
			e.Kind, e.Cause = "server.syslog", 0
			e.Fields = check.Fields{"server": "log", "number": 1.0, "record": "<22>Jun 25 08:50:03 l: Info: invented"}
			insert(r, 30, e)
		}},
		{"a syslog record that was lost", "syslog-numbers", func(t *testing.T, r *check.Run) {
			e := *r.Record.Events[eventOf(t, r, "appliance.up", 0)]
			e.Kind, e.Cause = "server.syslog", 0
			for _, n := range []float64{3, 1} {
				e.Fields = check.Fields{"server": "log", "number": n, "record": "text"}
				insert(r, eventOf(t, r, "appliance.up", 0), e)
			}
		}},
		{"mail over no connection", "mail-over-connections", changeFirst("mail.in.opened", func(e *check.Event) {
			e.Fields["remote"] = "10.0.201.4:1"
		})},
		{"a message that is finished twice", "messages-live-once", double("mail.finished")},
		{"mail that was accepted but is nowhere", "accepted-mail-is-somewhere", func(t *testing.T, r *check.Run) {
			forget(r, eventOf(t, r, "mail.finished", 0))
		}},
		{"a recipient to whom mail is delivered twice", "recipients-end-once", double("mail.out.delivered")},
		{"mail that was delivered but not received", "deliveries-arrive", changeFirst("server.mail",
			func(e *check.Event) { e.Fields["to"] = []any{"nobody@example.com"} })},
		{"two captures at a time", "one-capture-at-a-time", func(_ *testing.T, r *check.Run) {
			e := *r.Record.Events[30]
			e.Kind, e.Cause = "capture.started", 0
			e.Fields = check.Fields{"file": "a.cap", "side": "CLI"}
			insert(r, 30, e)
			insert(r, 30, e)
		}},
		{"a file with another hash", "transfers-are-whole", func(t *testing.T, r *check.Run) {
			i := eventOf(t, r, "login.opened", 0)
			e := *r.Record.Events[i]
			e.Kind, e.Cause = "transfer.done", e.Seq
			e.Fields = check.Fields{"user": "admin", "path": "/pub/a.txt", "size": 3.0, "sha256": "00"}
			insert(r, i, e)
			r.Files = append(r.Files, &check.FetchedFile{Name: "a.txt", SHA256: "01", Size: 3})
		}},
		{"a doubled line in a log file", "log-files-agree", func(t *testing.T, r *check.Run) {
			for _, f := range r.Logs {
				for i, line := range f.Lines {
					if strings.Contains(line, "Start MID") {
						f.Lines = slices.Insert(f.Lines, i+1, line)
						return
					}
				}
			}
			t.Fatal("no log file has the line")
		}},
	}
}
