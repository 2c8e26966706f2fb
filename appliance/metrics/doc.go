// Package metrics counts what happens to mail. It is the only source of the figures that status,
// rate, hoststatus, tophosts and topin, the status log and the XML status page show.
//
// # Terms
//
//   - A counter only grows. It is shown since the administrator last reset the counters, since the
//     appliance came up, and over the appliance's lifetime, which survives restarts.
//   - A rate is a counter's growth within the last 1, 5 or 15 minutes, in events an hour.
//   - A gauge is a present value that goes up and down, such as the number of open connections.
//
// # How it is used
//
// A Set subscribes to the appliance's event stream:
//
//	set := metrics.Open(metrics.Options{Clock: c, File: path, Logger: logger})
//	cancel := stream.Subscribe(set.Handle)
//	defer set.Close()
//
// What an event adds to which counter is decided in one function, count. Counters that are sums of
// others (mail.md 2.4) are not kept but added up, so that they always agree.
//
// # Decisions
//
// The lifetime counters are written to a small file at a reset, at Close, and once a minute while
// they change. A process that is killed forgets at most the last minute. Writing each change would
// cost a wait for the disk for each message.
//
// Rates are kept in slots of five seconds on the monotonic clock, so that a change of the wall time
// does not disturb them. The memory for them is taken at the first event: most appliances of a
// large fleet never see mail.
//
// The table of destinations is bounded: of those without a connection, the one whose last event is
// oldest is forgotten first.
//
// # Locks
//
// Set.mu is a leaf.
package metrics
