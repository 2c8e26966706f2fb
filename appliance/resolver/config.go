package resolver

import (
	"net/netip"
	"strings"

	"github.com/miekg/dns"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/refusal"
)

// Settings is the value of section DNS.
type Settings struct {
	Servers    []Server    `xml:"local_dns>dns_ip"`
	UseRoots   bool        `xml:"dns_use_roots,omitempty"` // ask the Internet's root servers instead of Servers
	Alternates []Alternate `xml:"alternate_dns>dns_server"`
	Interface  string      `xml:"dns_interface,omitempty"` // the IP interface that queries come from; "": by the route
	PTRTimeout int         `xml:"dns_ptr_timeout"`         // seconds to wait for a reverse look-up; 0: none is made
	MinimumTTL int         `xml:"dns_cache_ttl_min"`       // seconds that an answer is kept at least
}

// A Server is a DNS server that the appliance asks.
type Server struct {
	Priority int        `xml:"priority,attr"` // lower ones are asked first
	Addr     netip.Addr `xml:",chardata"`
}

// An Alternate is a server that is asked, in place of all others, for the names of its
// domain.
type Alternate struct {
	Domain string     `xml:"domain,attr"` // in lower case, without its last dot
	Host   string     `xml:"host,attr"`   // the server's name; "" where nobody gave it one
	Addr   netip.Addr `xml:",chardata"`
}

// MaxPriority is the highest number that a Server's priority can have.
const MaxPriority = 20

// DNS is where the servers are configured.
var DNS = config.Define("dns", Settings{PTRTimeout: 20, MinimumTTL: 1800}, func(s Settings, _ *config.Config) error {
	for _, srv := range s.Servers {
		if !srv.Addr.IsValid() {
			return refusal.New("A DNS server has no address.")
		}
		if srv.Priority < 0 || srv.Priority > MaxPriority {
			return refusal.Newf("The DNS server %v has the priority %d. The priority must be from 0 to %d.",
				srv.Addr, srv.Priority, MaxPriority)
		}
	}
	for _, a := range s.Alternates {
		if !a.Addr.IsValid() {
			return refusal.Newf("The DNS server of the domain %s has no address.", a.Domain)
		}
		if !ValidDomain(a.Domain) {
			return refusal.Newf("%q is not a domain that a DNS server can be configured for.", a.Domain)
		}
	}
	if s.PTRTimeout < 0 || s.MinimumTTL < 0 {
		return refusal.New("The DNS time-out and the minimum TTL must not be negative.")
	}
	return nil
}, config.In(config.Network, 40))

// ValidDomain reports whether name is that of a domain: labels with dots between them,
// in lower case, without a last dot.
func ValidDomain(name string) bool {
	_, ok := dns.IsDomainName(name)
	return ok && name != "" && name == strings.ToLower(name) && !strings.HasSuffix(name, ".") && !strings.ContainsAny(name, " \t\"'\\,;")
}

// within reports whether name, lower case with its last dot, is domain or below it.
func within(name, domain string) bool {
	return dns.IsSubDomain(dns.Fqdn(domain), name)
}
