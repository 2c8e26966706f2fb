// Package appliance is the box: every part of it that has state, started and
// stopped as one.
//
// New builds the parts in the order in which they need each other and Start
// brings up the services that were added, in that order; Stop goes back the same
// way. The parts below this package never import it: what one of them needs of
// another (the recorder needs room in the file area, say) it takes as an argument
// or as a func that New sets.
//
// # What is configuration and what is state
//
// Configuration is sections of package config: it changes by commit only and
// survives a restart. Everything else (captures that run, sessions, counters,
// caches) lives in its part and ends with it. The sections that no part owns are
// defined here: the host name, the time zone, ports and their media, the IP
// interfaces, routes and mail listeners, and how administrators come in.
//
// A little state outlives a restart: the clock's setting, the date of the installation,
// the settings of captures, whether reporting is on, the alerts that were told, the key pair
// for pushing logs by SCP. Erase removes what users did to an
// appliance, configuration and state, and leaves what the hardware and the installed
// software know.
//
// # Trouble
//
// What an administrator should know unasked is raised at the alert desk (Alerts): a log
// that cannot be pushed or written, or whose oldest files were removed if somebody asked
// to be told; a capture that the disk ended; a full disk. The desk's letters leave by the
// internal SMTP system (Letters), and both write to the mail log, so that they are made
// before the logs and send nothing before Start.
//
// # Services and ports
//
// A service does not open ports itself. It takes a listener from ListenService,
// which follows the configuration: an address that a commit adds is listened on
// before the commit is acknowledged, and one that it removes is closed after.
//
// # The network at a commit
//
// A networkPlan says what a configuration wants of a network that owns its interfaces;
// what cannot be (a gateway on no network, say) refuses the commit before anything is
// done. What appears, appears in Apply: ports, then media and MTU, addresses, routes,
// listeners, as each needs those before it. What goes with connections over it (ports,
// listeners, the connections themselves) goes in Done, when the commit can no longer
// be undone; an address that is taken away and given back keeps its connections.
// Undoing therefore needs no memory: it is applying what is committed, as far as that
// is possible, from wherever the failure left the network. The same brings the network
// up at the start, so that an appliance in a network that does not fit can still be
// logged in to.
//
// # Processes
//
// Every socket belongs to a process of the list that tcpservices shows (B35). The
// system starts them in one order and their sockets open in another: B35 and B41 show
// both, of one appliance. So numbers are given when the appliance is made, and sockets
// open as services start. A process whose protocol nobody speaks yet is a Daemon: it
// listens, declines politely, and can be restarted like the others.
//
// # Lock order
//
// Appliance.mu guards the life cycle only and is held for no call into a part.
// config.Store's commit lock is taken before any lock of an Applier; an Applier
// must not commit. serviceListener.mu is a leaf.
package appliance
