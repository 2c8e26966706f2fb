package vnet

import (
	"errors"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// ForgetSockets makes the stack of h finish with closed connections after d, and h look for them
// as often.
func (h *Host) ForgetSockets(d time.Duration) error {
	h.sockets.mu.Lock()
	h.sockets.sweepInterval = d
	h.sockets.mu.Unlock()
	timeout := tcpip.TCPTimeWaitTimeoutOption(d)
	if err := h.stack.SetTransportProtocolOption(tcp.ProtocolNumber, &timeout); err != nil {
		return errors.New(err.String())
	}
	return nil
}

// KeptSockets returns the number of sockets that h keeps, open and closed ones.
func (h *Host) KeptSockets() int {
	h.sockets.mu.RLock()
	defer h.sockets.mu.RUnlock()
	return len(h.sockets.byEndpoint) + len(h.sockets.byID)
}
