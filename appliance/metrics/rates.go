package metrics

import (
	"time"

	"github.com/esasim/esasim/appliance/clock"
)

// Rates are kept in slots of slotLength, of which there are enough for the longest period.
const (
	slotLength = 5 * time.Second
	slots      = int(15 * time.Minute / slotLength)
)

// A Rate is the growth of a counter in the last 1, 5 and 15 minutes, in events an hour.
type Rate struct{ OneMinute, FiveMinutes, FifteenMinutes uint64 }

// history holds what counters grew by in each of the last slots.
type history struct {
	newest int64 // number of the newest slot since the clock's origin
	grown  [slots]tally
}

func slotOf(m clock.Mark) int64 { return int64(time.Duration(m) / slotLength) }

// advance empties the slots between the newest one and that of now.
func (h *history) advance(now clock.Mark) {
	slot := slotOf(now)
	for n := max(h.newest+1, slot-int64(slots)+1); n <= slot; n++ {
		h.grown[n%int64(slots)] = tally{}
	}
	h.newest = max(h.newest, slot)
}

func (h *history) add(now clock.Mark, c Counter, n uint64) {
	h.advance(now)
	h.grown[h.newest%int64(slots)][c] += n
}

// sum returns by how much the counters have grown within the last period.
func (h *history) sum(now clock.Mark, period time.Duration) (total tally) {
	h.advance(now)
	for i := range int64(period / slotLength) {
		slot := h.newest - i
		if slot < 0 {
			break
		}
		for c, n := range h.grown[slot%int64(slots)] {
			total[c] += n
		}
	}
	return total
}
