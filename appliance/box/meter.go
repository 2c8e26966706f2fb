package box

import (
	"encoding/binary"
	"fmt"
	"maps"
	"net/netip"
	"sync"

	"github.com/esasim/esasim/appliance/network"
)

// Counts are frames and bytes that the appliance exchanged with a part of the network.
type Counts struct {
	Sent          int64 `json:"sent"` // frames, by the appliance
	Received      int64 `json:"received"`
	SentBytes     int64 `json:"sent_bytes"`
	ReceivedBytes int64 `json:"received_bytes"`
}

// Add adds other counts.
func (c *Counts) Add(x Counts) {
	c.Sent += x.Sent
	c.Received += x.Received
	c.SentBytes += x.SentBytes
	c.ReceivedBytes += x.ReceivedBytes
}

// A Meter counts the frames on the appliance's cables by the address at their other end. It costs
// nothing once it is closed.
type Meter struct {
	box *Box

	mu       sync.Mutex
	instance *instance // that the taps are in
	taps     []network.Tap
	ports    map[string]Counts
	addrs    map[netip.Addr]*Counts // has all addresses of hosts and gateways, and no others
}

// NewMeter returns a meter that counts from now on, over reboots and resets. The caller must close
// it.
func (b *Box) NewMeter() *Meter {
	m := &Meter{box: b, ports: map[string]Counts{}, addrs: map[netip.Addr]*Counts{}}
	t := b.o.Topology
	for _, h := range t.Hosts {
		for _, a := range h.Addresses {
			m.addrs[a] = &Counts{}
		}
	}
	for _, s := range t.Segments() {
		for _, p := range s.Routers {
			m.addrs[p.Addr()] = &Counts{}
		}
	}
	return m
}

// Read returns the counts by interface and by address of a host or gateway. The first call begins
// to count, and the first call after a reboot goes on with the new appliance.
func (m *Meter) Read() (ports map[string]Counts, addrs map[netip.Addr]Counts, err error) {
	if current := m.box.current(); m.instance != current {
		if err := m.attach(current); err != nil {
			return nil, nil, err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	addrs = map[netip.Addr]Counts{}
	for a, c := range m.addrs {
		if *c != (Counts{}) {
			addrs[a] = *c
		}
	}
	return maps.Clone(m.ports), addrs, nil
}

// attach taps the interfaces of an instance.
func (m *Meter) attach(i *instance) error {
	m.Close()
	m.instance = i
	for _, port := range i.appliance.Net.Interfaces() {
		if port.Loopback || port.Parent != "" { // frames of a VLAN are on its parent's cable
			continue
		}
		t, err := i.appliance.Net.Tap(network.TapConfig{
			Interface: port.Name, Sink: func(f network.Frame) { m.count(port.Name, f) },
		})
		if err != nil {
			return fmt.Errorf("count the frames of %s: %w", port.Name, err)
		}
		m.taps = append(m.taps, t)
	}
	return nil
}

// Close ends the counting. Read must not be called at the same time.
func (m *Meter) Close() {
	for _, t := range m.taps {
		_ = t.Close() // nothing depends on it
	}
	m.taps, m.instance = nil, nil
}

func (m *Meter) count(port string, f network.Frame) {
	source, destination := addrsOfFrame(f.Data)
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.ports[port]
	c.count(f)
	m.ports[port] = c
	remote := source
	if f.Dir == network.Out {
		remote = destination
	}
	if c := m.addrs[remote]; c != nil {
		c.count(f)
	}
}

func (c *Counts) count(f network.Frame) {
	if f.Dir == network.Out {
		c.Sent++
		c.SentBytes += int64(f.WireLen)
		return
	}
	c.Received++
	c.ReceivedBytes += int64(f.WireLen)
}

// addrsOfFrame returns the addresses in an Ethernet frame with IP or ARP, with or without a VLAN
// tag. They are invalid in other frames.
func addrsOfFrame(b []byte) (source, destination netip.Addr) {
	const vlan, ipv4, arp, ipv6 = 0x8100, 0x0800, 0x0806, 0x86dd
	if len(b) < 14 {
		return
	}
	protocol, b := binary.BigEndian.Uint16(b[12:]), b[14:]
	if protocol == vlan && len(b) >= 4 {
		protocol, b = binary.BigEndian.Uint16(b[2:]), b[4:]
	}
	at, n := 0, 4
	second := 4 // bytes from the first address to the second
	switch protocol {
	case ipv4:
		at = 12
	case arp:
		at, second = 14, 10
	case ipv6:
		at, n, second = 8, 16, 16
	default:
		return
	}
	if len(b) < at+second+n {
		return
	}
	source, _ = netip.AddrFromSlice(b[at : at+n])
	destination, _ = netip.AddrFromSlice(b[at+second : at+second+n])
	return source, destination
}
