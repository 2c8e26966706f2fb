package resolver

import (
	"net/netip"
	"strings"

	"github.com/miekg/dns"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/refusal"
)

// Settings is the value of DNS.
type Settings struct {
	Servers []Server `xml:"local_dns>dns_ip"`
	// UseRoots means that the Internet's root servers are queried instead of Servers.
	UseRoots   bool        `xml:"dns_use_roots,omitempty"`
	Alternates []Alternate `xml:"alternate_dns>dns_server"`
	// Interface is the IP interface that queries are sent from; "": chosen by the routing table.
	Interface string `xml:"dns_interface,omitempty"`
	// PTRTimeout bounds a reverse look-up, in seconds; 0 disables reverse look-ups.
	PTRTimeout int `xml:"dns_ptr_timeout"`
	// MinimumTTL is for how many seconds an answer is cached at least.
	MinimumTTL int `xml:"dns_cache_ttl_min"`
}

// A Server is a DNS server that the appliance queries.
type Server struct {
	Priority int        `xml:"priority,attr"` // lower ones are queried first
	Addr     netip.Addr `xml:",chardata"`
}

// An Alternate is a server that is queried, instead of all others, for the names in its domain.
type Alternate struct {
	Domain string     `xml:"domain,attr"` // in lower case, without a final dot
	Host   string     `xml:"host,attr"`   // the server's name; may be ""
	Addr   netip.Addr `xml:",chardata"`
}

// MaxPriority is the highest priority that a Server can have.
const MaxPriority = 20

// DNS is the configuration section.
var DNS = config.Define("dns", Settings{PTRTimeout: 20, MinimumTTL: 1800},
	func(s Settings, _ *config.Config) error { return s.check() }, config.In(config.Network, 40))

// check returns nil, or a refusal that says what is wrong with s.
func (s Settings) check() error {
	for _, srv := range s.Servers {
		if !srv.Addr.IsValid() {
			return refusal.New("A DNS server has no address.")
		}
		if srv.Priority < 0 || srv.Priority > MaxPriority {
			return refusal.Newf("The DNS server %v has the priority %d. "+
				"The priority must be from 0 to %d.",
				srv.Addr, srv.Priority, MaxPriority)
		}
	}
	for _, a := range s.Alternates {
		if !a.Addr.IsValid() {
			return refusal.Newf("The DNS server of the domain %s has no address.", a.Domain)
		}
		if !ValidDomain(a.Domain) {
			return refusal.Newf("%q is not a domain that a DNS server can be configured for.",
				a.Domain)
		}
	}
	if s.PTRTimeout < 0 || s.MinimumTTL < 0 {
		return refusal.New("The DNS time-out and the minimum TTL must not be negative.")
	}
	return nil
}

// ValidDomain reports whether name is the name of a domain: labels with dots between them, in
// lower case, without a final dot.
func ValidDomain(name string) bool {
	_, ok := dns.IsDomainName(name)
	return ok && name != "" && name == strings.ToLower(name) && !strings.HasSuffix(name, ".") &&
		!strings.ContainsAny(name, " \t\"'\\,;")
}

// isWithin reports whether name, which is in lower case and has a final dot, is domain or below
// it.
func isWithin(name, domain string) bool {
	return dns.IsSubDomain(dns.Fqdn(domain), name)
}
