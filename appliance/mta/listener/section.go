package listener

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/tlsconfig"
)

// Section is the configuration section of the listeners.
var Section = config.Define("listeners", Settings{Limits: DefaultLimits()}, Settings.check,
	config.In(config.Mail, 10))

// Settings is the value of Section.
type Settings struct {
	Listeners []Listener `xml:"listener"`
	Limits    Limits     `xml:"injection_limits"`
}

// Find returns the listener with the given name, in any case.
func (s Settings) Find(name string) (l Listener, ok bool) {
	i := slices.IndexFunc(s.Listeners, func(l Listener) bool { return strings.EqualFold(l.Name, name) })
	if i < 0 {
		return l, false
	}
	return s.Listeners[i], true
}

// Limits hold for all listeners together (mail.md 4.5). Times are in seconds.
type Limits struct {
	Connections    int `xml:"max_concurrency"`
	TLSConnections int `xml:"max_tls_concurrency"`
	HeaderLines    int `xml:"max_header_lines"` // 0: no limit
	// CounterReset is the period of limits that are "an hour" by name.
	CounterReset int `xml:"injection_counter_reset"`
	// UnsuccessfulTimeout bounds how long a client of a public listener may stay without a message that
	// was accepted.
	UnsuccessfulTimeout int `xml:"unsuccessful_timeout"`
	Total               int `xml:"connection_timeout"` // of a connection
}

// DefaultLimits returns the limits of a new appliance.
func DefaultLimits() Limits {
	return Limits{
		Connections: 300, TLSConnections: 100, HeaderLines: 1000,
		CounterReset: 3600, UnsuccessfulTimeout: 300, Total: 900,
	}
}

// A Type is what a listener is for.
type Type string

// The types.
const (
	Public    Type = "public"
	Private   Type = "private"
	BlackHole Type = "blackhole" // accepts mail and drops it
	// Quarantine is the listener for messages that a central quarantine releases. This appliance
	// has no such quarantine, so it tells clients that the service is not available.
	Quarantine Type = "quarantine"
)

// Title returns the word for the type in dialogues.
func (t Type) Title() string {
	switch t {
	case Public:
		return "Public"
	case Private:
		return "Private"
	case BlackHole:
		return "Blackhole"
	}
	return "Quarantine"
}

// A Listener accepts mail on the addresses of an IP interface.
type Listener struct {
	Name          string       `xml:"listener_name"`
	Interface     string       `xml:"interface_name"`
	Port          uint16       `xml:"port"`
	Type          Type         `xml:"type"`
	DefaultDomain string       `xml:"default_domain,omitempty"` // for addresses without a domain
	BounceProfile string       `xml:"bounce_profile,omitempty"` // "": the default
	Certificate   string       `xml:"certificate,omitempty"`    // "": tlsconfig.Demo
	SenderBase    bool         `xml:"use_senderbase"`
	BareLineEnds  BareLineEnds `xml:"bare_cr_lf"`
	// MaxConnections is how many connections the listener has at most; 0: as many as all listeners.
	MaxConnections int `xml:"max_concurrency,omitempty"`
	// QueueSize is the backlog of the listener's sockets; 0: DefaultQueueSize.
	QueueSize int `xml:"tcp_queue,omitempty"`
	// OmitReceived says that messages get no Received field of this appliance.
	OmitReceived bool           `xml:"no_received_header,omitempty"`
	Hosts        HostTable      `xml:"hat"`
	Recipients   RecipientTable `xml:"rat"`
}

// BareLineEnds says what happens to a message with CR or LF outside CRLF.
type BareLineEnds string

// The ways.
const (
	CleanLineEnds  BareLineEnds = "clean" // they become CRLF
	RejectLineEnds BareLineEnds = "reject"
)

// New returns a listener with the tables that the given version of the product has by default.
func New(name, ifname string, port uint16, t Type, v product.Version) Listener {
	l := Listener{
		Name: name, Interface: ifname, Port: port, Type: t,
		SenderBase: t == Public, BareLineEnds: CleanLineEnds,
	}
	if t == Private {
		l.Hosts = privateHosts()
	} else {
		l.Hosts = publicHosts(v)
	}
	return l
}

// NewQuarantine returns the listener for messages from a central quarantine, which every appliance
// has (B35).
func NewQuarantine(ifname string) Listener {
	return Listener{
		Name: "Quarantine", Interface: ifname, Port: 7025, Type: Quarantine,
		BareLineEnds: CleanLineEnds,
	}
}

// Addrs returns the addresses on which the listeners of a configuration listen, in their order.
func Addrs(v config.View) []netip.AddrPort {
	interfaces := netconfig.Interfaces.Get(v)
	var out []netip.AddrPort
	for _, l := range Section.Get(v).Listeners {
		if i, ok := interfaces.Find(l.Interface); ok {
			out = append(out, i.AddrPorts(l.Port)...)
		}
	}
	return out
}

// DefaultQueueSize is how many connections may wait for a listener, unless it has another number
// (B54).
const DefaultQueueSize = 50

// Backlog returns how many connections may wait at an address.
func Backlog(v config.View, addr netip.AddrPort) int {
	if l, _, ok := at(v, addr); ok && l.QueueSize > 0 {
		return l.QueueSize
	}
	return DefaultQueueSize
}

// at returns the listener and the IP interface of a local address.
func at(v config.View, local netip.AddrPort) (l Listener, i netconfig.IPInterface, ok bool) {
	interfaces := netconfig.Interfaces.Get(v)
	for _, l := range Section.Get(v).Listeners {
		if i, found := interfaces.Find(l.Interface); found && slices.Contains(i.AddrPorts(l.Port), local) {
			return l, i, true
		}
	}
	return l, i, false
}

// CheckName returns a refusal if s cannot be the name of a listener.
func CheckName(s string) error {
	if s == "" || len(s) > 63 || strings.ContainsAny(s, " \t\"'<>/\\") {
		return refusal.Newf("%q is no name for a listener: expected 1 to 63 characters without "+
			"blanks, quotes and slashes.", s)
	}
	return nil
}

func (s Settings) check(c *config.Config) error {
	if err := s.Limits.check(); err != nil {
		return err
	}
	names := map[string]bool{}
	sockets := map[netip.AddrPort]string{}
	for _, l := range s.Listeners {
		if err := CheckName(l.Name); err != nil {
			return err
		}
		if key := strings.ToLower(l.Name); names[key] {
			return refusal.Newf("Two listeners are named %s.", l.Name)
		} else {
			names[key] = true
		}
		if err := l.check(c, sockets); err != nil {
			return err
		}
	}
	return nil
}

func (l Limits) check() error {
	for _, v := range []struct {
		name     string
		value    int
		min, max int
	}{
		{"number of connections", l.Connections, 1, 1000},
		{"number of TLS connections", l.TLSConnections, 0, 1000},
		{"number of header lines", l.HeaderLines, 0, 100_000},
		{"period of the injection counters", l.CounterReset, 60, 86_400},
		{"timeout for unsuccessful connections", l.UnsuccessfulTimeout, 1, 86_400},
		{"connection time", l.Total, 1, 86_400},
	} {
		if v.value < v.min || v.value > v.max {
			return refusal.Newf("The %s is %d. It must be from %d to %d.", v.name, v.value, v.min, v.max)
		}
	}
	return nil
}

// check returns a refusal that says what is wrong with l. sockets has the addresses of the
// listeners before it.
func (l Listener) check(c *config.Config, sockets map[netip.AddrPort]string) error {
	if l.Port == 0 {
		return refusal.Newf("The listener %s has no port.", l.Name)
	}
	i, ok := netconfig.Interfaces.Get(c).Find(l.Interface)
	if !ok {
		return refusal.Newf("The listener %s is on the IP interface %s, which does not exist.",
			l.Name, l.Interface)
	}
	for _, addr := range i.AddrPorts(l.Port) {
		if other := sockets[addr]; other != "" {
			return refusal.Newf("The listeners %s and %s are both on port %d of %v.",
				other, l.Name, addr.Port(), addr.Addr())
		}
		sockets[addr] = l.Name
	}
	switch l.Type {
	case Public, Private, BlackHole, Quarantine:
	default:
		return refusal.Newf("The listener %s has the unknown type %q.", l.Name, l.Type)
	}
	if err := tlsconfig.CheckUse(c, l.Certificate, "The listener "+l.Name); err != nil {
		return err
	}
	if l.BareLineEnds != CleanLineEnds && l.BareLineEnds != RejectLineEnds {
		return refusal.Newf("The listener %s treats bare line ends in the unknown way %q.",
			l.Name, l.BareLineEnds)
	}
	if l.QueueSize < 0 || l.QueueSize > 1000 {
		return refusal.Newf("The TCP queue of the listener %s must have 1 to 1000 places.", l.Name)
	}
	if l.MaxConnections < 0 || l.MaxConnections > 1000 {
		return refusal.Newf("The number of connections of the listener %s must be from 1 to 1000.", l.Name)
	}
	if err := l.Hosts.check(); err != nil && l.Type != Quarantine {
		return refusal.Because(err, "The host access table of %s: %v", l.Name, err)
	}
	if err := l.Recipients.check(); err != nil {
		return refusal.Because(err, "The recipient access table of %s: %v", l.Name, err)
	}
	return nil
}
