package logs_test

import (
	"testing"

	"github.com/esasim/esasim/appliance/logs"
)

// TestRecords: the file of a log of records has neither header nor times.
func TestRecords(t *testing.T) {
	deliveries := logs.NewSubscription("delivery", logs.Delivery.Spec())
	h := newHarness(t, 1<<30, nil, deliveries)
	write := func(text string) {
		h.Write(logs.Entry{Type: logs.Delivery, Level: logs.Information, Rest: func(int) string { return text }})
	}
	write("<success>")
	write("<bounce>")
	h.flush()
	const first = "/delivery/delivery.@20150625T085003"
	if got := h.read(first + ".c"); got != "<success>\n<bounce>\n" {
		t.Errorf("the file has %q", got)
	}
}

// TestRestOfAnEntry: each subscription gets the rest of an entry for its own setting, and an entry for
// one subscription goes to no other.
func TestRestOfAnEntry(t *testing.T) {
	short := logs.NewSubscription("short", logs.Bounce.Spec())
	long := short
	long.Name, long.BounceBytes = "long", 3
	h := newHarness(t, 1<<30, nil, short, long)
	h.Write(logs.Entry{Type: logs.Bounce, Level: logs.Information, Text: "Bounced", Rest: func(n int) string {
		return "abcdef"[:n]
	}})
	h.Write(logs.Entry{Type: logs.Bounce, Level: logs.Information, Text: "only", Only: "short"})
	h.flush()
	const line = "Thu Jun 25 08:50:03 2015 Info: "
	if got := h.read("/short/bounces.@20150625T085003.c"); got != header+line+"Bounced\n"+line+"only\n" {
		t.Errorf("the log without messages has %q", got)
	}
	if got := h.read("/long/bounces.@20150625T085003.c"); got != header+line+"Bouncedabc\n" {
		t.Errorf("the log with messages has %q", got)
	}
}
