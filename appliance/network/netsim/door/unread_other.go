//go:build !linux

package door

import (
	"errors"
	"net"
)

// This system does not tell what the peer of a connection has not read or not acknowledged.
func unreadByPeer(*net.TCPConn) (int, error)   { return 0, errors.ErrUnsupported }
func unacknowledged(*net.TCPConn) (int, error) { return 0, errors.ErrUnsupported }
