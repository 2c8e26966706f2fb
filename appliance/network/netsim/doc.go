// Package netsim simulates a network inside the process: it makes a running world, with an
// appliance in it, of a topology.
//
//	t, err := netsim.Load("lab.yaml", data)
//	world, err := netsim.New(t, netsim.Options{Clock: c, Entropy: e, Logger: log})
//	err = world.Start(ctx)             // servers listen, doors take their real addresses
//	net := world.Network()             // the appliance's network.Network
//	...                                // the appliance's services start
//	err = world.StartClients(ctx)      // opens the topology's connections to and from them
//	...
//	world.Stop(ctx)
//
// # Terms
//
// A world is the running simulated network with the appliance in it: everything that one
// topology describes.
//
// A segment is one Ethernet broadcast domain. Each interface of the appliance is plugged into
// one of its own, which topologies and messages call its wire. A VLAN of a wire is a segment
// too.
//
// A peer is a simulated server on a simulated host (package peers).
//
// A door connects the world with the real network. A front door is a real listener whose
// clients become simulated hosts that connect to the appliance; a back door leads packets
// for a mapped simulated address to a real one.
//
// An uplink is a cable from a wire to a real network (package uplink). Unless it is exposed, the
// appliance is the only machine of that wire: its routers and hosts are not simulated, except for
// the sources of doors. Nothing leaves the process except through back doors and uplinks.
//
// A path is the list of routers between the appliance's gateways and a network.
//
// A rule has an action and conditions for the packets that it applies to (topology.Rule). A
// fault is a rule that has been added to a world, with the time at which that happened and the
// numbers of packets and connections that it has applied to.
//
// # The parts of a world
//
// The segment of an interface (package ether) has a gateway (package wan) and the hosts that
// the topology puts there. It may carry VLANs, each with a gateway and hosts of its own. None of
// this depends on the appliance, whose own configuration says whether it is in a VLAN and has
// an address at all.
//
// All other hosts are behind the gateways, at one site. The appliance is one network stack
// (package vnet). All simulated hosts share another, in which each has some addresses, since
// a stack costs a hundred times as much as an address. If the topology has back doors, they
// share a third.
//
// The types of a world are layered, lowest first: Faults, which outlive a world; stacks, the
// fabric with everything that is attached to it; servers; clients; doors; and World, which
// connects them. Each receives the functions of the others that it calls when it is made.
//
// # Doors
//
// A front door follows the appliance's service: the network.Network of a world observes
// which listeners open and close, and nothing polls. Between Start and StartClients, clients
// of a door whose service does not listen yet wait, so that a client that knows the address
// is not refused while the appliance boots.
//
// # Connections of the topology
//
// A topology can list connections that exist when the appliance is up. Those that the appliance
// opens are established when somebody first looks at the world: most appliances of a fleet are
// never looked at, and their connections would be a third of the work of a start. The sockets exist
// from the start, so their order in netstat is that of the topology. Functions that show the world
// or change it (tables, counters, taps, faults, servers, addresses) open these connections and wait
// until they are open, so that nobody sees a world without them. Dialing and listening do not. A
// connection that leads out of the process is opened by StartClients.
//
// # Faults
//
// Packets can be dropped, refused, delayed, lost or slowed down, at the gateways, on a path,
// on a cable or between neighbors on a segment. Faults can be added and removed while the
// world runs:
//
//	fault, err := world.Faults().Add(topology.Rule{
//		Action: "drop", To: mx, Protocol: "tcp", Port: 25, Connections: 2,
//	})
//	err = world.Faults().Remove(fault.ID)
//
// The newest fault that matches a packet decides; the topology's own are the oldest.
//
// No gateway sees the packets between neighbors on one segment. There, the frame filter of
// the port of the machine that is not the appliance decides (ether.FrameFilter), so that a
// rule need not say where a host is.
//
// # Servers that nobody uses
//
// A running server has neither sockets nor goroutines before its first packet arrives
// (vnet.Host.OnFirstPacket): that packet is delivered again when the server listens, so a client
// or a capture sees no difference. A server is started with the world only if starting it does
// more than to listen (peers.Eager), or if another server has the same port, so that a conflict
// is an error of World.Start.
//
// For the same reason the interface of a simulated host on a wire is dormant: its network card is
// made for the first frame that the host would not ignore (vnet.InterfaceConfig.Dormant).
//
// # Restart
//
// A reboot of the appliance is Stop and New: the new stack has empty caches and no
// connections, and the same MAC addresses, which follow from the topology.
// Options.DoorAddrs with the DoorAddrs of the old world keeps the real addresses; with
// Options.HeldDoors of World.ReserveDoors no other program can take them meanwhile.
// Options.Faults keeps the faults: a reboot of the appliance does not repair the network.
// Options.Uplinks keeps the cables to real networks: the outside does not see the reboot.
//
// # Shared networks
//
// A shared network (SharedNetwork) is the network of one world, its owner, that the appliances of
// other worlds have joined. A joined interface has an uplink to it (package uplink, Wire), whose end
// in the owner's world is a plug: a port with the MAC of the appliance, as if that were plugged in
// there. The owner's own appliance is not plugged in. Front doors of a joined interface listen in the
// appliance's world, and follow its services; their clients are hosts of the owner. If the owner
// stops, those connections are reset, and appliances notice silence until there is another one.
//
// # Locks
//
// In the order in which they may be taken:
//
//   - servers.changing, held while servers start and stop; then servers.mu, Faults.mu or
//     World.mu. A packet that starts a server takes servers.mu only.
//   - clients.mu; then doors.mu or World.mu
//   - doors.mu; then the lock of a door.Front, never the other way round
//   - doors.mu of a world that has joined; then SharedNetwork.mu; then doors.mu or Faults.mu of the
//     owner, which never takes SharedNetwork.mu while it holds them
//   - Faults.mu; then stacks.plugs, plug.mu, and the locks of packages wan and ether
//   - World.mu, a leaf
package netsim
