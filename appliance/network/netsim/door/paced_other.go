//go:build !linux

package door

import "net"

// newPaced returns c with a small send buffer, so that little data accumulates in it.
func newPaced(c *net.TCPConn) (half, error) { return c, c.SetWriteBuffer(smallBuffer) }
