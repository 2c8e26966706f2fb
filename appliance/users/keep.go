package users

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/esasim/esasim/appliance/clock"
)

// KeptFailures are the failed logins of one address, for a snapshot.
type KeptFailures struct {
	Address netip.Prefix    `json:"address,omitzero"` // not set: the serial console
	Ages    []time.Duration `json:"ages,omitempty"`   // of the failures, the oldest first
	Blocked bool            `json:"blocked,omitempty"`
	Trusted *time.Duration  `json:"trusted,omitempty"` // the age of the last login; nil: there was none
}

// Keep returns the failed and successful logins of all addresses, in the order of the addresses.
func (g *Guard) Keep() []KeptFailures {
	g.mu.Lock()
	defer g.mu.Unlock()
	byAddress := make(map[netip.Prefix]*KeptFailures)
	of := func(n netip.Prefix) *KeptFailures {
		if byAddress[n] == nil {
			byAddress[n] = &KeptFailures{Address: n}
		}
		return byAddress[n]
	}
	for n, f := range g.failing {
		if g.expired(f) {
			continue
		}
		k := of(n)
		k.Blocked = f.blocked
		for _, at := range f.times {
			k.Ages = append(k.Ages, g.clock.Since(at))
		}
	}
	for n, at := range g.trusted {
		age := g.clock.Since(at)
		of(n).Trusted = &age
	}
	list := make([]KeptFailures, 0, len(byAddress))
	for _, k := range byAddress {
		list = append(list, *k)
	}
	slices.SortFunc(list, func(a, b KeptFailures) int { return a.Address.Compare(b.Address) })
	return list
}

// CheckKept returns an error if a list is not what Keep can have returned.
func CheckKept(list []KeptFailures) error {
	if len(list) > 2*maxAddresses {
		return fmt.Errorf("failed logins of %d addresses", len(list))
	}
	seen := make(map[netip.Prefix]bool)
	for _, k := range list {
		if seen[k.Address] || k.Address != k.Address.Masked() || len(k.Ages) > maxKeptAges ||
			len(k.Ages) == 0 && k.Blocked || k.Trusted != nil && *k.Trusted < 0 {
			return fmt.Errorf("failed logins of %v", k.Address)
		}
		if !slices.IsSortedFunc(k.Ages, func(a, b time.Duration) int { return int(b - a) }) {
			return fmt.Errorf("failed logins of %v: their order", k.Address)
		}
		seen[k.Address] = true
	}
	return nil
}

// maxKeptAges is more than any limits allow.
const maxKeptAges = 1000

// Recall replaces what the guard knows by what Keep has returned, as if no time had passed since.
// CheckKept must have accepted the list.
func (g *Guard) Recall(list []KeptFailures) {
	g.mu.Lock()
	defer g.mu.Unlock()
	clear(g.failing)
	clear(g.trusted)
	now := g.clock.Mark()
	for _, k := range list {
		if len(k.Ages) > 0 && len(g.failing) < maxAddresses {
			f := &failures{blocked: k.Blocked}
			for _, age := range k.Ages[max(0, len(k.Ages)-g.limits.MaxFailures-1):] {
				f.times = append(f.times, now-clock.Mark(age))
			}
			g.failing[k.Address] = f
		}
		if k.Trusted != nil && len(g.trusted) < maxAddresses {
			g.trusted[k.Address] = now - clock.Mark(*k.Trusted)
		}
	}
}
