package main

import (
	"fmt"
	"io"
	"strings"

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

// loadTopology reads the topology and adds the uplinks of the flags. If a flag asks for a door that
// an uplink switches off, that is an error.
func (s *serve) loadTopology() (*topology.Topology, error) {
	var uplinks []topology.Uplink
	for _, c := range s.Uplink {
		uplinks = append(uplinks, c.Uplink)
	}
	topo, err := topologyBeside(func(name string) string { return name }, uplinks...)(s.Topology)
	if err != nil {
		return nil, err
	}
	for i := range topo.Doors.In {
		d := &topo.Doors.In[i]
		reason, off := topo.DoorIsOff(d)
		if off && s.doorFlags()[d.Name].IsValid() {
			return nil, fmt.Errorf("--%s: %s: leave the flag out, or give the door a source in the topology",
				d.Name, reason)
		}
	}
	return topo, nil
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
