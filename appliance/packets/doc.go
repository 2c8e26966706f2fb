// Package packets shows packets at any place of the simulated network, live and as captures.
//
//	c := packets.New(packets.Options{...})
//	c.Attach(world)                                       // and again after each reboot
//	w, err := c.Watch(ctx, "resolver", "udp port 53")
//	for p := range w.Packets(ctx) { ... }
//	capture, err := c.StartCapture(packets.CaptureRequest{Name: "dns", Cable: "resolver"})
//	...
//	err = c.WriteCapture("dns", file)                     // in the form pcapng
//
// # Terms
//
// A cable is a place where packets can be observed (netsim.Cable). A watch is a queue of the packets
// that pass a cable. A capture is a watch with a name whose packets are kept in a file in memory.
//
// # Purpose
//
// This is the tester's view, which the appliance knows nothing of: its own captures (package
// capture) are neither used nor hindered. A test can compare what the appliance has sent with what a
// host has received.
//
// # Which side of a fault
//
// A cable stands at its machine. A packet that the machine sends is shown before faults apply to it;
// a packet to the machine is shown after faults have let it pass, with all delays. So a packet from
// the appliance that a fault drops is on the cable of its interface and not on that of the host. A
// frame that an unplugged cable stops is on no cable; as on a real machine, it does not leave the
// card. A path is observed between the gateway and the next router: package wan says where that is.
//
// # Filters
//
// Filters are compiled for Ethernet, for which package pcapfilter produces the programs of libpcap.
// IP packets behind the gateways are presented to them with an Ethernet header whose addresses are
// zero. Lengths ("len", "less") are still those of the IP packet. A filter that reads Ethernet
// addresses is refused for such packets. Names of hosts are those of the topology, not what the
// simulated name server says at the moment.
//
// # Decisions
//
// A watch belongs to the box and not to a world: when the appliance reboots, it continues in the next
// world, from the first packet on. Packets carry the time of the world; the appliance's own clock
// may have been set to another time.
//
// The network never waits for a reader. A queue has a bound in packets and one in bytes; what does
// not fit is dropped and counted, and the next packet tells how many were lost before it.
//
// Captures are kept in memory, because they belong to the process and not to a data directory, and
// their number and size are bounded. Readers see whole blocks of the file at any moment. A reboot
// does not end a capture. A reset removes all captures, since there are none after the start.
//
// # Locks
//
// Cables.capturesMu is held while captures begin, and Cables.mu is taken under it.
// Cables.mu is held while observers are added to the network and removed. Watch.mu, which the
// network's pump takes, and capture.mu are leaves.
package packets
