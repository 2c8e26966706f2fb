package dissect

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/esasim/esasim/appliance/refusal"
)

// ErrFormat is returned for a file that is not a capture of Ethernet frames in the pcap format. It
// is a refusal.
var ErrFormat = refusal.New("The file is not a packet capture that can be shown here.")

// Sizes of the classic pcap format, in bytes.
const (
	fileHeaderLen   = 24
	recordHeaderLen = 16
	maxFrame        = 1 << 18
	ethernet        = 1 // LINKTYPE_ETHERNET
)

// A Capture is a file in the pcap format. It is safe for concurrent use if its reader is.
type Capture struct {
	r     io.ReaderAt
	size  int64
	order binary.ByteOrder
	unit  time.Duration // of the fractional part of timestamps
}

// Open opens the first size bytes of r as a capture. The caller owns r and closes it.
func Open(r io.ReaderAt, size int64) (*Capture, error) {
	var h [fileHeaderLen]byte
	if _, err := r.ReadAt(h[:], 0); err != nil {
		if errors.Is(err, io.EOF) {
			err = ErrFormat
		}
		return nil, err
	}
	c := &Capture{r: r, size: size, order: binary.LittleEndian, unit: time.Microsecond}
	magic := c.order.Uint32(h[:])
	if magic == 0xd4c3b2a1 || magic == 0x4d3cb2a1 {
		c.order = binary.BigEndian
		magic = c.order.Uint32(h[:])
	}
	switch magic {
	case 0xa1b2c3d4:
	case 0xa1b23c4d:
		c.unit = time.Nanosecond
	default:
		return nil, ErrFormat
	}
	if c.order.Uint32(h[20:])&0xffff != ethernet {
		return nil, ErrFormat
	}
	return c, nil
}

// A frame is one record of the file.
type frame struct {
	off     int64 // of its record header
	at      time.Time
	data    []byte // valid until the next frame is read
	wireLen int    // length on the wire
}

// A frameReader reads the frames of a file in order.
type frameReader struct {
	c   *Capture
	r   *bufio.Reader
	off int64 // of the next record
	buf []byte
}

// framesFrom returns a reader that begins with the record at off and reads buffer bytes at a
// time.
func (c *Capture) framesFrom(off int64, buffer int) *frameReader {
	section := io.NewSectionReader(c.r, off, max(0, c.size-off))
	return &frameReader{c: c, r: bufio.NewReaderSize(section, buffer), off: off}
}

// next returns the next frame, and io.EOF after the last complete one.
func (f *frameReader) next() (frame, error) {
	h, err := f.r.Peek(recordHeaderLen)
	if err != nil {
		return frame{}, f.endError(err)
	}
	o := f.c.order
	length := int(o.Uint32(h[8:]))
	got := frame{
		off: f.off, wireLen: int(o.Uint32(h[12:])),
		at: time.Unix(int64(o.Uint32(h)), int64(o.Uint32(h[4:]))*int64(f.c.unit)),
	}
	if length > maxFrame {
		return frame{}, fmt.Errorf("record at %d: %w", f.off, ErrFormat)
	}
	if _, err := f.r.Discard(recordHeaderLen); err != nil {
		return frame{}, f.endError(err)
	}
	if cap(f.buf) < length {
		f.buf = make([]byte, max(length, 2048))
	}
	got.data = f.buf[:length]
	if _, err := io.ReadFull(f.r, got.data); err != nil {
		return frame{}, f.endError(err)
	}
	f.off += int64(recordHeaderLen + length)
	return got, nil
}

// endError returns io.EOF for an incomplete record.
func (f *frameReader) endError(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return io.EOF
	}
	return err
}

// contextInterval is the number of packets between two checks of the context.
const contextInterval = 1024

// contextError returns the cause of ctx if ctx has ended. It checks ctx for every
// contextInterval-th n only.
func contextError(ctx context.Context, n int) error {
	if n%contextInterval != 0 || ctx.Err() == nil {
		return nil
	}
	return context.Cause(ctx)
}
