package netsim

import (
	"net/netip"

	"github.com/esasim/esasim/appliance/network"
)

// The methods of this file show or change what the connections that the topology opens are a part
// of, so they wait until these are open.

// Neighbors implements network.Inspector.
func (d *doors) Neighbors() ([]network.Neighbor, error) {
	d.settle()
	return d.Host.Neighbors()
}

// FlushNeighbors implements network.Inspector.
func (d *doors) FlushNeighbors() ([]network.Neighbor, error) {
	d.settle()
	return d.Host.FlushNeighbors()
}

// Routes implements network.Inspector.
func (d *doors) Routes() ([]network.Route, error) {
	d.settle()
	return d.Host.Routes()
}

// Sockets implements network.Inspector.
func (d *doors) Sockets() ([]network.Socket, error) {
	d.settle()
	return d.Host.Sockets()
}

// Counters implements network.Inspector.
func (d *doors) Counters(ifname string) (network.Counters, error) {
	d.settle()
	return d.Host.Counters(ifname)
}

// Tap implements network.Tapper.
func (d *doors) Tap(c network.TapConfig) (network.Tap, error) {
	d.look()
	d.settle()
	return d.Host.Tap(c)
}

// SetAddrs changes addresses of the appliance's stack. The doors lead to the new ones.
func (d *doors) SetAddrs(ifname string, addrs []netip.Prefix) error {
	d.settle()
	err := d.Host.SetAddrs(ifname, addrs)
	if u := d.stacks.options.Uplinks.find(ifname); u != nil {
		u.AddrsChanged()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.update()
	return err
}

// SetMTU implements network.Configurer.
func (d *doors) SetMTU(ifname string, mtu int) error {
	d.settle()
	return d.Host.SetMTU(ifname, mtu)
}

// SetMedia implements network.Configurer.
func (d *doors) SetMedia(ifname string, m network.Media) error {
	d.settle()
	return d.Host.SetMedia(ifname, m)
}

// SetVLANs implements network.Configurer.
func (d *doors) SetVLANs(vlans []network.VLAN) error {
	d.settle()
	return d.Host.SetVLANs(vlans)
}

// SetRoutes implements network.Configurer.
func (d *doors) SetRoutes(routes []network.Route) error {
	d.settle()
	return d.Host.SetRoutes(routes)
}

// AbortConns implements network.Configurer.
func (d *doors) AbortConns() int {
	d.settle()
	return d.Host.AbortConns()
}
