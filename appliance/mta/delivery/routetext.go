package delivery

import (
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"

	"github.com/esasim/esasim/appliance/refusal"
)

// This file holds the form in which administrators write SMTP routes (mail.md 3.2).

// CheckRouteDomain returns a refusal if s is none of a domain, .domain and ALL.
func CheckRouteDomain(s string) error {
	if strings.EqualFold(s, "ALL") {
		return nil
	}
	if strings.HasPrefix(s, "[") {
		return refusal.New("Mail to an address in brackets goes to that address: it has no route.")
	}
	return CheckDomain(s)
}

// SetHosts sets where the route leads from text: hosts with commas between them, USEDNS or
// /dev/null. A host is written as NAME, NAME:PORT or either of them with /pri=N behind it.
func (r *Route) SetHosts(text string) error {
	var hosts []RouteHost
	switch text = strings.TrimSpace(text); {
	case text == "":
		return refusal.New("Enter one or more hosts, USEDNS or /dev/null.")
	case strings.EqualFold(text, "USEDNS"):
		r.Hosts, r.Discard = nil, false
		return nil
	case text == "/dev/null":
		r.Hosts, r.Discard = nil, true
		return nil
	}
	for one := range strings.SplitSeq(text, ",") {
		h, err := parseRouteHost(strings.TrimSpace(one))
		if err != nil {
			return err
		}
		hosts = append(hosts, h)
	}
	r.Hosts, r.Discard = hosts, false
	return nil
}

// HostsText returns where the route leads, in the form that SetHosts reads.
func (r Route) HostsText() string {
	switch {
	case r.Discard:
		return "/dev/null"
	case len(r.Hosts) == 0:
		return "USEDNS"
	}
	out := make([]string, len(r.Hosts))
	for i, h := range r.Hosts {
		out[i] = h.Name
		if h.Port != 0 {
			out[i] += fmt.Sprintf(":%d", h.Port)
		}
		if h.Priority != 0 {
			out[i] += fmt.Sprintf(" /pri=%d", h.Priority)
		}
	}
	return strings.Join(out, ", ")
}

func parseRouteHost(text string) (h RouteHost, err error) {
	name, priority, found := strings.Cut(text, "/pri=")
	name = strings.TrimSpace(name)
	if found {
		h.Priority, err = strconv.Atoi(strings.TrimSpace(priority))
		if err != nil || h.Priority < 0 || h.Priority > math.MaxUint16 {
			return h, refusal.Newf("The priority in %q must be a number from 0 to %d.",
				text, math.MaxUint16)
		}
	}
	h.Name = name
	if _, err := netip.ParseAddr(name); err != nil {
		// The colons of an IPv6 address with a port are inside the brackets.
		if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, ']') {
			port, err := strconv.ParseUint(name[i+1:], 10, 16)
			if err != nil || port == 0 {
				return h, refusal.Newf("The port in %q must be a number from 1 to %d.",
					text, math.MaxUint16)
			}
			h.Name, h.Port = name[:i], uint16(port)
		}
	}
	return h, h.check()
}

// check returns a refusal if h is no server.
func (h RouteHost) check() error {
	if h.Priority < 0 || h.Priority > math.MaxUint16 {
		return refusal.Newf("The priority of %s must be from 0 to %d.", h.Name, math.MaxUint16)
	}
	name, bracketed := strings.CutPrefix(h.Name, "[")
	if bracketed {
		var closed bool
		if name, closed = strings.CutSuffix(name, "]"); !closed {
			name = ""
		}
	}
	if a, err := netip.ParseAddr(name); err == nil && a.Zone() == "" {
		if a.Is6() && !bracketed && h.Port != 0 {
			return refusal.Newf("Enclose %v in square brackets, so that a port can follow.", a)
		}
		return nil
	}
	if strings.EqualFold(name, "USEDNS") {
		return refusal.New("USEDNS and /dev/null must stand by themselves.")
	}
	if strings.HasPrefix(name, ".") || CheckDomain(name) != nil {
		return refusal.Newf("%q is no host for an SMTP route: expected one such as mx.example.com, "+
			"[mx.example.com] or 192.0.2.1, which a port (:26) and a priority (/pri=10) may follow.",
			h.Name)
	}
	return nil
}
