//go:build !linux

package door

import "net"

// newFrugal makes c's system hold little of what is written.
func newFrugal(c *net.TCPConn) (half, error) { return c, c.SetWriteBuffer(frugalBuffer) }
