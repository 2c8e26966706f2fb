package topology

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// ServicePort returns the default port of a service of the appliance, as a Door names it; 0
// if there is no such service.
func ServicePort(service string) uint16 {
	if p := NamedServicePort(service); p != 0 {
		return p
	}
	p, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return 0
	}
	return uint16(p)
}

// NamedServicePort is ServicePort of a service that is given by name and not as a port.
func NamedServicePort(service string) uint16 {
	switch service {
	case "ftp":
		return 21
	case "ssh":
		return 22
	case "smtp":
		return 25
	case "http":
		return 80
	case "https":
		return 443
	}
	return 0
}

// PassivePortRange returns the first and the last of PassivePorts, zeros for any port. ok is
// false if PassivePorts is not a range.
func (d *Door) PassivePortRange() (low, high uint16, ok bool) {
	if d.PassivePorts == "" {
		return 0, 0, true
	}
	a, b, _ := strings.Cut(d.PassivePorts, "-")
	l, err1 := strconv.ParseUint(a, 10, 16)
	h, err2 := strconv.ParseUint(b, 10, 16)
	if err1 != nil || err2 != nil || l == 0 || h < l {
		return 0, 0, false
	}
	return uint16(l), uint16(h), true
}

// LeadsOut reports whether a back door leads packets for a to a real address.
func (t *Topology) LeadsOut(a netip.Addr) bool {
	return slices.ContainsFunc(t.Doors.Out, func(b BackDoor) bool { return b.Address == a })
}

// RealAddr returns the real address that a back door maps a simulated one to. A back door of
// one port takes precedence over a back door of all ports.
func (t *Topology) RealAddr(to netip.AddrPort) (netip.AddrPort, bool) {
	var out netip.AddrPort
	for _, b := range t.Doors.Out {
		switch {
		case b.Address != to.Addr():
		case b.Port == 0 && !out.IsValid():
			out = netip.AddrPortFrom(b.To, to.Port())
		case b.Port == to.Port() && b.ToPort == 0:
			return netip.AddrPortFrom(b.To, b.Port), true
		case b.Port == to.Port():
			return netip.AddrPortFrom(b.To, b.ToPort), true
		}
	}
	return out, out.IsValid()
}
