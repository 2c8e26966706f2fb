package commands

import (
	"context"
	"net/netip"
	"strings"
	"sync"

	"github.com/esasim/esasim/appliance/netconfig"
)

// maxLookups bounds the number of concurrent lookups.
const maxLookups = 256

// hostNames maps addresses to their names. Addresses whose names are unknown are missing.
type hostNames map[netip.Addr]string

// name returns the name of an address, or the address if the name is unknown.
func (h hostNames) name(a netip.Addr) string {
	if name, ok := h[a]; ok {
		return name
	}
	return a.String()
}

// lookUp returns the names of addresses, or none if the query is numeric. All lookups together
// take at most as long as one DNS server may take to answer. Addresses that have not been
// looked up by then are shown as numbers.
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
	lookupCtx, cancel := context.WithTimeout(ctx, n.env.Appliance.Timeouts.Lookup)
	defer cancel()
	n.lookUpAll(lookupCtx, wanted, names)
	return names, context.Cause(ctx)
}

// localhostName returns the name of 127.0.0.1: localhost in the domain of the host name. If
// the host name is itself a domain such as example.com, it is localhost in that domain (B40).
func localhostName(host string) string {
	if _, domain, ok := strings.Cut(host, "."); ok && strings.Contains(domain, ".") {
		host = domain
	}
	return "localhost." + host
}

// lookUpAll looks addresses up concurrently until ctx ends, and adds their names to names.
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
	var workers sync.WaitGroup
	for range min(len(addrs), maxLookups) {
		workers.Go(func() {
			for a, ok := next(); ok; a, ok = next() {
				if name, err := n.env.Appliance.Resolver.LookupAddr(ctx, a); err == nil {
					mu.Lock()
					names[a] = name
					mu.Unlock()
				}
			}
		})
	}
	workers.Wait()
}
