// Package ether is Ethernet inside a process: segments that machines are
// plugged into, with taps, cut cables, delay, loss and rate.
//
//	w := ether.NewWire(ether.Options{Clock: c, Rand: stream})
//	lan := w.Segment("data1")
//	nic := lan.NewPort("esa/nic1", mac, 1500)            // for a stack: package vnet
//	gw := lan.NewNode("gw/data1", mac2, 1500, gw.receive) // written by hand
//	stop := nic.Tap(func(at time.Time, dir network.Direction, frame []byte) { ... })
//	gw.Send(frame)
//
// # One wire, one goroutine
//
// All segments of one world hang on one Wire. What happens there happens one
// thing after another, in the order of sending, on one goroutine at a time, the
// pump: a frame leaves its sender, passes that port's taps and filters, finds
// its receivers by destination address, passes theirs, and is received. So
//
//   - a capture over several ports has its frames in the order of their causes,
//     and stamps that never run backwards;
//   - a node's receive function is never called twice at once, nor from within its
//     own Send, and needs no lock against itself, its other ports or After;
//   - a frame that crosses a router costs one hand-over between goroutines, as
//     one that does not; with a goroutine for each port it was two.
//
// The pump is started by the first frame and parked while nothing happens; a
// goroutine for each burst of frames grew its stack anew each time, which was
// half of all the time spent. It must not be blocked: receive functions, taps,
// filters and functions given to After return soon, and none of them may close
// what they are called by.
//
// Send never blocks and never calls into a receiver. A stack sends while it
// holds locks; waiting for a receiver that sends too would be a deadlock. So
// whoever sends faster than the wire works loses frames, counted, as at a
// network card whose ring is full.
//
// # Time
//
// Delays run on the machine's clock, whatever the appliance believes the time to
// be: TCP and its timers do too. Stamps are the world's wall time. When that is
// set back while a tap is open, stamps go on from where they were.
//
// An idle Go process rounds timers up to a millisecond. What is due soon is
// therefore waited for in short sleeps of the operating system's, on a second
// goroutine, which is parked while nothing is due.
//
// # Ports are cards with offload
//
// A stack hands its port TCP data of several segments at once. They go their way
// together, as a Train, which costs hardly more than one frame, and are delivered
// to the other stack as one packet, as real network cards do it (TSO, LRO).
//
// Nobody can tell. Taps are shown each frame by itself, as it would have been, with
// true lengths, flags and checksums; counters count frames. Where something could
// happen to one frame and not to the next (a filter, an impaired cable, an MTU that is
// too small, a node that does not take trains) the train is taken apart, and its frames
// go on one by one. A stack's port then joins those that arrive in a row again.
//
// A frame that a node sends on is not copied, see Port.RelayAfter.
//
// # VLANs
//
// A segment's ports are trunks: they carry frames of all VLANs, tagged (IEEE 802.1Q),
// besides those without. Segment.VLAN gives access ports, behind which nobody knows of
// tags. Port.VLAN gives what plugs into a trunk a port in a VLAN: its taps and counters
// see frames without the tag that its parent's see on them, and all that happens to the
// parent's cable happens to them.
//
// # Rates
//
// Port.SetMedia limits a port as its medium does: one frame after the other, in a queue
// on either end of the cable that is bounded. A frame has left, for taps too, when its
// last bit has. In half duplex both directions share one medium; there are no collisions,
// because who sends next is known. What is wrong with the cable comes on top. 1000 Mb/s
// full duplex is not counted: frames cross as fast as the process works.
//
// # What it is not
//
// A segment is a switch that knows its ports from the start: it does not learn,
// flood or age. Frames to a group go to the ports that have joined it, or else to all.
//
// # Locks
//
// Wire.mu is held for a moment at a time and no other lock is taken under it.
// Port.receiving is held by the pump while the port's owner receives; Close
// takes it to wait for that. Segment.mu guards the list of ports, Port.mu a port's
// lists and cable.changing its quality; none is held while another is taken.
package ether
