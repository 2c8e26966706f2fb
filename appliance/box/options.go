package box

import (
	"crypto"
	"log/slog"
	"net/netip"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/logs"
	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

// Options configure a box. Topology or Blueprint, Dir and HostKey are required.
type Options struct {
	Topology *topology.Topology
	// Blueprint, if it is not nil, is used instead of Topology. A process that starts many equal
	// boxes makes one for all of them.
	Blueprint *Blueprint

	Dir     string        // the appliance's configuration, state and files
	HostKey crypto.Signer // of the SSH daemon
	// MoreHostKeys are the SSH daemon's host keys of other types, which are loaded when clients
	// need them; nil means new ones.
	MoreHostKeys []shell.LazyHostKey

	// DoorAddrs are real addresses of doors, by name, that replace the topology's. Port 0
	// takes a free one.
	DoorAddrs map[string]netip.AddrPort
	// NoDoors opens no real listener.
	NoDoors bool
	// OnlyDoors are the names of the doors that are opened; nil means all.
	OnlyDoors []string
	// FTPPassivePorts are the first and the last real port of passive FTP data connections;
	// zeros mean any port.
	FTPPassivePorts [2]int
	// FTPPublicAddr is the address that passive FTP replies name; the zero value means the
	// one that the client connected to.
	FTPPublicAddr netip.Addr

	// Network is a network that several boxes of the process share; nil: the box has one of its own.
	// OwnsNetwork says that this box is its owner, whose world the others join and whose appliance
	// is not plugged in. Otherwise, the topology says which interfaces have joined it.
	Network     *netsim.SharedNetwork
	OwnsNetwork bool

	Clock clock.Clock // nil means the machine's clock
	// ClockRate is how many times as fast as Clock the clock of the world and of the appliance
	// runs, from 1 to MaxClockRate; 0 means 1.
	ClockRate    int
	Entropy      entropy.Source // the zero value is the machine's
	Logger       *slog.Logger   // nil discards
	FactoryReset bool           // the first start discards the committed configuration
	Limits       users.Limits   // of failed logins; the zero value means the default
	// LogFiles keeps log files open. If a process has many boxes, they should share one, so that
	// they keep open no more files than its limit; nil means that the box has one of its own.
	LogFiles *logs.OpenFiles
	// Persistent says that Dir outlasts the process. It only changes what Box.Persistent returns.
	Persistent bool
	// KeepEvents is how many past events are kept from the start for Events and WaitFor; 0 means
	// none until one of them, or Cursor, is called.
	KeepEvents int
	// OnChange, if it is not nil, is called when a commit has changed the host name, when the appliance
	// has booted, and when the box has stopped, by several goroutines. It must return immediately, and
	// must not call the box.
	OnChange func()
	// Timeouts bound how long the appliance waits for the network; zeros mean the defaults.
	Timeouts appliance.Timeouts
}
