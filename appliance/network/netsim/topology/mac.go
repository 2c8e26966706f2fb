package topology

import "net"

// A MAC is an Ethernet address.
type MAC [6]byte

// String returns the address in the usual form: 02:00:00:00:00:01.
func (m MAC) String() string { return net.HardwareAddr(m[:]).String() }

// isMulticast reports whether m is the address of a group of stations, broadcast included.
func (m MAC) isMulticast() bool { return m[0]&1 != 0 }

// isBroadcast reports whether m is the address of all stations.
func (m MAC) isBroadcast() bool { return m == MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff} }

// Groups of derived addresses: the fourth byte.
const (
	macInterface = iota + 1
	macGateway
	macHost
	macInternal
	macVLAN
)

// derivedMAC returns the locally administered address number n of a group.
func derivedMAC(group byte, n int) MAC {
	return MAC{0x02, 0x00, 0x00, group, byte(n >> 8), byte(n)}
}

// InternalMAC returns address number n of a group that no machine of a topology has by
// default. These are for the segments between the parts of a world.
func InternalMAC(n int) MAC { return derivedMAC(macInternal, n) }
