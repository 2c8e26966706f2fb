package vnet

import (
	"fmt"
	"net/netip"
	"slices"
	"syscall"
)

// makeDormant makes an interface without NIC wait for its first use. It is called with mu held.
func (h *Host) makeDormant(i *iface) {
	i.dormant = true
	h.dormantIfaces.Add(1)
}

// recordAddrs is setAddrs for a dormant interface, whose NIC gets the addresses when it is made. It
// is called with mu held.
func (h *Host) recordAddrs(i *iface, addrs []netip.Prefix) error {
	own := make([]netip.Addr, len(addrs))
	for n, p := range addrs {
		if !usable(p) {
			return fmt.Errorf("%v: %w", p, syscall.EINVAL)
		}
		own[n] = p.Addr()
	}
	i.addrs = slices.Clone(addrs)
	i.port.OnFirstFrame(own, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.wake(i)
	})
	return nil
}

// wake makes the NIC of a dormant interface. It is called with mu held.
func (h *Host) wake(i *iface) {
	if !i.dormant || h.closed {
		return
	}
	i.dormant = false
	h.dormantIfaces.Add(-1)
	addrs := i.addrs
	i.addrs = nil
	if err := h.setAddrs(i, addrs); err != nil {
		panic(fmt.Sprintf("vnet: %v", err)) // recordAddrs has checked the addresses
	}
}

// wakeFor wakes the interfaces with the given addresses. If one of them stands for any address, or
// for one of a particular interface, it wakes all.
func (h *Host) wakeFor(addrs ...netip.Addr) {
	if h.dormantIfaces.Load() == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, a := range addrs {
		any := !a.IsValid() || a.IsUnspecified() || a.IsMulticast() || a.IsLinkLocalUnicast()
		for _, i := range h.ifaces {
			if any || slices.ContainsFunc(i.addrs, func(p netip.Prefix) bool { return p.Addr() == a }) {
				h.wake(i)
			}
		}
	}
}
