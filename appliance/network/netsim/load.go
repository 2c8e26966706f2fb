package netsim

import (
	"github.com/esasim/esasim/appliance/network/netsim/peers"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// Load reads a topology whose hosts run the servers of package peers, changed by
// overrides. name is the file's and appears in messages. Errors are of type *topology.Error.
func Load(name string, data []byte, overrides ...topology.Override) (*topology.Topology, error) {
	return topology.Load(name, data, serverTypes(), overrides...)
}

// LoadPrepared is Load for a text without mistakes whose prepared form is known, see
// topology.LoadPrepared. ok is false if it is not the prepared form of data.
func LoadPrepared(name string, data, prepared []byte) (t *topology.Topology, ok bool) {
	return topology.LoadPrepared(name, data, prepared, serverTypes())
}

// Check returns an error about the first mistake in a topology, of type *topology.Error, or nil.
func Check(t *topology.Topology) error { return t.Check(serverTypes()) }

// serverTypes describes the servers of package peers.
func serverTypes() topology.ServerTypes {
	types := make(topology.ServerTypes)
	for _, name := range peers.Names() {
		kind, _ := peers.Lookup(name)
		types[name] = topology.ServerType{
			Port: kind.Port, CheckOption: kind.CheckOption, HasRules: kind.HasRules,
			OnWire: kind.OnWire,
		}
	}
	return types
}
