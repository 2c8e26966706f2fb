package commands

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/resolver"
	"github.com/esasim/esasim/shell"
)

// changeDNSInline executes the inline form of dnsconfig.
func changeDNSInline(env *shell.Env) error {
	form, args := strings.ToLower(env.Args[0]), env.Args[1:]
	if len(args) > 0 {
		form += " " + strings.ToLower(args[0])
		args = args[1:]
	}
	forms := map[string]struct {
		least, most int // number of arguments
		change      func(*resolver.Settings, []string) error
	}{
		"print":         {0, 0, nil},
		"parent new":    {1, 2, newParent},
		"parent delete": {1, 1, deleteParent},
		"alt new":       {2, 2, newAlternate},
		"alt delete":    {1, 1, deleteAlternate},
		"roots":         {0, 0, useRoots},
		"roots new":     {3, 3, newRoot},
		"roots delete":  {1, 2, deleteRoot},
	}
	f, known := forms[form]
	switch all := strings.Join(env.Args, " "); {
	case !known:
		return shell.InvalidArgumentf(all, "The arguments must begin with print, parent new, "+
			"parent delete, alt new, alt delete, roots, roots new or roots delete.")
	case len(args) < f.least:
		return shell.InvalidArgumentf(all, "An argument is missing. See: help dnsconfig.")
	case len(args) > f.most:
		return shell.InvalidArgumentf(args[f.most], "There are too many arguments. See: help dnsconfig.")
	case form == "print":
		printDNS(env, resolver.DNS.Get(env.Draft))
		return nil
	}
	return editSection(env, resolver.DNS, func(s *resolver.Settings) error {
		return f.change(s, args)
	})
}

func newParent(s *resolver.Settings, args []string) error {
	addrs, err := inlineAddrs(args[0])
	if err != nil {
		return err
	}
	priority := 0
	if len(args) > 1 {
		priority, err = strconv.Atoi(args[1])
		if err != nil || priority < 0 || priority > resolver.MaxPriority {
			return shell.InvalidArgumentf(args[1],
				"The priority must be an integer from 0 to %d.", resolver.MaxPriority)
		}
	}
	s.UseRoots = false
	addServers(s, addrs, priority)
	return nil
}

func deleteParent(s *resolver.Settings, args []string) error {
	addr, err := netip.ParseAddr(args[0])
	kept := slices.DeleteFunc(slices.Clone(s.Servers), func(srv resolver.Server) bool {
		return srv.Addr == addr
	})
	switch {
	case err != nil || len(kept) == len(s.Servers):
		return shell.InvalidArgumentf(args[0], "The DNS server does not exist.")
	case len(kept) == 0 && !s.UseRoots:
		return errLastServer
	}
	s.Servers = kept
	return nil
}

func newAlternate(s *resolver.Settings, args []string) error {
	if s.UseRoots {
		return refusal.New("The Internet's root DNS servers are in use. Use: dnsconfig roots new.")
	}
	addrs, err := inlineAddrs(args[1])
	if err != nil {
		return err
	}
	for domain := range strings.SplitSeq(args[0], ",") {
		if domain, err = inlineDomain(domain); err != nil {
			return err
		}
		addAlternates(s, resolver.Alternate{Domain: domain}, addrs)
	}
	return nil
}

func deleteAlternate(s *resolver.Settings, args []string) error {
	return removeAlternates(s, args[0], "")
}

func useRoots(s *resolver.Settings, _ []string) error {
	s.UseRoots, s.Servers, s.Alternates = true, nil, nil
	return nil
}

func newRoot(s *resolver.Settings, args []string) error {
	if !s.UseRoots {
		return refusal.New("Your own DNS servers are in use. Use: dnsconfig alt new.")
	}
	domain, err := inlineDomain(args[0])
	if err != nil {
		return err
	}
	host, err := inlineDomain(args[1])
	if err != nil {
		return err
	}
	addrs, err := inlineAddrs(args[2])
	if err != nil {
		return err
	}
	addAlternates(s, resolver.Alternate{Domain: domain, Host: host}, addrs)
	return nil
}

func deleteRoot(s *resolver.Settings, args []string) error {
	host := ""
	if len(args) > 1 {
		host = args[1]
	}
	return removeAlternates(s, args[0], host)
}

// removeAlternates removes the servers of a domain. If host is not empty, it removes only the
// server of that name.
func removeAlternates(s *resolver.Settings, domain, host string) error {
	kept := slices.DeleteFunc(slices.Clone(s.Alternates), func(a resolver.Alternate) bool {
		return strings.EqualFold(a.Domain, strings.TrimSuffix(domain, ".")) &&
			(host == "" || strings.EqualFold(a.Host, strings.TrimSuffix(host, ".")))
	})
	if len(kept) == len(s.Alternates) {
		return shell.InvalidArgumentf(strings.TrimSpace(domain+" "+host),
			"The alternate DNS server does not exist.")
	}
	s.Alternates = kept
	return nil
}

// inlineAddrs and inlineDomain parse arguments.

func inlineAddrs(text string) ([]netip.Addr, error) {
	addrs, err := parseServerAddrs(text)
	if err != nil {
		return nil, invalidArgument(text, err)
	}
	return addrs, nil
}

func inlineDomain(text string) (string, error) {
	domain, err := parseDomain(text)
	if err != nil {
		return "", invalidArgument(text, err)
	}
	return domain, nil
}
