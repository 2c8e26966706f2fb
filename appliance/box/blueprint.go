package box

import (
	"cmp"
	"fmt"
	"net/netip"
	"time"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/appliance/users"
)

// A Blueprint is what a boot needs of a topology, made and checked once: the product and the
// factory configuration. A box makes one for all its boots; boxes of equal appliances can share one
// (Options.Blueprint). A Blueprint does not change and is safe for concurrent use.
type Blueprint struct {
	topology *topology.Topology
	facts    product.Facts
	factory  *config.Factory
	zone     *time.Location

	// What With has laid over the factory configuration.
	accounts       []users.Account
	configurations [][]byte
}

// NewBlueprint returns the blueprint of a topology, which must not be changed afterwards. If the
// topology has a mistake, the error is of type *topology.Error.
func NewBlueprint(t *topology.Topology) (*Blueprint, error) {
	if err := netsim.Check(t); err != nil {
		return nil, err
	}
	p := &Blueprint{topology: t}
	var err error
	if p.facts, err = productFacts(t); err != nil {
		return nil, err
	}
	if p.factory, err = factory(t, p.facts.Version); err != nil {
		return nil, err
	}
	if err := p.factory.Check(); err != nil {
		return nil, fmt.Errorf("factory configuration: %w", err)
	}
	p.zone, err = time.LoadLocation(cmp.Or(t.Appliance.TimeZone, "Etc/GMT"))
	return p, err
}

// Topology returns the topology of which the blueprint was made. It must not be changed.
func (p *Blueprint) Topology() *topology.Topology { return p.topology }

// world returns the topology with what the options say about its doors, and reports whether it is
// known to be free of mistakes.
func (p *Blueprint) world(o Options) (t *topology.Topology, checked bool) {
	same := o.FTPPassivePorts == [2]int{} && o.FTPPublicAddr == netip.Addr{}
	return withDoorOptions(p.topology, o), same
}
