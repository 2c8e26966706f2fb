package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// A cable is the value of --uplink.
type cable struct{ topology.Uplink }

// UnmarshalText reads the form of topology.ParseUplink.
func (c *cable) UnmarshalText(text []byte) (err error) {
	if c.Uplink, err = topology.ParseUplink(string(text)); err != nil {
		return fmt.Errorf("%q: %w", text, err)
	}
	return nil
}

// loadBlueprint reads the topology and adds the uplinks and DHCP clients of the flags. If a flag asks
// for a door that an uplink switches off, that is an error.
func (s *serve) loadBlueprint() (*box.Blueprint, error) {
	var overrides []topology.Override
	for _, c := range s.Uplink {
		overrides = append(overrides, c.Uplink)
	}
	for _, name := range s.DHCP {
		overrides = append(overrides, topology.DHCPClient(name))
	}
	plan, err := loadBlueprint(s.Topology, overrides...)
	if err != nil {
		return nil, err
	}
	topo := plan.Topology()
	for i := range topo.Doors.In {
		d := &topo.Doors.In[i]
		reason, off := topo.DoorIsOff(d)
		if off && s.doorFlags()[d.Name].IsValid() {
			return nil, fmt.Errorf("--%s: %s: leave the flag out, or give the door a source in the topology",
				d.Name, reason)
		}
	}
	return plan, nil
}

// announceDHCP prints the addresses that the appliance has got by DHCP so far.
func announceDHCP(w io.Writer, b *box.Box) {
	topo := b.World().Topology()
	for i := range topo.Appliance.Interfaces {
		n := &topo.Appliance.Interfaces[i]
		if n.DHCP {
			fmt.Fprintf(w, "  %-5s %s: %s\n", "dhcp", n.Name, dhcpText(b.Lease(n.Name)))
		}
	}
}

// dhcpText says what the DHCP client of an interface does.
func dhcpText(l *box.Lease) string {
	switch {
	case l == nil:
		return "off, since the interfaces have been configured"
	case !l.Address.IsValid():
		return l.State
	case l.Expires.IsZero():
		return fmt.Sprintf("%s, %v from %v", l.State, l.Address, l.Server)
	}
	return fmt.Sprintf("%s, %v from %v until %s",
		l.State, l.Address, l.Server, l.Expires.Format(time.DateTime))
}

// announceUplinks prints where cables lead, what they replace, and which doors are off.
func announceUplinks(w io.Writer, b *box.Box) {
	topo := b.World().Topology()
	for _, u := range b.Uplinks() {
		state := "connected"
		if !u.Connected {
			state = "not connected: " + u.Reason
		}
		fmt.Fprintf(w, "  %-5s %s to %s, %s\n", "cable", u.Interface, u.To, state)
		if missing := topo.NotSimulated(u.Interface); missing != nil {
			fmt.Fprintf(w, "        not simulated on %s: %s\n", u.Interface, strings.Join(missing, ", "))
		}
	}
	for i := range topo.Doors.In {
		d := &topo.Doors.In[i]
		if reason, off := topo.DoorIsOff(d); off {
			fmt.Fprintf(w, "  %-5s off: %s\n", d.Name, reason)
		}
	}
}
