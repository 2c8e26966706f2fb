// Package traffic sends mail from the simulated hosts of a world to the appliance, over the simulated
// network: one message, many at a constant rate, or the mail of a whole day.
//
//	answer, err := traffic.Send(ctx, client, traffic.Request{To: []string{"joe@example.com"}}, now)
//
//	g := traffic.New(topology, site, logger)
//	g.Start()                           // plays the traffic of the topology
//	state, err := g.StartLoad(load)
//	state, ok := g.WaitLoad(ctx, state.ID)
//	g.Stop()
//
// # Terms
//
//   - A flow is mail of one kind of sender: hosts, addresses, kinds of messages, a rate
//     (topology.Flow).
//   - A load is a flow at a constant rate for some time, which a user starts.
//   - An outage is a time of day at which a server of the world is stopped.
//   - A message is offered when it is due, whatever becomes of it then.
//   - A lane is one of the connections that a flow or a load may have at the same time. It sends its
//     messages one after another.
//   - A group is the messages that are sent on one connection.
//   - A site is the world as this package sees it.
//
// # What can be repeated
//
// Every message is a function of the flow, the seed and the message's key, which is its number in a
// load, and its day, minute and number within the minute in a flow. Which lane and which connection
// it gets follows from its place in the order. So two runs offer the same messages in the same order,
// on any machine; a Summary has a hash by which that is checked. The days of a flow count from its
// start, and again from 0 when the clock is set. A message whose text has the date of its due time is
// the same to the byte if the clock shows the same.
//
// What the appliance does with a message may differ: limits per time and the order in which
// connections are accepted depend on the machine.
//
// # Time
//
// Messages are due by the appliance's clock, which may run faster than the machine's, may be set, and
// may stand still in a test. If the machine is too slow, messages are late, but none is left out:
// the number of messages that wait is bounded, and the one that is due next waits for its lane. A
// flow whose clock is set goes on at the new time; what was due in between is left out.
//
// Latencies, and the time-outs of the SMTP conversation, are real time.
//
// # Decisions
//
// The SMTP client is that of package mail, which shows every step and every reply. It verifies no
// certificate, like most senders of mail, and uses TLS where a flow says so and the listener offers
// it.
//
// The rate of a flow is a mean: the number of messages in a minute has a Poisson distribution, and
// their times are spread evenly, so that there are bursts, as there are in mail from many people.
//
// A Generator belongs to a box and outlives a reboot of the appliance. Messages that are due during
// the reboot wait for its end.
//
// # Locks
//
// Generator.mu, then running.mu, player.mu or counter.mu, which are leaves.
package traffic
