package commands

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/resolver"
	"github.com/esasim/esasim/shell"
)

// This file holds the questions about DNS servers that dnsconfig and systemsetup share.

// chooseDNSServers asks whether the root servers are used or own ones.
func chooseDNSServers(ctx context.Context, env *shell.Env, useRoots *bool) error {
	kind := 1
	if *useRoots {
		kind = 0
	}
	kind, err := env.Choose(ctx, "Do you want the Gateway to use the Internet's root DNS servers "+
		"or would you like it to use your own DNS servers?",
		kind, "Use Internet root DNS servers", "Use own DNS cache servers")
	*useRoots = kind == 0
	return err
}

// addServers adds own DNS servers. A server that exists already gets the new priority.
func addServers(s *resolver.Settings, addrs []netip.Addr, priority int) {
	s.Servers = slices.DeleteFunc(s.Servers, func(srv resolver.Server) bool {
		return slices.Contains(addrs, srv.Addr)
	})
	for _, a := range addrs {
		s.Servers = append(s.Servers, resolver.Server{Priority: priority, Addr: a})
	}
	slices.SortStableFunc(s.Servers, func(a, b resolver.Server) int { return a.Priority - b.Priority })
}

// askServerAddrs asks for the addresses of one or more servers, which the question calls name.
// present is the answer of an empty line.
func askServerAddrs(
	ctx context.Context, env *shell.Env, name, present string) (addrs []netip.Addr, err error) {
	question := "Please enter the IP address of " + name + ".\nSeparate multiple IPs with commas."
	_, err = env.Ask(ctx, question, present, func(answer string) (err error) {
		addrs, err = parseServerAddrs(answer)
		return err
	})
	return addrs, err
}

// parseServerAddrs parses addresses with commas between them. Its error is a refusal.
func parseServerAddrs(text string) (addrs []netip.Addr, err error) {
	for one := range strings.SplitSeq(text, ",") {
		a, err := netip.ParseAddr(strings.TrimSpace(one))
		if err != nil || a.Zone() != "" || a.IsUnspecified() || a.IsMulticast() {
			return nil, refusal.New(
				"The value must be an IPv4 or IPv6 address, or several with commas between them.")
		}
		if a = a.Unmap(); !slices.Contains(addrs, a) {
			addrs = append(addrs, a)
		}
	}
	return addrs, nil
}
