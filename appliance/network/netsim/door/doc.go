// Package door connects real sockets with simulated ones. It is the one place of
// the simulated network where package net listens and dials.
//
// A Front is a door in: a real listener whose every connection becomes one of a
// simulated client to the appliance, so that it crosses the wires, is seen in
// captures and tables, and suffers from faults. An FTP door (Front with an FTP)
// is a NAT helper besides, see ftp.go.
//
// A Back is the door out: a promiscuous host whose every connection, from the
// appliance to an address that a map knows, becomes a real one. The real host is
// asked first: the appliance's handshake is completed, refused or left without an
// answer as the real one was.
//
// # When a front door is open
//
// Claim takes the real address without accepting: who connects now waits. SetOpen
// follows the appliance's service: while it does not listen, the real listener is
// closed, and a client is refused outside as it would be inside. It opens again on
// the same port. While it is open, it lets in no more at a time than the service's
// backlog takes, see queue.
//
// # Splicing
//
// Each direction is one goroutine that reads and writes; nothing is handed over in
// between. A half-close is passed on as a half-close, a reset as a reset. A
// connection that idles holds two buffers of 2 KiB; one that is busy borrows 64 KiB
// for each direction. The back door never borrows, and on Linux waits for the real host's
// window: it holds 16 KiB at most of what the appliance believes to have arrived.
//
// # Locks
//
// Front.mu guards the listener and the list of connections, queue.mu those that
// the service has not accepted, session.mu an FTP session's listeners. None is held
// while a call blocks or while another of them is taken.
package door
