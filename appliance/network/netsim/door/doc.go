// Package door connects real sockets with simulated ones. Apart from package uplink, which moves
// frames, it is the only place of the simulated network where package net listens and dials.
//
// # Terms
//
//   - Outside and inside: the real network of the machine, and the simulated network.
//   - Front door (Front): a real listener. Each connection to it becomes a connection of a
//     simulated client to the appliance, so it crosses the segments, appears in captures
//     and tables, and faults apply to it. The front door of FTP is also a NAT helper, see
//     ftp.go.
//   - Back door (Back): a promiscuous host. Each connection of the appliance to an address
//     that is mapped becomes a real connection. The real host is asked first: the
//     appliance's handshake is then completed, refused or left without an answer, as the
//     real handshake was.
//   - Splice: a real and a simulated connection between which bytes are copied both ways.
//
// # When a front door is open
//
// Claim takes the real address without accepting, so clients that connect wait. SetOpen
// follows the appliance's service: while the service does not listen, neither does the real
// socket, and clients are refused outside as they would be inside. The door opens again on
// the same port. While it is open, it lets in no more connections at a time than the
// service's backlog takes, see queue.
//
// A port that the door gave up could be taken by another program before the door opens again: a free
// port by any client on the machine. Therefore the socket of a door that is shut only stops
// listening, which shutdown(2) does on Linux. On other systems the door closes the socket and then
// tries each second to get its address again. Accepting clients in order to cut their connections
// would keep the address everywhere, but a probe that only connects would take the service to be up.
//
// The next world's Front gets the socket of the last one's by Reserve, while the appliance reboots, or
// by Hold, if clients must wait and not be refused.
//
// A splice lingers if the service has closed the connection and the client has not. A real
// appliance needs nothing for such a connection, but here the splice holds a descriptor and two
// goroutines. Therefore the number of lingering splices and their time are bounded.
//
// # Splicing
//
// A half-close is passed on as a half-close, a reset as a reset. A goroutine reads from the
// real client and writes into the simulated network. In the other direction a front door has
// no goroutine that waits (see pull): the goroutine that delivers the service's data in the
// simulated network also writes it to the real socket. Only while that is full, or there is
// much data, a goroutine of the door does. On Windows, at the back door, and where the FTP
// door changes the data, each direction is a goroutine.
//
// An idle connection of a front door holds no buffer, except for 2 KiB on Windows; a busy one
// borrows 128 KiB for each direction. The back door never borrows, and on Linux it waits for the
// real host's window: it holds at most 16 KiB of what the appliance believes to have arrived.
//
// # What a real server has read
//
// TCP does not tell how much of what a host has acknowledged its process has read. If the process
// runs on this machine, its socket tells (sock_diag on Linux). The back door looks at it after each
// 32 KiB, and some time after the last bytes, because the socket is gone when the connection has
// ended. A server that reads afterwards has read more than the door knows, never less.
//
// # Datagrams
//
// A flow is a conversation in datagrams through the back door, with a real socket of its own.
// Their number is bounded: a further flow ends the one that has been idle for the longest
// time. A flow of one request ends soon after the answer. Flows borrow a buffer only while they
// copy a datagram.
//
// # Locks
//
// Front.mu guards the listener and the lists of connections, queue.mu the connections that
// the service has not accepted, session.mu the listeners of an FTP session, flows.mu the open
// flows, readWatches.mu the watched connections, readWatch.mu what is known of one. None of them
// is held while a call blocks or while another of them is taken. A pull is called on goroutines
// that move frames and takes no lock.
package door
