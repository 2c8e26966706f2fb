package netsim

import (
	"log/slog"
	"net/netip"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/events"
)

// Options configure a world. The zero value is usable.
type Options struct {
	Clock   clock.Clock    // wall time, of captures for example; nil means the machine's clock
	Entropy entropy.Source // of losses, jitter, ports and sequence numbers
	Logger  *slog.Logger   // for the person who runs the program; nil discards
	// DoorAddrs are real addresses of doors, by name, that replace the topology's.
	DoorAddrs map[string]netip.AddrPort
	// Faults are the faults of the network, from an earlier world for example. The caller
	// owns them; they must be of the same topology. nil means the faults of the topology,
	// timed by the machine's clock.
	Faults *Faults
	// AuthorityFile keeps the key of the authority that signs the servers' certificates, so that it is
	// the same after a restart; "" means a new authority in each world.
	AuthorityFile string
	// Events gets what happens in the world; nil: nobody.
	Events *events.Stream
	// HeldDoors are listeners of front doors that an earlier world has opened; nil: none. The address of
	// a door that could not be held may be taken meanwhile. The door is then opened once it is free.
	HeldDoors *HeldDoors
	// Uplinks are the outside ends of the topology's uplinks, which an earlier world may have been
	// attached to. The caller owns them; they must be of the same topology. nil: the world has its
	// own.
	Uplinks *Uplinks
	// Owns is the network of which this world is the owner, see SharedNetwork; nil: none.
	Owns *SharedNetwork
	// Retries is how often the appliance's TCP retransmits a segment before it gives the
	// connection up; 0 means the 12 of BSD, which take about ten minutes.
	Retries int
	// Checked says that Check has found no mistake in the topology, so that New need not call it.
	Checked bool
}
