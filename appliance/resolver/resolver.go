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
	// ErrNoRecord is the ErrNotFound of a name that exists and has other records.
	ErrNoRecord = fmt.Errorf("%w: the name has no such record", ErrNotFound)
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
	Rand     *entropy.Stream
	Settings func() Settings // as committed now
	// Timeout is how long a server may take; 0 means 5 seconds.
	Timeout time.Duration
	// Rounds is how often the servers are gone through; 0 means 2.
	Rounds int
	// Source is the address that an IP interface sends from, by family; invalid: chosen
	// by the route. Nil means that always.
	Source func(ifname string, v6 bool) netip.Addr
	// Hints are the root servers; nil means the Internet's.
	RootHints []netip.Addr
	// Earlier is what was counted in earlier runs.
	PreviousStats Stats
}

// A Client looks names up. It is safe for concurrent use.
type Client struct {
	o     Options
	mu    sync.Mutex
	cache map[question]answer
	cuts  map[string]cut // by zone; while root servers are used
	stats Stats
}

// New returns a Client with an empty cache.
func New(o Options) *Client {
	o.Timeout = cmp.Or(o.Timeout, 5*time.Second)
	o.Rounds = cmp.Or(o.Rounds, 2)
	if len(o.RootHints) == 0 {
		o.RootHints = rootHints
	}
	return &Client{o: o, cache: map[question]answer{}, cuts: map[string]cut{}}
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
		found, err := c.answer(ctx, name, q.kind)
		if err != nil {
			if failed == nil || errors.Is(failed, ErrNotFound) {
				failed = err // that a name has no address of one family says less
			}
			continue
		}
		for _, rr := range found.records {
			if a, ok := addressOf(rr); ok {
				out = append(out, a)
			}
		}
	}
	if len(out) > 0 {
		return out, nil
	}
	return nil, cmp.Or(failed, ErrNotFound)
}

// LookupAddr returns the first name of addr, without its last dot. It waits no longer
// than the settings grant to reverse look-ups, which may be no time at all.
func (c *Client) LookupAddr(ctx context.Context, addr netip.Addr) (string, error) {
	addr = addr.Unmap().WithZone("")
	if addr.IsLoopback() {
		return "localhost", nil
	}
	limit := time.Duration(c.o.Settings().PTRTimeout) * time.Second
	if limit == 0 {
		return "", ErrNoAnswer
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, ErrNoAnswer)
	defer cancel()
	found, err := c.answer(ctx, ReverseName(addr), dns.TypePTR)
	if err != nil {
		return "", err
	}
	for _, rr := range found.records {
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
	found, err := c.answer(ctx, domain, dns.TypeMX)
	if err != nil {
		return nil, err
	}
	var out []MX
	for _, rr := range found.records {
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
