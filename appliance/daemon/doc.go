// Package daemon holds the appliance's processes and the ports that they listen on, as
// tcpservices and netstat show them.
//
// # Terms
//
//   - A process is one of the daemons that tcpservices lists, such as hermes or ginetd. It is a
//     row of the appliance's process table, not a process of the machine.
//   - A port is a group of sockets of a process, one for each address that the configuration
//     gives it.
//   - A placeholder is the service of a process whose protocol the appliance does not speak yet.
//
// # How it is used
//
// The appliance has one Table. A part that provides a process (the SSH server, the web page)
// calls Table.Listen with its Port and gets a net.Listener that follows the configuration: a
// commit opens new addresses before it is acknowledged, and closes removed ones after that.
// Processes without a part of their own get a Placeholder, which listens, declines each
// connection in the words of the protocol, and can be restarted like the others.
//
// # Process numbers
//
// The system starts the processes in one order, and their sockets open in another: a seed shows
// both, of the same appliance (B35, B41). For this reason New numbers all processes, in the order
// of the constants, and the sockets open when the services start. A process that is restarted
// gets the next free number (Table.Renumber).
//
// # At a commit
//
// Table is a config.Applier. It must come after the one of package netconfig, because it listens
// on addresses that the same commit may have added.
//
// # Locks
//
// Table.mu and listener.mu are leaves, except that listener.mu is held while a listener reads
// the configuration, gets its process number and opens sockets, so that no commit is missed.
package daemon
