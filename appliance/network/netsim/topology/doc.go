// Package topology is the file format of simulated networks: plain data, and its strict
// decoding, defaults and checks. It imports nothing that runs; package netsim makes a
// running world of a Topology.
//
//	t, err := topology.Load("lab.yaml", data, servers)
//
// # Terms
//
// A wire is the Ethernet segment that an interface of the appliance is plugged into; a
// segment is one broadcast domain: a wire's machines that are in no VLAN, or those in one
// of its VLANs. A host is a simulated machine, on a wire or behind the gateways. A path is
// the list of routers between the gateways and a network. A door is a real listener that
// leads to a service of the appliance; an exit is a simulated address that leads to a real
// one. A rule is a fault of the network, written down.
//
// # Decoding
//
// Files are decoded by a decoder of our own over the YAML module's syntax tree. The
// module's decoder speaks of Go types in its errors, and it forgets where values stood in
// the file: the checks of what is meant (a gateway that is not on its wire, a path to
// nowhere) report line and column too. A Topology keeps the positions of its values, so
// that package box, which makes the appliance's configuration of it, can report mistakes
// in the same way (Topology.ErrorAt).
//
// There is one way to write a rule, for topologies, JSON and the command line: the decoder
// of topologies reads them all.
//
// # What the caller adds
//
// Which servers hosts can run, and which options these take, is known to package peers.
// Load and Check receive it as ServerTypes. Which logs an appliance can push is known to
// its configuration; a Log is only text here.
package topology
