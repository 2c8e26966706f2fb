package packets

import (
	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/events"
)

// Options are what Cables use.
type Options struct {
	// Clock measures the duration of captures, and says when they began. nil means the machine's.
	Clock  clock.Clock
	Events *events.Stream // is told of captures; may be nil
}
