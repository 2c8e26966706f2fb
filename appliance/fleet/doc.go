// Package fleet runs many appliances in one process.
//
// A fleet is described by a file: names, models, versions, serial numbers, addresses, topologies,
// and what else differs from one appliance to the next. Each appliance is a box in a world of its
// own. A shard is the part of a fleet that one process runs.
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
// Appliances of the same kind share the topology, the factory configuration and the pool of open
// log files. What differs between them is made when they start.
//
// An appliance that does not start, or is shut down, leaves the others alone: it is listed with its
// state and can be started again.
//
// # Locks
//
// Member.power is held while an appliance starts or stops, Member.mu for a moment to read or change
// what is known of it. A member takes no lock of another one.
package fleet
