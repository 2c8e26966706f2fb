package uplink

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network/netsim/ether"
)

const (
	probes = 3
	// defendTime is the least time between two announcements that an address is taken.
	defendTime = time.Second
)

// A probe asks whether other machines have the addresses of the appliance (RFC 5227, RFC 4862),
// when a link has been opened.
type probe struct {
	mac   ether.MAC
	addrs []netip.Addr
	found chan string // has the text of a conflict; nil once the addresses are ours
}

func newProbe(mac ether.MAC, addrs []netip.Addr) *probe {
	return &probe{mac: mac, addrs: addrs, found: make(chan string, 1)}
}

// identity returns the appliance's addresses.
func (u *Uplink) identity() (ether.MAC, []netip.Addr) {
	a := u.attached.Load()
	if a == nil {
		return ether.MAC{}, nil
	}
	return a.Appliance.MAC(), a.Addrs()
}

// probe asks for the addresses of p. It returns an error if a machine has one of them, or if the
// link breaks.
func (u *Uplink) probe(l link, p *probe, broken <-chan error) error {
	if p.mac != (ether.MAC{}) {
		for range probes {
			if err := l.send(asFrames(p.questions())); err != nil {
				return err
			}
			expired := make(chan struct{})
			stop := clock.System().AfterFunc(u.config.Uplink.ProbeTime/probes, func() { close(expired) })
			var err error
			select {
			case text := <-p.found:
				err = u.refuse(l, p, text)
			case err = <-broken:
				select { // what the other machine has said before it left
				case text := <-p.found:
					err = &conflictError{text}
				default:
				}
			case <-u.ctx.Done():
				err = u.ctx.Err()
			case <-expired:
			}
			if stop(); err != nil {
				return err
			}
		}
	}
	u.probing.Store(&probe{mac: p.mac, addrs: p.addrs})
	return nil
}

// refuse returns the error of an uplink that another machine keeps from being used. That machine may
// be probing too: it is told.
func (u *Uplink) refuse(l link, p *probe, text string) error {
	_ = l.send(asFrames(announcements(p.mac, p.addrs))) // the link is given up in any case
	return &conflictError{text}
}

// conflict handles a conflict: a new uplink is refused, and one that works defends its addresses.
func (u *Uplink) conflict(p *probe, text string) {
	if p.found != nil {
		select {
		case p.found <- text:
		default:
		}
		return
	}
	now := int64(clock.System().Mark())
	last := u.defended.Load()
	if last != 0 && now-last < int64(defendTime) || !u.defended.CompareAndSwap(last, now) {
		return
	}
	u.logger.Warn("another machine has an address of the appliance", "conflict", text)
	mac, addrs := u.identity()
	u.probing.Store(&probe{mac: mac, addrs: addrs}) // they may have been changed
	for _, frame := range announcements(mac, addrs) {
		u.out.put(frame)
	}
}

// conflict returns what is wrong if a frame from outside shows that its sender has, or is about to
// take, an address of the appliance; otherwise "".
func (p *probe) conflict(frame []byte) string {
	if p == nil || p.mac == (ether.MAC{}) {
		return ""
	}
	src := ether.MAC(frame[6:12])
	if src == p.mac {
		return fmt.Sprintf("another machine has the MAC address %v of the appliance,"+
			" or the network returns its frames", src)
	}
	kind, m, _ := payload(frame)
	if binary.BigEndian.Uint16(frame[12:]) == typeVLAN {
		return ""
	}
	var claimed netip.Addr
	switch kind {
	case typeARP:
		claimed = netip.AddrFrom4([4]byte(m[14:18]))
		if asking := netip.AddrFrom4([4]byte(m[24:28])); p.found != nil && claimed.IsUnspecified() {
			claimed = asking
		}
	case typeIPv6:
		claimed = p.claimedByNDP(m)
	}
	if claimed.IsValid() && !claimed.IsUnspecified() && slices.Contains(p.addrs, claimed) {
		return fmt.Sprintf("%v has the address %v of the appliance", src, claimed)
	}
	return ""
}

// claimedByNDP returns the address that the sender of an IPv6 packet announces, or asks for to take
// it.
func (p *probe) claimedByNDP(m []byte) netip.Addr {
	if m[6] != protoICMP6 || len(m) < ipv6Len+24 || m[7] != 255 {
		return netip.Addr{}
	}
	target := netip.AddrFrom16([16]byte(m[ipv6Len+8:]))
	switch src := netip.AddrFrom16([16]byte(m[8:])); {
	case m[ipv6Len] == advertisement, m[ipv6Len] == solicitation && src.IsUnspecified() && p.found != nil:
		return target
	}
	return netip.Addr{}
}

// Types of ICMPv6.
const (
	solicitation  = 135
	advertisement = 136
)

// questions returns the frames that ask whether anybody has the addresses. If there are none, the
// frame asks nothing, but shows the MAC.
func (p *probe) questions() [][]byte {
	var frames [][]byte
	for _, a := range p.addrs {
		if a.Is4() {
			frames = append(frames, arpRequest(p.mac, netip.IPv4Unspecified(), a))
		} else {
			frames = append(frames, discovery(p.mac, solicitation, a))
		}
	}
	if frames == nil {
		frames = append(frames, arpRequest(p.mac, netip.IPv4Unspecified(), netip.IPv4Unspecified()))
	}
	return frames
}

// announcements returns the frames that say whose the addresses are.
func announcements(mac ether.MAC, addrs []netip.Addr) [][]byte {
	frames := [][]byte{}
	for _, a := range addrs {
		if a.Is4() {
			frames = append(frames, arpRequest(mac, a, a))
		} else {
			frames = append(frames, discovery(mac, advertisement, a))
		}
	}
	if len(frames) == 0 {
		frames = (&probe{mac: mac}).questions()
	}
	return frames
}

// arpRequest returns a broadcast ARP request.
func arpRequest(mac ether.MAC, sender, target netip.Addr) []byte {
	f := make([]byte, headerLen+arpLen)
	to := ether.Broadcast()
	copy(f, to[:])
	copy(f[6:], mac[:])
	binary.BigEndian.PutUint16(f[12:], typeARP)
	m := f[headerLen:]
	binary.BigEndian.PutUint32(m, 0x00010800)
	m[4], m[5], m[7] = 6, 4, 1
	copy(m[8:], mac[:])
	copy(m[14:], sender.AsSlice())
	copy(m[24:], target.AsSlice())
	return f
}

// discovery returns a neighbor solicitation as for duplicate address detection, or an unsolicited
// neighbor advertisement.
func discovery(mac ether.MAC, kind byte, target netip.Addr) []byte {
	t := target.As16()
	src, dst, length := netip.IPv6Unspecified(), [16]byte{0: 0xff, 1: 2, 11: 1, 12: 0xff, 13: t[13], 14: t[14], 15: t[15]}, 24
	if kind == advertisement {
		src, dst, length = target, netip.IPv6LinkLocalAllNodes().As16(), 32
	}
	f := make([]byte, headerLen+ipv6Len+length)
	copy(f, []byte{0x33, 0x33, dst[12], dst[13], dst[14], dst[15]})
	copy(f[6:], mac[:])
	binary.BigEndian.PutUint16(f[12:], typeIPv6)
	m := f[headerLen:]
	m[0], m[5], m[6], m[7] = 0x60, byte(length), protoICMP6, 255
	copy(m[8:], src.AsSlice())
	copy(m[24:], dst[:])
	b := m[ipv6Len:]
	b[0] = kind
	copy(b[8:], t[:])
	if kind == advertisement {
		b[4], b[24], b[25] = 0x20, 2, 1 // override; the target's link-layer address
		copy(b[26:], mac[:])
	}
	sum := uint32(length) + protoICMP6
	for i := 8; i < len(m); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(m[i:]))
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	binary.BigEndian.PutUint16(b[2:], ^uint16(sum))
	return f
}
