// Package ntp has the appliance's sntpd. It asks NTP servers for the time over the appliance's own
// network, as a simple client of RFC 5905 (section 14), and sets the appliance's clock.
//
//	d := ntp.New(ntp.Options{Net: net, Clock: clock, ...})
//	appliance.Add(d)    // a service: Start, Stop
//	d.Reload()          // the configuration has changed: query now
//
// Packet is the wire format, also for servers. Query asks one server once and rejects answers that
// must not be trusted.
//
// # When the daemon queries
//
// The first query follows one to five minutes after the start, at random, as RFC 4330 section 10
// requires, so that many machines that are switched on together do not query together. Further
// queries follow every 20 minutes, and immediately after the servers in the configuration have
// changed. These delays are measured on the appliance's clock, so a test can advance them. If a
// server does not answer, gives a bogus answer or a kiss of death, the next one of the list is
// asked. A server whose kiss code is DENY or RSTR is not asked again before the configuration
// changes, one whose code is RATE not for an hour.
//
// # When the clock is set
//
// The clock is set if the server's time differs from it by 125 ms or more (the step threshold of
// RFC 5905). The simulated clocks do not drift, so smaller differences need no correction.
//
// A Sample measures how far the server is ahead of the clock that the appliance's wraps, so that a
// settime during the query does no harm. If the clock jumps during a query, as a test's clock
// does, the measurement is useless and repeated. The time-out of a query is measured on the
// machine's clock, as everything that depends on packets.
//
// # Locks
//
// Daemon.mu guards the daemon's state. No query is made with it held.
package ntp
