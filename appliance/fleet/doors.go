package fleet

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"

	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// doorsPerAppliance is the number of ports that each appliance has behind one base address.
const doorsPerAppliance = 10

// Doors say where the doors of a fleet's appliances listen.
type Doors struct {
	// Base is an address with the first port: door D of the appliance in place P of the shard
	// listens on port Base + 10 x P + D, where D counts the doors of the topology from 0, those
	// that are not open included. Port 0 stands for free ports.
	//
	// The zero Base gives each appliance a loopback address of its own, 127.10.X.Y, with the real
	// port numbers of the services, or those of the topology where this user may not listen on
	// ports below 1024.
	Base netip.AddrPort
}

// own reports whether each appliance has an address of its own.
func (d Doors) own() bool { return !d.Base.IsValid() }

// ownAddr returns the loopback address of the appliance with that index in the fleet.
func ownAddr(index int) netip.Addr {
	const perBlock = 254 // 127.10.X.1 to 127.10.X.254
	return netip.AddrFrom4([4]byte{127, 10, byte(index / perBlock), byte(index%perBlock + 1)})
}

// addrs returns the addresses of the open doors of an appliance by their names. lowPorts says
// whether ports below 1024 can be used.
func (d Doors) addrs(s Spec, place int, lowPorts bool) (map[string]netip.AddrPort, error) {
	addrs := map[string]netip.AddrPort{}
	for i, in := range s.kind.topology.Doors.In {
		if !slices.Contains(s.kind.doors, in.Name) {
			continue
		}
		switch {
		case d.own():
			port := in.Listen.Port()
			if real := topology.NamedServicePort(in.Service); lowPorts && real != 0 {
				port = real
			}
			addrs[in.Name] = netip.AddrPortFrom(ownAddr(s.Index), port)
		case d.Base.Port() == 0:
			addrs[in.Name] = d.Base
		default:
			port := int(d.Base.Port()) + doorsPerAppliance*place + i
			if i >= doorsPerAppliance || port > 65535 {
				return nil, fmt.Errorf("there is no port for the door %s of %s: from port %d on there are "+
					"ports for %d appliances with up to %d doors each: choose a lower port, or run shards",
					in.Name, s.Name, d.Base.Port(), (65536-int(d.Base.Port()))/doorsPerAppliance,
					doorsPerAppliance)
			}
			addrs[in.Name] = netip.AddrPortFrom(d.Base.Addr(), uint16(port))
		}
	}
	return addrs, nil
}

// mayUseLowPorts reports whether this process may listen on ports below 1024 of a loopback address.
func mayUseLowPorts(addr netip.Addr) bool {
	at := netip.AddrPortFrom(addr, topology.NamedServicePort("ssh")).String()
	l, err := net.Listen("tcp", at) //nolint:forbidigo // a door of the fleet is the machine's own socket
	if err == nil {
		l.Close()
	}
	return err == nil || !errors.Is(err, os.ErrPermission)
}
