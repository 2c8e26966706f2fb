// Package fleet runs many appliances in one process.
//
// A fleet is described by a file: names, models, versions, serial numbers, addresses, topologies,
// and what else differs from one appliance to the next. Each appliance is a box in a world of its
// own, unless the file says that several share a network. A shard is the part of a fleet that one
// process runs.
//
//	file, err := fleet.Load("fleet.yaml", text, sources)
//	f, err := fleet.New(fleet.Options{File: file, Dir: dir, HostKeys: keys})
//	err = f.Start(ctx)
//	f.Member("edge-3").Box().Faults()
//	err = f.Stop(ctx)
//
// # The file
//
//	name: branch offices
//	defaults:                      # of every appliance
//	  topology: lab                # a built-in topology, or a file
//	  version: 15.0.0-104
//	  doors: [ssh, https]          # that are open; ssh alone by default
//	appliances:
//	  - {name: edge, count: 20}    # edge-1 to edge-20
//	  - name: hub
//	    model: C690
//	    hostname: hub.example.com  # NAME.HOSTNAME of the topology by default
//	    addresses: {Data 1: [10.0.202.9/24]}
//	    configuration: hub.xml     # laid over the factory configuration, as by loadconfig
//	    users:
//	      - {name: ops, role: Operator, passphrase: look-but-not-touch}
//
// An appliance has what its entry says, or else what the defaults say, or else what the topology
// says. Lists of users are joined. Paths of files begin at the directory of the fleet's file.
//
// # Networks that appliances share
//
//	networks:
//	  - name: office
//	    topology: lab              # that of the defaults, or lab
//	    interfaces: [Data 1]       # that appliances join; by default, all that the topology has
//	appliances:
//	  - {name: edge, count: 2, network: office}
//	  - {name: hub, network: office, addresses: {Data 1: [10.0.202.8/24]}}
//
// A network is a world of its own, with the gateways, hosts, servers, paths and faults of its
// topology. Its appliances have that topology too. What they send on an interface that has joined
// crosses the network's wire of that name: they reach each other, the hosts and whatever is behind
// the gateways, and their doors lead over it, from the network's hosts. Interfaces that have not
// joined have gateways and hosts of their own.
//
// A network is controlled as an appliance of its name: esasim ctl --appliance office has its faults,
// servers, received mail and cables. A fault of an interface's cable applies to the cables of all
// appliances there, and "unplug" takes their carrier. Faults of an appliance's own world apply to its
// own cables only, and so do faults on a share of the appliances. Actions on all appliances leave
// networks out, except for a reset and for setting the clocks, which begin with them.
//
// The clocks of a fleet have one rate, which is an option of the process: appliances whose clocks ran
// at different rates could not share a network's servers. What the clocks show may differ, since
// each appliance has its own. The servers of a network, such as its time server, have the time and
// the rate of the process, whatever clocks are set to, as those of an appliance that is alone.
//
// An inventory in JSON lists networks with their appliances. The other forms, which tell programs
// where to log in, have appliances only.
//
// MAC addresses follow from the serial numbers. An address of an interface that the file does not
// give is that of the topology or, if another appliance has that, the next free one of its IP
// network, in the order of the file; addresses that the file gives are taken first, wherever they
// are. The topology's connections (clients) are not opened. Two machines with one address on a wire
// are an error of Load. Addresses that a configuration changes are not known then: such an appliance
// asks the wire when it starts, as RFC 5227 says, and does not start if another one has its address.
//
// The appliances of a network run in one process: a fleet that has networks has no shards.
//
// # Decisions
//
// Everything about an appliance is a function of the file, of its place in it and of the options:
// its name, serial number and the addresses of its doors. A process that is started again, or a
// shard that another machine takes over, has the same ones without asking anybody. Host keys are
// the exception: they are secret, so they are random, and kept in the appliance's directory.
//
// Appliance number I of the file, counted from 0, belongs to shard I mod M of M shards. So every
// shard has appliances of each kind, and a fleet that grows at the end moves no appliance.
//
// Names that are counted have no leading zeros: they stay the same when the count grows.
//
// The owner of a shared network is a world in which no appliance is plugged in, and not the world of
// one of the appliances: a reboot makes a new world, so the others would lose their gateways, and the
// sessions through their doors, whenever that one reboots. The price is one more box for each
// network. An appliance whose network does not run starts without a carrier, and has one later.
//
// Appliances of the same kind share the topology, the factory configuration and the pool of open
// log files. What differs between them is made when they start.
//
// An appliance that does not start, or is shut down, leaves the others alone: it is listed with its
// state and can be started again.
//
// # Inventories
//
// An inventory is made when it is asked for. State, error, host name and host key are the present
// ones; the host name of an appliance that does not run is the one that was committed when it ran
// last. All else follows from the file. Options.OnChange tells when an inventory may have changed.
//
// # Locks
//
// Member.power is held while an appliance starts or stops, Member.mu for a moment to read or change
// what is known of it. A member takes no lock of another one. Networks start before appliances and
// stop after them.
package fleet
