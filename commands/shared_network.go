package commands

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/pattern"
	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/shell"
)

// This file holds the code that the commands that configure the network share.

// ipv6Version is the first version with IPv6.
var ipv6Version = product.Version{Major: 7, Minor: 6}

func supportsIPv6(env *shell.Env) bool { return !env.Appliance.Product.Version.Before(ipv6Version) }

// networkRefusal returns a refusal if err says that the network cannot do what verb names, such
// as "list its routes". Any other error is internal.
func networkRefusal(err error, verb string) error {
	if errors.Is(err, errors.ErrUnsupported) {
		return refusal.Because(err, "This appliance's network cannot %s.", verb)
	}
	return fmt.Errorf("%s: %w", verb, err)
}

// editSection changes a section in the draft. change may ask questions. If another session
// commits a change of the same section meanwhile, editSection keeps that and refuses this one.
func editSection[T any](env *shell.Env, s *config.Section[T], change func(*T) error) error {
	err := s.Edit(env.Draft, change)
	var conflict *config.ConflictError
	if errors.As(err, &conflict) {
		return refusal.Newf(
			"Another session has meanwhile changed %s: nothing was changed here. Please try again.",
			strings.Join(conflict.Sections, ", "))
	}
	return err
}

var objectName = pattern.New(`^[A-Za-z][A-Za-z0-9._ -]{0,39}$`)

// checkObjectName refuses an invalid name of an IP interface, a group or a route. Such a name
// begins with a letter, so that an answer can be either a name or a number.
func checkObjectName(name string) error {
	if !objectName().MatchString(name) {
		return refusal.New("The name must begin with a letter and consist of letters, digits, " +
			"blanks, hyphens, dots and underscores: 40 characters at most.")
	}
	return nil
}

// findByNameOrNumber returns the index of the entry that an answer means: its name, in any
// case and with any number of blanks (lists align some names with blanks), or its number,
// counted from 1. noun says what the entries are: "route".
func findByNameOrNumber(answer string, names []string, noun string) (int, error) {
	if answer == "" {
		return 0, refusal.Newf("Enter the name of the %s, or its number.", noun)
	}
	for _, typed := range []string{answer, strings.Join(strings.Fields(answer), " ")} {
		i := slices.IndexFunc(names, func(name string) bool { return strings.EqualFold(name, typed) })
		if i >= 0 {
			return i, nil
		}
	}
	if n, err := strconv.Atoi(answer); err == nil && n >= 1 && n <= len(names) {
		return n - 1, nil
	}
	return 0, refusal.Newf(
		"The %s %s does not exist: enter a name from the list, or a number from 1 to %d.",
		noun, visible(answer), len(names))
}

// chooseByName asks for one of names, by name or by number, and returns its index. noun says
// what the entries are.
func chooseByName(
	ctx context.Context, env *shell.Env, question string, names []string, noun string) (int, error) {
	var n int
	_, err := env.Ask(ctx, question, "", func(answer string) (err error) {
		n, err = findByNameOrNumber(answer, names, noun)
		return err
	})
	return n, err
}

// parseHostAddr parses the address of a host, which must be of the given IP version.
func parseHostAddr(text string, v6 bool) (netip.Addr, error) {
	a, err := netip.ParseAddr(text)
	bad := err != nil || a.Is6() != v6 || a.Zone() != "" || a.Is4In6() ||
		a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() || a.IsLinkLocalUnicast() ||
		a.Is4() && a.As4()[0] >= 240
	if !bad {
		return a, nil
	}
	if v6 {
		return a, refusal.New("The value must be the IPv6 address of a host, such as 2001:db8::7.")
	}
	return a, refusal.New("The value must be the IPv4 address of a host, such as 192.168.1.2.")
}

// draftPorts returns the ports of the draft. If it has none, draftPorts returns the ports that
// the network has.
func draftPorts(env *shell.Env) netconfig.PortList {
	list := netconfig.Ports.Get(env.Draft)
	if len(list.List) > 0 {
		return list
	}
	for _, i := range env.Appliance.Net.Interfaces() {
		if !i.Loopback && i.VLAN == 0 {
			list.List = append(list.List, netconfig.Port{Name: i.Name, Ethernet: i.Name, MTU: i.MTU})
		}
	}
	return list
}

// portNames returns the names of all ports.
func portNames(ports netconfig.PortList) (names []string) {
	for _, p := range ports.List {
		names = append(names, p.Name)
	}
	return names
}

// askGateway asks for the default gateway of an IP version. A nil check accepts every address.
func askGateway(ctx context.Context, env *shell.Env, question string, v6 bool,
	check func(netip.Addr) error) error {
	return editSection(env, netconfig.Gateways, func(g *netconfig.DefaultGateways) error {
		now := &g.IPv4
		if v6 {
			now = &g.IPv6
		}
		preset := ""
		if now.IsValid() {
			preset = now.String()
		}
		_, err := env.Ask(ctx, question, preset, func(answer string) (err error) {
			if answer == "" || strings.EqualFold(answer, "none") {
				*now = netip.Addr{}
				return nil
			}
			*now, err = parseHostAddr(answer, v6)
			if err == nil && check != nil {
				err = check(*now)
			}
			return err
		})
		return err
	})
}
