// Package box puts everything together: a topology becomes a world, with an
// appliance in it that has its services and its command line.
//
//	b, err := box.New(box.Options{Topology: topo, Dir: dir, HostKey: key})
//	err = b.Start(ctx)
//	addr := b.DoorAddrs()["ssh"]
//	...
//	err = b.Stop(ctx)
//
// It is the only package that knows every part; the program and the test kit use
// it. What it adds of its own is the power switch: a reboot stops appliance and
// world and builds both anew over the same directory, behind the same real
// addresses; a shutdown stops them and closes Done. A reload is a
// reboot that erases the appliance while nothing runs.
//
// # Why a reboot renews the world too
//
// The appliance's network stack must forget its sockets, its ARP cache and its
// counters, and the doors lead to it. Building a world takes a millisecond, which
// is less than it takes to tell what of it could stay.
//
// What is wrong with the network stays as it was, since it was set from outside: Box.Faults
// goes from world to world. A server that was stopped stays stopped; what servers have
// received goes with the old world.
//
// # Time
//
// SetTime and Advance change what the appliance believes the time to be, as settime
// does; that outlives a reboot. Of a box whose clock is a clock.Fake, Advance moves that
// clock, and what waits for it happens; a box on the machine's clock waits in true time
// whatever its clock shows.
//
// # Locks
//
// Box.power serializes Start, Stop and reboots, and is held while they work.
// Box.mu guards which appliance and world are the present ones; it is a leaf.
package box
