package door

import (
	"errors"
	"net"
)

// duplicate returns an error: Windows cannot duplicate a listener.
func duplicate(*net.TCPListener) (*net.TCPListener, error) { return nil, errors.ErrUnsupported }
