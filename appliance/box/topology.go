package box

import (
	"fmt"
	"slices"
	"time"

	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/network/netsim/peers"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// Topology returns the topology as it is now, which the caller owns: the one that the box was
// started with, with the faults, the rules of mail servers, the stopped servers and the addresses of
// doors that there are now. Faults that are disabled or over and rules that are exhausted are left
// out; a network that it shares with others becomes one of its own. Times of faults, and the number
// of times that a mail server's rule applies, are what is left of them; other counts begin from
// scratch. The appliance's own configuration is not part of it.
func (b *Box) Topology() *topology.Topology {
	w := b.World()
	t := *w.Topology().Leave()
	t.Rules = nil
	for _, f := range b.faults.List() {
		if r, ok := remaining(f); ok {
			t.Rules = append(t.Rules, r)
		}
	}
	t.Doors.In = slices.Clone(t.Doors.In)
	addrs := b.DoorAddrs()
	for i := range t.Doors.In {
		if a := addrs[t.Doors.In[i].Name]; a.IsValid() {
			t.Doors.In[i].Listen = a
		}
	}
	running := map[string]bool{}
	for _, s := range w.Servers() {
		running[s.Name] = s.Running
	}
	t.Hosts = slices.Clone(t.Hosts)
	for i := range t.Hosts {
		h := &t.Hosts[i]
		h.Services = slices.Clone(h.Services)
		for j := range h.Services {
			s := &h.Services[j]
			run, simulated := running[s.Name]
			s.Stopped = simulated && !run || !simulated && s.Stopped
			if rules, err := b.faults.MailRules(s.Name); err == nil {
				s.Rules = remainingMailRules(rules.List())
			}
		}
	}
	return &t
}

// remaining returns the rule that does what is left of a fault; ok is false if that is nothing.
func remaining(f netsim.Fault) (r topology.Rule, ok bool) {
	r = f.Rule
	switch f.State {
	case netsim.FaultWaiting:
		r.After = time.Duration(f.Left)
	case netsim.FaultActing:
		r.After = 0
		if r.For > 0 {
			r.For = time.Duration(f.Left)
		}
	default:
		return r, false
	}
	return r, true
}

// remainingMailRules returns the rules that do what is left of others.
func remainingMailRules(list []peers.MailRuleState) (rules []topology.MailRule) {
	for _, x := range list {
		r := x.Rule
		if r.Times > 0 {
			if r.Times -= x.Hits; r.Times <= 0 {
				continue
			}
		}
		rules = append(rules, r)
	}
	return rules
}

// TopologyFile returns Topology in the format of topology files.
func (b *Box) TopologyFile() []byte {
	t := b.Topology()
	head := fmt.Sprintf("# %s as it is now. The configuration of the appliance is not part of it.\n\n",
		t.File)
	return append([]byte(head), t.Encode()...)
}
