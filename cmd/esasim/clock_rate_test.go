package main

import (
	"strings"
	"testing"
)

func TestClockRate(t *testing.T) {
	p := start(t, shortHome(t), "--clock-rate", "60")
	_, out, _ := p.ctl(t, "clock", "set", "2015-06-25T08:50:03Z")
	want := "2015-06-2" // hours may pass on a busy machine
	if !strings.HasPrefix(out, want) || !strings.HasSuffix(out, " (America/Los_Angeles), 60 times as fast as real time\n") {
		t.Errorf("clock set prints %q, want %q... and the rate", out, want)
	}
	for _, rate := range []string{"0", "3601", "fast"} {
		want := `expected a whole number from 1 to 3600, but got "` + rate + `"`
		if got := runFailing(t, t.TempDir(), "--clock-rate", rate); !strings.Contains(got, want) {
			t.Errorf("--clock-rate %s: %q, want %q", rate, got, want)
		}
	}
}
