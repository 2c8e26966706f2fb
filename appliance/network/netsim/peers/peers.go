package peers

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network"
)

// A Peer is a server on a simulated host.
type Peer interface {
	// Start listens and returns. A failed Start leaves nothing behind.
	Start(ctx context.Context) error
	// Stop closes what Start opened, cuts its connections, and returns when no
	// goroutine of the peer is left. Stopping twice is allowed, and so is starting
	// again afterwards.
	Stop()
}

// A Reporter is a Peer that has something to tell of what it did. It may be asked at any
// time, also while it is stopped.
type Reporter interface {
	// Report is a value that encoding/json can write. It is the caller's own.
	Report() any
}

// A Config is what a peer gets from its world.
type Config struct {
	Name      string // the service's, for messages
	Transport network.Transport
	Addrs     []netip.Addr // where to listen
	Port      uint16
	Options   map[string]string // as CheckOption let them pass
	Records   *Records          // what the DNS knows
	Authority *Authority        // vouches for servers; nil: nobody does
	Clock     clock.Clock
	Logger    *slog.Logger

	receive int // bytes that a connection takes unread: the peer's own choice; 0: the host's
}

// A Kind is a type of server that topologies can use.
type Kind struct {
	Name string
	Port uint16 // its usual one; 0: none
	// Options are the names of those that it takes, each with a check of its
	// value; a nil check takes everything. The check's error is one line that says
	// what was expected.
	Options map[string]func(value string) error
	New     func(Config) Peer
}

// CheckOption says what is wrong with an option of a topology.
func (k *Kind) CheckOption(name, value string) error {
	check, ok := k.Options[name]
	if !ok {
		return fmt.Errorf("unknown option %q, expected one of %q", name, slices.Sorted(maps.Keys(k.Options)))
	}
	if check == nil {
		return nil
	}
	return check(value)
}

// kinds is filled by register while the program starts.
var kinds = make(map[string]*Kind)

// register adds a kind. Two of one name are a mistake in this package.
func register(k Kind) struct{} {
	if _, ok := kinds[k.Name]; ok {
		panic("peers: two kinds are called " + k.Name)
	}
	kinds[k.Name] = &k
	return struct{}{}
}

// Lookup finds a kind by its name.
func Lookup(name string) (*Kind, bool) {
	k, ok := kinds[name]
	return k, ok
}

// Names lists the kinds in order.
func Names() []string { return slices.Sorted(maps.Keys(kinds)) }
