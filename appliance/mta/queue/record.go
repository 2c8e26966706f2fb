package queue

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"
)

// The kinds of records.
const (
	kindMessage  = 1 // an accepted message, and what its acceptance changes in another one
	kindSnapshot = 2 // a message with its present state, which replaces earlier records
	kindUpdate   = 3 // changes
)

const (
	segmentMagic      = "esaqseg1"
	segmentHeaderSize = 64
	recordHeaderSize  = 24
)

// castagnoli is the polynomial that processors have an instruction for.
var castagnoli = sync.OnceValue(func() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) })

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli()) }

// A segmentHeader is the first thing in the file of a segment.
type segmentHeader struct {
	number  uint64
	prev    uint64 // the number of the segment before it; 0 if there is none
	prevEnd int64  // how much of that segment is valid
	limits  [3]uint64
}

func (h *segmentHeader) append(b []byte) []byte {
	start := len(b)
	b = append(b, segmentMagic...)
	for _, v := range []uint64{h.number, h.prev, uint64(h.prevEnd), h.limits[0], h.limits[1],
		h.limits[2]} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	b = append(b, 0, 0, 0, 0)
	return binary.LittleEndian.AppendUint32(b, checksum(b[start:]))
}

// parseSegmentHeader returns the header of the segment with the given number; ok reports whether
// b begins with one.
func parseSegmentHeader(b []byte, number uint64) (h segmentHeader, ok bool) {
	if len(b) < segmentHeaderSize || string(b[:8]) != segmentMagic {
		return h, false
	}
	u := func(at int) uint64 { return binary.LittleEndian.Uint64(b[at:]) }
	h = segmentHeader{u(8), u(16), int64(u(24)), [3]uint64{u(32), u(40), u(48)}}
	sum := binary.LittleEndian.Uint32(b[segmentHeaderSize-4:])
	ok = sum == checksum(b[:segmentHeaderSize-4]) && h.number == number && h.prev < number &&
		h.prevEnd >= 0
	return h, ok
}

// appendRecord appends a record that will stand at offset off of a segment.
func appendRecord(b []byte, number uint64, off int64, kind byte, head, body []byte) []byte {
	start := len(b)
	b = append(b, kind, 0, 0, 0)
	for _, v := range []uint32{uint32(len(head)), uint32(len(body)), checksum(head),
		checksum(body)} {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	b = binary.LittleEndian.AppendUint32(b, headerSum(b[start:], number, off))
	return append(append(b, head...), body...)
}

// headerSum returns the checksum of a record's header. It depends on the place of the record, so
// that neither a stale block of another file nor a body that looks like records is taken for one.
func headerSum(header []byte, number uint64, off int64) uint32 {
	var place [16]byte
	binary.LittleEndian.PutUint64(place[:], number)
	binary.LittleEndian.PutUint64(place[8:], uint64(off))
	sum := checksum(header[:recordHeaderSize-4])
	return crc32.Update(sum, castagnoli(), place[:])
}

// A record is one that was read.
type record struct {
	kind    byte
	off     int64  // in the segment
	head    []byte // valid until the next record is read
	bodyLen int64
	bodySum uint32
}

func (r *record) bodyOff() int64 { return r.off + recordHeaderSize + int64(len(r.head)) }
func (r *record) end() int64     { return r.bodyOff() + r.bodyLen }

// errBroken is returned for bytes that are not a complete record.
var errBroken = errors.New("not a record")

// A recordReader reads the records of a segment one after the other. It reads headers and heads,
// in blocks, and skips bodies unless it verifies them.
type recordReader struct {
	file   io.ReaderAt
	number uint64
	off    int64 // of the next record
	limit  int64 // end of the last record
	verify bool  // the bodies too

	block    []byte // a part of the file
	blockOff int64
}

// How much a recordReader reads at once. More than headBlock would read bodies that are skipped.
const (
	headBlock = 4 << 10
	fullBlock = 256 << 10 // if bodies are verified
)

// next returns the next record, io.EOF after the last one, or an error that wraps errBroken.
func (r *recordReader) next() (record, error) {
	if r.off == r.limit {
		return record{}, io.EOF
	}
	h, err := r.peek(r.off, recordHeaderSize)
	if err != nil {
		return record{}, err
	}
	if binary.LittleEndian.Uint32(h[20:]) != headerSum(h, r.number, r.off) {
		return record{}, fmt.Errorf("%w: header at %d", errBroken, r.off)
	}
	headLen := int64(binary.LittleEndian.Uint32(h[4:]))
	rec := record{kind: h[0], off: r.off, bodyLen: int64(binary.LittleEndian.Uint32(h[8:])),
		bodySum: binary.LittleEndian.Uint32(h[16:])}
	headSum := binary.LittleEndian.Uint32(h[12:])
	if r.off+recordHeaderSize+headLen+rec.bodyLen > r.limit {
		return record{}, fmt.Errorf("%w: the one at %d is cut off", errBroken, r.off)
	}
	n := headLen
	if r.verify {
		n += rec.bodyLen
	}
	all, err := r.peek(r.off+recordHeaderSize, n)
	if err != nil {
		return record{}, err
	}
	rec.head = all[:headLen]
	if checksum(rec.head) != headSum {
		return rec, fmt.Errorf("%w: head at %d", errBroken, r.off)
	}
	if r.verify && checksum(all[headLen:]) != rec.bodySum {
		return rec, fmt.Errorf("%w: body at %d", errBroken, rec.bodyOff())
	}
	r.off = rec.end()
	return rec, nil
}

// skip goes on after a broken record whose header is intact.
func (r *recordReader) skip(rec *record) { r.off = rec.end() }

// peek returns n bytes at an offset; they are valid until the next call. They are below limit,
// which keeps a wrong length from allocating more than the file has.
func (r *recordReader) peek(off, n int64) ([]byte, error) {
	if off+n > r.limit {
		return nil, fmt.Errorf("%w: the one at %d is cut off", errBroken, r.off)
	}
	if at := off - r.blockOff; at >= 0 && at+n <= int64(len(r.block)) {
		return r.block[at : at+n], nil
	}
	size := max(n, headBlock)
	if r.verify {
		size = max(n, fullBlock)
	}
	size = min(size, r.limit-off)
	if int64(cap(r.block)) < size {
		r.block = make([]byte, size)
	}
	r.block = r.block[:size]
	r.blockOff = off
	k, err := r.file.ReadAt(r.block, off)
	r.block = r.block[:k]
	if int64(k) < n {
		if err == io.EOF {
			err = fmt.Errorf("%w: the file ends at %d", errBroken, off+int64(k))
		}
		return nil, err
	}
	return r.block[:n], nil
}
