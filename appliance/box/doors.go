package box

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/mta/listener"
	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// withDoorOptions returns a copy of the topology with what the options say about its doors.
func withDoorOptions(original *topology.Topology, o Options) *topology.Topology {
	t := *original
	t.Doors.In = slices.Clone(t.Doors.In)
	t.Doors.In = slices.DeleteFunc(t.Doors.In, func(d topology.Door) bool {
		return o.NoDoors || o.OnlyDoors != nil && !slices.Contains(o.OnlyDoors, d.Name)
	})
	for i := range t.Doors.In {
		d := &t.Doors.In[i]
		if d.Service != "ftp" {
			continue
		}
		if o.FTPPassivePorts[0] != 0 {
			d.PassivePorts = fmt.Sprintf("%d-%d", o.FTPPassivePorts[0], o.FTPPassivePorts[1])
		}
		if o.FTPPublicAddr.IsValid() {
			d.PublicAddress = o.FTPPublicAddr
		}
	}
	return &t
}

// followServices makes doors lead to the ports on which the configuration has their services
// listen, after each commit too.
func followServices(w *netsim.World, a *appliance.Appliance) {
	f := doorApplier{w, a}
	f.lead(a.Config.Committed())
	a.Config.AddApplier(f)
}

// A doorApplier tells the doors of a world the ports of a configuration.
type doorApplier struct {
	world     *netsim.World
	appliance *appliance.Appliance
}

// Apply does nothing: a port is open only when the commit is done.
func (doorApplier) Apply(context.Context, *config.Config, *config.Config) error { return nil }

// Done follows a commit.
func (f doorApplier) Done(_ context.Context, _, next *config.Config) { f.lead(next) }

func (f doorApplier) lead(c *config.Config) {
	for _, d := range f.world.Topology().Doors.In {
		for _, i := range netconfig.Interfaces.Get(c).List {
			port := map[string]uint16{
				"ftp": i.FTP, "ssh": i.SSH, "http": i.HTTP, "https": i.HTTPS, "smtp": mailPort(c, i.Name),
			}[d.Service]
			if i.Port != d.Interface || port == 0 {
				continue
			}
			if err := f.world.SetServicePort(d.Service, port); err != nil {
				f.appliance.Logger.Warn("a door does not follow its service", "door", d.Name, "err", err)
			}
			break // of several addresses, the door takes one on which the service listens
		}
	}
}

// mailPort returns the port of the first listener for mail on an IP interface, 0 if there is none.
func mailPort(v config.View, ifname string) uint16 {
	for _, l := range listener.Section.Get(v).Listeners {
		if l.Interface == ifname && l.Type != listener.Quarantine {
			return l.Port
		}
	}
	return 0
}

// httpsDoor returns the real address of a door to HTTPS.
func httpsDoor(w *netsim.World) (addr netip.AddrPort, ok bool) {
	addrs := w.DoorAddrs()
	for _, d := range w.Topology().Doors.In {
		if addr := addrs[d.Name]; d.Service == "https" && addr.IsValid() {
			return addr, true
		}
	}
	return netip.AddrPort{}, false
}
