package fleet

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// networkEntry is a network as it is written.
type networkEntry struct {
	Name       string   `yaml:"name"`
	Topology   string   `yaml:"topology"`
	Interfaces []string `yaml:"interfaces"`
}

// A sharedNetwork is a network while the file is read.
type sharedNetwork struct {
	spec       Spec
	interfaces []string       // that join it
	members    *box.Blueprint // what its appliances have in common
	wires      map[string]*wire
}

// A wire is the wire of an interface, with the addresses that are in use on it.
type wire struct {
	owners map[string]string // of addresses and MACs
	next   map[netip.Prefix]netip.Addr
}

// addNetworks adds the networks.
func (l *loader) addNetworks() error {
	l.networks = map[string]*sharedNetwork{}
	for i, e := range l.Networks {
		path := fmt.Sprintf("networks[%d]", i)
		if !isName(e.Name) {
			return l.errorAt(path+".name", "%q cannot be the name of a network: "+
				"expected at most %d lower-case letters, digits and hyphens, such as office", e.Name, maxName)
		}
		if err := l.claim(path+".name", "the name", e.Name, "a network"); err != nil {
			return err
		}
		n, err := l.newNetwork(path, e)
		if err != nil {
			return err
		}
		l.networks[e.Name] = n
		l.file.Networks = append(l.file.Networks, n.spec)
	}
	return nil
}

func (l *loader) newNetwork(path string, e networkEntry) (*sharedNetwork, error) {
	e.Topology = cmp.Or(e.Topology, l.Defaults.Topology, "lab")
	t, err := l.sources.Topology(e.Topology)
	if err != nil {
		return nil, l.about(path+".topology", err)
	}
	if slices.ContainsFunc(t.Uplinks, func(u topology.Uplink) bool { return !u.Expose }) {
		return nil, l.errorAt(path+".topology", "topology %s has an uplink that only its own appliance could use: "+
			"expected expose: true at each uplink of a network", t.File)
	}
	n := &sharedNetwork{interfaces: e.Interfaces, wires: map[string]*wire{}}
	known := []string{}
	for _, i := range t.Appliance.Interfaces {
		known = append(known, i.Name)
	}
	if n.interfaces == nil {
		n.interfaces = known
	}
	for _, name := range n.interfaces {
		if !slices.Contains(known, name) {
			return nil, l.errorAt(path+".interfaces", "topology %s has no interface %q: expected some of %q",
				t.File, name, known)
		}
		n.wires[name] = newWire(t, name)
	}
	own, others := *t, *t
	// The connections of the topology are those of one appliance at a certain address.
	own.Clients, others.Clients, others.Uplinks = nil, nil, nil
	k := &kind{doors: []string{}, topology: &own}
	if k.blueprint, err = box.NewBlueprint(&own); err == nil {
		n.members, err = box.NewBlueprint(others.Join(e.Name, n.interfaces))
	}
	if err != nil {
		return nil, l.about(path+".topology", err)
	}
	n.spec = Spec{
		Name: e.Name, Network: e.Name, Topology: e.Topology, kind: k, joined: slices.Clone(n.interfaces), HostName: t.Appliance.HostName,
		Serial: derivedSerial(t.Appliance.Model, l.file.Name, e.Name),
	}
	return n, nil
}

// newWire returns the wire of an interface with the gateways and hosts that a topology has there.
func newWire(t *topology.Topology, ifname string) *wire {
	w := &wire{owners: map[string]string{}, next: map[netip.Prefix]netip.Addr{}}
	for _, s := range t.Segments() {
		if s.Interface.Name != ifname {
			continue
		}
		for _, gateway := range s.Routers {
			w.owners[gateway.Addr().String()] = "the gateway"
		}
		if len(s.Routers) > 0 {
			w.owners[s.RouterMAC.String()] = "the gateway"
		}
	}
	for _, h := range t.Hosts {
		if h.Wire == ifname {
			for _, a := range h.Addresses {
				w.owners[a.String()] = "the host " + h.Name
			}
			w.owners[h.MAC.String()] = "the host " + h.Name
		}
	}
	return w
}

// joined returns the blueprint of the appliances of an entry that have joined a network.
func (l *loader) joined(path string, e entry) (*box.Blueprint, error) {
	n := l.networks[e.Network]
	switch {
	case n == nil:
		return nil, l.errorAt(path+".network", "there is no network %q: expected the name of one of networks",
			e.Network)
	case e.Topology != "" && e.Topology != n.spec.Topology:
		return nil, l.errorAt(path+".topology", "topology %s, but that of the network %s is %s: leave it out",
			e.Topology, e.Network, n.spec.Topology)
	}
	return n.members, nil
}

// assignAddresses gives the appliances of networks their addresses on the wires. Those that the file
// gives are taken first. Each other appliance gets, for each address that the topology gives the
// interface, that address or else the next free one of its network.
func (l *loader) assignAddresses() error {
	for i := range l.file.Appliances {
		s := &l.file.Appliances[i]
		if s.Network == "" {
			continue
		}
		if err := l.claimOwn(l.paths[i], s); err != nil {
			return err
		}
	}
	for i := range l.file.Appliances {
		s := &l.file.Appliances[i]
		n := l.networks[s.Network]
		if n == nil {
			continue
		}
		own := map[string][]netip.Prefix{}
		for name, addrs := range s.addresses {
			own[name] = addrs
		}
		for _, in := range s.kind.topology.Appliance.Interfaces {
			w, given := n.wires[in.Name], s.addresses[in.Name]
			if w == nil || given != nil {
				continue
			}
			for _, p := range in.Addresses {
				a, ok := w.take(p, s.Name)
				if !ok {
					return l.errorAt(l.paths[i], "no address is left for %s in %v on %s of the network %s",
						s.Name, p.Masked(), in.Name, s.Network)
				}
				own[in.Name] = append(own[in.Name], a)
			}
		}
		s.addresses = own
	}
	return nil
}

// claimOwn records the MACs of an appliance on the wires of its network, and the addresses that the
// file gives it there.
func (l *loader) claimOwn(path string, s *Spec) error {
	n := l.networks[s.Network]
	for _, in := range s.kind.topology.Appliance.Interfaces {
		w := n.wires[in.Name]
		if w == nil {
			continue
		}
		mac := topology.SerialMAC(s.Serial, in.Device).String()
		if other, taken := w.owners[mac]; taken {
			return l.errorAt(path+".serial", "the MAC address %s of %s on %s of the network %s belongs to %s already:"+
				" expected another serial number", mac, s.Name, in.Name, s.Network, other)
		}
		w.owners[mac] = s.Name
		for _, p := range s.addresses[in.Name] {
			a := p.Addr().String()
			if other, taken := w.owners[a]; taken {
				return l.errorAt(path+".addresses", "the address %s of %s on %s of the network %s belongs to %s already",
					a, s.Name, in.Name, s.Network, other)
			}
			w.owners[a] = s.Name
		}
	}
	return nil
}

// take returns p, or the next address after it in its network that nobody has. ok is false if there
// is none.
func (w *wire) take(p netip.Prefix, owner string) (got netip.Prefix, ok bool) {
	a, started := w.next[p]
	if !started {
		a = p.Addr()
	}
	for ; a.IsValid() && p.Contains(a) && !isBroadcast(p, a); a = a.Next() {
		if _, taken := w.owners[a.String()]; !taken {
			w.owners[a.String()] = owner
			w.next[p] = a.Next()
			return netip.PrefixFrom(a, p.Bits()), true
		}
	}
	return netip.Prefix{}, false
}

// isBroadcast reports whether a is the last address of an IPv4 network, to which broadcasts go.
func isBroadcast(p netip.Prefix, a netip.Addr) bool {
	return a.Is4() && p.Bits() < 31 && !p.Contains(a.Next())
}
