// Package netconfig is the network part of the configuration: the sections that describe host
// name, ports, media, IP interfaces and routes, and the code that makes a network agree with
// them.
//
// # Terms
//
//   - An Ethernet interface is physical and has a fixed name, such as "Data 1".
//   - A port is anything that an IP interface can be on: an Ethernet interface, a VLAN over one,
//     or the loopback interface.
//   - An IP interface is one IPv4 and one IPv6 address on a port, under a name of its own, with
//     the services that listen there.
//   - A plan is what a configuration demands of the network.
//
// # How it is used
//
// Commands, pages and other parts read and edit the sections (Interfaces, Ports, Media, Routes,
// ...) as those of any other part. The appliance adds one Applier to its config.Store, before
// the appliers of parts that listen or connect: these need the addresses. Applier.Start brings
// the network up when the appliance is made.
//
// # At a commit
//
// The checks of the sections judge a configuration by itself. The plan also looks at the network
// that there is: a demand that it cannot meet (a gateway that is on no attached network, an
// Ethernet interface that does not exist) refuses the commit before anything is changed. A
// commit that does not change the plan is not compared with the network, so that passphrases can be
// changed while the network is broken.
//
// Apply adds new objects in the order in which they need each other: ports, media and MTU,
// addresses, routes. Removing a port ends the connections over it, and that cannot be undone, so
// Done does it when the commit is final. Done also ends the connections of addresses that are
// gone; an address that was removed and given back in between keeps its connections. For this
// reason undoing needs no record of what was done: it applies the committed configuration again,
// as far as possible, from any state in which the failure left the network. Start does the same,
// so that an appliance whose configuration does not fit its network still comes up and can be
// logged in to.
//
// A network that does not own its interfaces (it is no network.Configurer) is left alone.
//
// # Locks
//
// The package has none. Its functions are called under the commit lock of config.Store, or
// before the appliance is shared.
package netconfig
