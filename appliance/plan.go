package appliance

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/network"
)

var (
	everyIPv4 = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	everyIPv6 = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
)

// A networkPlan is what a configuration wants of a network that owns its interfaces.
// What cannot be is left out of it, and said in refused.
type networkPlan struct {
	vlans     []network.VLAN
	loopback  bool
	settings  []portSettings // physical ports first
	multicast bool
	addrs     map[string][]netip.Prefix // by port
	routes    []network.Route           // the default ones first
	refused   []string                  // sentences for the administrator
}

// portSettings are what etherconfig sets of a port.
type portSettings struct {
	name  string
	mtu   int // 0: as it is
	media network.Media
	vlan  bool
}

// planNetwork reads v. n says which Ethernet interfaces there are.
func planNetwork(n network.Network, v config.View) networkPlan {
	p := networkPlan{
		loopback:  Loopback.Get(v),
		multicast: MulticastARP.Get(v) == 1,
		addrs:     map[string][]netip.Prefix{},
	}
	exists := p.planPorts(n, v)
	for _, i := range Interfaces.Get(v).List {
		prefixes, err := i.Prefixes()
		switch {
		case !exists[i.Jack]:
			p.refuse("The IP interface %s is on the Ethernet interface %s, which does not exist.", i.Name, i.Jack)
		case err != nil: // cannot be: a commit checks them
			p.refuse("The addresses of the IP interface %s are not valid.", i.Name)
		default:
			p.addrs[i.Jack] = append(p.addrs[i.Jack], prefixes...)
		}
	}
	p.planRoutes(v)
	return p
}

// planPorts plans what IP interfaces can be on, and returns the names.
func (p *networkPlan) planPorts(n network.Network, v config.View) (exists map[string]bool) {
	exists = map[string]bool{LoopbackPort: p.loopback}
	media := Ethernet.Get(v)
	ports := Ports.Get(v)
	for _, i := range n.Interfaces() {
		if i.Loopback || i.VLAN != 0 {
			continue
		}
		exists[i.Name] = true
		port, _ := ports.Find(i.Name)
		rate, half, _ := media.Of(i.Name).Rate() // a commit checks them
		p.settings = append(p.settings, portSettings{i.Name, port.MTU, network.Media{Rate: rate, HalfDuplex: half}, false})
	}
	for _, port := range ports.List {
		switch {
		case !exists[port.Jack]:
			p.refuse("The Ethernet interface %s does not exist.", port.Jack)
		case port.VLAN != 0:
			exists[port.Name] = true
			p.vlans = append(p.vlans, network.VLAN{ID: port.VLAN, Parent: port.Jack})
			p.settings = append(p.settings, portSettings{port.Name, port.MTU, network.Media{}, true})
		}
	}
	return exists
}

// planRoutes plans the default routes and the static ones.
func (p *networkPlan) planRoutes(v config.View) {
	g := Gateways.Get(v)
	for _, d := range []struct {
		to      netip.Prefix
		gateway netip.Addr
	}{{everyIPv4, g.IPv4}, {everyIPv6, g.IPv6}} {
		p.addRoute(d.to, d.gateway, fmt.Sprintf("The default gateway %v", d.gateway))
	}
	for _, r := range Routes.Get(v).List {
		if i, ok := p.attached(r.Destination); ok {
			p.refuse("The destination of the route %s is the network that %s is on.", r.Name, i)
			continue
		}
		p.addRoute(r.Destination, r.Gateway, fmt.Sprintf("The gateway %v of the route %s", r.Gateway, r.Name))
	}
}

// attached is the port that is on the network to.
func (p *networkPlan) attached(to netip.Prefix) (port string, ok bool) {
	for port, prefixes := range p.addrs {
		for _, at := range prefixes {
			if at.Masked() == to {
				return port, true
			}
		}
	}
	return "", false
}

// addRoute adds a route if its gateway, called what, is within reach.
func (p *networkPlan) addRoute(to netip.Prefix, gateway netip.Addr, what string) {
	if !gateway.IsValid() {
		return
	}
	attached := false
	for port, prefixes := range p.addrs {
		for _, at := range prefixes {
			if at.Addr() == gateway {
				p.refuse("%s is the appliance's own address.", what)
				return
			}
			attached = attached || port != LoopbackPort && !at.IsSingleIP() && at.Contains(gateway)
		}
	}
	if !attached {
		p.refuse("%s is on no network that an IP interface is attached to.", what)
		return
	}
	p.routes = append(p.routes, network.Route{Dst: to, Gateway: gateway})
}

func (p *networkPlan) refuse(format string, a ...any) {
	p.refused = append(p.refused, fmt.Sprintf(format, a...))
}

func (p networkPlan) equal(o networkPlan) bool { return reflect.DeepEqual(p, o) }

// A networkStep is one call to the network, and what to say if it fails.
type networkStep struct {
	do      func() error
	failure string // a sentence
}

// establish makes the network as planned, but for ports that go: they stay, with what
// is connected over them, until prune. It stops at the first step that fails, or with
// all of them tries each, so that as much as possible is as planned.
func (p networkPlan) establish(n network.Network, c network.Configurer, all bool) error {
	var errs []error
	// What comes later needs what comes before: addresses need ports, and gateways
	// networks.
	for _, part := range []func(network.Network, network.Configurer) []networkStep{p.portSteps, p.settingSteps, p.addressSteps, p.routeSteps} {
		for _, s := range part(n, c) {
			err := s.do()
			if err == nil {
				continue
			}
			errs = append(errs, &RefusedError{Text: s.failure, Err: err})
			if !all {
				return errors.Join(errs...)
			}
		}
	}
	return errors.Join(errs...)
}

// prune removes the ports that are not planned.
func (p networkPlan) prune(c network.Configurer) error {
	return errors.Join(c.SetVLANs(p.vlans), c.SetLoopback(p.loopback))
}

// portSteps make the ports that are new.
func (p networkPlan) portSteps(n network.Network, c network.Configurer) []networkStep {
	vlans, loopback := slices.Clone(p.vlans), p.loopback
	for _, i := range n.Interfaces() {
		loopback = loopback || i.Name == LoopbackPort
		if i.VLAN != 0 && !slices.ContainsFunc(vlans, func(v network.VLAN) bool { return v.ID == i.VLAN }) {
			vlans = append(vlans, network.VLAN{ID: i.VLAN, Parent: i.Parent})
		}
	}
	return []networkStep{
		{func() error { return c.SetVLANs(vlans) }, "The VLANs could not be set."},
		{func() error { return c.SetLoopback(loopback) }, "The loopback interface could not be set."},
	}
}

// settingSteps set what differs by the time that a step is reached: a VLAN's MTU is
// bounded by that of the port under it.
func (p networkPlan) settingSteps(n network.Network, c network.Configurer) (steps []networkStep) {
	for _, want := range p.settings {
		if !want.vlan {
			steps = append(steps, networkStep{func() error {
				if now, ok := findInterface(n, want.name); ok && now.Media == want.media {
					return nil
				}
				return c.SetMedia(want.name, want.media)
			}, fmt.Sprintf("The media settings of %s could not be set.", want.name)})
		}
		if want.mtu == 0 {
			continue
		}
		steps = append(steps, networkStep{func() error {
			if now, ok := findInterface(n, want.name); ok && now.MTU == want.mtu {
				return nil
			}
			return c.SetMTU(want.name, want.mtu)
		}, fmt.Sprintf("The MTU of %s could not be set to %d.", want.name, want.mtu)})
	}
	return append(steps, networkStep{
		func() error { return c.AcceptMulticastARP(p.multicast) },
		"ARP replies with a multicast address could not be accepted or rejected.",
	})
}

func findInterface(n network.Network, name string) (network.Interface, bool) {
	for _, i := range n.Interfaces() {
		if i.Name == name {
			return i, true
		}
	}
	return network.Interface{}, false
}

// ownsAddresses reports whether an interface's addresses are the administrator's: all
// but lo0's are.
func ownsAddresses(i network.Interface) bool { return i.Name != "lo0" }

// addressSteps first take away what goes, so that an address may move from one port
// to another.
func (p networkPlan) addressSteps(n network.Network, c network.Configurer) (steps []networkStep) {
	var fresh []networkStep
	for _, i := range n.Interfaces() {
		want := p.addrs[i.Name]
		if !ownsAddresses(i) || slices.Equal(i.Addrs, want) {
			continue
		}
		set := func(addrs []netip.Prefix) networkStep {
			return networkStep{
				func() error { return c.SetAddrs(i.Name, addrs) },
				fmt.Sprintf("The addresses of %s could not be set.", i.Name),
			}
		}
		stay := slices.DeleteFunc(slices.Clone(i.Addrs), func(a netip.Prefix) bool { return !slices.Contains(want, a) })
		if len(stay) < len(i.Addrs) {
			steps = append(steps, set(stay))
		}
		if !slices.Equal(stay, want) {
			fresh = append(fresh, set(want))
		}
	}
	return append(steps, fresh...)
}

func (p networkPlan) routeSteps(_ network.Network, c network.Configurer) []networkStep {
	return []networkStep{{func() error { return c.SetRoutes(p.routes) }, "The routes could not be set."}}
}
