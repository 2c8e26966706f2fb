// Package network says what an appliance needs of a network.
//
// The package is a contract without an implementation. Everything in the appliance that
// listens, dials, pings, captures or prints a table of sockets does so through a Network, so
// every table shows the network's real state. Package netsim implements the contract with
// simulated hosts inside this process; package networktest tests implementations.
//
// # Errors
//
// Errors of Listen, Dial, Accept, Read and Write are *net.OpError around a syscall.Errno
// (ECONNREFUSED, ECONNRESET, EHOSTUNREACH, ENETUNREACH, ETIMEDOUT, EADDRINUSE,
// EADDRNOTAVAIL, EPIPE), so callers use errors.Is. If a context ends first, the error wraps
// the context's cause. After Close the errors wrap net.ErrClosed. An implementation that
// cannot do something at all returns errors.ErrUnsupported, and the command line then says
// so in a sentence.
//
// # Why several small interfaces
//
// Transport is for services, Prober for ping and traceroute, Inspector for tables, Tapper
// for captures: each caller takes the interface that it needs. Configurer is not part of
// Network, because only a network that owns its interfaces can configure them; callers find
// out with a type assertion.
package network
