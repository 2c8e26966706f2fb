// Package wan is everything between the appliance's wires and the far hosts: a
// gateway on each wire and, behind the gateways, paths of routers with delay,
// loss, equal-cost choices, firewalls and ends.
//
//	w := wan.New(wan.Options{Fabric: fabric, Gateways: gateways, Inner: inner, Hosts: hosts})
//	w.SetPaths(paths)
//	w.SetFaults(faults)
//
// A packet from a wire is looked up by its destination, walks the routers of that
// path in thought, and is either answered (its TTL ended, a rule or the path's end
// refused it, it was for a router) or sent to the host's wire after the path's
// delay. A packet from a far host walks its own path backwards.
//
// # Why no forwarding stack
//
// gVisor's IPv4 forwarder shows every router one hop too late to traceroute and
// reads freed memory under load; a stack per router costs 200 KiB. Here a router
// is one struct, and what is wanted of a path (several addresses at one hop, silent
// hops, resets after so many bytes) is data. Headers are read and written by hand,
// so the package needs nothing but package ether.
//
// # Trains
//
// TCP data that a stack sent at once (ether.Train) is looked up once and sent on
// whole, unless its path loses packets, jitters or has a small MTU, its TTL ends on
// the way, or a fault could be meant for it: then each frame is a packet of its own.
//
// # Faults
//
// A Fault is a Rule at work. Rules are asked at three places. Most are a gateway's: a
// packet whose TTL ends there or before is answered, whatever they say. Those of a path are
// asked at its far end, so that the routers on the way are still there for traceroute, and
// the last of them complains. Those of a cable are asked by that cable (WAN.FrameFilter), and
// so are a gateway's between neighbours on a wire.
//
// A fault's memory hangs on the fault and not on the table of faults: tables are
// replaced whenever something is set or removed, and counts have to survive that.
// Connections are remembered under a key that is the same in both directions; there
// are 4096 at most for each fault, then the oldest is forgotten.
//
// # Concurrency
//
// Packets are handled on the wire's pump, one after the other: neighbours, flows and
// lanes belong to it and need no lock. Tables of paths and of faults are replaced
// whole, by an atomic pointer; SetPaths, SetFaults and SetHosts may be called from
// anywhere. WAN.mu is held by them alone, and no other lock is taken under it.
package wan
