//go:build !unix

package netsim_test

import (
	"errors"
	"net"
)

func sendUrgent(*net.TCPConn, []byte) error { return errors.ErrUnsupported }
