package resolver

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/esasim/esasim/appliance/clock"
)

// rootHints are the IPv4 addresses of the Internet's root servers, A to M (RFC 8109).
var rootHints = []netip.Addr{
	netip.AddrFrom4([4]byte{198, 41, 0, 4}), netip.AddrFrom4([4]byte{170, 247, 170, 2}),
	netip.AddrFrom4([4]byte{192, 33, 4, 12}),
	netip.AddrFrom4([4]byte{199, 7, 91, 13}), netip.AddrFrom4([4]byte{192, 203, 230, 10}),
	netip.AddrFrom4([4]byte{192, 5, 5, 241}),
	netip.AddrFrom4([4]byte{192, 112, 36, 4}), netip.AddrFrom4([4]byte{198, 97, 190, 53}),
	netip.AddrFrom4([4]byte{192, 36, 148, 17}),
	netip.AddrFrom4([4]byte{192, 58, 128, 30}), netip.AddrFrom4([4]byte{193, 0, 14, 129}),
	netip.AddrFrom4([4]byte{199, 7, 83, 42}),
	netip.AddrFrom4([4]byte{202, 12, 27, 33}),
}

const (
	// maxReferrals bounds the number of referrals that a look-up follows, and maxDepth the depth
	// of look-ups for names of servers and aliases within it.
	maxReferrals = 30
	maxDepth     = 8
	// iterationFactor times the time-out of one server bounds a whole iterative look-up.
	iterationFactor = 6
)

var errNoAddress = errors.New("no name server has an address")

// A zoneCut has the servers of a zone.
type zoneCut struct {
	servers []netip.Addr
	until   clock.Mark
}

// iterate resolves a question iteratively: it queries the root servers, or those of the closest
// zone that is known, and follows referrals until a server has the answer.
func (c *Client) iterate(ctx context.Context, q query, depth int) (*reply, error) {
	limit := iterationFactor * c.o.Timeout
	ctx, cancel := context.WithTimeoutCause(ctx, limit,
		fmt.Errorf("%w within %v from the root servers", ErrNoAnswer, limit))
	defer cancel()
	q.recurse = false
	zone, servers := c.closestZone(q.name)
	for range maxReferrals {
		r, err := c.queryServers(ctx, q, servers, 1, func(r *reply) error {
			if _, referred := referral(r, q.name, zone); referred {
				return nil
			}
			return checkUsable(r)
		})
		if err != nil {
			return nil, err
		}
		names, referred := referral(r, q.name, zone)
		if !referred {
			return r, nil
		}
		zone = strings.ToLower(names[0].Hdr.Name)
		if servers, err = c.serverAddrs(ctx, r, names, depth); err != nil {
			return nil, err
		}
		c.keepZoneCut(zone, servers, names[0].Hdr.Ttl)
	}
	return nil, fmt.Errorf("%w: more than %d referrals", ErrNoAnswer, maxReferrals)
}

// closestZone returns the innermost zone that contains name and whose servers are known, and
// those servers.
func (c *Client) closestZone(name string) (zone string, servers []netip.Addr) {
	zone = "."
	s := c.o.Settings()
	for _, a := range s.Alternates {
		if domain := dns.Fqdn(a.Domain); isWithin(name, domain) && len(domain) > len(zone) {
			zone, servers = domain, alternates(s, name)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.o.Clock.Mark()
	for z, cut := range c.zoneCuts {
		if now < cut.until && isWithin(name, z) && len(z) > len(zone) {
			zone, servers = z, cut.servers
		}
	}
	if servers == nil {
		// Start at random, so that not all appliances query the same root server first.
		first := c.o.Rand.IntN(len(c.o.RootHints))
		servers = slices.Concat(c.o.RootHints[first:], c.o.RootHints[:first])
	}
	return zone, servers
}

func (c *Client) keepZoneCut(zone string, servers []netip.Addr, ttl uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.zoneCuts) >= maxCache {
		clear(c.zoneCuts)
	}
	c.zoneCuts[zone] = zoneCut{
		servers, c.o.Clock.Mark() + clock.Mark(time.Duration(min(ttl, maxTTL))*time.Second),
	}
}

// referral returns the name servers that r refers to. ok reports whether r is a referral to a
// zone below the one that was asked, and which contains the name.
func referral(r *reply, name, zone string) (servers []*dns.NS, ok bool) {
	if r.Rcode != dns.RcodeSuccess || r.Authoritative || len(r.Answer) > 0 {
		return nil, false
	}
	for _, rr := range r.Ns {
		ns, isNS := rr.(*dns.NS)
		if isNS && (len(servers) == 0 || strings.EqualFold(ns.Hdr.Name, servers[0].Hdr.Name)) {
			servers = append(servers, ns)
		}
	}
	if len(servers) == 0 {
		return nil, false
	}
	inner := strings.ToLower(servers[0].Hdr.Name)
	return servers, isWithin(name, inner) && isWithin(inner, zone) && inner != zone
}

// serverAddrs returns the addresses of name servers: those in the additional section or, if
// there are none, those that a look-up of their names returns.
func (c *Client) serverAddrs(ctx context.Context, r *reply, names []*dns.NS,
	depth int) ([]netip.Addr, error) {
	var addrs []netip.Addr
	failed := errNoAddress
	isNameServer := func(rr dns.RR) bool {
		return slices.ContainsFunc(names, func(ns *dns.NS) bool {
			return strings.EqualFold(ns.Ns, rr.Header().Name)
		})
	}
	for _, rr := range r.Extra {
		if a, ok := addressOf(rr); ok && isNameServer(rr) {
			addrs = append(addrs, a)
		}
	}
	for _, ns := range names {
		if len(addrs) > 0 {
			return addrs, nil
		}
		if depth >= maxDepth {
			break
		}
		found, err := c.lookup(ctx, question{strings.ToLower(ns.Ns), dns.TypeA}, depth+1)
		if err != nil {
			failed = err
			continue
		}
		for _, rr := range found.records {
			if a, ok := addressOf(rr); ok {
				addrs = append(addrs, a)
			}
		}
	}
	if len(addrs) == 0 {
		return nil, fmt.Errorf("%w: servers of %s: %w", ErrNoAnswer, names[0].Hdr.Name, failed)
	}
	return addrs, nil
}

// addressOf returns the address in a record of type A or AAAA.
func addressOf(rr dns.RR) (netip.Addr, bool) {
	switch rr := rr.(type) {
	case *dns.A:
		return netip.AddrFromSlice(rr.A.To4())
	case *dns.AAAA:
		return netip.AddrFromSlice(rr.AAAA.To16())
	}
	return netip.Addr{}, false
}
