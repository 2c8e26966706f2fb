package netsim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/network/netsim/ether"
	"github.com/esasim/esasim/appliance/network/netsim/wan"
)

// wanRules are rules as the WAN takes them.
func wanRules(rules []Rule) []wan.Rule {
	list := make([]wan.Rule, len(rules))
	for i, r := range rules {
		list[i] = wan.Rule{
			From: r.From, To: r.To, Protocol: protocols[r.Protocol], Port: r.Port,
			Action: actions[r.Action], AfterBytes: r.AfterBytes, AfterRecords: r.AfterRecords,
		}
	}
	return list
}

// wanPaths are paths with their faults as the WAN takes them.
func wanPaths(paths []Path, faults map[string]PathFault) []wan.Path {
	list := make([]wan.Path, len(paths))
	for i, p := range paths {
		f := faults[p.Name]
		x := wan.Path{
			To: p.To, Delay: p.Delay + f.Delay, Jitter: p.Jitter + f.Jitter, MTU: p.MTU, End: ends[p.End],
			// What one loses the other cannot.
			Loss: 1 - (1-p.Loss)*(1-f.Loss),
		}
		if f.End != "" {
			x.End = ends[f.End]
		}
		for _, h := range p.Hops {
			x.Hops = append(x.Hops, wan.Hop(h))
		}
		list[i] = x
	}
	return list
}

// SetRules replaces the firewalls' rules, those of the topology too. What
// connections have sent so far is forgotten: rules that count begin at zero.
func (w *World) SetRules(rules []Rule) error {
	for i := range rules {
		err := rules[i].check(func(key, format string, args ...any) error {
			return fmt.Errorf("rule %d: %s: %s", i+1, strings.TrimPrefix(key, "."), fmt.Sprintf(format, args...))
		})
		if err != nil {
			return err
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rules = slices.Clone(rules)
	w.wan.SetRules(wanRules(rules))
	return nil
}

// Rules are the rules as they are now.
func (w *World) Rules() []Rule {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.rules)
}

// A PathFault is what is wrong with a path. Delay, Jitter and Loss come to the
// path's own. End, if not "", is what becomes of packets in place of the path's
// own end, see Path.
type PathFault struct {
	End           string
	Delay, Jitter time.Duration
	Loss          float64
}

// SetPathFault changes the path of that name from now on; the zero PathFault
// repairs it. Packets under way stay under way.
func (w *World) SetPathFault(name string, f PathFault) error {
	if !slices.ContainsFunc(w.topology.Paths, func(p Path) bool { return p.Name == name }) {
		return fmt.Errorf("%s has no path %q", w.topology.File, name)
	}
	if _, ok := ends[f.End]; !ok {
		return fmt.Errorf("%q is no end of a path", f.End)
	}
	if f.Loss < 0 || f.Loss > 1 || f.Delay < 0 || f.Jitter < 0 {
		return fmt.Errorf("a fault of path %q is out of range: %+v", name, f)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults[name] = f
	w.wan.SetPaths(wanPaths(w.topology.Paths, w.faults))
	return nil
}

// port finds the card of one of the appliance's interfaces or of a host that is
// on a wire.
func (w *World) port(name string) (*ether.Port, error) {
	if w.topology.findInterface(name) != nil {
		return w.appliance.Port(name), nil
	}
	if h := w.topology.findHost(name); h != nil && h.Wire != "" {
		return w.hosts.Port(name), nil
	}
	return nil, fmt.Errorf("%s has no interface, nor a host on a wire, %q", w.topology.File, name)
}

// SetCable impairs the cable of an interface, or of a host that is on a wire; the
// zero Impairment repairs it.
func (w *World) SetCable(name string, i ether.Impairment) error {
	p, err := w.port(name)
	if err != nil {
		return err
	}
	p.SetImpairment(i)
	return nil
}

// Unplug pulls the cable of an interface, or of a host that is on a wire, or
// plugs it in again.
func (w *World) Unplug(name string, out bool) error {
	p, err := w.port(name)
	if err != nil {
		return err
	}
	p.SetUp(!out)
	return nil
}
