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
	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/network"
)

// Errors of look-ups, besides those of package network.
var (
	// ErrNotFound means that the name does not exist or has no such record.
	ErrNotFound = errors.New("resolver: no such name or record")
	// ErrNoRecord is an ErrNotFound. It means that the name exists, with other records.
	ErrNoRecord = fmt.Errorf("%w: the name has no such record", ErrNotFound)
	// ErrNoServer means that no DNS server is configured.
	ErrNoServer = errors.New("resolver: no DNS server is configured")
	// ErrNoAnswer means that no server has answered in time: all were silent, unreachable, or
	// reported a failure of their own.
	ErrNoAnswer = errors.New("resolver: no answer")
)

// Options configure a Client.
type Options struct {
	Net      network.Transport
	Clock    clock.Clock
	Rand     *entropy.Stream
	Settings func() Settings // returns the committed settings
	// Timeout bounds how long a server may take to answer; 0 means 5 seconds.
	Timeout time.Duration
	// Rounds is how often each server is queried before a look-up fails; 0 means 2.
	Rounds int
	// Source returns the address that an IP interface sends from. If it is nil, or the address
	// invalid, the routing table chooses.
	Source func(ifname string, v6 bool) netip.Addr
	// RootHints are the root servers; nil means the Internet's.
	RootHints []netip.Addr
	Events    *events.Stream // gets queries and answers; nil: nobody
	// PreviousStats are the counters of earlier runs.
	PreviousStats Stats
}

// A Client looks up names. Its methods are safe for concurrent use.
type Client struct {
	o        Options
	mu       sync.Mutex
	cache    map[question]answer
	zoneCuts map[string]zoneCut // by zone; used with root servers only
	stats    Stats
}

// New returns a Client with an empty cache.
func New(o Options) *Client {
	o.Timeout = cmp.Or(o.Timeout, 5*time.Second)
	o.Rounds = cmp.Or(o.Rounds, 2)
	if len(o.RootHints) == 0 {
		o.RootHints = rootHints
	}
	return &Client{o: o, cache: map[question]answer{}, zoneCuts: map[string]zoneCut{}}
}

// Lookup returns the addresses of name: IPv4 addresses if family is 4, IPv6 addresses if it is
// 6, both if it is 0. If name is an address, Lookup returns that. Lookup blocks until an answer
// arrives, all servers have timed out, or ctx ends.
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
	}{
		{4, dns.TypeA, netip.AddrFrom4([4]byte{127, 0, 0, 1})},
		{6, dns.TypeAAAA, netip.IPv6Loopback()},
	} {
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
				failed = err // prefer it to "no address" of the other family
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

// LookupAddr returns the first name of addr, without a final dot. It waits no longer than
// Settings.PTRTimeout. If that is 0, it returns ErrNoAnswer.
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
	Host       string // without a final dot
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
