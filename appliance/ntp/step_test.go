package ntp

import (
	"testing"
	"time"
)

func TestOnlyProofSetsTheClock(t *testing.T) {
	for _, c := range []struct {
		offset, roundTrip time.Duration
		want              bool
	}{
		{StepThreshold - 1, 0, false},
		{StepThreshold, 0, true},
		{-StepThreshold, time.Millisecond, true},
		{time.Second, 3 * time.Second, false},
		{-time.Second, 3 * time.Second, false},
		{time.Hour, 3 * time.Second, true},
	} {
		if got := provesWrong(c.offset, c.roundTrip); got != c.want {
			t.Errorf("offset %v in a round trip of %v: set = %t, want %t", c.offset, c.roundTrip, got, c.want)
		}
	}
}
