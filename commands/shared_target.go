package commands

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/resolver"
	"github.com/esasim/esasim/shell"
)

// This file holds the code that the commands that send packets to a host share: the choice of the
// host and of the address to send from.

// askTarget asks for the address to send from and for a host. The address is invalid for
// "Auto". In the inline form the host is the only argument, and the address is "Auto".
func askTarget(
	ctx context.Context, env *shell.Env, family int, sourceQuestion, hostQuestion string,
) (src netip.Addr, host string, err error) {
	if len(env.Args) > 0 {
		if err := checkHostArgument(env.Args[0]); err != nil {
			return src, "", err
		}
	}
	if len(env.Args) == 1 {
		return src, env.Args[0], nil
	}
	if len(env.Args) > 1 {
		return src, "", shell.InvalidArgumentf(env.Args[1], "The only argument is a host.")
	}
	if src, err = askSourceAddr(ctx, env, sourceQuestion, family); err != nil {
		return src, "", err
	}
	host, err = env.Ask(ctx, hostQuestion, "", shell.Required)
	return src, host, err
}

// checkHostArgument refuses an argument that cannot be a host. Options get a refusal of their
// own, since the commands of the same name on other systems have some.
func checkHostArgument(arg string) error {
	switch {
	case arg == "":
		return shell.InvalidArgumentf(arg, "The argument must be a host name or an IP address.")
	case arg[0] == '-':
		return shell.InvalidArgumentf(arg, "The command takes no options: a host is expected.")
	}
	return nil
}

// hasIPv6 reports whether a committed IP interface has an IPv6 address.
func hasIPv6(env *shell.Env) bool {
	interfaces := netconfig.Interfaces.Get(env.Appliance.Config.Committed()).List
	return slices.ContainsFunc(interfaces, func(i netconfig.IPInterface) bool {
		return i.IPv6.IsValid()
	})
}

// lookUpTarget returns the addresses of a host, at least one. The text of its refusal is
// notFound if the host does not exist, and failed if no DNS server gave an answer.
func lookUpTarget(
	ctx context.Context, env *shell.Env, host string, family int, notFound, failed string,
) ([]netip.Addr, error) {
	addrs, err := env.Appliance.Resolver.Lookup(ctx, host, family)
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.Is(err, resolver.ErrNotFound):
		return nil, refusal.New(notFound)
	case err != nil:
		return nil, refusal.Because(err, "%s", failed)
	}
	return addrs, nil
}

// askSourceAddr asks for one of the appliance's addresses to send from. It returns an invalid
// address for "Auto". family is 4 or 6, or 0 for both.
func askSourceAddr(
	ctx context.Context, env *shell.Env, question string, family int) (netip.Addr, error) {
	sources := []netip.Addr{{}}
	choices := []string{"Auto"}
	for _, i := range netconfig.Interfaces.Get(env.Appliance.Config.Committed()).List {
		prefixes, err := i.Prefixes()
		if err != nil {
			return netip.Addr{}, err
		}
		for _, p := range prefixes {
			if family == 0 || p.Addr().Is4() == (family == 4) {
				sources = append(sources, p.Addr())
				choices = append(choices, fmt.Sprintf("%s (%v: %s)", i.Name, p, i.Hostname))
			}
		}
	}
	n, err := env.Choose(ctx, question, 0, choices...)
	if err != nil {
		return netip.Addr{}, err
	}
	return sources[n], nil
}

// sourceInterface asks for the IP interface from whose address a client of the appliance
// sends. It offers the draft's interfaces, so that one can be committed together with the
// choice. The empty name stands for "Auto", which is also the default if the present choice
// does not exist any more.
func sourceInterface(env *shell.Env, dst *string, question string) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		names, choices := []string{""}, []string{"Auto"}
		for _, i := range netconfig.Interfaces.Get(env.Draft).List {
			prefixes, err := i.Prefixes()
			if err != nil {
				return err
			}
			texts := make([]string, len(prefixes))
			for n, p := range prefixes {
				texts[n] = p.String()
			}
			names = append(names, i.Name)
			choices = append(choices,
				fmt.Sprintf("%s (%s: %s)", i.Name, strings.Join(texts, ", "), i.Hostname))
		}
		n, err := d.Choose(ctx, question, max(0, slices.Index(names, *dst)), choices...)
		if err == nil {
			*dst = names[n]
		}
		return err
	}
}

// sourceAddrFor returns the address from which the appliance reaches dst. It connects a UDP
// socket, which sends nothing, as FreeBSD's commands do.
func sourceAddrFor(ctx context.Context, env *shell.Env, dst netip.Addr) (netip.Addr, error) {
	const discard = 9
	to := network.DialConfig{Remote: netip.AddrPortFrom(dst, discard)}
	c, err := env.Appliance.Net.ListenPacket(ctx, to)
	if err != nil {
		return netip.Addr{}, err
	}
	local, err := netip.ParseAddrPort(c.LocalAddr().String())
	return local.Addr(), errors.Join(err, c.Close())
}
