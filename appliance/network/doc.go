// Package network says what an appliance needs of a network.
//
// It is a contract without an implementation: netsim is a network of simulated
// hosts inside this process; package networktest judges every implementation.
// Everything in the appliance that listens, dials, pings, captures or prints a
// table of sockets does it through a Network, so that nothing is told of the
// network that the network was not asked.
//
// # Errors
//
// Errors of Listen, Dial, Accept, Read and Write are *net.OpError around a
// syscall.Errno (ECONNREFUSED, ECONNRESET, EHOSTUNREACH, ENETUNREACH, ETIMEDOUT,
// EADDRINUSE, EADDRNOTAVAIL, EPIPE), so callers use errors.Is. Where a context
// ends first, the error wraps its cause. After Close they wrap net.ErrClosed.
// What an implementation cannot do at all is errors.ErrUnsupported, and the
// command line then says so in a sentence.
//
// # Why several small interfaces
//
// Transport is for services, Prober for ping and traceroute, Inspector for
// tables, Tapper for captures: each user takes the one that it needs. Configurer
// is apart because only a network that owns its interfaces has it; ask for it with
// a type assertion.
package network
