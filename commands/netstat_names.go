package commands

import (
	"context"
	"net/netip"
	"strings"
	"sync"

	"github.com/esasim/esasim/appliance/netconfig"
)

// namesAtOnce bounds how many look-ups are under way.
const maxLookups = 256

// hostNames are the names of addresses, as far as they are known.
type hostNames map[netip.Addr]string

// of is the name of an address, or else the address.
func (h hostNames) name(a netip.Addr) string {
	if name, ok := h[a]; ok {
		return name
	}
	return a.String()
}

// lookUp returns the names of addresses; none where numbers are asked for. All names
// together have the time that one DNS server has for an answer: addresses whose names
// have not come by then are shown as numbers.
func (n *netstatQuery) lookUp(ctx context.Context, addrs []netip.Addr) (hostNames, error) {
	if n.numeric {
		return nil, nil
	}
	host := netconfig.Hostname.Get(n.env.Appliance.Config.Committed())
	names := hostNames{}
	var wanted []netip.Addr
	seen := map[netip.Addr]bool{}
	for _, a := range addrs {
		switch {
		case seen[a], a.IsUnspecified():
		case a.IsLoopback():
			names[a] = localhostName(host)
		default:
			wanted = append(wanted, a)
		}
		seen[a] = true
	}
	limited, cancel := context.WithTimeout(ctx, n.env.Appliance.Timeouts.Lookup)
	defer cancel()
	n.lookUpAll(limited, wanted, names)
	return names, context.Cause(ctx)
}

// localhostOf is the appliance's own name for 127.0.0.1: localhost in its domain, or
// in what it is called itself if that is no more than a domain (B40).
func localhostName(host string) string {
	if _, domain, ok := strings.Cut(host, "."); ok && strings.Contains(domain, ".") {
		host = domain
	}
	return "localhost." + host
}

// askFor adds the names of addresses that come before ctx ends.
func (n *netstatQuery) lookUpAll(ctx context.Context, addrs []netip.Addr, names hostNames) {
	var mu sync.Mutex // guards addrs and names
	next := func() (a netip.Addr, ok bool) {
		mu.Lock()
		defer mu.Unlock()
		if len(addrs) > 0 && ctx.Err() == nil {
			a, addrs, ok = addrs[0], addrs[1:], true
		}
		return a, ok
	}
	var asking sync.WaitGroup
	for range min(len(addrs), maxLookups) {
		asking.Go(func() {
			for a, ok := next(); ok; a, ok = next() {
				if name, err := n.env.Appliance.Resolver.LookupAddr(ctx, a); err == nil {
					mu.Lock()
					names[a] = name
					mu.Unlock()
				}
			}
		})
	}
	asking.Wait()
}
