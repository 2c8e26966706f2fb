// Package netsim is a network inside the process: from a topology file to a
// running world with an appliance in it.
//
//	topology, err := netsim.Load("lab.yaml", data)
//	world, err := netsim.New(topology, netsim.Options{Clock: c, Entropy: e, Logger: log})
//	err = world.Start(ctx)             // servers listen, doors are claimed
//	net := world.Network()             // the appliance's network.Network
//	...                                // the appliance's services start
//	err = world.StartClients(ctx)      // they are up: connections of the topology
//	...
//	world.Stop(ctx)
//
// # What a world is made of
//
// Each interface of the appliance is plugged into a wire of its own (package
// ether), on which are a gateway (package wan) and the hosts that the topology puts there.
// A wire may carry VLANs, each with a gateway and hosts of its own. What is on a wire does
// not depend on the appliance: whether that is in a VLAN, or has an address there at all,
// is its configuration's.
// All other hosts are behind the gateways, at one site. The appliance is one
// stack (package vnet); all simulated hosts together are another, each of them some
// addresses of it, since a stack costs a hundred times what an address does. If the
// topology lets anything out, the way out is a third. Servers on hosts are package
// peers; real sockets are package door.
//
// # Topology
//
// Exported types say what is asked for, World is what runs. A file is decoded
// strictly, by a decoder of our own over the module's syntax tree: the
// module's decoder speaks of Go types, and the checks of what is meant (a
// gateway that is not on its wire, a path to nowhere) want line and column too.
//
// # Doors
//
// A door follows the appliance's service: netsim's network.Network tells of
// listeners that open and close, and no part polls. From Start until
// StartClients connections to a door whose service is not up yet wait, so that a
// client that knows the address is not refused while the appliance boots.
//
// # Faults
//
// A Rule is what can go wrong: packets that are dropped, refused, delayed, lost or
// slowed down, at the gateways, on a path, on a cable or between neighbours on a wire.
// Faults are a world's rules, which change while it runs:
//
//	fault, err := world.Faults().Add(netsim.Rule{Action: "drop", To: p, Protocol: "tcp", Port: 25, Connections: 2})
//	err = world.Faults().Remove(fault.ID)
//
// There is one way to write a rule, for topologies, JSON and the command line: the
// decoder of topologies reads them all. What a topology's file says is read first and asked
// last, so that what is set later has the last word.
//
// Between neighbours on one wire no gateway sees a packet. There the network
// card's cable of the machine that is not the appliance asks (ether.FrameFilter), so that
// one need not know where a host is to break the way to it.
//
// # Restart
//
// A reboot of the appliance is Stop and New: the new stack has caches and
// connections of its own, and the MACs of the old one, which follow from the
// topology. Options.DoorAddrs with the old world's Doors keeps the real addresses, and
// Options.Faults what is wrong: who reboots the appliance does not repair the network.
//
// # Locks
//
// World.serving is held while servers start and stop. World.mu, which is taken under it,
// guards life cycle, servers and clients, and Faults.mu, which may be taken under both, the
// list of faults. doors.mu guards open listeners
// and outside addresses; a Front's lock is taken under it, never the other way round,
// and it is taken under World.mu.
package netsim
