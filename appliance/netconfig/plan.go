package netconfig

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/refusal"
)

// A plan is what a configuration demands of a network that owns its interfaces. A demand that
// cannot be met is left out, and problems says why.
type plan struct {
	vlans     []network.VLAN
	loopback  bool
	settings  []portSettings // Ethernet interfaces first
	multicast bool
	addrs     map[string][]netip.Prefix // by port
	routes    []network.Route           // default routes first
	problems  []string                  // sentences for the administrator
}

// portSettings are the properties of a port that etherconfig sets.
type portSettings struct {
	name  string
	mtu   int // 0: leave it as it is
	media network.Media
	vlan  bool
}

// newPlan returns the plan for v; n tells which Ethernet interfaces there are.
func newPlan(n network.Network, v config.View) plan {
	p := plan{
		loopback:  Loopback.Get(v),
		multicast: MulticastARP.Get(v) == 1,
		addrs:     map[string][]netip.Prefix{},
	}
	exists := p.planPorts(n, v)
	for _, i := range Interfaces.Get(v).List {
		prefixes, err := i.Prefixes()
		switch {
		case !exists[i.Port]:
			p.problem("The IP interface %s is on the Ethernet interface %s, which does not exist.",
				i.Name, i.Port)
		case err != nil: // unreachable: the section's check calls Prefixes
			p.problem("The addresses of the IP interface %s are not valid.", i.Name)
		default:
			p.addrs[i.Port] = append(p.addrs[i.Port], prefixes...)
		}
	}
	p.planRoutes(v)
	return p
}

// planPorts plans the ports, and returns the names of all that IP interfaces can be on.
func (p *plan) planPorts(n network.Network, v config.View) (exists map[string]bool) {
	exists = map[string]bool{LoopbackPort: p.loopback}
	media := Media.Get(v)
	ports := Ports.Get(v)
	for _, i := range n.Interfaces() {
		if i.Loopback || i.VLAN != 0 {
			continue
		}
		exists[i.Name] = true
		port, _ := ports.Find(i.Name)
		rate, half, _ := media.For(i.Name).Rate() // the section's check calls Rate, too
		p.settings = append(p.settings, portSettings{
			name: i.Name, mtu: port.MTU, media: network.Media{Rate: rate, HalfDuplex: half},
		})
	}
	for _, port := range ports.List {
		switch {
		case !exists[port.Ethernet]:
			p.problem("The Ethernet interface %s does not exist.", port.Ethernet)
		case port.VLAN != 0:
			exists[port.Name] = true
			p.vlans = append(p.vlans, network.VLAN{ID: port.VLAN, Parent: port.Ethernet})
			p.settings = append(p.settings, portSettings{name: port.Name, mtu: port.MTU, vlan: true})
		}
	}
	return exists
}

// planRoutes plans the default routes and the static ones.
func (p *plan) planRoutes(v config.View) {
	g := Gateways.Get(v)
	for _, d := range []struct{ unspecified, gateway netip.Addr }{
		{netip.IPv4Unspecified(), g.IPv4},
		{netip.IPv6Unspecified(), g.IPv6},
	} {
		name := fmt.Sprintf("The default gateway %v", d.gateway)
		p.addRoute(netip.PrefixFrom(d.unspecified, 0), d.gateway, name)
	}
	for _, r := range Routes.Get(v).List {
		if i, ok := p.attached(r.Destination); ok {
			p.problem("The destination of the route %s is the network that %s is on.", r.Name, i)
			continue
		}
		name := fmt.Sprintf("The gateway %v of the route %s", r.Gateway, r.Name)
		p.addRoute(r.Destination, r.Gateway, name)
	}
}

// attached returns the port that is attached to the network to.
func (p *plan) attached(to netip.Prefix) (port string, ok bool) {
	for port, prefixes := range p.addrs {
		for _, at := range prefixes {
			if at.Masked() == to {
				return port, true
			}
		}
	}
	return "", false
}

// addRoute adds a route if its gateway is on an attached network. Problems call the gateway by
// the given name; an invalid gateway means that there is no route.
func (p *plan) addRoute(to netip.Prefix, gateway netip.Addr, name string) {
	if !gateway.IsValid() {
		return
	}
	attached := false
	for port, prefixes := range p.addrs {
		for _, at := range prefixes {
			if at.Addr() == gateway {
				p.problem("%s is the appliance's own address.", name)
				return
			}
			attached = attached || port != LoopbackPort && !at.IsSingleIP() && at.Contains(gateway)
		}
	}
	if !attached {
		p.problem("%s is on no network that an IP interface is attached to.", name)
		return
	}
	p.routes = append(p.routes, network.Route{Dst: to, Gateway: gateway})
}

func (p *plan) problem(format string, a ...any) {
	p.problems = append(p.problems, fmt.Sprintf(format, a...))
}

func (p plan) equal(o plan) bool { return reflect.DeepEqual(p, o) }

// A step is one call to the network.
type step struct {
	do      func() error
	failure string // a sentence for the administrator, if do fails
}

// establish makes the network as planned, except that it removes no ports: those stay until
// prune, with the connections over them. If a step fails, establish returns a refusal at once
// or, with all set, goes on with the other steps, so that as much as possible is as planned.
func (p plan) establish(n network.Network, c network.Configurer, all bool) error {
	var errs []error
	// A later group needs the earlier ones: addresses need ports, and gateways need networks.
	// The steps of a group are made when it is reached, from the network as it is then.
	for _, group := range []func(network.Network, network.Configurer) []step{
		p.portSteps, p.settingSteps, p.addressSteps, p.routeSteps,
	} {
		for _, s := range group(n, c) {
			err := s.do()
			if err == nil {
				continue
			}
			errs = append(errs, refusal.Because(err, "%s", s.failure))
			if !all {
				return errors.Join(errs...)
			}
		}
	}
	return errors.Join(errs...)
}

// prune removes the ports that are not planned.
func (p plan) prune(c network.Configurer) error {
	return errors.Join(c.SetVLANs(p.vlans), c.SetLoopback(p.loopback))
}

// portSteps add the new ports.
func (p plan) portSteps(n network.Network, c network.Configurer) []step {
	vlans, loopback := slices.Clone(p.vlans), p.loopback
	for _, i := range n.Interfaces() {
		loopback = loopback || i.Name == LoopbackPort
		planned := slices.ContainsFunc(vlans, func(v network.VLAN) bool { return v.ID == i.VLAN })
		if i.VLAN != 0 && !planned {
			vlans = append(vlans, network.VLAN{ID: i.VLAN, Parent: i.Parent})
		}
	}
	return []step{
		{func() error { return c.SetVLANs(vlans) }, "The VLANs could not be set."},
		{func() error { return c.SetLoopback(loopback) }, "The loopback interface could not be set."},
	}
}

// settingSteps set media and MTUs. Each step compares with the network when it runs, because the
// MTU of an Ethernet interface also changes those of the VLANs over it.
func (p plan) settingSteps(n network.Network, c network.Configurer) (steps []step) {
	for _, want := range p.settings {
		if !want.vlan {
			steps = append(steps, step{func() error {
				if got, ok := findInterface(n, want.name); ok && got.Media == want.media {
					return nil
				}
				return c.SetMedia(want.name, want.media)
			}, fmt.Sprintf("The media settings of %s could not be set.", want.name)})
		}
		if want.mtu == 0 {
			continue
		}
		steps = append(steps, step{func() error {
			if got, ok := findInterface(n, want.name); ok && got.MTU == want.mtu {
				return nil
			}
			return c.SetMTU(want.name, want.mtu)
		}, fmt.Sprintf("The MTU of %s could not be set to %d.", want.name, want.mtu)})
	}
	return append(steps, step{
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

// addressSteps set the addresses of all ports, but not those of lo0, which are fixed. The first
// steps only remove addresses, so that an address can move from one port to another.
func (p plan) addressSteps(n network.Network, c network.Configurer) (steps []step) {
	var additions []step
	for _, i := range n.Interfaces() {
		want := p.addrs[i.Name]
		if i.Name == "lo0" || slices.Equal(i.Addrs, want) {
			continue
		}
		set := func(addrs []netip.Prefix) step {
			return step{
				func() error { return c.SetAddrs(i.Name, addrs) },
				fmt.Sprintf("The addresses of %s could not be set.", i.Name),
			}
		}
		kept := slices.DeleteFunc(slices.Clone(i.Addrs), func(a netip.Prefix) bool {
			return !slices.Contains(want, a)
		})
		if len(kept) < len(i.Addrs) {
			steps = append(steps, set(kept))
		}
		if !slices.Equal(kept, want) {
			additions = append(additions, set(want))
		}
	}
	return append(steps, additions...)
}

func (p plan) routeSteps(_ network.Network, c network.Configurer) []step {
	return []step{{func() error { return c.SetRoutes(p.routes) }, "The routes could not be set."}}
}
