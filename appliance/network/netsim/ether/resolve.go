package ether

import (
	"encoding/binary"
	"net/netip"

	"gvisor.dev/gvisor/pkg/buffer"
)

// A resolution is what a link makes of ARP and NDP beyond what its stack does. It is
// replaced, never changed.
type resolution struct {
	groups bool                // believes ARP senders at a group's address
	mute   map[netip.Addr]bool // the stack's addresses that it is silent about
}

// AcceptMulticastARP lets the port's stack hear ARP messages whose sender is at the
// Ethernet address of a group. Otherwise they are dropped (FreeBSD:
// net.link.ether.inet.allow_multicast).
func (p *Port) AcceptMulticastARP(accept bool) {
	p.stack.change(func(r *resolution) { r.groups = accept })
}

// SetMute names addresses that the port's stack has, but that it does not answer for
// when its neighbours ask by ARP or NDP.
func (p *Port) SetMute(addrs []netip.Addr) {
	mute := make(map[netip.Addr]bool)
	for _, a := range addrs {
		mute[a] = true
	}
	p.stack.change(func(r *resolution) { r.mute = mute })
}

// SetARPAddress makes the port's stack tell others, by ARP, that it is at mac, while
// its frames still come from the port's own address. A cluster's machines do so with
// the address of a group, which the port joins. It is called before anything is sent.
func (p *Port) SetARPAddress(mac MAC) {
	p.stack.arpMAC = mac
	if mac.IsMulticast() {
		p.JoinGroup(mac)
	}
}

// SetLearn makes f deliver the messages of ARP and NDP to the port's stack. f runs on
// the wire's pump, as the delivery does.
func (p *Port) SetLearn(f func(deliver func())) { p.stack.learn.Store(&f) }

func (l *link) change(f func(r *resolution)) {
	l.port.mu.Lock()
	defer l.port.mu.Unlock()
	var r resolution
	if old := l.resolution.Load(); old != nil {
		r = *old
	}
	f(&r)
	l.resolution.Store(&r)
}

// Offsets of ARP for IPv4 in a frame, and what NDP is made of.
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

// resolves reports whether a frame can tell the stack a neighbour's address.
func resolves(frame []byte) bool {
	if frame[12] == 0x08 && frame[13] == 0x06 {
		return true
	}
	return frame[12] == 0x86 && frame[13] == 0xdd && len(frame) > icmp6At && frame[headerLen+6] == protocolICMP6 &&
		(frame[icmp6At] == solicitation || frame[icmp6At] == advertisement)
}

// heeds reports whether the stack is to hear a frame. Few are looked at closely.
func (l *link) heeds(frame []byte) bool {
	switch {
	case frame[12] == 0x08 && frame[13] == 0x06 && len(frame) >= arpLen:
		r := l.resolution.Load()
		if MAC(frame[arpSenderMAC:arpSenderMAC+6]).IsMulticast() && (r == nil || !r.groups) {
			return false
		}
		target := netip.AddrFrom4([4]byte(frame[arpTargetIP:]))
		return r == nil || !r.mute[target] || binary.BigEndian.Uint16(frame[arpOp:]) != arpRequest
	case frame[12] == 0x86 && frame[13] == 0xdd && len(frame) >= solicitationLen &&
		frame[headerLen+6] == protocolICMP6 && frame[icmp6At] == solicitation:
		r := l.resolution.Load()
		return r == nil || !r.mute[netip.AddrFrom16([16]byte(frame[icmp6At+8:]))]
	}
	return true
}

// disguise changes the sender of an ARP message that the stack sends.
func (l *link) disguise(v *buffer.View) {
	frame := v.AsSlice()
	if l.arpMAC != (MAC{}) && len(frame) >= arpLen && frame[12] == 0x08 && frame[13] == 0x06 {
		copy(frame[arpSenderMAC:], l.arpMAC[:])
	}
}
