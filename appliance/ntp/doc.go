// Package ntp is the appliance's sntpd: it asks NTP servers for the time over the
// appliance's own network (RFC 5905, as the simple client of its section 14), and sets
// the appliance's clock.
//
//	d := ntp.New(ntp.Options{Net: net, Clock: clock, ...})
//	box.Add(d)          // a service: Start, Stop
//	d.Reconsider()      // the configuration has changed: ask now
//
// Packet is the wire format, for servers too. Query asks one server once and refuses
// answers that are not to be believed.
//
// # When it asks
//
// The first time one to five minutes after the appliance came up, by chance, as RFC
// 4330 section 10 demands, so that many machines that get power at once do not ask at
// once; then every 20 minutes; and at once when the configuration of servers was
// changed. These waits are the appliance's, so a test moves them. A server that is
// silent, out of its mind or tells to go away (a kiss of death) is left for the next
// of the list. One that says DENY or RSTR is not asked again before the configuration
// changes; one that says RATE is left out for an hour.
//
// # When it sets the clock
//
// Where the server's time is 125 ms or more away (the step threshold of RFC 5905). The
// simulated clocks do not drift, so there is nothing to do about less, and a clock
// that is right stays untouched.
//
// What is measured is how far the server is ahead of the clock under the appliance's,
// so that settime in the middle does no harm. A clock that jumps, as a test's does when
// it is moved on, spoils a measurement: it is made again. An answer that does not come
// is given up by the machine's clock, as everything that depends on packets.
//
// # Locks
//
// Daemon.mu guards the daemon's state and is a leaf; nothing is asked with it held.
package ntp
