package vnet

import (
	"fmt"
	"net/netip"
	"slices"
	"syscall"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// loopbackName is lo1's. The stack has no NIC for it, since it takes what arrives at a
// NIC for that NIC's own addresses only, where BSD takes it for all: each of its
// addresses is given to every NIC instead, where it is never the source that is chosen
// by itself, and where the port does not answer for it.
const loopbackName = "Loopback"

// setLoopbackAddrs is called with mu held.
func (h *Host) setLoopbackAddrs(i *iface, addrs []netip.Prefix) error {
	for _, p := range addrs {
		if !usable(p) {
			return fmt.Errorf("set addresses of %s: %v: %w", i.name, p, syscall.EINVAL)
		}
	}
	i.addrs = slices.Clone(addrs)
	h.spread()
	return nil
}

// spread gives lo1's addresses to every NIC that has not got them itself, and takes
// back others. It is called with mu held.
func (h *Host) spread() {
	var all []netip.Addr
	if l := h.ifaceLocked(loopbackName); l != nil {
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
		if slices.Equal(want, i.extra) {
			continue
		}
		for _, a := range slices.Clone(i.extra) {
			if !slices.Contains(want, a) {
				h.dropExtra(i, a)
			}
		}
		h.mute(i, want) // before it could answer
		for _, a := range want {
			if !slices.Contains(i.extra, a) {
				must(h.stack.AddProtocolAddress(i.id, tcpip.ProtocolAddress{
					Protocol:          protocolOf(a),
					AddressWithPrefix: withPrefix(netip.PrefixFrom(a, a.BitLen())),
				}, stack.AddressProperties{PEB: stack.NeverPrimaryEndpoint}))
			}
		}
		i.extra = want
	}
}

// dropExtra takes an address of lo1's away from a NIC, if it has it.
func (h *Host) dropExtra(i *iface, a netip.Addr) {
	at := slices.Index(i.extra, a)
	if at < 0 {
		return
	}
	i.extra = slices.Delete(slices.Clone(i.extra), at, at+1)
	must(h.stack.RemoveAddress(i.id, toAddress(a)))
	h.mute(i, i.extra)
}

func (h *Host) mute(i *iface, addrs []netip.Addr) {
	if i.port != nil {
		i.port.SetUnansweredAddrs(addrs)
	}
}
