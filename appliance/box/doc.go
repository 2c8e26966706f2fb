// Package box assembles the whole simulator: it makes a world of a topology, with an
// appliance in it that has its services and its command line.
//
//	t, err := box.LoadTopology("lab.yaml", data)
//	b, err := box.New(box.Options{Topology: t, Dir: dir, HostKey: key})
//	err = b.Start(ctx)
//	addr := b.DoorAddrs()["ssh"]
//	...
//	err = b.Stop(ctx)
//
// # Terms
//
// A box is an appliance together with its world and its data directory, like a machine in a
// rack: it can be started, stopped and rebooted, and its doors keep their addresses.
//
// An instance is one run of the appliance, from power on to power off. Each boot makes a new
// instance with a new world.
//
// A blueprint is what boots of equal boxes have in common.
//
// # Purpose
//
// Box is the only package that knows every part. The program and the test kit use it. It adds
// three things of its own:
//
//   - The power switch. A reboot stops the appliance and the world and builds both again over
//     the same directory, behind the same real addresses. A shutdown stops them and closes
//     Done. A reload is a reboot that erases the appliance while nothing runs.
//   - The factory configuration, which it makes of a topology (factory.go). Neither the
//     network nor the appliance knows the other's words for logs, alerts and time servers.
//   - The serial console.
//
// # Why a reboot builds a new world too
//
// The appliance's network stack must forget its sockets, its ARP cache and its counters, and
// the doors lead to it. Building a world takes about a millisecond; sorting out which parts
// of it could stay would take more code than that is worth.
//
// Faults stay as they were, since they were set from outside: Faults are passed from one
// world to the next. A stopped server stays stopped. The mail, records and files that servers
// have received are lost with the old world.
//
// # Events, waits and resets
//
// All parts publish what happens to one stream of events, which outlives reboots and resets. Events
// reads it, Record writes it to a file, and WaitFor waits for something in it, or for a packet.
//
// Reset is a reboot over the files of the start, with the faults of the topology and no stopped
// servers. Undoing every change in the running appliance would need code in every part, and be wrong
// where one is forgotten. Real listeners of the doors are held meanwhile, so that no client is
// refused.
//
// The files of the start, if there were any, are copied to one file in the appliance's directory
// (baseline.go), since a fleet that kept them in memory would grow with what its appliances log. Hard
// links would be cheaper, but the appliance appends to logs and queues and writes files in place. A
// reset replaces the present files as a whole, also if the process is killed meanwhile (restore.go).
//
// # Snapshots
//
// A snapshot is another state to which the box can be reset. It is taken while everything runs: the
// files of the appliance's directory are read, and read again until none of them has changed in
// between, so that they are those of one moment. What is not in files (faults, servers' memory, failed
// logins) is compared before and after in the same way. Stopping the appliance instead would be
// simpler, but would end all sessions.
//
// A file of a snapshot (snapshot_file.go has the format) is read into memory and checked as a whole,
// with the digest in its manifest, before a name leads to it: names of files, bounds, faults against
// the topology, and what servers have received against the servers.
//
// # Captures of cables
//
// Package packets belongs to the box, not to a world: watches and captures go on over a reboot. A
// reset removes captures, since there are none after the start, and lets live watches go on.
//
// # Time
//
// SetTime and Advance change the appliance's clock, as settime does; the change outlives a
// reboot. If the clock of a box is a clock.Fake, Advance advances that clock, and its timers
// fire. On the machine's clock, timers that wait for a duration are unaffected.
//
// With Options.ClockRate, the clock of the world and of the appliance runs a number of times as fast
// as the machine's. Frames, TCP, faults and limits on idle clients keep real time: package clock says
// what follows which clock. A reboot does not set the clock back; a new process starts with the
// machine's time again.
//
// # Locks
//
// Box.power serializes Start, Stop and reboots, and is held while they work. Box.mu guards
// the current instance, the state of the power switch, and the snapshots; it is a leaf.
package box
