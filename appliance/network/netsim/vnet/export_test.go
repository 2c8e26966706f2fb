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

// MaxClosed is the number of closed sockets from which on TIME-WAIT is brief.
const MaxClosed = maxClosed

// SetBriefTimeWait sets how long connections of h stay in TIME-WAIT when there are many.
func (h *Host) SetBriefTimeWait(d time.Duration) {
	h.sockets.mu.Lock()
	defer h.sockets.mu.Unlock()
	h.sockets.briefTimeWait = d
}

// KeptSockets returns the number of sockets that h keeps, open and closed ones.
func (h *Host) KeptSockets() int {
	h.sockets.mu.RLock()
	defer h.sockets.mu.RUnlock()
	return len(h.sockets.byEndpoint) + len(h.sockets.byID) + len(h.sockets.asleep)
}

// Attached reports whether the stack has a NIC for an interface.
func (h *Host) Attached(ifname string) bool {
	i := h.iface(ifname)
	h.mu.RLock()
	defer h.mu.RUnlock()
	return i != nil && i.attached
}

// Asleep returns the number of listeners without endpoint.
func (h *Host) Asleep() int {
	h.sockets.mu.RLock()
	defer h.sockets.mu.RUnlock()
	return len(h.sockets.asleep)
}
