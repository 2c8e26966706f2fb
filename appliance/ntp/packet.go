package ntp

import (
	"encoding/binary"
	"errors"
	"time"
)

// A Mode is the mode of an association.
type Mode uint8

// The modes of a client and its server.
const (
	ModeClient Mode = 3
	ModeServer Mode = 4
)

// LeapUnsynchronized is the leap indicator of a server whose clock is not synchronized.
const LeapUnsynchronized = 3

// packetSize is the size of a packet without extensions.
const packetSize = 48

// A Packet is the header of an NTP packet (RFC 5905 7.3). A time is zero if the packet does not
// have it.
type Packet struct {
	Leap, Version uint8
	Mode          Mode
	Stratum       uint8 // 0: RefID is a kiss code; 1: a reference clock; 16: unsynchronized
	Poll          int8  // log2 seconds
	Precision     int8  // log2 seconds
	RootDelay     time.Duration
	RootDisp      time.Duration
	RefID         [4]byte
	Reference     time.Time // when the clock was last set
	Origin        Timestamp // Transmit of the request
	Receive       time.Time // when the request was received
	Transmit      Timestamp // when this packet was sent
}

// ErrShortPacket means that a packet is shorter than the header of NTP.
var ErrShortPacket = errors.New("ntp: packet too short")

// Append appends the wire form of the packet to b.
func (p Packet) Append(b []byte) []byte {
	b = append(b, p.Leap<<6|p.Version&7<<3|uint8(p.Mode)&7, p.Stratum, uint8(p.Poll),
		uint8(p.Precision))
	b = binary.BigEndian.AppendUint32(b, shortFormat(p.RootDelay))
	b = binary.BigEndian.AppendUint32(b, shortFormat(p.RootDisp))
	b = append(b, p.RefID[:]...)
	for _, t := range []Timestamp{
		TimestampOf(p.Reference), p.Origin, TimestampOf(p.Receive), p.Transmit,
	} {
		b = binary.BigEndian.AppendUint64(b, uint64(t))
	}
	return b
}

// ParsePacket parses a packet. Extensions after the header are ignored.
func ParsePacket(b []byte) (Packet, error) {
	if len(b) < packetSize {
		return Packet{}, ErrShortPacket
	}
	stamp := func(at int) Timestamp { return Timestamp(binary.BigEndian.Uint64(b[at:])) }
	return Packet{
		Leap: b[0] >> 6, Version: b[0] >> 3 & 7, Mode: Mode(b[0] & 7),
		Stratum: b[1], Poll: int8(b[2]), Precision: int8(b[3]),
		RootDelay: fromShortFormat(binary.BigEndian.Uint32(b[4:])),
		RootDisp:  fromShortFormat(binary.BigEndian.Uint32(b[8:])),
		RefID:     [4]byte(b[12:16]),
		Reference: stamp(16).Time(),
		Origin:    stamp(24),
		Receive:   stamp(32).Time(),
		Transmit:  stamp(40),
	}, nil
}

// A Timestamp is a time in NTP's format: seconds since 1900 in the upper half, and fractions of
// 1/2^32 second in the lower half. 0 means none.
type Timestamp uint64

// secondsTo1970 is the difference between the epochs of NTP and Unix.
const secondsTo1970 = 2_208_988_800

// TimestampOf returns t as a Timestamp, which wraps around in 2036. For the zero time it returns
// 0.
func TimestampOf(t time.Time) Timestamp {
	if t.IsZero() {
		return 0
	}
	// It is rounded up, as Time rounds down: a time that is converted back and forth is unchanged.
	part := (uint64(t.Nanosecond())<<32 + 999_999_999) / 1_000_000_000
	return Timestamp(uint64(uint32(t.Unix()+secondsTo1970))<<32 | part)
}

// Time returns the time between 1968 and 2104 that s stands for (RFC 4330 section 3).
func (s Timestamp) Time() time.Time {
	if s == 0 {
		return time.Time{}
	}
	seconds := int64(s >> 32)
	if seconds&(1<<31) == 0 {
		seconds += 1 << 32
	}
	return time.Unix(seconds-secondsTo1970, int64(uint64(s)&0xffffffff*1_000_000_000>>32)).UTC()
}

// shortFormat returns a duration in NTP's short format, 16 bits of seconds and 16 of fractions,
// rounded up as in TimestampOf.
func shortFormat(d time.Duration) uint32 {
	return uint32((uint64(d)<<16 + uint64(time.Second) - 1) / uint64(time.Second))
}

func fromShortFormat(s uint32) time.Duration {
	return time.Duration(uint64(s) * uint64(time.Second) >> 16)
}
