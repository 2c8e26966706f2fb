package vnet

import (
	"fmt"
	"net/netip"
	"slices"
	"syscall"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// lo1Name is the name of lo1 for the administrator. The stack has no NIC for lo1, because it
// accepts packets that arrive at a NIC only for the NIC's own addresses, whereas BSD accepts
// them for all. Instead each address of lo1 is added to every NIC. The stack never chooses it
// as a source there, and the port does not answer ARP and NDP requests for it.
const lo1Name = "Loopback"

// setLoopbackAddrs sets the addresses of lo1. It is called with mu held.
func (h *Host) setLoopbackAddrs(i *iface, addrs []netip.Prefix) error {
	for _, p := range addrs {
		if !usable(p) {
			return fmt.Errorf("set addresses of %s: %v: %w", i.name, p, syscall.EINVAL)
		}
	}
	i.addrs = slices.Clone(addrs)
	h.distributeLo1Addrs()
	return nil
}

// distributeLo1Addrs adds lo1's addresses to every NIC that does not have them itself, and
// removes those that lo1 has no longer. It is called with mu held.
func (h *Host) distributeLo1Addrs() {
	var all []netip.Addr
	if l := h.ifaceLocked(lo1Name); l != nil {
		for _, p := range l.addrs {
			if !slices.Contains(all, p.Addr()) {
				all = append(all, p.Addr())
			}
		}
	}
	for _, i := range h.ifaces {
		if !i.attached {
			continue
		}
		want := slices.DeleteFunc(slices.Clone(all), func(a netip.Addr) bool {
			return slices.ContainsFunc(i.addrs, func(p netip.Prefix) bool { return p.Addr() == a })
		})
		if slices.Equal(want, i.lo1Addrs) {
			continue
		}
		for _, a := range slices.Clone(i.lo1Addrs) {
			if !slices.Contains(want, a) {
				h.dropLo1Addr(i, a)
			}
		}
		h.setUnanswered(i, want) // before the stack has an address for which it would answer
		for _, a := range want {
			if !slices.Contains(i.lo1Addrs, a) {
				must(h.stack.AddProtocolAddress(i.id, tcpip.ProtocolAddress{
					Protocol:          protocolOf(a),
					AddressWithPrefix: withPrefix(netip.PrefixFrom(a, a.BitLen())),
				}, stack.AddressProperties{PEB: stack.NeverPrimaryEndpoint}))
			}
		}
		i.lo1Addrs = want
	}
}

// dropLo1Addr removes an address of lo1 from a NIC, if the NIC has it.
func (h *Host) dropLo1Addr(i *iface, a netip.Addr) {
	at := slices.Index(i.lo1Addrs, a)
	if at < 0 {
		return
	}
	i.lo1Addrs = slices.Delete(slices.Clone(i.lo1Addrs), at, at+1)
	must(h.stack.RemoveAddress(i.id, toAddress(a)))
	h.setUnanswered(i, i.lo1Addrs)
}

// setUnanswered sets the addresses for which the port of an interface does not answer.
func (h *Host) setUnanswered(i *iface, addrs []netip.Addr) {
	if i.port != nil {
		i.port.SetUnansweredAddrs(addrs)
	}
}
