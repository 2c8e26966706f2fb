package control_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/control"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// refusedWith reports whether err is the answer of a server with a status.
func refusedWith(err error, status int) bool {
	var refused *control.RequestError
	return errors.As(err, &refused) && refused.Status == status
}

// fail makes a login fail, which is an event.
func fail(b interface{ Appliance() *appliance.Appliance }, n byte) {
	b.Appliance().Guard.Failed(netip.AddrFrom4([4]byte{10, 0, 0, n}))
}

// A client receives what happens, filtered, and can go on at a cursor.
func TestEvents(t *testing.T) {
	b := startBox(t, nil)
	socket, _ := serve(t, b)
	c, ctx := dialControl(t, "unix", socket), within(t)
	b.Cursor()
	fail(b, 1)
	fail(b, 2)
	var seen []uint64
	for e, err := range c.Events(ctx, control.EventQuery{Kind: "login", Match: `10\.0\.0\.[123]`, Since: "all"}) {
		if err != nil || e.Kind != "login.failed" {
			t.Fatalf("%+v, %v", e, err)
		}
		seen = append(seen, e.Seq)
		if len(seen) == 2 {
			fail(b, 9) // does not match
			fail(b, 3)
		}
		if len(seen) == 3 {
			break
		}
	}
	for e, err := range c.Events(ctx, control.EventQuery{Kind: "login.failed", Since: fmt.Sprint(seen[1])}) {
		if err != nil || e.Seq <= seen[1] || !strings.Contains(string(e.Fields), "10.0.0.9") {
			t.Errorf("after the cursor: %+v, %v", e, err)
		}
		break
	}
	list, next, err := c.EventsSince(ctx, seen[0])
	if err != nil || len(list) == 0 || list[0].Seq <= seen[0] || next < list[len(list)-1].Seq {
		t.Errorf("a page: %d events, %d, %v", len(list), next, err)
	}
	client := socketClient(t, socket)
	for path, want := range map[string]int{
		"/v1/events?kind=burn": 400, "/v1/events?match=(": 400, "/v1/events?since=x": 400,
	} {
		if status, text := sendRequest(t, client, "GET", "http://esasim"+path, ""); status != want || !strings.Contains(text, `"field"`) {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
}

// A cursor whose events are no longer kept is refused with the oldest that is possible.
func TestOldCursor(t *testing.T) {
	b := startBox(t, nil)
	socket, _ := serve(t, b)
	c := dialControl(t, "unix", socket)
	fail(b, 1) // nobody has asked for events yet
	oldest := b.Cursor()
	_, _, err := c.EventsSince(within(t), 1)
	if !refusedWith(err, 410) || !strings.Contains(err.Error(), fmt.Sprintf("expected a cursor of %d or more", oldest)) {
		t.Errorf("an old cursor: %v", err)
	}
}

// A wait answers with what happens, or has happened since a cursor.
func TestWait(t *testing.T) {
	b := startBox(t, nil)
	socket, _ := serve(t, b)
	c, ctx := dialControl(t, "unix", socket), within(t)
	before := fmt.Sprint(b.Cursor())
	b.Appliance().Log(appliance.MailLog, appliance.Information, "MID 17 something")
	h, err := c.Wait(ctx, "log", `MID \d+ some`, before, testTimeout)
	if err != nil || h.Event.Kind != "log.line" || h.Cursor != h.Event.Seq || !strings.Contains(string(h.Event.Fields), "MID 17") {
		t.Errorf("%+v, %v", h, err)
	}
	if _, err := b.Faults().Add(topology.Rule{Name: "no", Action: "refuse", Protocol: "tcp", Port: 7}); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	dialing := make(chan struct{})
	go func() { // until a wait has seen it
		defer close(dialing)
		for ctx.Err() == nil {
			select {
			case <-stop:
				return
			default:
				_ = dial(t, b, "10.0.201.5:7")
			}
		}
	}()
	if h, err = c.Wait(ctx, "packet", "tcp port 7 and tcp[tcpflags] & tcp-syn != 0", "", testTimeout); err != nil || h.Packet.Interface != "Data 1" || !strings.Contains(h.Packet.Summary, "10.0.201.5") || len(h.Packet.Data) < 54 {
		t.Errorf("a packet: %+v, %v", h.Packet, err)
	}
	if h, err = c.Wait(ctx, "fault-hit", `"name":"no"`, "", testTimeout); err != nil || h.Event.Kind != "fault.hit" {
		t.Errorf("a hit: %+v, %v", h, err)
	}
	close(stop)
	<-dialing
	if _, err := c.Wait(ctx, "alert", "", "", time.Millisecond); !refusedWith(err, 408) || err.Error() != "alert did not happen within 1ms" {
		t.Errorf("in vain: %v", err)
	}
	for _, wrong := range []struct{ what, match, since, want string }{
		{"rain", "", "", `"rain" is nothing to wait for: expected one of alert, boot, `},
		{"rain.fell", "", "", `"rain.fell" is nothing to wait for`},
		{"log", "(", "", "expected a regular expression"},
		{"packet", "tcp prot 7", "", "expected a filter as of tcpdump"},
		{"packet", "", "1", "packets are not kept"},
		{"log", "", "x", "is not a cursor"},
	} {
		if _, err := c.Wait(ctx, wrong.what, wrong.match, wrong.since, time.Second); !refusedWith(err, 400) || !strings.Contains(err.Error(), wrong.want) {
			t.Errorf("%+v: %v", wrong, err)
		}
	}
}

// A reset puts everything back, and ends a wait. A stream of events goes on.
func TestReset(t *testing.T) {
	b := startBox(t, nil)
	socket, port := serve(t, b)
	c, ctx := dialControl(t, "unix", socket), within(t)
	if _, err := c.AddFault(ctx, topology.Rule{Action: "drop", Path: "google"}); err != nil {
		t.Fatal(err)
	}
	waited := make(chan error, 1)
	waiter := control.Dial("tcp", port)
	go func() {
		_, err := waiter.Wait(ctx, "alert", "", "", testTimeout)
		waited <- err
	}()
	for ended := false; !ended; { // the wait may begin only after the first reset
		r, err := c.Reset(ctx, false)
		if err != nil || r.Took <= 0 {
			t.Fatalf("%+v, %v", r, err)
		}
		select {
		case err := <-waited:
			if ended = true; !refusedWith(err, 409) || !strings.HasPrefix(err.Error(), "reset: ") {
				t.Errorf("a wait ends with %v", err)
			}
		default:
		}
	}
	if list, err := c.Faults(ctx); err != nil || len(list) != 0 {
		t.Errorf("faults after the reset: %+v, %v", list, err)
	}
	for e, err := range c.Events(ctx, control.EventQuery{Kind: "world,appliance.up", Since: "all"}) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind == "appliance.up" {
			break // after world.reset, as the first boot was told to nobody
		}
	}
}

// Streams and waits end when the server stops.
func TestStopEndsStreams(t *testing.T) {
	b := startBox(t, nil)
	s := control.New(b)
	l, err := control.ListenTCP(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	s.Serve(l)
	c, ctx := control.Dial("tcp", l.Addr().String()), within(t)
	b.Cursor()
	fail(b, 1)
	ended := make(chan int)
	started := make(chan struct{}, 1)
	go func() {
		n := 0
		for range c.Events(ctx, control.EventQuery{Kind: "login", Since: "all"}) {
			n++
			started <- struct{}{}
		}
		ended <- n
	}()
	<-started
	stopping, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	if err := s.Stop(stopping); err != nil {
		t.Error(err)
	}
	if n := <-ended; n != 1 {
		t.Errorf("the client saw %d events", n)
	}
}
