package dissect

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// ErrFormat says that a file is not a capture of Ethernet frames in the pcap format.
var ErrFormat = errors.New("dissect: not a packet capture of Ethernet frames")

// Sizes of the classic pcap format, in bytes.
const (
	fileHeaderLen   = 24
	recordHeaderLen = 16
	maxFrame        = 1 << 18
	ethernet        = 1 // LINKTYPE_ETHERNET
)

// A Capture is a file in the pcap format, up to a size. It is safe for concurrent use if
// the reader is.
type Capture struct {
	r     io.ReaderAt
	size  int64
	order binary.ByteOrder
	unit  time.Duration // of the fractions of a second
}

// Open reads the header of a file of size bytes. The reader stays the caller's.
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

// A frame is a record of the file.
type frame struct {
	off     int64 // of its header
	at      time.Time
	data    []byte // until the next frame is read
	wireLen int    // bytes that it had on the wire
}

// frames reads records one after the other.
type frameReader struct {
	c   *Capture
	r   *bufio.Reader
	off int64
	buf []byte
}

// from begins at the record at off. ahead is how much is read at a time.
func (c *Capture) framesFrom(off int64, ahead int) *frameReader {
	return &frameReader{c: c, r: bufio.NewReaderSize(io.NewSectionReader(c.r, off, max(0, c.size-off)), ahead), off: off}
}

// next returns the next frame, and io.EOF after the last whole one.
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

// end makes io.EOF of a record that is not whole.
func (f *frameReader) endError(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return io.EOF
	}
	return err
}

// patience is after how many packets somebody asks whether the reader still waits.
const contextInterval = 1024

func contextError(ctx context.Context, n int) error {
	if n%contextInterval != 0 || ctx.Err() == nil {
		return nil
	}
	return context.Cause(ctx)
}
