// Package uplink connects segments of the simulated network with real ones. An appliance on such a
// segment is a machine of the real network, with its own MAC and addresses; it keeps its simulated
// stack, so that captures, faults, counters and tables work as everywhere.
//
//	up, err := uplink.New(uplink.Config{Uplink: u, Logger: log})
//	up.Attach(uplink.Attachment{Segment: data1, Appliance: port, Addrs: addrs})
//	err = up.Start(ctx)
//	...
//	up.Detach()                 // before the world ends
//	up.Attach(...)              // the next world
//	up.Close()
//
// # Terms
//
//   - Outside: the real network.
//   - Target: the outside end of a cable, as a topology names it: tap:NAME, packet:INTERFACE,
//     vxlan:HOST:PORT/VNI, unix:PATH. README.md has examples of each. A Wire is a target inside
//     the process, which no file names.
//   - Opener: what opens links to one target. It keeps what must stay between two links, such as a
//     listener or a TAP device.
//   - Link: an open connection with the outside, over which frames move. If it breaks, the opener
//     opens another one.
//   - Carrier: the appliance's port has one while there is a link. Without it, the interface shows
//     "no carrier".
//
// # What crosses
//
// Only the appliance's frames cross, unless the topology exposes the simulated machines of the
// wire: package ether compares ports, not addresses. Frames from outside are validated before the
// world sees them (see isValid), and frames for other machines are dropped here. Frames are not
// changed and not padded: a capture on the appliance and one outside have the same bytes, unless
// the kernel splits what leaves (see Segmentation).
//
// The frames that leave wait in a queue of at most 4096 frames and 8 MiB, because the pump of the
// fabric must not block: more than the 4 MiB that the stack holds for a connection, which the queue
// shares and does not copy. Broadcasts and multicasts that leave are limited to StormLimit a second:
// a storm of the simulated world stays inside. A flood from outside is bounded by the socket's
// buffer of the operating system and by the transmit ring of the segment's port. What is lost is
// counted (State), except for what the system drops in front of a tunnel, a TAP device or a Unix
// socket: it does not tell.
//
// # Segmentation
//
// The kernel hands the data of many TCP segments between programs and interfaces in one piece, and
// so does the fabric (ether.Train). A packet socket takes such pieces both ways, which costs a
// fraction of the separate frames. The fabric's taps see separate frames nevertheless, with the
// lengths and checksums that a network card gives them. A piece leaves only if the interface splits
// data (ethtool -k: tcp-segmentation-offload). Without it frames leave one by one. Whatever splits
// a piece numbers the IPv4 packets from the one on that the piece has, and the frames that the taps
// see have the same numbers.
//
// # Two appliances with one address
//
// When a link has been opened, the addresses of the appliance are asked for, as RFC 5227 and RFC
// 4862 demand, before there is a carrier. If another machine has one of them, or its MAC, the uplink
// is refused: Start returns an error, and later the link is tried again after five seconds. An
// uplink that works defends its addresses by announcing them, at most once a second.
//
// # Reboots and resets
//
// An uplink outlasts the worlds that are attached to it. While there is none, the outside end stays
// as it is: a TAP device keeps its addresses and its place in a bridge, and a connection stays
// open. The outside notices silence, as from a real appliance that boots, but not that a cable is
// pulled. The MAC is the same afterwards, so that nothing outside has to learn it again.
//
// # Locks
//
// Uplink.sending is held while frames are sent, and outQueue.mu is taken while it is held.
// Uplink.mu guards the reason and changes of the state, and outQueue.mu the frames that leave. Both
// are leaves. outQueue.mu is taken on the pump.
package uplink
