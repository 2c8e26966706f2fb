// Package vnet is a host of the simulated network: a gVisor stack on ports of
// package ether.
//
//	esa := vnet.NewHost(vnet.Options{Name: "esa", Loopback: 4, Rand: src})
//	err := esa.AddInterface(vnet.InterfaceConfig{Name: "Data 1", Device: "nic1", Index: 2,
//		Segment: data1, MAC: mac, MTU: 1500, Addrs: addrs})
//	err = esa.SetRoutes(routes)
//	ln, err := esa.Listen(ctx, network.ListenConfig{Addr: addr, Backlog: 50, Owner: "hermes"})
//	...
//	esa.Close()
//
// A Host is a network.Network and a network.Configurer. The appliance is one
// Host. All simulated machines together are another, each of them an address of
// it: an address costs 0.3 KiB, a stack of its own 130. The way out of the process
// is a third, which answers for every address (Options.Promiscuous, Forward).
//
// # Why not gVisor's own adapters
//
// Package gonet fixes the backlog, reports errors as text and knows no
// os.ErrDeadlineExceeded. Here errors are *net.OpError around a syscall.Errno
// everywhere, deadlines and Close are those of package net, and each socket is
// entered in a registry with what the stack does not know: owner, user, backlog,
// and bytes written, from which the send queue follows.
//
// # How every stack is set up
//
// RACK is off: it retransmits without need, which shows in captures, and stalls
// at times. Congestion control is Reno. Receive buffers start with 32768 bytes,
// which makes the SYN the appliance's (window 16384, scale 0), and have 65535 as
// soon as the connection is established; hosts may have more. gVisor's log goes
// nowhere. ICMP is not limited to gVisor's thousand a second. Chance comes from
// Options.Rand only. An ARP entry lives 1200 seconds, without probes, and is then
// removed; gVisor by itself would keep it and ask again.
//
// # A listener's backlog
//
// A backlog is meant for a service that does not accept. All simulated machines
// share this machine's processors, and a service that does accept can be kept
// from running for a moment; a connection that then found the queue full would
// cost its client a second. So while somebody is in Accept, and a tenth of a
// second beyond, many more may wait.
//
// # Interfaces that come and go
//
// A VLAN is another NIC of the stack, on a port in a VLAN of its parent's port. It keeps
// its link#N when it is made again. lo1 has no NIC: the stack takes what arrives at a NIC
// for that NIC's addresses only, where BSD takes it for all, so lo1's addresses are given
// to every NIC, and ports are told not to answer for them (ether.Port.SetUnansweredAddrs).
//
// Where a caller chooses an address to send from, Host.leave chooses the NIC by the route:
// the stack would take any NIC that has the address.
//
// # Where BSD does otherwise
//
// A connection keeps the gateway that it found when it was opened: a route that changes
// is for what is opened after it. What arrives at a NIC is answered by a route of that
// NIC, or not at all: who comes in by an interface without a way back is not answered by
// another. A path's MTU is found anew by each connection.
//
// # Datagrams keep their order
//
// gVisor lets go what waited for a neighbour's address on a goroutine of its own, while
// what is sent in the meantime goes at once. A learner, which is the stack's clock, makes
// that one step: messages of ARP and NDP are taken in, and what waited is sent, while no
// socket hands over a datagram.
//
// # What it costs
//
// The appliance's host of three interfaces, one of them with addresses, takes
// 140 KiB, an address 0.3, a listener 5. A stack has as many goroutines for TCP as
// GOMAXPROCS was when it was made: on a machine with very many cores that is
// about 3 KiB more for each.
//
// # How a socket waits
//
// Each direction of a socket has a gate: a channel of one token, which the stack,
// a deadline and Close all put their news in. So waiting is one receive, and
// nothing is allocated or registered for it.
//
// # Locks
//
// Host.mu guards interfaces and routes; registry.mu the sockets; socket.mu one
// socket's byte counts (taken by the stack's TCP probe with an endpoint locked, so
// nothing is locked under it); listener.mu the length of a listener's queue;
// neighborSweeper.mu its timer and listeners (taken with the stack's locks held,
// so the stack is not called under it). learner.sending is held while a datagram is handed
// to the stack, or a neighbour's address is learned; learner.mu is taken with the stack's
// locks held, and for a moment. Host.mu is taken before registry.mu.
// Neither is held while a socket is closed or waits. gate.mu serializes readers or
// writers of a socket and is held while they wait; Close does not take it.
package vnet
