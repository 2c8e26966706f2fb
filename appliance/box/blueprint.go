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
	return checkedBlueprint(t)
}

// LoadBlueprint is LoadTopology and NewBlueprint, with the checks of both made once.
func LoadBlueprint(name string, data []byte, overrides ...topology.Override) (*Blueprint, error) {
	t, err := netsim.Load(name, data, overrides...)
	if err != nil {
		return nil, err
	}
	return checkedBlueprint(t)
}

// PreparedBlueprint is LoadBlueprint for a text without mistakes whose prepared form is known, see
// topology.LoadPrepared. It makes no checks unless prepared is not the prepared form of data.
func PreparedBlueprint(name string, data, prepared []byte) (*Blueprint, error) {
	t, ok := netsim.LoadPrepared(name, data, prepared)
	if !ok {
		return LoadBlueprint(name, data)
	}
	p, err := uncheckedBlueprint(t)
	if err != nil {
		return nil, err
	}
	p.factory.SetChecked()
	return p, nil
}

// checkedBlueprint returns the blueprint of a topology whose network has been checked.
func checkedBlueprint(t *topology.Topology) (*Blueprint, error) {
	p, err := uncheckedBlueprint(t)
	if err != nil {
		return nil, err
	}
	if err := p.factory.Check(); err != nil {
		return nil, fmt.Errorf("factory configuration: %w", err)
	}
	return p, nil
}

// uncheckedBlueprint returns the blueprint of a topology without a check of the factory
// configuration as a whole.
func uncheckedBlueprint(t *topology.Topology) (*Blueprint, error) {
	p := &Blueprint{topology: t}
	var err error
	if p.facts, err = productFacts(t); err != nil {
		return nil, err
	}
	if p.factory, err = factory(t, p.facts.Version); err != nil {
		return nil, err
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
