package ether

// An uplink is what makes a port the way to the outside of its segment.
type uplink struct{ only *Port } // only: the port whose frames pass; nil: those of all ports

// NewUplinkPort attaches a port whose other end is outside of the fabric. receive is called on the
// pump for each frame that leaves: frames to groups, and those to addresses that no port of the
// segment has, of all VLANs, with their tags. It must not block, and must not retain or change the
// frame. Transmit brings frames in. If only is not nil, frames pass between the outside and that
// port alone. A segment has at most one uplink. It has no MAC of its own.
func (s *Segment) NewUplinkPort(name string, mtu int, only *Port, receive func(frame []byte)) *Port {
	return s.attach(&Port{name: name, receive: receive, uplink: &uplink{only}}, mtu)
}

// Knows reports whether a port of the segment, or of one of its VLANs, receives frames to mac.
// Uplinks do not count. A group is known.
func (s *Segment) Knows(mac MAC) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if mac.IsMulticast() || s.byMAC[mac] != nil {
		return true
	}
	for _, v := range s.vlans {
		if v.Knows(mac) {
			return true
		}
	}
	return false
}

// isFor reports whether frames pass between an uplink and a port. All pass if there is no uplink.
func (u *uplink) isFor(p *Port) bool { return u == nil || u.only == nil || u.only == p }
