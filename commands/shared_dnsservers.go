package commands

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/resolver"
	"github.com/esasim/esasim/shell"
)

// This file holds the questions about DNS servers that dnsconfig and systemsetup share.

// chooseDNSServers asks whether the root servers are used or own ones, and for own ones if there are
// none.
func chooseDNSServers(ctx context.Context, env *shell.Env, s *resolver.Settings) error {
	kind := 1
	if s.UseRoots {
		kind = 0
	}
	kind, err := env.Choose(ctx, "Do you want the Gateway to use the Internet's root DNS servers "+
		"or would you like it to use your own DNS servers?",
		kind, "Use Internet root DNS servers", "Use own DNS cache servers")
	if err != nil {
		return err
	}
	if s.UseRoots = kind == 0; !s.UseRoots && len(s.Servers) == 0 {
		return newLocalServers(ctx, env, s)
	}
	return nil
}

// newLocalServers asks for own DNS servers and adds them.
func newLocalServers(ctx context.Context, env *shell.Env, s *resolver.Settings) error {
	addrs, err := askServerAddrs(ctx, env, "your DNS server")
	if err != nil {
		return err
	}
	priority := 0
	if err := env.Form(ctx, priorityField(&priority, addrs)); err != nil {
		return err
	}
	addServers(s, addrs, priority)
	return nil
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
func askServerAddrs(
	ctx context.Context, env *shell.Env, name string) (addrs []netip.Addr, err error) {
	question := "Please enter the IP address of " + name + ".\nSeparate multiple IPs with commas."
	_, err = env.Ask(ctx, question, "", func(answer string) (err error) {
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

func priorityField(dst *int, addrs []netip.Addr) shell.Field {
	names := make([]string, len(addrs))
	for i, a := range addrs {
		names[i] = a.String()
	}
	return shell.Number(dst, fmt.Sprintf(
		"Please enter the priority for %s.\nServers with a lower number are asked first.",
		strings.Join(names, ", ")), 0, resolver.MaxPriority)
}
