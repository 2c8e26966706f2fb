package delivery

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/esasim/esasim/appliance/resolver"
)

// A Host is a server that may take the mail of a destination.
type Host struct {
	Name       string
	Addr       netip.AddrPort
	Preference int // of the MX record, or the priority in the route
}

// A lookupError says why a destination has no hosts.
type lookupError struct {
	failure *failure // its recipients bounce; nil: it may have hosts later
	route   string   // host of an SMTP route that does not resolve; "": the domain itself
	err     error
}

func (e *lookupError) Error() string { return e.err.Error() }
func (e *lookupError) Unwrap() error { return e.err }

// errDiscardRoute says that the route of a destination is /dev/null.
var errDiscardRoute = errors.New("the mail of the destination is discarded")

const smtpPort = 25

// Hosts returns the servers of a domain in the order in which they are tried; those of one
// preference in random order. An error is a *lookupError, errDiscardRoute, or ctx's cause.
func (s *Server) Hosts(ctx context.Context, domain string) ([]Host, error) {
	if literal, ok := addressLiteral(domain); ok {
		return []Host{{Name: domain, Addr: netip.AddrPortFrom(literal, smtpPort)}}, nil
	}
	route, ok := Routes.Get(s.o.Committed()).Find(domain)
	switch {
	case ok && route.Discard:
		return nil, errDiscardRoute
	case ok && len(route.Hosts) > 0:
		return s.routeHosts(ctx, route)
	}
	hosts, err := s.exchangers(ctx, domain, smtpPort)
	if err != nil && ctx.Err() == nil {
		return nil, lookupFailed(domain, err)
	}
	return hosts, err
}

// lookupFailed classifies a DNS error: the recipients of the domain bounce, or are tried later.
func lookupFailed(domain string, err error) *lookupError {
	e := &lookupError{err: err}
	if errors.Is(err, resolver.ErrNotFound) {
		kind, what := "MX", "NXDomain"
		if errors.Is(err, resolver.ErrNoRecord) {
			kind, what = "A", "NoRecord"
		}
		f := noHost(fmt.Sprintf("DNS Hard Error looking up %s (%s):  %s", domain, kind, what))
		e.failure = &f
	}
	return e
}

// routeHosts returns the servers of a route. A host that does not resolve is left out, unless none
// does: mail is then kept, and MX records of the destination are not used (mail.md 3.2).
func (s *Server) routeHosts(ctx context.Context, r Route) ([]Host, error) {
	var out []Host
	var failed *lookupError
	list := slices.Clone(r.Hosts)
	shuffle(s, list, func(a, b RouteHost) bool { return a.Priority == b.Priority }, byPriority)
	for _, h := range list {
		hosts, err := s.resolveRouteHost(ctx, h)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err != nil {
			failed = &lookupError{route: h.Name, err: err}
			continue
		}
		for i := range hosts {
			hosts[i].Preference = h.Priority
		}
		out = append(out, hosts...)
	}
	if len(out) == 0 && failed != nil {
		return nil, failed
	}
	return out, nil
}

func (s *Server) resolveRouteHost(ctx context.Context, h RouteHost) ([]Host, error) {
	port := h.Port
	if port == 0 {
		port = smtpPort
	}
	if a, err := netip.ParseAddr(strings.Trim(h.Name, "[]")); err == nil {
		return []Host{{Name: h.Name, Addr: netip.AddrPortFrom(a, port)}}, nil
	}
	if name, ok := strings.CutPrefix(h.Name, "["); ok {
		return s.addresses(ctx, strings.TrimSuffix(name, "]"), port)
	}
	return s.exchangers(ctx, h.Name, port)
}

// exchangers returns the servers of a domain by its MX records. A domain without one is its own
// exchanger (RFC 5321 5.1).
func (s *Server) exchangers(ctx context.Context, domain string, port uint16) ([]Host, error) {
	list, err := s.o.Resolver.LookupMX(ctx, domain)
	if errors.Is(err, resolver.ErrNoRecord) {
		return s.addresses(ctx, domain, port)
	}
	if err != nil {
		return nil, err
	}
	list = slices.Clone(list)
	shuffle(s, list, func(a, b resolver.MX) bool { return a.Preference == b.Preference },
		func(a, b resolver.MX) int { return a.Preference - b.Preference })
	var out []Host
	for _, mx := range list {
		if mx.Host == "" { // the null MX of RFC 7505
			err = resolver.ErrNotFound
			continue
		}
		hosts, failed := s.addresses(ctx, mx.Host, port)
		if failed != nil {
			err = failed
			continue
		}
		for i := range hosts {
			hosts[i].Preference = mx.Preference
		}
		out = append(out, hosts...)
	}
	if len(out) == 0 {
		return nil, err
	}
	return out, nil
}

func (s *Server) addresses(ctx context.Context, name string, port uint16) ([]Host, error) {
	addrs, err := s.o.Resolver.Lookup(ctx, name, 0)
	if err != nil {
		return nil, err
	}
	var out []Host
	for _, a := range addrs {
		out = append(out, Host{Name: name, Addr: netip.AddrPortFrom(a, port)})
	}
	return out, nil
}

// shuffle sorts a list, and puts elements that are equal into random order.
func shuffle[T any](s *Server, list []T, equal func(a, b T) bool, compare func(a, b T) int) {
	slices.SortStableFunc(list, compare)
	for i := range list {
		end := i + 1
		for end < len(list) && equal(list[i], list[end]) {
			end++
		}
		j := i + s.o.Rand.IntN(end-i)
		list[i], list[j] = list[j], list[i]
	}
}

// addressLiteral returns the address of a domain such as [192.0.2.25] (RFC 5321 4.1.3).
func addressLiteral(domain string) (netip.Addr, bool) {
	text, ok := strings.CutPrefix(domain, "[")
	text = strings.TrimPrefix(strings.TrimSuffix(text, "]"), "IPv6:")
	a, err := netip.ParseAddr(text)
	return a, ok && err == nil
}
