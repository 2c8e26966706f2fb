package resolver

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/esasim/esasim/appliance/config"
)

// Settings is the value of section DNS.
type Settings struct {
	Servers    []Server `xml:"local_dns>dns_ip"`
	PTRTimeout int      `xml:"dns_ptr_timeout"`   // seconds to wait for a reverse lookup
	MinimumTTL int      `xml:"dns_cache_ttl_min"` // seconds that an answer is kept at least
}

// A Server is a DNS server that the appliance asks.
type Server struct {
	Priority int        `xml:"priority,attr"` // lower ones are asked first
	Addr     netip.Addr `xml:",chardata"`
}

// DNS is where the servers are configured.
var DNS = config.Define("dns", Settings{PTRTimeout: 20, MinimumTTL: 1800}, func(s Settings, _ *config.Config) error {
	for _, srv := range s.Servers {
		if !srv.Addr.IsValid() {
			return errors.New("a DNS server has no address")
		}
		if srv.Priority < 0 || srv.Priority > 20 {
			return fmt.Errorf("DNS server %v has the priority %d: it must be from 0 to 20", srv.Addr, srv.Priority)
		}
	}
	if s.PTRTimeout < 1 || s.MinimumTTL < 0 {
		return errors.New("the DNS time-out must be at least one second, and the minimum TTL not negative")
	}
	return nil
}, config.In(config.Network, 40))
