// Package vnet is a host of the simulated network: a gVisor stack on ports of
// package ether.
//
//	esa := vnet.NewHost(vnet.Options{Name: "esa", LoopbackIndex: 4, Rand: src})
//	err := esa.AddInterface(vnet.InterfaceConfig{Name: "Data 1", Device: "nic1", Index: 2,
//		Segment: data1, MAC: mac, MTU: 1500, Addrs: addrs})
//	err = esa.SetRoutes(routes)
//	ln, err := esa.Listen(ctx, network.ListenConfig{Addr: addr, Backlog: 50, Owner: "hermes"})
//	...
//	esa.Close()
//
// A Host is a network.Network and a network.Configurer. The appliance is one Host. All
// simulated machines together are a second one, of which each machine is an address: an
// address costs 0.3 KiB, a stack 45. The way out of the process is a third, which answers
// for every address (Options.Promiscuous, SetForwarders).
//
// # Terms
//
//   - Host: a machine of the simulated network, with interfaces, routes and sockets.
//   - Stack: the gVisor TCP/IP stack of a host.
//   - Interface (iface): a network card, a VLAN or a loopback interface, as the
//     administrator sees it. NIC: the stack's object for an interface.
//   - A listener sleeps before its first segment arrives: it has no endpoint in the stack.
//   - Dormant interface: one whose NIC is made at its first use (InterfaceConfig.Dormant).
//   - lo0 and lo1: the loopback interface that every BSD system has, and the one that
//     SetLoopback adds.
//   - Socket: a TCP or UDP endpoint of the stack with its entry in the registry, which knows
//     its owner, backlog and byte counts.
//   - Gate: the place where the callers of one direction of a socket wait.
//   - Learner: the stack's clock, which keeps datagrams in order while a neighbor's MAC is
//     being learned.
//   - Neighbor entry: a line of the ARP or NDP cache. The neighbor sweeper removes entries
//     that have expired.
//   - Forwarder: a function that decides about traffic to addresses that a promiscuous host
//     does not have.
//   - Delayed acknowledgement: one without data that is not transmitted yet, because a segment with
//     data may acknowledge as much.
//   - Personality: what identifies the TCP of a machine's operating system on the wire. It is
//     applied between the stack and its ports, in both directions, so that captures, routers
//     and the other stack see one and the same segment.
//   - Probe: a packet that is sent to see what answers it, as traceroute does.
//
// # Why not gVisor's own adapters
//
// Package gonet fixes the backlog, reports errors as text and does not know
// os.ErrDeadlineExceeded. Here all errors are *net.OpError around a syscall.Errno, deadlines
// and Close behave as in package net, and each socket is registered with what the stack does
// not know: owner, user, backlog, and the number of bytes written, from which the length of
// the send queue follows.
//
// # How every stack is set up
//
// RACK is off: it retransmits without need, which shows in captures, and sometimes stalls.
// Congestion control is Reno. Receive buffers start with 32768 bytes, which gives the SYN of
// the appliance (window 16384, scale 0), and grow to 256 KiB when the connection is
// established, which then offers the window 65535; hosts may have more. gVisor's log is discarded.
// ICMP is not limited to gVisor's thousand messages per second. Randomness comes from Options.Rand
// only. An ARP entry lives 1200 seconds, without probes, and is then removed; gVisor itself would
// keep it and probe.
//
// # A listener's backlog
//
// A backlog is meant for a service that does not accept. All simulated machines share this
// machine's processors, so a service that does accept can be kept from running for a moment.
// A connection that finds the queue full in that moment would cost its client a second.
// Therefore the queue is much longer while a caller is in Accept, and for a tenth of a second
// afterwards.
//
// # Listeners sleep
//
// An endpoint that listens takes 4 KiB with its entries in gVisor's tables, and most of an appliance's
// twenty listeners never see a client. A listener therefore sleeps until the first segment for its
// address arrives, which is delivered again when there is an endpoint (Host.wakeSockets), or until
// another socket of the host could be in its way. Sockets lists it in the same way. Listen fails as if
// it did not sleep, because it asks gVisor for the port. Ports from which gVisor chooses by itself are
// not for sleeping listeners: gVisor does not know that they are taken.
//
// # Interfaces that are added and removed
//
// A VLAN is another NIC of the stack, on a port in a VLAN of its parent's port. If it is
// removed and added again, it gets the same link#N. lo1 has no NIC: the stack accepts packets
// that arrive at a NIC only for the addresses of that NIC, whereas BSD accepts them for all
// addresses of the machine. Therefore lo1's addresses are added to every NIC, and the ports
// are told not to answer ARP and NDP requests for them (ether.Port.SetUnansweredAddrs).
//
// If a caller chooses the source address, Host.outgoingNIC chooses the NIC by the route: the
// stack would use any NIC that has the address.
//
// # Differences from BSD
//
// A connection keeps the gateway that it found when it was opened: a changed route applies to
// later connections. A packet that arrives at a NIC is answered by a route of that NIC or not
// at all: if a client's packets arrive by an interface without a route back, they are not
// answered by another interface. Each connection discovers the MTU of its path itself.
//
// # Dormant interfaces
//
// A NIC takes 20 KiB, and most machines of a topology are never spoken to. The NIC of a dormant
// interface is made before the first frame for it is delivered, which is then delivered to it: on the
// wire and in all counters there is no difference. ARP requests about others, which a machine
// ignores, do not count as frames for it. A caller that uses one of its addresses, or that leaves
// the choice of the address to the stack, makes the NIC, too (Host.wakeFor).
//
// # Datagrams keep their order
//
// gVisor sends packets that have waited for a neighbor's MAC on a goroutine of its own, and
// packets that are written in the meantime immediately. The learner makes this one step:
// while a message of ARP or NDP is processed and the waiting packets are sent, no socket
// hands datagrams to the stack.
//
// # What it costs
//
// The appliance's host of three interfaces, one of them with addresses, takes 60 KiB, an
// address 0.3, a listener 5 (1 while it sleeps). A stack has as many goroutines for TCP as GOMAXPROCS
// was when it was created: on a machine with many cores that is about 3 KiB for each.
//
// # How a caller waits for a socket
//
// Each direction of a socket has a gate: a channel with room for one token, into which the
// stack, an expired deadline and Close put a token. So waiting is one receive operation, for
// which nothing is allocated or registered.
//
// # Segments are processed by the goroutine that delivers them
//
// gVisor hands each TCP segment that arrives to one of its goroutines, because the sender may
// hold locks while a packet is delivered. In a fabric the pump delivers, without a lock of a
// stack. Therefore, while a segment is delivered, its endpoint is locked as if by its owner, so
// that the stack only queues the segment, and then the pump processes it. The functions that
// do this are not exported by gVisor; segments.go links them by name. gVisor's goroutines still
// process what is not an established connection, and what crosses no Ethernet.
//
// A caller of Write or Dial acts as the pump itself (ether.Fabric.Release), so that data is
// sent, received and acknowledged before Write returns. A caller must not hold a lock that is
// taken by what the pump calls: taps, routers, and functions given to Watchable.Watch. Close
// leaves its segments to the fabric's own goroutine, because callers do hold locks.
//
// # Acknowledgements are delayed
//
// gVisor acknowledges data as soon as it has processed it. BSD and Linux wait for the answer of the
// program, which acknowledges the data as well; in a conversation that saves half of the segments.
// Therefore an acknowledgement without data of a machine whose personality has an ACKDelay is held
// between the stack and its port (delayed_acks.go), where counters, taps and the peer do not know of
// it: a later segment of the connection takes its place, or it is transmitted when the time is over.
// The second segment, a FIN, a gap and the segment that fills it are acknowledged at once.
//
// # Stacks of goroutines
//
// Sending a segment takes about 8 KiB of the caller's stack: the stack, the fabric, the routers and
// the receiver's stack are one chain of calls. Goroutines that send soon after their start call
// ReserveStack.
//
// # Files are read into the stack's buffers
//
// A transfer does not need a buffer of its own: SendRange lets the stack read a part of a file
// where Write would copy it.
//
// # Locks
//
// Host.mu guards interfaces and routes, and registry.mu the sockets. listener.mu is held while a
// listener is opened; registry.mu is taken after it. socket.mu guards the byte counts of one socket;
// no lock is taken while it is held. Counts of acknowledged bytes lock the endpoint, so no lock is
// held then. listener.mu also guards the length of a listener's queue. serving.mu and dormants.mu are
// leaves that are taken while packets are processed. personalities.mu guards the flows and is held
// for short moments; only locks of package ether are taken while it is held. neighborSweeper.mu
// guards its timer and listeners; it is taken while the stack's locks are held, so the stack is not
// called while it is held. learner.sending is held while a datagram is handed to the stack, or a
// neighbor's MAC is learned. learner.mu is taken while the stack's locks are held, for short moments.
//
// Host.mu is taken before registry.mu. Neither is held while a socket is closed or waits.
// Host.pausing is held while a listener is closed, and no other lock is held when it is taken.
// gate.mu serializes the readers or writers of a socket and is held while they wait; Close
// does not take it.
package vnet
