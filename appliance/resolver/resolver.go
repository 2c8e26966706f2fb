package resolver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/network"
)

// Errors of look-ups; others are those of package network.
var (
	// ErrNotFound says that the name does not exist or has no such record.
	ErrNotFound = errors.New("resolver: no such name or record")
	// ErrNoServer says that no DNS server is configured.
	ErrNoServer = errors.New("resolver: no DNS server is configured")
	// ErrNoAnswer says that no server gave an answer in time: all were silent, out of
	// reach, or reported a failure of their own.
	ErrNoAnswer = errors.New("resolver: no answer")
)

// Options are a Client's surroundings.
type Options struct {
	Net      network.Transport
	Clock    clock.Clock
	Chance   *entropy.Stream
	Settings func() Settings // as committed now
	// Timeout is how long a server may take; 0 means 5 seconds.
	Timeout time.Duration
	// Rounds is how often the servers are gone through; 0 means 2.
	Rounds int
}

// A Client looks names up. It is safe for concurrent use.
type Client struct {
	o     Options
	mu    sync.Mutex
	cache map[question]answer
	stats Stats
}

// Stats count what a Client did since it was made.
type Stats struct {
	Requests   uint64 // look-ups
	Network    uint64 // queries sent
	Hits       uint64 // answered by the cache
	Misses     uint64 // not answered by it
	Exceptions uint64 // failures
	Expired    uint64 // cache entries that had grown too old
}

type question struct {
	name string // lower case, with its last dot
	kind uint16
}

type answer struct {
	until   clock.Mark
	records []dns.RR // empty: no such name or record
}

const (
	maxCache = 10_000 // entries; a full cache starts anew
	// maxTTL is how long an answer is kept at most, in seconds, and negativeTTL how long
	// it is remembered that there is none where the server does not say (RFC 2308).
	maxTTL      = 86400
	negativeTTL = 60
)

// New returns a Client with an empty cache.
func New(o Options) *Client {
	o.Timeout = cmp.Or(o.Timeout, 5*time.Second)
	o.Rounds = cmp.Or(o.Rounds, 2)
	return &Client{o: o, cache: map[question]answer{}}
}

// Lookup returns the addresses of name: IPv4's with family 4, IPv6's with 6, both
// with 0. A name that is an address is itself. It blocks until an answer comes,
// every server has had its time, or ctx ends.
func (c *Client) Lookup(ctx context.Context, name string, family int) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(name); err == nil {
		if family == 4 && !a.Is4() || family == 6 && !a.Is6() {
			return nil, ErrNotFound
		}
		return []netip.Addr{a}, nil
	}
	var out []netip.Addr
	var failed error
	for _, q := range []struct {
		family int
		kind   uint16
		local  netip.Addr
	}{{4, dns.TypeA, netip.AddrFrom4([4]byte{127, 0, 0, 1})}, {6, dns.TypeAAAA, netip.IPv6Loopback()}} {
		if family != 0 && family != q.family {
			continue
		}
		if strings.EqualFold(strings.TrimSuffix(name, "."), "localhost") {
			out = append(out, q.local)
			continue
		}
		rrs, err := c.query(ctx, name, q.kind, c.o.Timeout)
		if err != nil {
			if failed == nil || errors.Is(failed, ErrNotFound) {
				failed = err // that a name has no address of one family says less
			}
			continue
		}
		for _, rr := range rrs {
			switch rr := rr.(type) {
			case *dns.A:
				if a, ok := netip.AddrFromSlice(rr.A.To4()); ok {
					out = append(out, a)
				}
			case *dns.AAAA:
				if a, ok := netip.AddrFromSlice(rr.AAAA.To16()); ok {
					out = append(out, a)
				}
			}
		}
	}
	if len(out) > 0 {
		return out, nil
	}
	return nil, cmp.Or(failed, ErrNotFound)
}

// LookupAddr returns the first name of addr, without its last dot. It waits no longer
// than the settings grant to reverse look-ups.
func (c *Client) LookupAddr(ctx context.Context, addr netip.Addr) (string, error) {
	addr = addr.Unmap().WithZone("")
	if addr.IsLoopback() {
		return "localhost", nil
	}
	name, err := dns.ReverseAddr(addr.String())
	if err != nil {
		return "", fmt.Errorf("reverse name of %v: %w", addr, err)
	}
	limit := time.Duration(c.o.Settings().PTRTimeout) * time.Second
	ctx, cancel := context.WithTimeoutCause(ctx, limit, ErrNoAnswer)
	defer cancel()
	rrs, err := c.query(ctx, name, dns.TypePTR, c.o.Timeout)
	if err != nil {
		return "", err
	}
	for _, rr := range rrs {
		if ptr, ok := rr.(*dns.PTR); ok {
			return strings.TrimSuffix(ptr.Ptr, "."), nil
		}
	}
	return "", ErrNotFound
}

// An MX is a mail exchanger.
type MX struct {
	Preference int
	Host       string // without its last dot
}

// LookupMX returns the mail exchangers of a domain, the preferred ones first.
func (c *Client) LookupMX(ctx context.Context, domain string) ([]MX, error) {
	rrs, err := c.query(ctx, domain, dns.TypeMX, c.o.Timeout)
	if err != nil {
		return nil, err
	}
	var out []MX
	for _, rr := range rrs {
		if mx, ok := rr.(*dns.MX); ok {
			out = append(out, MX{int(mx.Preference), strings.TrimSuffix(mx.Mx, ".")})
		}
	}
	if len(out) == 0 {
		return nil, ErrNotFound
	}
	slices.SortStableFunc(out, func(a, b MX) int { return a.Preference - b.Preference })
	return out, nil
}

// Flush empties the cache.
func (c *Client) Flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.cache)
}

// Stats returns the counters.
func (c *Client) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stats
}

// query answers from the cache or asks the servers.
func (c *Client) query(ctx context.Context, name string, kind uint16, timeout time.Duration) ([]dns.RR, error) {
	if _, ok := dns.IsDomainName(name); !ok || name == "" {
		return nil, ErrNotFound
	}
	q := question{strings.ToLower(dns.Fqdn(name)), kind}
	if a, ok := c.cached(q); ok {
		return found(a.records)
	}
	m, err := c.ask(ctx, q, timeout)
	if err != nil {
		c.count(func(s *Stats) { s.Exceptions++ })
		return nil, err
	}
	return found(c.keep(q, m))
}

func found(rrs []dns.RR) ([]dns.RR, error) {
	if len(rrs) == 0 {
		return nil, ErrNotFound
	}
	return rrs, nil
}

func (c *Client) cached(q question) (answer, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.Requests++
	a, ok := c.cache[q]
	if ok && c.o.Clock.Mark() >= a.until {
		delete(c.cache, q)
		c.stats.Expired++
		ok = false
	}
	if ok {
		c.stats.Hits++
	} else {
		c.stats.Misses++
	}
	return a, ok
}

// keep remembers what m answers to q and returns it. The records are never
// changed afterwards.
func (c *Client) keep(q question, m *dns.Msg) []dns.RR {
	var records []dns.RR
	ttl := uint32(maxTTL)
	for _, rr := range m.Answer {
		ttl = min(ttl, rr.Header().Ttl)
		if rr.Header().Rrtype == q.kind {
			records = append(records, rr)
		}
	}
	if len(records) == 0 {
		ttl = negativeTTL
		for _, rr := range m.Ns {
			if soa, ok := rr.(*dns.SOA); ok {
				ttl = min(soa.Minttl, soa.Hdr.Ttl, maxTTL)
			}
		}
	} else {
		ttl = max(ttl, uint32(c.o.Settings().MinimumTTL))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.cache) >= maxCache {
		clear(c.cache)
	}
	c.cache[q] = answer{c.o.Clock.Mark() + clock.Mark(time.Duration(ttl)*time.Second), records}
	return records
}

func (c *Client) count(f func(*Stats)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&c.stats)
}
