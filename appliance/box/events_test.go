package box_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// A notebook is what a recording writes to.
type notebook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (n *notebook) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.text.Write(p)
}

// An entry is a line of a recording.
type entry struct {
	Seq, Cause uint64
	Kind       string
	Fields     map[string]any
}

// mailThrough sends a message to the appliance through its door.
func mailThrough(t *testing.T, b *box.Box, to string) {
	t.Helper()
	c, err := textproto.Dial("tcp", b.DoorAddrs()["smtp"].String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, step := range []struct {
		line string
		code int
	}{
		{"", 220},
		{"EHLO client.example.net", 250},
		{"MAIL FROM:<a@example.net>", 250},
		{"RCPT TO:<" + to + ">", 250},
		{"DATA", 354},
		{"Subject: hello\r\n\r\ntext\r\n.", 250},
		{"QUIT", 221},
	} {
		if step.line != "" {
			if err := c.PrintfLine("%s", step.line); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := c.ReadResponse(step.code); err != nil {
			t.Fatal(step.line, err)
		}
	}
}

// useEvents does one thing of each kind.
func useEvents(t *testing.T, b *box.Box) {
	t.Helper()
	cursor := b.Cursor()
	client := dialSSH(t, b)
	s, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := s.CombinedOutput("version"); err != nil {
		t.Fatal(err, string(out))
	}
	client.Close()
	if _, err := b.Faults().Add(topology.Rule{
		Name: "no", Action: "refuse", Protocol: "tcp", Port: 7, To: netip.MustParsePrefix("10.0.201.5/32"),
	}); err != nil {
		t.Fatal(err)
	}
	_, err = b.Appliance().Net.Dial(t.Context(), network.DialConfig{
		Remote: netip.MustParseAddrPort("10.0.201.5:7"), Owner: "tester",
	})
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatal(err)
	}
	if err := b.World().StopServer("server/echo"); err != nil {
		t.Fatal(err)
	}
	d := b.Appliance().Config.NewDraft()
	netconfig.Hostname.Set(d, "new.example.com")
	if err := b.Appliance().Commit(t.Context(), d, 0, config.CommitInfo{User: "admin", Comment: "a name"}); err != nil {
		t.Fatal(err)
	}
	b.Appliance().Guard.Failed(netip.MustParseAddr("10.0.201.4"))
	mailThrough(t, b, "joe@example.com")
	awaitAfter(t, b, cursor, "server.mail")
	awaitAfter(t, b, cursor, "mail.out.delivered") // a stop may come before the server's reply
}

// TestRecordedEvents: what happens is told once and in order, an event comes after its cause, and
// a log line has the event as its cause that it tells.
func TestRecordedEvents(t *testing.T) {
	b := newBox(t, t.TempDir(), loopback)
	var out notebook
	recording := b.Record(&out)
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	useEvents(t, b)
	if err := b.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := recording.Stop(); err != nil {
		t.Fatal(err)
	}
	bySeq := map[uint64]entry{}
	byKind := map[string][]entry{}
	for line := range strings.Lines(out.text.String()) {
		var e entry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err, line)
		}
		if e.Seq != uint64(len(bySeq)+1) || e.Cause >= e.Seq {
			t.Fatalf("event %d with the cause %d is on line %d", e.Seq, e.Cause, len(bySeq)+1)
		}
		bySeq[e.Seq] = e
		byKind[e.Kind] = append(byKind[e.Kind], e)
	}
	for kind, want := range map[string]string{
		"appliance.up":       "map[]",
		"service.up":         "service:",
		"login.opened":       "user:admin",
		"login.closed":       "service:cli",
		"login.failed":       "client:10.0.201.4 failures:1",
		"command.entered":    "line:version",
		"commit.done":        "comment:a name",
		"connection.opened":  "direction:in",
		"connection.closed":  "remote:10.0.201.4:",
		"connection.refused": "process:tester remote:10.0.201.5:7",
		"fault.hit":          "name:no",
		"server.stopped":     "server:server/echo",
		"server.mail":        "subject:hello",
		"mail.in.opened":     "icid:",
		"mail.out.delivered": "mid:",
		"service.down":       "service:",
		"appliance.down":     "reason:The system is going down.",
	} {
		if !slices.ContainsFunc(byKind[kind], func(e entry) bool { return strings.Contains(fmt.Sprint(e.Fields), want) }) {
			t.Errorf("%s: %v, want %s", kind, byKind[kind], want)
		}
	}
	for text, kind := range map[string]string{
		"User admin entered 'version'": "command.entered",
		"commit changes: a name":       "commit.done",
		"Start MID":                    "mail.started",
		"queued for delivery":          "mail.queued",
	} {
		found := false
		for _, line := range byKind["log.line"] {
			if strings.Contains(line.Fields["text"].(string), text) {
				found = true
				if cause := bySeq[line.Cause]; cause.Kind != kind {
					t.Errorf("the cause of %v is %+v, want %s", line.Fields, cause, kind)
				}
			}
		}
		if !found {
			t.Errorf("no log line with %q", text)
		}
	}
	if cause := bySeq[byKind["command.entered"][0].Cause]; cause.Kind != "login.opened" {
		t.Errorf("the cause of a command is %+v", cause)
	}
}

// TestCursorsOutlastAReboot: a reader goes on over a reboot, and sees it.
func TestCursorsOutlastAReboot(t *testing.T) {
	b := newBox(t, t.TempDir(), loopback)
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer b.Stop(context.Background())
	cursor := b.Cursor()
	b.Appliance().Power(1, 0)
	var kinds []string
	last := cursor
	for e, err := range b.Events(t.Context(), cursor) {
		if err != nil || e.Seq <= last {
			t.Fatalf("event %d after %d, %v", e.Seq, last, err)
		}
		last = e.Seq
		if kind := e.Fields.Kind(); strings.HasPrefix(kind, "appliance.") {
			kinds = append(kinds, kind)
			if kind == "appliance.up" {
				break
			}
		}
	}
	if fmt.Sprint(kinds) != "[appliance.down appliance.up]" {
		t.Errorf("the reader saw %q", kinds)
	}
}

// TestUnheardEventsAllocateNothing: a box whose events nobody wants does not make them, even though
// figures and the mail log are made of events about mail.
func TestUnheardEventsAllocateNothing(t *testing.T) {
	b := newBox(t, t.TempDir(), loopback)
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer b.Stop(context.Background())
	stream := b.EventStream()
	if n := testing.AllocsPerRun(1000, func() { events.Publish(stream, 0, bigEvent{Text: "x"}) }); n != 0 {
		t.Errorf("an event that nobody wants allocates %v times", n)
	}
	if stream.Hears("log.line") || !stream.Hears("mail.in.opened") {
		t.Errorf("heard: log lines %t, mail %t", stream.Hears("log.line"), stream.Hears("mail.in.opened"))
	}
}

type bigEvent struct {
	Text string
	Addr netip.AddrPort
}

func (bigEvent) Kind() string { return "log.line" }
