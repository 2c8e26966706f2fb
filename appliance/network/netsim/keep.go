package netsim

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/esasim/esasim/appliance/network/netsim/peers"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// A Kept is what a snapshot keeps of a world besides its topology. Its JSON is a part of the format
// of snapshots.
type Kept struct {
	LastFault int         `json:"last_fault"` // the greatest number of a fault so far
	Faults    []KeptFault `json:"faults"`     // the first that matches a packet decides
	Stopped   []string    `json:"stopped"`    // servers
	// MailRules are those of all mail servers, in the order in which they are evaluated.
	MailRules map[string][]topology.MailRule `json:"mail_rules"`
	// Servers is what servers have received, see peers.Keeper.
	Servers map[string]json.RawMessage `json:"servers"`
}

// A KeptFault is a fault without its counts.
type KeptFault struct {
	ID       int           `json:"id"`
	Rule     topology.Rule `json:"rule"`
	Disabled bool          `json:"disabled,omitempty"`
}

// Keep returns what a snapshot keeps of a world. Faults are kept without counts, and their times
// begin again when they are recalled.
func (w *World) Keep() (Kept, error) {
	w.clients.wait()
	k := w.faults.keep()
	k.Servers = make(map[string]json.RawMessage)
	for name, p := range w.servers.peers {
		keeper, ok := p.(peers.Keeper)
		if !ok {
			continue
		}
		text, err := keeper.Keep()
		if err != nil {
			return Kept{}, fmt.Errorf("keep what %s has received: %w", name, err)
		}
		k.Servers[name] = text
	}
	return k, nil
}

func (f *Faults) keep() Kept {
	f.mu.Lock()
	defer f.mu.Unlock()
	k := Kept{
		LastFault: f.lastID, Faults: []KeptFault{}, Stopped: []string{},
		MailRules: make(map[string][]topology.MailRule),
	}
	for _, x := range f.list {
		k.Faults = append(k.Faults, KeptFault{x.id, x.Rule, x.Disabled})
	}
	for _, name := range slices.Sorted(maps.Keys(f.down)) {
		if f.down[name] {
			k.Stopped = append(k.Stopped, name)
		}
	}
	for name, rules := range f.mail {
		k.MailRules[name] = []topology.MailRule{}
		for _, r := range rules.List() {
			k.MailRules[name] = append(k.MailRules[name], r.Rule)
		}
	}
	return k
}

// CheckKept returns an error if k cannot be what Keep of a world of the same topology has returned.
func (w *World) CheckKept(k Kept) error {
	if n := len(k.Faults); n > topology.MaxRules || n > k.LastFault {
		return fmt.Errorf("%d faults, the last one with number %d", n, k.LastFault)
	}
	seen := make(map[int]bool)
	for _, x := range k.Faults {
		if x.ID < 1 || x.ID > k.LastFault || seen[x.ID] {
			return fmt.Errorf("a fault with number %d", x.ID)
		}
		seen[x.ID] = true
		if err := x.Rule.Check(w.topology); err != nil {
			return fmt.Errorf("fault %d: %w", x.ID, err)
		}
	}
	for _, name := range k.Stopped {
		if w.servers.peers[name] == nil {
			return fmt.Errorf("there is no server %q", name)
		}
	}
	for name, rules := range k.MailRules {
		if w.faults.mail[name] == nil || len(rules) > topology.MaxMailRules {
			return fmt.Errorf("%d rules of server %q", len(rules), name)
		}
		for _, r := range rules {
			if err := r.Check(); err != nil {
				return fmt.Errorf("a rule of %s: %w", name, err)
			}
		}
	}
	for name, text := range k.Servers {
		keeper, ok := w.servers.peers[name].(peers.Keeper)
		if !ok {
			return fmt.Errorf("there is no server %q that receives anything", name)
		}
		if err := keeper.CheckKept(text); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// Recall makes the faults those that k keeps, without counts. CheckKept must have accepted k.
func (f *Faults) Recall(k Kept) {
	f.settle()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list, f.lastID = nil, k.LastFault
	clear(f.down)
	for _, kept := range k.Faults {
		x := &fault{id: kept.ID}
		f.begin(x, FaultSpec{Rule: kept.Rule, Disabled: kept.Disabled})
		f.list = append(f.list, x)
	}
	for _, name := range k.Stopped {
		f.down[name] = true
	}
	for name, rules := range f.mail {
		rules.Clear()
		for _, r := range slices.Backward(k.MailRules[name]) {
			_, _ = rules.Add(r) // CheckKept has accepted it
		}
	}
	f.apply()
}

// Recall gives the servers of a world that has not been started what k keeps. CheckKept must have
// accepted k.
func (w *World) Recall(k Kept) error {
	for name, text := range k.Servers {
		if keeper, ok := w.servers.peers[name].(peers.Keeper); ok {
			if err := keeper.Recall(text); err != nil {
				return fmt.Errorf("recall what %s has received: %w", name, err)
			}
		}
	}
	return nil
}
