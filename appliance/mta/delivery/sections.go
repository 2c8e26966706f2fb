package delivery

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/tlsconfig"
)

// Routes is the section of SMTP routes.
var Routes = config.Define("smtp_routes", RouteList{}, RouteList.check, config.In(config.Mail, 30))

// RouteList is the value of Routes.
type RouteList struct {
	List []Route `xml:"smtp_route"`
}

// maxRoutes is how many routes there may be (mail.md 3.2).
const maxRoutes = 10_000

// A Route says where the mail of a domain goes.
type Route struct {
	// Domain is a domain, .domain for all below it, or ALL.
	Domain string `xml:"route_domain"`
	// Hosts are tried by priority. None means the servers that DNS names (USEDNS).
	Hosts   []RouteHost `xml:"host"`
	Discard bool        `xml:"discard,omitempty"` // /dev/null
}

// A RouteHost is a server of a route.
type RouteHost struct {
	// Name is a host name, or an address. In brackets, MX records are ignored.
	Name     string `xml:"name"`
	Port     uint16 `xml:"port,omitempty"` // 0: 25
	Priority int    `xml:"priority"`       // 0 first
}

func (l RouteList) check(*config.Config) error {
	if len(l.List) > maxRoutes {
		return refusal.Newf("There are %d SMTP routes. At most %d are possible.", len(l.List), maxRoutes)
	}
	seen := map[string]bool{}
	for _, r := range l.List {
		key := strings.ToLower(r.Domain)
		if err := CheckRouteDomain(r.Domain); err != nil {
			return err
		}
		if seen[key] {
			return refusal.Newf("There are two SMTP routes for %s.", r.Domain)
		}
		seen[key] = true
		for _, h := range r.Hosts {
			if err := h.check(); err != nil {
				return err
			}
		}
	}
	return nil
}

// CheckDomain returns a refusal if s is neither a domain nor .domain nor an address in brackets.
func CheckDomain(s string) error {
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		return nil
	}
	name := strings.TrimPrefix(s, ".")
	for _, label := range strings.Split(name, ".") {
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, notInName) {
			return refusal.Newf("%q is no domain: expected one such as example.com or .example.com.", s)
		}
	}
	if len(name) > 253 {
		return refusal.Newf("%q is no domain: it is too long.", s)
	}
	return nil
}

func notInName(r rune) bool {
	return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
}

// Find returns the route for a domain: that of the domain, of the nearest domain above it, or of
// ALL.
func (l RouteList) Find(domain string) (r Route, ok bool) {
	return findDomain(l.List, domain, func(r Route) string { return r.Domain })
}

// findDomain returns the element of a list that is for a domain.
func findDomain[T any](list []T, domain string, of func(T) string) (found T, ok bool) {
	wanted := []string{domain}
	for rest := domain; ; {
		_, up, more := strings.Cut(rest, ".")
		if !more {
			break
		}
		wanted = append(wanted, "."+up)
		rest = up
	}
	for _, want := range append(wanted, "ALL") {
		i := slices.IndexFunc(list, func(t T) bool { return strings.EqualFold(of(t), want) })
		if i >= 0 {
			return list[i], true
		}
	}
	return found, false
}

// Destinations is the section of destination controls.
var Destinations = config.Define("destination_controls", DestinationList{Default: DefaultDestination()},
	DestinationList.check, config.In(config.Mail, 40))

// DestinationList is the value of Destinations.
type DestinationList struct {
	// Certificate is shown to servers that ask for one; "": none.
	Certificate string `xml:"certificate,omitempty"`
	// AlertTLS has an alert raised if a destination that requires TLS cannot have it.
	AlertTLS bool `xml:"send_tls_req_alert"`

	Default Destination   `xml:"default_destination"`
	List    []Destination `xml:"destination"`
}

// A Destination bounds and secures the connections to a domain.
type Destination struct {
	Domain         string  `xml:"domain,omitempty"` // "" for the default
	MaxConnections int     `xml:"max_host_concurrency"`
	MaxMessages    int     `xml:"max_messages_per_connection"`
	RecipientLimit int     `xml:"recipient_limit"` // within Minutes; 0: none
	Minutes        int     `xml:"recipient_minutes"`
	TLS            TLSMode `xml:"table_tls"`
	BounceProfile  string  `xml:"bounce_profile,omitempty"` // "": the listener's
}

// A TLSMode says whether connections use TLS.
type TLSMode string

// The modes. Those with verification check the server's certificate.
const (
	TLSOff             TLSMode = "off"
	TLSPreferred       TLSMode = "on"
	TLSRequired        TLSMode = "require"
	TLSPreferredVerify TLSMode = "on_verify"
	TLSRequiredVerify  TLSMode = "require_verify"
)

func (m TLSMode) required() bool { return m == TLSRequired || m == TLSRequiredVerify }
func (m TLSMode) verifies() bool { return m == TLSPreferredVerify || m == TLSRequiredVerify }

// DefaultDestination returns the limits of destinations without an entry (mail.md 4.5).
func DefaultDestination() Destination {
	return Destination{MaxConnections: 500, MaxMessages: 50, Minutes: 60, TLS: TLSOff}
}

// Find returns the entry for a domain, or the default.
func (l DestinationList) Find(domain string) Destination {
	d, ok := findDomain(l.List, domain, func(d Destination) string { return d.Domain })
	if !ok {
		return l.Default
	}
	return d
}

func (l DestinationList) check(c *config.Config) error {
	if err := tlsconfig.CheckUse(c, l.Certificate, "The delivery of mail"); err != nil {
		return err
	}
	profiles := Profiles.Get(c)
	seen := map[string]bool{}
	for i, d := range append([]Destination{l.Default}, l.List...) {
		if i > 0 {
			if err := CheckDomain(d.Domain); err != nil {
				return err
			}
			if key := strings.ToLower(d.Domain); seen[key] {
				return refusal.Newf("There are two destination controls for %s.", d.Domain)
			} else {
				seen[key] = true
			}
		}
		switch {
		case d.MaxConnections < 1 || d.MaxConnections > 1000:
			return refusal.New("The concurrency limit must be from 1 to 1000.")
		case d.MaxMessages < 1 || d.MaxMessages > 1000:
			return refusal.New("The limit of messages per connection must be from 1 to 1000.")
		case d.RecipientLimit < 0 || d.Minutes < 1 || d.Minutes > 60:
			return refusal.New("The recipient limit must not be negative, and its period must be from 1 " +
				"to 60 minutes.")
		case !slices.Contains([]TLSMode{TLSOff, TLSPreferred, TLSRequired, TLSPreferredVerify,
			TLSRequiredVerify}, d.TLS):
			return refusal.Newf("%q is no setting for TLS.", d.TLS)
		}
		if _, ok := profiles.find(d.BounceProfile); d.BounceProfile != "" && !ok {
			return refusal.Newf("The bounce profile %s does not exist.", d.BounceProfile)
		}
	}
	return nil
}

// Profiles is the section of bounce profiles.
var Profiles = config.Define("bounce_profiles", ProfileList{Default: DefaultProfile()},
	func(l ProfileList, _ *config.Config) error { return l.check() }, config.In(config.Mail, 50))

// ProfileList is the value of Profiles.
type ProfileList struct {
	Default Profile   `xml:"default_profile"`
	List    []Profile `xml:"bounce_profile"`
}

// A Profile says how often failed deliveries are repeated, and what bounce messages are like.
// Times are in seconds.
type Profile struct {
	Name       string `xml:"profile_name,omitempty"` // "" for the default
	MaxRetries int    `xml:"max_retries"`
	MaxTime    int    `xml:"max_retry_time"` // in the queue
	FirstRetry int    `xml:"initial_retry_interval"`
	MaxRetry   int    `xml:"max_retry_interval"`
	Send       bool   `xml:"send_bounces"`             // a message for each hard bounce
	DSN        bool   `xml:"use_dsn"`                  // in the form of RFC 3464
	To         string `xml:"bounce_address,omitempty"` // instead of the sender; "": the sender

	Warn         bool `xml:"send_warnings,omitempty"` // delay warnings
	WarnInterval int  `xml:"warning_interval"`        // at least, between two about one recipient
	MaxWarnings  int  `xml:"max_warnings"`            // about one recipient
}

// Settings of delay warnings on a new appliance [convention], and their limits.
const (
	DefaultWarnInterval = 14_400
	DefaultMaxWarnings  = 1
	MinWarnInterval     = 60
	MaxWarnInterval     = 3_000_000
	MostWarnings        = 255
)

// DefaultProfile returns the profile of a new appliance (mail.md 3.4).
func DefaultProfile() Profile {
	return Profile{MaxRetries: 100, MaxTime: 259_200, FirstRetry: 60, MaxRetry: 3600, Send: true, DSN: true,
		WarnInterval: DefaultWarnInterval, MaxWarnings: DefaultMaxWarnings}
}

func (l ProfileList) find(name string) (p Profile, ok bool) {
	i := slices.IndexFunc(l.List, func(p Profile) bool { return strings.EqualFold(p.Name, name) })
	if i < 0 {
		return l.Default, false
	}
	return l.List[i], true
}

// Find returns the profile of the first name that is one, or the default.
func (l ProfileList) Find(names ...string) Profile {
	for _, name := range names {
		if p, ok := l.find(name); ok {
			return p
		}
	}
	return l.Default
}

func (l ProfileList) check() error {
	seen := map[string]bool{"": true, "default": true}
	for i, p := range append([]Profile{l.Default}, l.List...) {
		if key := strings.ToLower(p.Name); i > 0 && seen[key] {
			return refusal.Newf("Every bounce profile needs a name of its own, unlike %q.", p.Name)
		} else {
			seen[key] = true
		}
		switch {
		case p.MaxRetries < 0 || p.MaxRetries > 10_000:
			return refusal.New("The maximum number of retries must be from 0 to 10000.")
		case p.MaxTime < 0 || p.MaxTime > 3_000_000:
			return refusal.New("The time in the queue must be from 0 to 3000000 seconds.")
		case p.FirstRetry < 60 || p.FirstRetry > 86_400 || p.MaxRetry < p.FirstRetry || p.MaxRetry > 86_400:
			return refusal.New("The intervals between retries must be from 60 to 86400 seconds, the " +
				"initial one no longer than the maximum.")
		case p.Warn && (p.WarnInterval < MinWarnInterval || p.WarnInterval > MaxWarnInterval):
			return refusal.Newf("The interval between delay warnings must be from %d to %d seconds.",
				MinWarnInterval, MaxWarnInterval)
		case p.Warn && (p.MaxWarnings < 1 || p.MaxWarnings > MostWarnings):
			return refusal.Newf("The number of delay warnings must be from 1 to %d.", MostWarnings)
		}
	}
	return nil
}

// retryAfter returns how long to wait after the given number of failed attempts (mail.md 4.6).
func (p Profile) retryAfter(failed int) time.Duration {
	wait := p.FirstRetry
	for ; failed > 1 && wait < p.MaxRetry; failed-- {
		wait *= 2
	}
	return time.Duration(min(wait, p.MaxRetry)) * time.Second
}

// Config is the section of settings for all deliveries.
var Config = config.Define("delivery", Settings{MaxConnections: 10_000, MaxTLSConnections: 100},
	Settings.check, config.In(config.Mail, 60))

// Settings is the value of Config.
type Settings struct {
	// Interface is the IP interface to deliver from; "": chosen by the routing table.
	Interface      string `xml:"default_interface,omitempty"`
	MaxConnections int    `xml:"max_concurrency"`
	// MaxTLSConnections bounds those of MaxConnections that use TLS.
	MaxTLSConnections int `xml:"max_tls_concurrency"`
}

func (s Settings) check(c *config.Config) error {
	if _, ok := netconfig.Interfaces.Get(c).Find(s.Interface); s.Interface != "" && !ok {
		return refusal.Newf("Mail is delivered from the IP interface %s, which does not exist.",
			s.Interface)
	}
	if s.MaxConnections < 1 || s.MaxConnections > 10_000 {
		return refusal.New("The delivery concurrency must be from 1 to 10000.")
	}
	if s.MaxTLSConnections < 1 || s.MaxTLSConnections > 10_000 {
		return refusal.New("The TLS delivery concurrency must be from 1 to 10000.")
	}
	return nil
}

// localAddr returns the address that deliveries to a server come from. It is invalid if the routing
// table chooses.
func localAddr(v config.View, remote netip.Addr) netip.Addr {
	i, ok := netconfig.Interfaces.Get(v).Find(Config.Get(v).Interface)
	if !ok {
		return netip.Addr{}
	}
	if remote.Is4() {
		return i.IPv4
	}
	return i.IPv6.Addr()
}

// byPriority orders the hosts of a route.
func byPriority(a, b RouteHost) int { return cmp.Compare(a.Priority, b.Priority) }
