//go:build !linux

package door

import (
	"context"
	"errors"
	"net"
	"net/netip"
)

// canReserve reports whether a listener can stop listening and keep its address.
const canReserve = false

// listen listens at a.
func listen(ctx context.Context, a netip.AddrPort) (*net.TCPListener, error) {
	return listenTCP(ctx, a)
}

// stopListening returns an error: only Linux lets a listener stop listening and keep its address.
func stopListening(*net.TCPListener) error { return errors.ErrUnsupported }

// listenAgain does nothing, because a listener listens until it is closed.
func listenAgain(*net.TCPListener) error { return nil }
