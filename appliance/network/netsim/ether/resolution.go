package ether

import (
	"encoding/binary"
	"net/netip"

	"gvisor.dev/gvisor/pkg/buffer"
)

// A resolution says which messages of ARP and NDP a link withholds from its stack. It is
// replaced, never changed.
type resolution struct {
	acceptGroups bool                // deliver ARP messages whose sender has a multicast MAC
	unanswered   map[netip.Addr]bool // addresses about which requests are dropped
}

// AcceptMulticastARP sets whether ARP messages whose sender has a multicast MAC are
// delivered to the port's stack. Initially they are dropped (FreeBSD:
// net.link.ether.inet.allow_multicast).
func (p *Port) AcceptMulticastARP(accept bool) {
	p.link.updateResolution(func(r *resolution) { r.acceptGroups = accept })
}

// SetUnansweredAddrs sets the addresses about which the port's stack does not answer the
// ARP requests and neighbor solicitations of its neighbors, although it has them.
func (p *Port) SetUnansweredAddrs(addrs []netip.Addr) {
	unanswered := make(map[netip.Addr]bool)
	for _, a := range addrs {
		unanswered[a] = true
	}
	p.link.updateResolution(func(r *resolution) { r.unanswered = unanswered })
}

// SetARPMAC makes the port's stack announce mac in its ARP messages, while its frames still
// have the port's own MAC as source. The machines of a cluster announce a multicast address
// in this way; if mac is one, the port joins the group. SetARPMAC must be called before
// anything is transmitted.
func (p *Port) SetARPMAC(mac MAC) {
	p.link.arpMAC = mac
	if mac.IsMulticast() {
		p.JoinGroup(mac)
	}
}

// WrapResolution makes the port call f for each message of ARP and NDP from which its stack
// could learn a neighbor's address. f must call deliver, which delivers the message. f runs
// on the pump.
func (p *Port) WrapResolution(f func(deliver func())) { p.link.wrapResolution.Store(&f) }

// updateResolution replaces the link's resolution by a copy that f has changed.
func (l *link) updateResolution(f func(r *resolution)) {
	l.port.mu.Lock()
	defer l.port.mu.Unlock()
	var r resolution
	if old := l.resolution.Load(); old != nil {
		r = *old
	}
	f(&r)
	l.resolution.Store(&r)
}

// Offsets in frames with ARP for IPv4 and with NDP, and the numbers of both protocols.
const (
	arpLen       = headerLen + 28
	arpOp        = headerLen + 6
	arpSenderMAC = headerLen + 8
	arpTargetIP  = headerLen + 24
	arpRequest   = 1

	icmp6At         = headerLen + v6Len
	protocolICMP6   = 58
	solicitation    = 135
	advertisement   = 136
	solicitationLen = icmp6At + 24
)

// isResolution reports whether the stack could learn a neighbor's address from a frame.
func isResolution(frame []byte) bool {
	if frame[12] == 0x08 && frame[13] == 0x06 {
		return true
	}
	return frame[12] == 0x86 && frame[13] == 0xdd && len(frame) > icmp6At &&
		frame[headerLen+6] == protocolICMP6 &&
		(frame[icmp6At] == solicitation || frame[icmp6At] == advertisement)
}

// isARP reports whether a frame, which may have a tag, is a message of ARP.
func isARP(frame []byte) bool {
	at := tagAt + tagLen(frame)
	return frame[at] == 0x08 && frame[at+1] == 0x06
}

// pad fills a frame up to minFrameLen with zeros, as the sender's card does: a capture at the
// receiver has them, one at the sender does not. Only ARP messages are padded: routers would
// forward the padding of other packets. Frames to and from the outside are not padded: a real
// card does that, and a virtual one leaves them as they are.
func pad(v *buffer.View) {
	var zeros [minFrameLen]byte
	if n := minFrameLen + tagLen(v.AsSlice()) - v.Size(); n > 0 {
		_, _ = v.Write(zeros[:n]) // does not fail: a view grows
	}
}

// accepts reports whether a frame is delivered to the stack. For most frames the check
// ends with the protocol.
func (l *link) accepts(frame []byte) bool {
	switch {
	case frame[12] == 0x08 && frame[13] == 0x06 && len(frame) >= arpLen:
		r := l.resolution.Load()
		if MAC(frame[arpSenderMAC:arpSenderMAC+6]).IsMulticast() && (r == nil || !r.acceptGroups) {
			return false
		}
		target := netip.AddrFrom4([4]byte(frame[arpTargetIP:]))
		return r == nil || !r.unanswered[target] ||
			binary.BigEndian.Uint16(frame[arpOp:]) != arpRequest
	case frame[12] == 0x86 && frame[13] == 0xdd && len(frame) >= solicitationLen &&
		frame[headerLen+6] == protocolICMP6 && frame[icmp6At] == solicitation:
		r := l.resolution.Load()
		return r == nil || !r.unanswered[netip.AddrFrom16([16]byte(frame[icmp6At+8:]))]
	}
	return true
}

// rewriteARPSender sets the sender of an ARP message of the stack to arpMAC.
func (l *link) rewriteARPSender(v *buffer.View) {
	frame := v.AsSlice()
	if l.arpMAC != (MAC{}) && len(frame) >= arpLen && frame[12] == 0x08 && frame[13] == 0x06 {
		copy(frame[arpSenderMAC:], l.arpMAC[:])
	}
}
