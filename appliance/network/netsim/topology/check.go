package topology

import "net/netip"

// check runs all checks. Later ones use facts that earlier ones have recorded.
func (t *Topology) check(servers ServerTypes, errorf errorFunc) error {
	c := &checker{
		Topology: t, servers: servers, errorf: errorf,
		addrOwners: make(map[netip.Addr]string), macOwners: make(map[MAC]string),
	}
	for _, check := range []func() error{
		c.appliance, c.logs, c.interfaces, c.vlans, c.uplinks, c.hosts, c.services, c.dns,
		c.paths, c.rules, c.doors, c.backDoors, c.clients, c.traffic,
	} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// Warnings returns possible mistakes: settings that are valid, but rarely intended. Each is
// an *Error without a position.
func (t *Topology) Warnings() []error {
	var all []error
	for i, d := range t.Doors.In {
		if n := t.findInterface(d.Interface); n != nil && len(n.Addresses) == 0 && !n.DHCP {
			message := index("doors.in", i, ".interface") + ": " + d.Interface +
				" has no address, so this door stays shut until the appliance is given one"
			all = append(all, &Error{File: t.File, Message: message})
		}
	}
	return append(all, t.dhcpWarnings()...)
}
