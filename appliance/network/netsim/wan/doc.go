// Package wan is everything between the appliance's segments and the far hosts: a
// gateway on each segment and, behind the gateways, paths of routers with delay, loss,
// equal-cost choices, faults and ends.
//
//	w := wan.New(wan.Options{Fabric: fabric, Gateways: gateways, Sites: sites})
//	w.SetHosts(hosts)
//	w.SetPaths(paths)
//	w.SetFaults(faults)
//
// # Terms
//
//   - Gateway: the router on a segment of the appliance. The gateways of all segments are
//     one machine.
//   - Site: a segment behind the gateways, to which far hosts are attached. The router on
//     it is invisible: it answers nothing under its own addresses.
//   - Far host: a host at a site. It is reached by a path.
//   - Path: the routers between the gateways and the far hosts of one network.
//   - Hop: one router of a path, or several equal ones (members) that share the load. The
//     first hop of a path is the gateway.
//   - End: what happens to packets at the end of a path: they are delivered, answered with
//     an ICMP error, or dropped.
//   - Transit: one packet on its way through the WAN.
//   - Step: a router that a transit meets.
//   - Lane: a queue that keeps the packets of one direction in order in spite of jitter.
//   - Rule: conditions for packets and an action. Fault: a rule in force, together with its state:
//     counts, and the connections that it has seen.
//   - Neighbor: a machine on a gateway's segment.
//
// # How a packet is forwarded
//
// The gateway looks the packet up by its destination and checks it against each router of
// the path, without sending it anywhere. Then it answers the packet (its TTL has expired, a
// rule or the path's end rejects it, or it is addressed to a router) or transmits it to the
// host's segment after the path's delay. A packet from a far host meets the routers of its
// own path in reverse order.
//
// # Why no forwarding stack
//
// gVisor's IPv4 forwarder shows every router one hop too late to traceroute and reads freed
// memory under load; one stack for each router would cost 200 KiB. Here a router is one
// struct, and the properties of a path (several addresses at one hop, silent hops, resets
// after a number of bytes) are data. Headers are read and written by this package, which
// needs nothing but package ether.
//
// # Trains
//
// A train (ether.Train) is looked up once and forwarded as a train, unless frames could be
// treated differently: the path loses packets, has jitter or a small MTU, the TTL expires on
// the way, or a fault could apply. Then each frame is a packet of its own.
//
// # Faults
//
// Rules are evaluated at three places. Most belong to the gateways; a packet whose TTL
// expires at the gateway or before is answered without regard to them. Rules of a path are
// evaluated at its far end, so that traceroute still shows the routers on the way, and the
// last router sends the answers. Rules of a cable are evaluated on that cable (see
// WAN.FrameFilter). There the rules of the gateways are evaluated too, for packets between
// neighbors, which pass no gateway.
//
// The state of a fault (counts and connections) is kept in the Fault, not in the table of faults:
// tables are replaced whenever a rule is added or removed, and counts must survive that.
// Connections are remembered under a key that is the same in both directions. Each fault remembers
// at most 4096 connections, then the oldest is forgotten.
//
// # Observers
//
// An observer (WAN.Observe) stands between the gateway and the next router of a path. A packet from
// the appliance is shown there if it has passed the faults of the gateways, with its delay; faults
// of the path, and its loss, apply later. A packet to the appliance is shown if the faults and the
// loss of its path have let it pass, before the gateway's faults. Answers of routers are shown too.
// Two properties of a path are evaluated for its whole length at once, so an observer does not see
// them: the jitter of packets to the appliance, and fragments, which the end of the path makes. An
// observed path takes no trains.
//
// # Concurrency
//
// Packets are handled on the fabric's pump, one after another: neighbors, flows and lanes
// are used by the pump only and need no lock. Tables of paths and of faults are replaced as
// a whole by an atomic pointer; SetPaths, SetFaults and SetHosts are safe for concurrent use.
// WAN.mu is held only by SetPaths and SetHosts, and no other lock is taken while it is held.
package wan
