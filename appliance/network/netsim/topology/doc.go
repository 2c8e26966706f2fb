// Package topology is the file format of simulated networks: plain data, and its strict
// decoding, defaults and checks. It imports nothing that runs. Package netsim makes a
// running world of a Topology.
//
//	t, err := topology.Load("lab.yaml", data, servers)
//
// # Terms
//
// A segment is one Ethernet broadcast domain: the machines on the wire of an interface that
// are in no VLAN, or those in one of the VLANs of that wire.
// A host is a simulated machine, on a wire or behind the gateways. A path is the list of
// routers between the gateways and a network. A door is a real listener that leads to a
// service of the appliance; a back door leads packets for a simulated address to a real one.
// A rule is a fault of the network, written down.
//
// # Decoding
//
// Files are decoded by a decoder of our own over the syntax tree of the YAML module. The
// module's decoder names Go types in its errors, and it forgets where values are in the
// file. The checks of the meaning (a gateway that is not on its wire, a path to an empty
// network) report line and column too. A Topology keeps the positions of its values, so that
// package box, which makes the appliance's factory configuration of it, reports mistakes in
// the same way (Topology.ErrorAt).
//
// A rule is written the same way in topologies, in JSON and on the command line: the decoder
// of topologies reads all of them.
//
// # Servers and logs
//
// Package peers knows which servers hosts can run, and the options of these. Load and Check
// receive that as ServerTypes. The appliance's configuration knows which logs it can push; a
// Log is only text here.
package topology
