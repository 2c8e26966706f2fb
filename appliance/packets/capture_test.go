package packets_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/packets"
)

// readFile returns the packets of a capture's file.
func readFile(t *testing.T, c *packets.Cables, name string) (file pcapgo.NgInterface, list [][]byte) {
	t.Helper()
	var b bytes.Buffer
	if err := c.WriteCapture(name, &b); err != nil {
		t.Fatal(err)
	}
	r, err := pcapgo.NewNgReader(&b, pcapgo.NgReaderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for {
		data, ci, err := r.ReadPacketData()
		if err == io.EOF {
			break
		}
		if err != nil || ci.CaptureLength != len(data) || ci.Length < len(data) {
			t.Fatal(ci, err)
		}
		list = append(list, data)
	}
	file, err = r.Interface(0)
	if err != nil {
		t.Fatal(err)
	}
	return file, list
}

// waitForPackets waits until a capture has n packets.
func waitForPackets(t *testing.T, c *packets.Cables, name string, n uint64) {
	t.Helper()
	waitForCapture(t, c, name, func(x packets.Capture) bool {
		if x.Packets < n && !x.Running {
			t.Fatalf("it ended with fewer than %d packets: %+v", n, x)
		}
		return x.Packets >= n
	})
}

// waitForCapture waits until a capture, which has a goroutine of its own, is as ok says.
func waitForCapture(t *testing.T, c *packets.Cables, name string, ok func(packets.Capture) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		x, err := c.Capture(name)
		if err != nil {
			t.Fatal(err)
		}
		if ok(x) {
			return
		}
		if clock.System().Sleep(ctx, time.Millisecond) != nil {
			t.Fatalf("after a minute the capture is %+v", x)
		}
	}
}

// TestCapture: a capture is read while it runs and afterwards, and events tell of it.
func TestCapture(t *testing.T) {
	stream := events.NewStream(clock.System())
	stream.Keep(100)
	c := packets.New(packets.Options{Events: stream})
	defer c.Close()
	w := start(t, c)
	x, err := c.StartCapture(packets.CaptureRequest{Name: "p", Cable: "google", Filter: "icmp", SnapLen: 40})
	if err != nil || !x.Running || x.MaxBytes != packets.DefaultMaxBytes || x.Link != netsim.RawLink {
		t.Fatalf("%+v, %v", x, err)
	}
	if _, err := ping(t, w, "216.58.194.206", 0); err != nil {
		t.Fatal(err)
	}
	waitForPackets(t, c, "p", 2)
	file, list := readFile(t, c, "p")
	if file.Name != "google" || file.Filter != "icmp" || file.LinkType != layers.LinkTypeRaw || file.SnapLength != 40 {
		t.Errorf("%+v", file)
	}
	if len(list) != 2 || len(list[0]) != 40 || list[0][0] != 0x45 {
		t.Errorf("%x", list)
	}
	if x, err = c.StopCapture("p"); err != nil || x.Running || x.Reason != packets.ReasonStopped || x.Ended.Before(x.Began) {
		t.Errorf("%+v, %v", x, err)
	}
	if again, err := c.StopCapture("p"); err != nil || again != x {
		t.Errorf("%+v, %v", again, err)
	}
	if _, list := readFile(t, c, "p"); len(list) != 2 {
		t.Errorf("%d packets after the end", len(list))
	}
	var b bytes.Buffer
	if err := c.WriteCapture("p", &b); err != nil || int64(b.Len()) != x.Size {
		t.Errorf("%d bytes, want %d, %v", b.Len(), x.Size, err)
	}
	if err := c.RemoveCapture("p"); err != nil || len(c.Captures()) != 0 {
		t.Error(err)
	}
	var notFound *netsim.NotFoundError
	for _, err := range []error{c.RemoveCapture("p"), c.WriteCapture("p", &b)} {
		if !errors.As(err, &notFound) {
			t.Error(err)
		}
	}
	list2, err := stream.After(0)
	if err != nil || len(list2) != 2 || list2[1].Cause != list2[0].Seq {
		t.Fatal(list2, err)
	}
	text, _ := json.Marshal(list2[1])
	if list2[0].Fields.Kind() != "capture.cable.started" || !strings.Contains(string(text), `"reason":"stopped","packets":2`) {
		t.Errorf("%s", text)
	}
}

// TestCaptureEndsAtItsBounds: each bound ends a capture with its reason.
func TestCaptureEndsAtItsBounds(t *testing.T) {
	fake := clock.NewFake(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	c := packets.New(packets.Options{Clock: fake})
	defer c.Close()
	w := start(t, c)
	for _, r := range []packets.CaptureRequest{
		{Name: packets.ReasonPackets, MaxPackets: 3},
		{Name: packets.ReasonBytes, MaxBytes: 4096},
		{Name: packets.ReasonDuration, Duration: netsim.Duration(time.Minute)},
		{Name: packets.ReasonShutdown},
	} {
		r.Cable = "Data 1"
		if _, err := c.StartCapture(r); err != nil {
			t.Fatal(err)
		}
	}
	for range 40 {
		if _, err := ping(t, w, "10.0.202.53", 0); err != nil {
			t.Fatal(err)
		}
	}
	waitForPackets(t, c, packets.ReasonShutdown, 80)
	fake.Advance(time.Minute)
	waitForCapture(t, c, packets.ReasonDuration, func(x packets.Capture) bool { return !x.Running })
	c.Close()
	for _, x := range c.Captures() {
		if x.Running || x.Reason != x.Name || x.Packets == 0 || x.Dropped != 0 {
			t.Errorf("%+v", x)
		}
		_, list := readFile(t, c, x.Name)
		if uint64(len(list)) != x.Packets {
			t.Errorf("%s: %d packets in the file, want %d", x.Name, len(list), x.Packets)
		}
	}
	if x, _ := c.Capture(packets.ReasonBytes); x.Size > 4096 || x.Size < 3000 {
		t.Errorf("%+v", x)
	}
	if x, _ := c.Capture(packets.ReasonPackets); x.Packets != 3 {
		t.Errorf("%+v", x)
	}
	if _, err := c.StartCapture(packets.CaptureRequest{Cable: "Data 1"}); !errors.Is(err, packets.ErrNotRunning) {
		t.Error(err)
	}
}

// TestCaptureRequests: requests that make no sense are refused, and the number of captures is bounded.
func TestCaptureRequests(t *testing.T) {
	c := packets.New(packets.Options{})
	defer c.Close()
	start(t, c)
	for field, r := range map[string]packets.CaptureRequest{
		"name":      {Name: "../x", Cable: "Data 1"},
		"cable":     {Name: "x"},
		"filter":    {Cable: "Data 1", Filter: "tcp and"},
		"snaplen":   {Cable: "Data 1", SnapLen: -1},
		"max_bytes": {Cable: "Data 1", MaxBytes: 100},
		"duration":  {Cable: "Data 1", Duration: -1},
	} {
		_, err := c.StartCapture(r)
		var wrong *packets.Error
		if !errors.As(err, &wrong) || wrong.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	for _, name := range []string{"", "7", ".x", "a b", "a/b", strings.Repeat("x", 65), "é"} {
		if name != "" && packets.ValidName(name) {
			t.Errorf("%q is a name", name)
		}
	}
	for n := range packets.MaxCaptures {
		x, err := c.StartCapture(packets.CaptureRequest{Cable: "Data 1"})
		if want := fmt.Sprintf("capture%d", n+1); err != nil || x.Name != want {
			t.Fatal(x.Name, err)
		}
	}
	var conflict *netsim.ConflictError
	if _, err := c.StartCapture(packets.CaptureRequest{Cable: "Data 1"}); !errors.As(err, &conflict) {
		t.Error(err)
	}
	if err := c.RemoveCapture("capture3"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.StartCapture(packets.CaptureRequest{Name: "capture4", Cable: "Data 1"}); !errors.As(err, &conflict) {
		t.Error(err)
	}
	c.RemoveCaptures()
	if len(c.Captures()) != 0 {
		t.Error(c.Captures())
	}
}
