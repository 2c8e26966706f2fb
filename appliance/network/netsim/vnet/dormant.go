package vnet

import (
	"net/netip"
	"slices"
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

// dormants are the functions of OnFirstPacket by the addresses that they wait for.
type dormants struct {
	mu sync.Mutex // a leaf
	at map[netip.AddrPort][]*dormant
}

// A dormant is one function of OnFirstPacket.
type dormant struct {
	start func()
	once  sync.Once
}

// OnFirstPacket calls start, once, before the host processes the first SYN or UDP datagram to one
// of the addresses for which it has no socket. The sockets that start opens then receive that
// packet, as if they had been there before: a server that nobody uses needs neither sockets nor
// goroutines. start is called by the goroutine that delivers the packet. It must return soon, must
// not wait for packets, and must not close a listener.
//
// cancel makes sure that start is not called any more. If it is running, cancel waits for it.
//
// A promiscuous host has forwarders instead: OnFirstPacket must not be called for it.
func (h *Host) OnFirstPacket(addrs []netip.AddrPort, start func()) (cancel func()) {
	d := &dormant{start: start}
	h.dormants.mu.Lock()
	defer h.dormants.mu.Unlock()
	if h.dormants.at == nil {
		h.dormants.at = make(map[netip.AddrPort][]*dormant)
	}
	for _, a := range addrs {
		h.dormants.at[a] = append(h.dormants.at[a], d)
	}
	return func() {
		h.dormants.mu.Lock()
		for _, a := range addrs {
			h.dormants.at[a] = slices.DeleteFunc(slices.Clone(h.dormants.at[a]),
				func(x *dormant) bool { return x == d })
		}
		h.dormants.mu.Unlock()
		d.once.Do(func() {})
	}
}

// handleUnknown makes the stack call wakeSockets for packets that no socket receives, and publishes
// those that none receives then. The stack reads its handlers without a lock, so they are set before
// the first packet can arrive.
func (h *Host) handleUnknown() {
	for _, p := range []tcpip.TransportProtocolNumber{tcp.ProtocolNumber, udp.ProtocolNumber} {
		h.stack.SetTransportProtocolHandler(p,
			func(id stack.TransportEndpointID, pkt *stack.PacketBuffer) bool {
				if h.wakeSockets(p, id, pkt) {
					return true
				}
				if h.options.Events != nil {
					h.publishUnclaimed(p, id, pkt)
				}
				return false
			})
	}
}

// wakeSockets handles a packet that no socket has received, and reports whether one has received it
// now: one of a server that waits for its first packet, or a listener that is asleep. A packet that
// arrives while another one wakes a socket waits for that, so the packets keep their order.
func (h *Host) wakeSockets(
	p tcpip.TransportProtocolNumber, id stack.TransportEndpointID, pkt *stack.PacketBuffer,
) bool {
	_, to := ends(id)
	h.wakeDormants(p, to, pkt)
	if p == tcp.ProtocolNumber {
		h.openListeners(func(a netip.AddrPort) bool { return overlap(a, to) })
	}
	if h.stack.FindTransportEndpoint(pkt.NetworkProtocolNumber, p, id, pkt.NICID) == nil {
		return false
	}
	port := h.portOf(pkt.NICID)
	return port != nil && port.DeliverAgain(p, pkt)
}

// wakeDormants starts the servers that wait for their first packet at an address. A segment other
// than a SYN is not one for them.
func (h *Host) wakeDormants(
	p tcpip.TransportProtocolNumber, to netip.AddrPort, pkt *stack.PacketBuffer,
) {
	if p == tcp.ProtocolNumber &&
		header.TCP(pkt.TransportHeader().Slice()).Flags() != header.TCPFlagSyn {
		return
	}
	h.dormants.mu.Lock()
	list := h.dormants.at[to]
	h.dormants.mu.Unlock()
	for _, d := range list {
		d.once.Do(d.start)
	}
}
