package resolver

import (
	"context"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/esasim/esasim/appliance/clock"
)

// A question is the key of a cache entry.
type question struct {
	name string // in lower case, with a final dot
	kind uint16
}

// An answer is a cache entry. Its records are never changed.
type answer struct {
	until   clock.Mark
	records []dns.RR // empty if there is no such name or record
	missing bool     // the name does not exist
}

const (
	maxCache = 10_000 // entries; a full cache is emptied
	// maxTTL is how long, in seconds, an answer is cached at most. negativeTTL is how long a
	// negative answer is cached if the server does not say (RFC 2308).
	maxTTL      = 86400
	negativeTTL = 60
)

// Stats are the counters of a Client.
type Stats struct {
	Requests   uint64 // look-ups
	Network    uint64 // queries sent
	Hits       uint64 // look-ups answered from the cache
	Misses     uint64 // look-ups not answered from the cache
	Exceptions uint64 // look-ups that failed
	Expired    uint64 // cache entries that were too old
}

// plus returns the sums of two sets of counters.
func (s Stats) plus(o Stats) Stats {
	return Stats{
		s.Requests + o.Requests, s.Network + o.Network, s.Hits + o.Hits,
		s.Misses + o.Misses, s.Exceptions + o.Exceptions, s.Expired + o.Expired,
	}
}

// Stats returns the counters since the Client was made.
func (c *Client) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stats
}

// Lifetime returns the counters with those of earlier runs.
func (c *Client) Lifetime() Stats { return c.o.PreviousStats.plus(c.Stats()) }

func (c *Client) count(f func(*Stats)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&c.stats)
}

// Flush empties the cache.
func (c *Client) Flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.cache)
	clear(c.zoneCuts)
}

// answer answers a question of a caller, and counts it. If the answer has no records, it returns
// ErrNotFound or ErrNoRecord.
func (c *Client) answer(ctx context.Context, name string, kind uint16) (answer, error) {
	if _, ok := dns.IsDomainName(name); !ok || name == "" {
		return answer{}, ErrNotFound
	}
	q := question{strings.ToLower(dns.Fqdn(name)), kind}
	a, ok := c.cached(q)
	c.count(func(s *Stats) {
		s.Requests++
		if ok {
			s.Hits++
		} else {
			s.Misses++
		}
	})
	if !ok {
		var err error
		if a, err = c.fetch(ctx, q, 0); err != nil {
			c.count(func(s *Stats) { s.Exceptions++ })
			return answer{}, err
		}
	}
	switch {
	case a.missing:
		return a, ErrNotFound
	case len(a.records) == 0:
		return a, ErrNoRecord
	}
	return a, nil
}

// lookup answers a question that arises while another one is answered.
func (c *Client) lookup(ctx context.Context, q question, depth int) (answer, error) {
	if a, ok := c.cached(q); ok {
		return a, nil
	}
	return c.fetch(ctx, q, depth)
}

func (c *Client) cached(q question) (answer, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, ok := c.cache[q]
	if ok && c.o.Clock.Mark() >= a.until {
		delete(c.cache, q)
		c.stats.Expired++
		ok = false
	}
	return a, ok
}

// Cached returns the records of a name that are in the cache. Their TTL is the remaining time. It
// sends no query and counts nothing.
func (c *Client) Cached(name, kind string) []Record {
	c.mu.Lock()
	a := c.cache[question{strings.ToLower(dns.Fqdn(name)), dns.StringToType[strings.ToUpper(kind)]}]
	c.mu.Unlock()
	left := time.Duration(a.until - c.o.Clock.Mark()).Round(time.Second)
	if left <= 0 {
		return nil
	}
	records := recordsOf(a.records)
	for i := range records {
		records[i].TTL = uint32(left / time.Second)
	}
	return records
}

// fetch gets an answer from the network and caches it. If the servers have not followed an alias
// to its end, fetch does.
func (c *Client) fetch(ctx context.Context, q question, depth int) (answer, error) {
	r, err := c.resolve(ctx, query{question: q}, depth)
	if err != nil {
		return answer{}, err
	}
	a := answer{missing: r.Rcode == dns.RcodeNameError}
	ttl := uint32(maxTTL)
	end := q.name
	for _, rr := range r.Answer {
		ttl = min(ttl, rr.Header().Ttl)
		if rr.Header().Rrtype == q.kind || q.kind == dns.TypeANY {
			a.records = append(a.records, rr)
		} else if alias, ok := rr.(*dns.CNAME); ok && strings.EqualFold(alias.Hdr.Name, end) {
			end = strings.ToLower(alias.Target)
		}
	}
	until := func(ttl uint32) clock.Mark {
		return c.o.Clock.Mark() + clock.Mark(time.Duration(ttl)*time.Second)
	}
	switch {
	case len(a.records) > 0:
		a.until = until(max(ttl, uint32(c.o.Settings().MinimumTTL)))
	case end != q.name && !a.missing && !hasSOA(r.Ns) && depth < maxDepth:
		if a, err = c.lookup(ctx, question{end, q.kind}, depth+1); err != nil {
			return answer{}, err
		}
		a.until = min(a.until, until(max(ttl, uint32(c.o.Settings().MinimumTTL))))
	default:
		ttl = negativeTTL
		for _, rr := range r.Ns {
			if soa, ok := rr.(*dns.SOA); ok {
				ttl = min(soa.Minttl, soa.Hdr.Ttl, maxTTL)
			}
		}
		a.until = until(ttl)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.cache) >= maxCache {
		clear(c.cache)
	}
	c.cache[q] = a
	return a, nil
}
