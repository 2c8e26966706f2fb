package capture

import (
	"encoding/binary"
	"time"
)

// Sizes of the classic pcap format, in bytes.
const (
	fileHeaderLen   = 24
	recordHeaderLen = 16
	// snapLen is the number of bytes kept of a frame. No frame is longer.
	snapLen = 262144
)

// fileHeader returns the header of a file: little-endian, microseconds, Ethernet. tcpdump
// writes this format by default and every reader knows it.
func fileHeader() []byte {
	var h [fileHeaderLen]byte
	le := binary.LittleEndian
	le.PutUint32(h[0:], 0xa1b2c3d4)
	le.PutUint16(h[4:], 2) // version 2.4
	le.PutUint16(h[6:], 4)
	le.PutUint32(h[16:], snapLen)
	le.PutUint32(h[20:], 1) // LINKTYPE_ETHERNET
	return h[:]
}

// appendRecord appends the record of a frame that had wireLen bytes on the wire.
func appendRecord(b []byte, at time.Time, frame []byte, wireLen int) []byte {
	frame = frame[:min(len(frame), snapLen)]
	le := binary.LittleEndian
	b = le.AppendUint32(b, uint32(at.Unix()))
	b = le.AppendUint32(b, uint32(at.Nanosecond()/1000))
	b = le.AppendUint32(b, uint32(len(frame)))
	b = le.AppendUint32(b, uint32(wireLen))
	return append(b, frame...)
}

// firstRecord returns the length of the record at the beginning of b, and 1. If that record
// is incomplete, it returns 0 and 0.
func firstRecord(b []byte) (n, records int) {
	if len(b) < recordHeaderLen {
		return 0, 0
	}
	length := recordHeaderLen + int64(binary.LittleEndian.Uint32(b[8:]))
	if length > int64(len(b)) {
		return 0, 0
	}
	return int(length), 1
}

// wholeRecords returns the total length and the number of the records at the beginning of b
// that are complete and together not longer than room.
func wholeRecords(b []byte, room int64) (n, records int) {
	for {
		length, one := firstRecord(b[n:])
		if one == 0 || int64(n+length) > room {
			return n, records
		}
		n += length
		records++
	}
}
