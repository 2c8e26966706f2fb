// Package ether is Ethernet inside a process: segments with ports that machines
// are attached to, with taps, unplugged cables, delay, loss and limited rates.
//
//	f := ether.NewFabric(ether.Options{Clock: c, Rand: stream})
//	lan := f.NewSegment("data1")
//	nic := lan.NewPort("esa/nic1", mac, 1500)                 // owned by a stack, see package vnet
//	gw := lan.NewNodePort("gw/data1", mac2, 1500, gw.receive) // owned by a node
//	remove := nic.Tap(func(at time.Time, dir network.Direction, frame []byte) { ... })
//	gw.Transmit(frame)
//
// # Terms
//
//   - Fabric: the event loop that moves all frames of one world.
//   - Event: one entry in the fabric's queue: a frame that has been transmitted, a
//     frame whose delay has passed, or a function to call.
//   - Pump: the one goroutine at a time that handles the fabric's events. It is the
//     fabric's own, or for a moment that of a caller of Release.
//   - Delay line: the events that are not due yet, in order of their time.
//   - Sleeper: the goroutine that waits for events of the delay line that are due
//     within milliseconds.
//   - Segment: one Ethernet broadcast domain, that is a switch, or one VLAN of it.
//     Topology files call it a wire.
//   - Port: a network card together with the cable that connects it to its segment.
//   - Owner: the machine that a port belongs to. It is either a gVisor stack or a node.
//   - Node: an owner that receives frames by a function instead of a stack; the
//     gateways of package wan are nodes.
//   - Cable: the connection between a port and its segment. It can be unplugged,
//     impaired (see Impairment) and filtered (see FrameFilter).
//   - Lane: one direction of a cable.
//   - Tap: a function that is shown each frame that passes a port, in either direction.
//   - Frame: an Ethernet frame without its checksum.
//   - Train: a burst of TCP segments that moves through the fabric as one event. Taps
//     and counters see its separate frames.
//   - Uplink: a port whose other end is outside of the fabric. It receives the frames to groups and
//     to addresses that no other port of its segment has.
//   - Trunk and access port: a port of a segment that carries the frames of all VLANs
//     with their tags, and a port in one VLAN, whose owner sees no tags.
//
// # The stages of a frame
//
// A frame passes these stages in this order. Each stage has one name, which the
// functions that implement it carry; those for trains have the suffix Train.
//
//  1. Transmit (Port.Transmit and its variants, Port.admit): the owner hands a frame to
//     its port. The port drops the frame if the cable is unplugged, the frame does not
//     fit the MTU, or the transmit ring is full.
//  2. Enqueue (Fabric.enqueue, enqueueAfter, enqueueAt): the frame becomes an event and
//     waits for the pump, or first in the delay line if the owner asked for a delay.
//  3. Dequeue (Port.dequeue, Port.serialize): the pump takes the event, which frees its
//     place in the ring. If the port's medium is limited, the frame waits until its last
//     bit has been sent.
//  4. Egress (Port.egress): the frame is counted, shown to the port's taps and checked
//     by the functions given to AllowOnly. The frame of a port in a VLAN gets its tag
//     and continues at the parent port, from serialize on.
//  5. Forward (Segment.forward, forwardVLAN): the segment finds the receiving ports by
//     destination address and VLAN.
//  6. Propagate (Port.propagate, quality.impair): the frame travels along the cables of
//     sender and receiver. Impairments, the receiver's medium and frame filters drop or
//     delay it. A delayed frame waits in the delay line and continues with the next stage. A
//     message of ARP is padded to the least length, unless one of the ports is an uplink.
//  7. Ingress (Port.ingress): the receiving port drops the frame if the port is down, the functions
//     given to AllowOnly do not allow the frame, or the frame is too long. Otherwise it is counted
//     and shown to the port's taps. If the
//     frame has the tag of a VLAN in which its owner has a port, it continues at that port, without
//     the tag.
//  8. Deliver (merger.deliver, link.deliver, Port.deliver): the frame reaches the owner,
//     a stack's possibly joined with those that follow.
//
// Stages 3 to 8 run on the pump. Without delays they happen in one go: a second event
// for the receiving port would cost as much as all the rest.
//
// # One fabric, one goroutine
//
// All segments of one world belong to one Fabric. All events of a fabric are handled
// one after another, in the order in which they were enqueued, by the pump. Therefore:
//
//   - A capture over several ports has its frames in the order of cause and effect,
//     with time stamps that never run backwards.
//   - A node's receive function is never called concurrently or from within its own
//     call of Transmit. It needs no lock against itself, the node's other ports or
//     functions given to After.
//   - A frame costs one hand-over between goroutines even if it passes a router. With
//     one goroutine for each port it cost two.
//
// A caller that transmits between Hold and Release acts as the pump itself: its frames reach
// their destination without a hand-over to another goroutine, which on an idle machine costs
// more than moving the frame. Frames of other callers wake the fabric's own goroutine. Since
// all that runs on the pump can run on the goroutine of a caller of Release, that caller must
// not hold a lock that it takes.
//
// A stack hands each segment to a goroutine of its own, and that one transmits the
// acknowledgement. If a port has a SegmentReceiver, the segments of its connections are
// processed on the pump instead. Defer calls a function when the queue is empty, without the
// locks that the stack holds when it tells that data has arrived.
//
// The first frame starts the fabric's own goroutine, which is parked while no event is
// queued. An earlier version started one goroutine for each burst of frames; growing
// their stacks took half of the total time. The pump must not be blocked: receive
// functions, taps, filters and functions given to After return quickly, and none of
// them may close the port or fabric that calls them.
//
// Transmit never blocks and never calls a receiver; only Release does. A stack transmits
// while it holds locks, so waiting for a receiver that transmits too would be a deadlock. If an owner
// transmits faster than the fabric works, frames are dropped and counted, as by a
// network card whose ring is full.
//
// # Time
//
// Delays run on the machine's clock, independently of the appliance's clock, because
// the timers of TCP do too. Time stamps are the world's wall time. If the wall clock is
// set back while a tap is open, the time stamps continue from the latest one.
//
// An idle Go process rounds timers up to a millisecond. Events that are due soon are
// therefore waited for in short sleeps of the operating system, on a second goroutine,
// the sleeper, which is parked while nothing is due soon.
//
// # Ports are cards with offload
//
// A stack hands its port the TCP data of several segments at once. The segments travel
// together, as a Train, which costs hardly more than one frame, and are delivered to the
// other stack as one packet. Real network cards do the same (TSO, LRO).
//
// Trains are invisible from outside. Taps are shown each frame separately, as if it had
// been sent alone, with true lengths, flags and checksums; counters count frames. Where
// one frame could be treated differently from the next (by a filter, an impaired cable,
// an MTU that is too small, or a node that does not take trains), the train is split and
// its frames continue one by one. The receiving stack's port joins consecutive segments
// again. A train that arrives whole has no TCP checksum, and the stack is told not to check
// it: its data has never left the process. Frames have checksums, which the stack checks.
//
// A node can forward a frame that it receives without copying it, see Port.RelayAfter.
//
// # VLANs
//
// The ports of a segment are trunks: they carry frames without a tag and the tagged
// frames (IEEE 802.1Q) of all VLANs. Segment.VLAN returns the part of the segment that
// has access ports, whose owners see no tags. Port.NewVLANPort gives the owner of a trunk
// a port in one VLAN. Its taps and counters see frames without the tag, those of its
// parent see the same frames with the tag. The parent's cable is also its cable.
//
// # Rates
//
// Port.SetMedia limits a port as its medium does: one frame after the other, in a bounded
// queue at either end of the cable. A frame counts as sent, and is shown to taps, when its
// last bit has been sent. In half duplex both directions share one medium; there are no
// collisions, because the fabric decides the order of the senders. An Impairment of the
// cable comes on top. 1000 Mb/s full duplex is not simulated: frames travel as fast as the
// process works.
//
// # What it is not
//
// A segment is a switch that knows its ports from the start: it does not learn,
// flood or age. Frames to a multicast address go to the ports that have joined the
// group, or to all ports if none has.
//
// # Locks
//
// Fabric.mu is held for short moments and no other lock is taken while it is held.
// Port.receiving is held by the pump while the port's owner receives; Port.Close takes it
// to wait for that. Segment.mu guards the list of ports, Port.mu a port's lists and
// cable.changing the replacement of its quality. None of these is held while another of
// them is taken.
package ether
