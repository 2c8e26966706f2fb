package peers

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/network"
)

// A Peer is a server on a simulated host.
type Peer interface {
	// Start listens and returns. If it fails, nothing is left open.
	Start(ctx context.Context) error
	// Stop closes the listeners, resets the connections, and blocks until every goroutine
	// of the peer has ended. Stop may be called twice, and Start may be called after it.
	Stop()
}

// An Eager is a Peer that may have to be started before a client needs it, because its Start does
// more than listen. Other peers are started when the first packet for them arrives, by the
// goroutine that delivers it; their Start must not wait for packets.
type Eager interface {
	Peer
	// Eager reports whether the peer, with its options, must be started with its world.
	Eager() bool
}

// A Reporter is a Peer that reports what it did. Report may be called at any time, even
// while the peer is stopped.
type Reporter interface {
	// Report returns a value that encoding/json can encode. The caller owns it.
	Report() any
}

// A Config is what a world gives to a peer.
type Config struct {
	Name      string // of the service, for messages
	Transport network.Transport
	Addrs     []netip.Addr // where to listen
	Port      uint16
	Options   map[string]string // checked by CheckOption
	Records   *Records          // the records of the world's DNS
	Authority *Authority        // signs servers' certificates; may be nil
	MailRules *MailRules        // of a mail server; nil means those of its options
	Wire      *Wire             // of a host on a wire with an IPv4 address; otherwise nil
	Clock     clock.Clock
	Logger    *slog.Logger
	Events    *events.Stream // gets what the server receives; nil: nobody

	receive int // the receive buffer of connections in bytes, set by the peer; 0 means the host's
}

// A Wire is what a host on a wire knows of it.
type Wire struct {
	Interface string       // of the host, in the world's transport
	Network   netip.Prefix // the host's IPv4 address, with the length of its network
	Router    netip.Addr   // invalid: there is none in that network
}

// A Kind is a type of server that topologies can use.
type Kind struct {
	Name  string
	Title string // for messages, with its article: "a mail server"
	Port  uint16 // the default; 0 if there is none
	// Options are the names of the kind's options, each with a check of its value. A nil
	// check accepts every value. The error of a check is one line that says what was
	// expected.
	Options map[string]func(value string) error
	// HasRules reports whether a topology may give rules to the server: see topology.MailRule.
	HasRules bool
	// OnWire reports whether the server needs Config.Wire.
	OnWire bool
	New    func(Config) Peer
}

// CheckOption returns an error that says what is wrong with an option, or nil.
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

// register adds a kind. It panics if the name is taken.
func register(k Kind) struct{} {
	if _, ok := kinds[k.Name]; ok {
		panic("peers: two kinds are called " + k.Name)
	}
	kinds[k.Name] = &k
	return struct{}{}
}

// Lookup returns the kind of that name.
func Lookup(name string) (*Kind, bool) {
	k, ok := kinds[name]
	return k, ok
}

// Names returns the names of all kinds, sorted.
func Names() []string { return slices.Sorted(maps.Keys(kinds)) }
