package netsim

import (
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// This file keeps back doors from leading to the front doors of the same world. Mail that is
// delivered there would be accepted again and delivered there again, without end.

// checkBackDoors returns an error if a back door of one port leads to a front door. One of all
// ports is legal: its packets for the port of a front door are refused (see exitAddr).
func (d *doors) checkBackDoors(t *topology.Topology) error {
	for i, b := range t.Doors.Out {
		if b.Port == 0 {
			continue
		}
		to, _ := t.RealAddr(netip.AddrPortFrom(b.Address, b.Port))
		if f := d.frontAt(to); f != nil {
			return fmt.Errorf("doors.out[%d].to_port: %v is the door %s of this program, "+
				"expected another port, such as 2526: what is sent there would come back", i, to, f.door.Name)
		}
	}
	return nil
}

// frontAt returns the front door that listens on a real address, nil if there is none.
func (d *doors) frontAt(real netip.AddrPort) *front {
	i := slices.IndexFunc(d.fronts, func(f *front) bool {
		at := f.Addr()
		switch {
		case at.Port() == 0 || at.Port() != real.Port():
			return false
		case at.Addr().Unmap().IsUnspecified():
			return ofThisMachine(real.Addr())
		}
		return at.Addr().Unmap() == real.Addr().Unmap()
	})
	if i < 0 {
		return nil
	}
	return d.fronts[i]
}

// ofThisMachine reports whether a real address is one of the machine's own.
func ofThisMachine(a netip.Addr) bool {
	a = a.Unmap()
	if a.IsLoopback() || a.IsUnspecified() {
		return true
	}
	own, _ := net.InterfaceAddrs() // of a machine that does not tell, only loopback is known
	return slices.ContainsFunc(own, func(n net.Addr) bool {
		p, err := netip.ParsePrefix(n.String())
		return err == nil && p.Addr().Unmap() == a
	})
}

// exitAddr returns the real address that a back door maps a simulated one to. ok is false if it is
// not mapped, or if a front door listens there.
func (d *doors) exitAddr(to netip.AddrPort) (real netip.AddrPort, ok bool) {
	real, ok = d.stacks.topology.RealAddr(to)
	return real, ok && d.frontAt(real) == nil
}
