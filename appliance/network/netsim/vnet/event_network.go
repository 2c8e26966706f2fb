package vnet

import (
	"context"
	"net"
	"net/netip"
	"strings"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/network"
)

// An InterfaceChanged is the event that an interface was added, or has other addresses.
type InterfaceChanged struct {
	Name, Device string
	Link         int    // the N of link#N
	MAC          string // as 00:50:56:0a:02:07; "" for a loopback interface
	MTU          int
	VLAN         int `json:"vlan,omitzero"`
	Addrs        []netip.Prefix
}

// Kind implements events.Fields.
func (InterfaceChanged) Kind() string { return "interface.changed" }

// An InterfaceCounted is the event that an interface is switched off, with the totals since it came
// up.
type InterfaceCounted struct {
	Name               string
	Link               int
	RxPackets, RxBytes uint64
	TxPackets, TxBytes uint64
}

// Kind implements events.Fields.
func (InterfaceCounted) Kind() string { return "interface.counted" }

// A NeighborChanged is the event that an entry of the ARP or NDP cache was added or has changed, or
// that it was removed.
type NeighborChanged struct {
	Link  int // the N of link#N of the interface
	Addr  netip.Addr
	MAC   string // "": not known
	State string // of the entry: "incomplete", "reachable", "stale", "unreachable", "removed", ...
}

// Kind implements events.Fields.
func (NeighborChanged) Kind() string { return "neighbor.changed" }

// A ProbeSent is the event that the machine sends a packet to see what answers it: an echo request
// of ping, or a probe of traceroute.
type ProbeSent struct {
	Protocol      string         // "icmp", "udp" or "tcp"
	Local, Remote netip.AddrPort // without ports for "icmp"; Local may be zero: chosen by the route
	Ident, Number uint16         // of an echo request
}

// Kind implements events.Fields.
func (ProbeSent) Kind() string { return "probe.sent" }

// A ProbeEnded is the event that a probe was answered, or that nobody waits for an answer any more.
// Its cause is that the probe was sent.
type ProbeEnded struct {
	From netip.Addr // invalid: there was no answer
	// Type and Code are those of an ICMP answer.
	Type, Code uint8
	TCP        bool   // a TCP segment was the answer
	Error      string // why there was none
}

// Kind implements events.Fields.
func (ProbeEnded) Kind() string { return "probe.ended" }

// publishChanged is called with mu held when an interface was added or has other addresses.
func (h *Host) publishChanged(i *iface) {
	if !h.options.Events.Hears("interface.changed") {
		return
	}
	x := InterfaceChanged{
		Name: i.name, Device: i.device, Link: int(i.id), MTU: loopbackMTU, VLAN: i.vlan,
		Addrs: append([]netip.Prefix{}, i.addrs...),
	}
	if i.port != nil {
		mac := i.port.MAC()
		x.MAC, x.MTU = net.HardwareAddr(mac[:]).String(), i.port.MTU()
	}
	events.Publish(h.options.Events, 0, x)
}

// publishCounted is called when an interface is switched off.
func (h *Host) publishCounted(i *iface) {
	if i.port == nil || !h.options.Events.Hears("interface.counted") {
		return
	}
	c := i.port.Counters()
	events.Publish(h.options.Events, 0, InterfaceCounted{
		i.name, int(i.id), c.RxPackets, c.RxBytes, c.TxPackets, c.TxBytes,
	})
}

// publish is called with the stack's locks held. state is "" for that of the entry.
func (n *neighborSweeper) publish(nic tcpip.NICID, e stack.NeighborEntry, state string) {
	stream := n.host.options.Events
	if !stream.Hears("neighbor.changed") {
		return
	}
	x := NeighborChanged{Link: int(nic), Addr: fromAddress(e.Addr, 0), State: state}
	if e.LinkAddr != "" {
		x.MAC = net.HardwareAddr(e.LinkAddr).String()
	}
	if state == "" {
		x.State = strings.ToLower(e.State.String())
	}
	events.Publish(stream, 0, x)
}

// publishProbe is called before a probe is sent.
func (h *Host) publishProbe(protocol string, local, remote netip.AddrPort, ident, number uint16) uint64 {
	return events.Publish(h.options.Events, 0, ProbeSent{protocol, local, remote, ident, number})
}

// publishProbeEnded is called when nobody waits for the answer to a probe any more.
func (h *Host) publishProbeEnded(ctx context.Context, sent uint64, r network.Reply, err error) {
	stream := h.options.Events
	if !stream.Hears("probe.ended") {
		return
	}
	x := ProbeEnded{From: r.From, Type: r.Type, Code: r.Code, TCP: r.Kind == network.TCPReply}
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		x = ProbeEnded{Error: err.Error()}
	}
	events.Publish(stream, sent, x)
}
