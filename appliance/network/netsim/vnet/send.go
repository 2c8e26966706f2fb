package vnet

import (
	"io"
	"net"

	"gvisor.dev/gvisor/pkg/tcpip"

	"github.com/esasim/esasim/appliance/network"
)

var _ network.RangeSender = (*conn)(nil)

// SendRange implements network.RangeSender. The stack reads from r into the buffer that it sends.
func (c *conn) SendRange(r io.ReaderAt, off, n int64) (sent int64, err error) {
	c.writes.mu.Lock()
	defer c.writes.mu.Unlock()
	var end error // of r
	for sent < n {
		if err := c.writes.err(); err != nil {
			return sent, c.opError("write", "write", err)
		}
		p := rangePayload{r: r, off: off + sent, size: n - sent}
		k, err := c.ep.Write(&p, tcpip.WriteOptions{})
		c.sock.addWritten(int(k))
		sent += k
		switch {
		case err == nil:
		case p.err == io.EOF && p.read > 0:
			n, end = sent+p.read, io.EOF // the stack has not sent it: it was less than expected
		case p.err != nil:
			return sent, p.err
		case wouldBlock(err):
			c.writes.wait()
		case c.writes.closed.Load():
			return sent, c.opError("write", "write", net.ErrClosed)
		default:
			return sent, c.opError("write", "write", errno(err))
		}
	}
	return sent, end
}

// A rangePayload is a part of r as what the stack sends next. The stack reads as many bytes as it
// has space for, and never more than Len.
type rangePayload struct {
	r         io.ReaderAt
	off, size int64
	read      int64 // bytes
	err       error // of r
}

var _ tcpip.Payloader = (*rangePayload)(nil)

// Len implements tcpip.Payloader.
func (p *rangePayload) Len() int { return int(min(p.size-p.read, maxRange)) }

// maxRange is the largest part of a range that is read at a time.
const maxRange = 1 << 20

// Read implements io.Reader. It does not return io.EOF, after which the stack would read on.
func (p *rangePayload) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	n, err := p.r.ReadAt(b, p.off+p.read)
	p.read += int64(n)
	switch {
	case n == len(b):
		return n, nil
	case err == io.EOF:
		p.err, err = io.EOF, io.ErrUnexpectedEOF
	default:
		p.err = err
	}
	return n, err
}
