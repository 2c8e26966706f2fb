package uplink

import (
	"encoding/binary"

	"github.com/esasim/esasim/appliance/network/netsim/ether"
)

const (
	headerLen  = 14
	tagLen     = 4
	typeIPv4   = 0x0800
	typeARP    = 0x0806
	typeVLAN   = 0x8100
	typeIPv6   = 0x86dd
	maxFrame   = headerLen + tagLen + MaxMTU
	arpLen     = 28
	ipv4Len    = 20
	ipv6Len    = 40
	protoICMP6 = 58
)

// maxPacket is the length of the longest IP packet.
const maxPacket = 65535

// isValid reports whether a frame from outside may be given to the world: it has no more than limit
// bytes, one machine has sent it, and the message in it is not cut off.
func isValid(frame []byte, limit int) bool {
	if len(frame) < headerLen || len(frame) > limit {
		return false
	}
	if src := ether.MAC(frame[6:12]); src.IsMulticast() || src == (ether.MAC{}) {
		return false
	}
	kind, packet, ok := payload(frame)
	if !ok {
		return false
	}
	switch kind {
	case typeARP:
		return len(packet) >= arpLen
	case typeIPv4:
		if len(packet) < ipv4Len || packet[0]>>4 != 4 {
			return false
		}
		header, total := int(packet[0]&0x0f)*4, int(binary.BigEndian.Uint16(packet[2:]))
		return header >= ipv4Len && header <= total && total <= len(packet)
	case typeIPv6:
		return len(packet) >= ipv6Len && packet[0]>>4 == 6 &&
			ipv6Len+int(binary.BigEndian.Uint16(packet[4:])) <= len(packet)
	}
	return true
}

// payload returns the type of what a frame carries, without the tag of a VLAN. ok is false if the
// frame ends in its tag.
func payload(frame []byte) (kind uint16, packet []byte, ok bool) {
	kind, packet = binary.BigEndian.Uint16(frame[12:]), frame[headerLen:]
	if kind != typeVLAN {
		return kind, packet, true
	}
	if len(packet) < tagLen {
		return 0, nil, false
	}
	return binary.BigEndian.Uint16(packet[2:]), packet[tagLen:], true
}

// asFrames returns complete frames.
func asFrames(list [][]byte) []frame {
	var frames []frame
	for _, b := range list {
		frames = append(frames, frame{bytes: b})
	}
	return frames
}
