package ntp

import (
	"encoding/binary"
	"errors"
	"time"
)

// A Mode is an association's.
type Mode uint8

// Modes that a client and a server of it use.
const (
	ModeClient Mode = 3
	ModeServer Mode = 4
)

// LeapUnsynchronized is the leap indicator of a server whose clock was never set.
const LeapUnsynchronized = 3

// packetSize is the size of a packet without extensions.
const packetSize = 48

// A Packet is an NTP packet's header (RFC 5905 7.3). Times are zero where the packet
// has none.
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
	Origin        Timestamp // the request's Transmit
	Receive       time.Time // when the request came
	Transmit      Timestamp // when this packet left
}

// ErrShort says that a packet is shorter than NTP's are.
var ErrShortPacket = errors.New("ntp: packet too short")

// Append appends the packet's wire form to b.
func (p Packet) Append(b []byte) []byte {
	b = append(b, p.Leap<<6|p.Version&7<<3|uint8(p.Mode)&7, p.Stratum, uint8(p.Poll), uint8(p.Precision))
	b = binary.BigEndian.AppendUint32(b, short(p.RootDelay))
	b = binary.BigEndian.AppendUint32(b, short(p.RootDisp))
	b = append(b, p.RefID[:]...)
	for _, t := range []Timestamp{TimestampOf(p.Reference), p.Origin, TimestampOf(p.Receive), p.Transmit} {
		b = binary.BigEndian.AppendUint64(b, uint64(t))
	}
	return b
}

// ParsePacket reads a packet; extensions after the header are passed over.
func ParsePacket(b []byte) (Packet, error) {
	if len(b) < packetSize {
		return Packet{}, ErrShortPacket
	}
	stamp := func(at int) Timestamp { return Timestamp(binary.BigEndian.Uint64(b[at:])) }
	return Packet{
		Leap: b[0] >> 6, Version: b[0] >> 3 & 7, Mode: Mode(b[0] & 7),
		Stratum: b[1], Poll: int8(b[2]), Precision: int8(b[3]),
		RootDelay: long(binary.BigEndian.Uint32(b[4:])),
		RootDisp:  long(binary.BigEndian.Uint32(b[8:])),
		RefID:     [4]byte(b[12:16]),
		Reference: stamp(16).Time(),
		Origin:    stamp(24),
		Receive:   stamp(32).Time(),
		Transmit:  stamp(40),
	}, nil
}

// A Timestamp is NTP's: seconds since 1900, and 2^32 parts of one. 0 is none.
type Timestamp uint64

// secondsTo1970 are those between the epochs of NTP and Unix.
const secondsTo1970 = 2_208_988_800

// StampOf is t as a Timestamp, which comes round in 2036; the zero time is none.
func TimestampOf(t time.Time) Timestamp {
	if t.IsZero() {
		return 0
	}
	// Rounding up: the way back cuts, and so comes to the same nanosecond.
	part := (uint64(t.Nanosecond())<<32 + 999_999_999) / 1_000_000_000
	return Timestamp(uint64(uint32(t.Unix()+secondsTo1970))<<32 | part)
}

// Time is the time from 1968 to 2104 that s stands for (RFC 4330 section 3).
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

// short is a duration in NTP's short form, 16 bits of seconds and 16 of parts, rounded
// up as in StampOf.
func short(d time.Duration) uint32 {
	return uint32((uint64(d)<<16 + uint64(time.Second) - 1) / uint64(time.Second))
}

func long(s uint32) time.Duration { return time.Duration(uint64(s) * uint64(time.Second) >> 16) }
