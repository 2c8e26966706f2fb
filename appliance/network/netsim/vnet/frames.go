package vnet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"

	"github.com/esasim/esasim/appliance/network"
)

var (
	_ network.FrameSender    = (*Host)(nil)
	_ network.CarrierWatcher = (*Host)(nil)
)

const (
	etherHeaderLen = 14
	vlanTagLen     = 4
	typeVLAN       = 0x8100
)

// SendFrame implements network.FrameSender.
func (h *Host) SendFrame(ifname string, frame []byte) error {
	i := h.iface(ifname)
	fail := func(err error) error { return fmt.Errorf("send a frame on %s: %w", ifname, err) }
	switch {
	case i == nil:
		return fail(syscall.ENXIO)
	case i.port == nil:
		return fail(errors.ErrUnsupported)
	case len(frame) < etherHeaderLen, len(frame) > maxFrame(frame, i.port.MTU()):
		return fail(syscall.EMSGSIZE)
	case !i.port.Up():
		i.port.Transmit(frame) // counts it as an error
		return fail(syscall.ENETDOWN)
	}
	i.port.Transmit(frame)
	return nil
}

// WatchCarrier implements network.CarrierWatcher.
func (h *Host) WatchCarrier(ifname string, changed func()) (cancel func(), err error) {
	i := h.iface(ifname)
	switch {
	case i == nil:
		err = syscall.ENXIO
	case i.port == nil:
		err = errors.ErrUnsupported
	default:
		return i.port.WatchCarrier(changed), nil
	}
	return nil, fmt.Errorf("watch the carrier of %s: %w", ifname, err)
}

// maxFrame returns the greatest length of a frame with the type of this one.
func maxFrame(frame []byte, mtu int) int {
	if binary.BigEndian.Uint16(frame[etherHeaderLen-2:]) == typeVLAN {
		return etherHeaderLen + vlanTagLen + mtu
	}
	return etherHeaderLen + mtu
}
