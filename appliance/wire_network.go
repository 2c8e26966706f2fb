package appliance

import (
	"github.com/esasim/esasim/appliance/netconfig"
)

// openNetwork brings up the network and makes the process table. At a commit the network comes
// first: processes listen on addresses that the same commit may have added.
func (a *Appliance) openNetwork() {
	interfaces := netconfig.NewApplier(netconfig.Options{
		Net:         a.Net,
		AfterCommit: a.Captures.InterfacesChanged,
		Logger:      a.Logger,
	})
	a.Config.AddApplier(interfaces)
	a.Config.AddApplier(a.Daemons)
	interfaces.Start(a.Config.Committed())
}
