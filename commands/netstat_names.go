package commands

import (
	"context"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance"
)

const (
	// namesPatience bounds how long a table waits for all its names together.
	// Addresses whose names have not come by then are shown as numbers.
	namesPatience = 3 * time.Second
	// namesAtOnce bounds how many look-ups are under way.
	namesAtOnce = 256
)

// hostNames are the names of addresses, as far as they are known.
type hostNames map[netip.Addr]string

// of is the name of an address, or else the address.
func (h hostNames) of(a netip.Addr) string {
	if name, ok := h[a]; ok {
		return name
	}
	return a.String()
}

// lookUp returns the names of addresses; none where numbers are asked for.
func (n *netstat) lookUp(ctx context.Context, addrs []netip.Addr) (hostNames, error) {
	if n.numeric {
		return nil, nil
	}
	host := appliance.Hostname.Get(n.env.Box.Config.Committed())
	return lookUpNames(ctx, localhostOf(host), addrs, n.env.Box.Resolver.LookupAddr)
}

// localhostOf is the appliance's own name for 127.0.0.1: localhost in its domain, or
// in what it is called itself if that is no more than a domain (B40).
func localhostOf(host string) string {
	if _, domain, ok := strings.Cut(host, "."); ok && strings.Contains(domain, ".") {
		host = domain
	}
	return "localhost." + host
}

// lookUpNames asks for the names of all addresses at the same time and waits for them
// no longer than namesPatience. The error is ctx's cause.
func lookUpNames(ctx context.Context, localhost string, addrs []netip.Addr,
	ask func(context.Context, netip.Addr) (string, error),
) (hostNames, error) {
	names := hostNames{}
	var wanted []netip.Addr
	seen := map[netip.Addr]bool{}
	for _, a := range addrs {
		switch {
		case seen[a], a.IsUnspecified():
		case a.IsLoopback():
			names[a] = localhost
		default:
			wanted = append(wanted, a)
		}
		seen[a] = true
	}

	limited, cancel := context.WithTimeout(ctx, namesPatience)
	defer cancel()
	var mu sync.Mutex
	var asking sync.WaitGroup
	for range min(len(wanted), namesAtOnce) {
		asking.Go(func() {
			for {
				mu.Lock()
				if len(wanted) == 0 || limited.Err() != nil {
					mu.Unlock()
					return
				}
				a := wanted[0]
				wanted = wanted[1:]
				mu.Unlock()
				name, err := ask(limited, a)
				if err != nil || name == "" {
					continue
				}
				mu.Lock()
				names[a] = name
				mu.Unlock()
			}
		})
	}
	asking.Wait()
	return names, context.Cause(ctx)
}
