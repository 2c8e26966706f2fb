package box

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// A PlaceKind says what a Place is.
type PlaceKind string

// Kinds of places.
const (
	InterfacePlace PlaceKind = "interface" // an interface of the appliance, with its cable
	PathPlace      PlaceKind = "path"      // the routers between the gateways and a network
	HostPlace      PlaceKind = "host"      // a simulated machine, with its link
)

// A Place is a part of the network that Break breaks.
type Place struct {
	Kind PlaceKind `json:"kind"`
	Name string    `json:"name"` // as in the topology
}

// String returns the form that ParsePlace reads: "host/google".
func (p Place) String() string { return string(p.Kind) + "/" + p.Name }

// ParsePlace returns the place of the box's topology that String has written. The error is a
// *netsim.NotFoundError.
func (b *Box) ParsePlace(text string) (Place, error) {
	kind, name, _ := strings.Cut(text, "/")
	p := Place{PlaceKind(kind), name}
	if !slices.Contains(Places(b.o.Topology), p) {
		return Place{}, netsim.NotFound(
			"there is no place %q in the network: expected one such as host/NAME", text)
	}
	return p, nil
}

// Places returns the places of a topology: interfaces, paths, hosts.
func Places(t *topology.Topology) (list []Place) {
	for _, n := range t.Appliance.Interfaces {
		list = append(list, Place{InterfacePlace, n.Name})
	}
	for _, p := range t.Paths {
		list = append(list, Place{PathPlace, p.Name})
	}
	for _, h := range t.Hosts {
		list = append(list, Place{HostPlace, h.Name})
	}
	return list
}

// PlacesOf returns the places that a fault hits, as far as its rule says where it applies: those
// that the rule names, the hosts with its addresses, or the hosts that serve its port. A rule that
// applies to all packets is at the appliance's interfaces.
func PlacesOf(t *topology.Topology, r topology.Rule) (list []Place) {
	switch {
	case r.Path != "":
		return []Place{{PathPlace, r.Path}}
	case r.Cable != "":
		kind := InterfacePlace
		if slices.ContainsFunc(t.Hosts, func(h topology.Host) bool { return h.Name == r.Cable }) {
			kind = HostPlace
		}
		return []Place{{kind, r.Cable}}
	}
	for i := range t.Hosts {
		if hitsHost(r, &t.Hosts[i]) {
			list = append(list, Place{HostPlace, t.Hosts[i].Name})
		}
	}
	if len(list) > 0 {
		return list
	}
	for _, p := range t.Paths {
		for _, n := range []netip.Prefix{r.From, r.To, r.Host} {
			if n.IsValid() && n.Overlaps(p.To) && p.To.Bits() > 0 {
				list = append(list, Place{PathPlace, p.Name})
				break
			}
		}
	}
	if len(list) > 0 {
		return list
	}
	for _, n := range t.Appliance.Interfaces {
		list = append(list, Place{InterfacePlace, n.Name})
	}
	return list
}

// hitsHost reports whether a rule without path and cable is about a host.
func hitsHost(r topology.Rule, h *topology.Host) bool {
	has := func(p netip.Prefix) bool {
		return p.IsValid() && slices.ContainsFunc(h.Addresses, p.Contains)
	}
	if r.From.IsValid() || r.To.IsValid() || r.Host.IsValid() {
		everything := func(p netip.Prefix) bool { return p.IsValid() && p.Bits() == 0 }
		if everything(r.From) || everything(r.To) || everything(r.Host) {
			return false
		}
		return has(r.From) || has(r.To) || has(r.Host)
	}
	port := max(r.Port, r.EitherPort)
	if r.Direction == "in" {
		port = max(r.FromPort, r.EitherPort)
	}
	return port != 0 && slices.ContainsFunc(h.Services,
		func(s topology.Service) bool { return s.Port == port })
}

// A Breakage is a fault together with the places that it hits.
type Breakage struct {
	netsim.Fault
	Places []Place
}

// Breakages returns all faults with their places, in the order of evaluation.
func (b *Box) Breakages() []Breakage {
	var list []Breakage
	for _, f := range b.faults.List() {
		list = append(list, Breakage{f, PlacesOf(b.o.Topology, f.Rule)})
	}
	return list
}

// Break adds the fault r at a place. It sets the name of the fault and the conditions that say where
// it applies; a host behind the gateways gets a fault for each of its addresses. A fault that Break
// has added at the place with the same action before is replaced. The error is that of Faults.Put.
func (b *Box) Break(p Place, r topology.Rule) ([]netsim.Fault, error) {
	rules, err := b.rulesAt(p, r)
	if err != nil {
		return nil, err
	}
	var added []netsim.Fault
	for i, r := range rules {
		name := fmt.Sprintf("%s %s", p.Name, r.Action)
		if i > 0 {
			name += fmt.Sprintf("/%d", i+1)
		}
		f, _, err := b.faults.Put(name, netsim.FaultSpec{Rule: r})
		if err != nil {
			return added, err
		}
		added = append(added, f)
	}
	return added, nil
}

func (b *Box) rulesAt(p Place, r topology.Rule) ([]topology.Rule, error) {
	r.Name = ""
	switch p.Kind {
	case InterfacePlace:
		r.Cable = p.Name
		return []topology.Rule{r}, nil
	case PathPlace:
		r.Path = p.Name
		return []topology.Rule{r}, nil
	}
	h := b.o.Topology.FindHost(p.Name)
	if h == nil {
		return nil, netsim.NotFound("there is no host %q", p.Name)
	}
	if h.Wire != "" {
		r.Cable = p.Name
		return []topology.Rule{r}, nil
	}
	var rules []topology.Rule
	for _, a := range h.Addresses {
		r.Host = netip.PrefixFrom(a, a.BitLen())
		rules = append(rules, r)
	}
	return rules, nil
}

// Repair removes the faults that hit a place and no other one, and returns their number.
func (b *Box) Repair(p Place) (n int) {
	for _, x := range b.Breakages() {
		if len(x.Places) == 1 && x.Places[0] == p && b.faults.Remove(x.ID) == nil {
			n++
		}
	}
	return n
}
