// Package appliance is the life cycle of one simulated appliance: its parts are made, started and
// stopped as one.
//
// # Terms
//
// These words are the project's own, in all packages:
//
//   - World: the running simulated network around one appliance, with its segments, gateways and
//     hosts (package netsim).
//   - Train: a burst of TCP segments that moves through the simulated network as one event. Taps
//     and counters see its separate frames (package ether).
//   - Peer: a simulated server in a world, such as a DNS server or a syslog server (package peers).
//   - Front door: a real socket of the machine whose connections are forwarded into the world, to
//     one of the appliance's services. Back door: a mapping from an address in the world to a real
//     one, by which the appliance's own connections leave the process. Door without an adjective
//     means a front door (package door).
//   - Box: an appliance and its world, assembled and run as one (package box).
//   - Section: a typed part of the configuration under one name (package config).
//   - Draft: the uncommitted configuration of one session (package config).
//   - Desk: the part that decides which alerts are sent, and to whom (package alert).
//   - Refusal: an error whose text an administrator may see (package refusal).
//   - Page: the appliance's web interface (package web).
//   - Attested: known from the vendor's documents or from public samples. Labels such as A3, B38
//     and "logs.md 4.5" name the source; .github/CONTRIBUTING.md explains them.
//
// # How it is used
//
// New builds the parts in the order in which they need each other. Services (the SSH server, the
// page, ...) are added with Add. Start starts them in the order in which they were added, and Stop
// stops them and closes the parts in reverse order. Parts never import this package. A part that
// needs another one (the recorder needs space in the file area, for example) gets it as an argument
// or as a function when it is made. The files wire_*.go make these connections.
//
// # Configuration and state
//
// Configuration is sections of package config: it changes by commit only, and survives a restart.
// Each section is defined in the package that applies it. Everything else (running captures,
// sessions, counters, caches) belongs to its part and ends with it.
//
// A little state survives a restart, in small files of the state directory: the setting of the
// clock, the date of the installation, the settings of captures, whether data is collected for
// reporting and tracking, the stored alerts, the history of logins, the counters of the DNS client,
// the lines that wait to be pushed to syslog servers, and the key pair for pushing logs by SCP.
// Erase removes configuration and state, and keeps the values that belong to the hardware and the
// installed software.
//
// # Alerts
//
// The appliance raises an alert at the desk (Appliance.Alerts) if an administrator should know of a
// problem without looking for it: a log could not be pushed or written, old log files were removed
// and their log is set to alert about that, a full disk ended a capture, or the disk is full. The
// desk's messages go through the mail queue like other mail. If the queue or its disk is full, an
// outbox (mta.Outbox) keeps them in memory until there is room. Desk and outbox are made before the
// logs, and send nothing before Start.
//
// # Lock order
//
// The commit lock of config.Store is taken before any lock of an applier, and an applier must not
// commit. Appliance.restarts is taken before Appliance.mu. Appliance.mu guards the life cycle only;
// no part is called while it is held.
package appliance
