package netsim

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// A Preset is a named set of faults that break a network in a way that people ask for.
type Preset struct {
	Name  string          `json:"name"`  // "dns-gone"
	Title string          `json:"title"` // "The DNS servers do not answer."
	Rules []topology.Rule `json:"rules"` // their names begin with the preset's
	// Active reports whether all of these faults are there and none is over or disabled.
	Active bool `json:"active"`
}

// syslogPort is the port of syslog servers.
const syslogPort = 514

// Presets returns the presets of a topology. None of them is active.
func Presets(t *topology.Topology) []Preset {
	type rules = []topology.Rule
	out := func(action, protocol string, port uint16) topology.Rule {
		return topology.Rule{Action: action, Protocol: protocol, Port: port, Direction: "out"}
	}
	list := []Preset{
		{Name: "mail-down", Title: "Mail servers refuse the appliance's connections.",
			Rules: rules{out("refuse", "tcp", 25)}},
		{Name: "mail-silent", Title: "A firewall drops what the appliance sends to mail servers.",
			Rules: rules{out("drop", "tcp", 25)}},
		{Name: "mail-first-two-fail", Title: "The next two connections to mail servers are refused.",
			Rules: rules{{Action: "refuse", Protocol: "tcp", Port: 25, Direction: "out", Connections: 2}}},
		{Name: "dns-gone", Title: "DNS servers do not answer.",
			Rules: rules{out("drop", "udp", 53), out("drop", "tcp", 53)}},
		{Name: "dns-slow", Title: "DNS servers answer after three seconds.",
			Rules: rules{{Action: "delay", Delay: 3 * time.Second, Protocol: "udp", Port: 53, Direction: "out"}}},
		{Name: "time-gone", Title: "NTP servers do not answer.", Rules: rules{out("drop", "udp", 123)}},
		{Name: "slow-link", Title: "All links are slow: half a second more there and back.",
			Rules: rules{{Action: "delay", Delay: 250 * time.Millisecond, Jitter: 50 * time.Millisecond}}},
		{Name: "narrow-link", Title: "All links carry 64 kbit/s.",
			Rules: rules{{Action: "rate", Rate: 64_000}}},
		{Name: "lossy-link", Title: "All links lose a fifth of the packets.",
			Rules: rules{{Action: "loss", Loss: 0.2}}},
	}
	down := Preset{Name: "syslog-down", Title: "Syslog servers refuse connections and packets."}
	reset := Preset{Name: "syslog-resets",
		Title: "Connections to syslog servers are reset after 412 bytes."}
	for _, port := range syslogPorts(t) {
		down.Rules = append(down.Rules, out("refuse", "tcp", port), out("refuse", "udp", port))
		r := out("reset", "tcp", port)
		r.AfterBytes = 412
		reset.Rules = append(reset.Rules, r)
	}
	list = append(list, down, reset)
	if unplug := unplugAll(t); len(unplug) > 0 {
		list = append(list, Preset{Name: "unplugged",
			Title: "The cables of all of the appliance's interfaces are unplugged.", Rules: unplug})
	}
	for _, p := range list {
		for i := range p.Rules {
			p.Rules[i].Name = p.Name
			if len(p.Rules) > 1 {
				p.Rules[i].Name = fmt.Sprintf("%s/%d", p.Name, i+1)
			}
		}
	}
	return list
}

// syslogPorts returns the ports to which the appliance's logs are pushed.
func syslogPorts(t *topology.Topology) []uint16 {
	ports := []uint16{}
	for _, l := range t.Appliance.Logs {
		ports = append(ports, cmp.Or(l.Port, syslogPort))
	}
	if len(ports) == 0 {
		return []uint16{syslogPort}
	}
	slices.Sort(ports)
	return slices.Compact(ports)
}

func unplugAll(t *topology.Topology) (rules []topology.Rule) {
	for _, i := range t.Appliance.Interfaces {
		rules = append(rules, topology.Rule{Action: topology.Unplug, Cable: i.Name})
	}
	return rules
}

// Presets returns the presets of this network.
func (f *Faults) Presets() []Preset {
	list := Presets(f.topology)
	f.settle()
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range list {
		list[i].Active = f.isActive(list[i])
	}
	return list
}

// isActive is called with mu held.
func (f *Faults) isActive(p Preset) bool {
	for _, r := range p.Rules {
		x, err := f.find(r.Name)
		if err != nil || x.Rule != r {
			return false
		}
		if state, _ := x.state(f.clock.Mark()); state != FaultActing {
			return false
		}
	}
	return true
}

// Preset returns one preset. The error is a *NotFoundError.
func (f *Faults) Preset(name string) (Preset, error) {
	for _, p := range f.Presets() {
		if p.Name == name {
			return p, nil
		}
	}
	return Preset{}, &NotFoundError{fmt.Sprintf("there is no preset %q", name)}
}

// SetPreset adds the faults of a preset, or removes them. Faults that are there already stay as
// they are. The error is a *NotFoundError, or that of Add.
func (f *Faults) SetPreset(name string, active bool) (Preset, error) {
	p, err := f.Preset(name)
	if err != nil {
		return Preset{}, err
	}
	f.settle()
	f.mu.Lock()
	before := slices.Clone(f.list)
	for _, r := range slices.Backward(p.Rules) { // the first one gets the first place
		if active {
			_, _, err = f.put(r.Name, FaultSpec{Rule: r})
		} else {
			f.list = slices.DeleteFunc(f.list, func(x *fault) bool { return x.Rule.Name == r.Name })
		}
		if err != nil {
			f.list = before
			break
		}
	}
	f.apply()
	f.mu.Unlock()
	if err != nil {
		return Preset{}, err
	}
	return f.Preset(name)
}
