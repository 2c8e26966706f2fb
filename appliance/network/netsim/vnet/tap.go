package vnet

import (
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/esasim/esasim/appliance/network"
)

// A tap is a running network.Tap.
type tap struct {
	seen, kept atomic.Uint64
	remove     func()
}

// Tap implements network.Tapper. For loopback interfaces, which have no Ethernet, it returns
// errors.ErrUnsupported.
func (h *Host) Tap(c network.TapConfig) (network.Tap, error) {
	i := h.iface(c.Interface)
	if i == nil {
		return nil, fmt.Errorf("tap %s: %w", c.Interface, syscall.ENXIO)
	}
	if i.port == nil {
		return nil, fmt.Errorf("tap %s: %w", c.Interface, errors.ErrUnsupported)
	}
	t := new(tap)
	t.remove = i.port.Tap(func(at time.Time, dir network.Direction, frame []byte) {
		t.seen.Add(1)
		if c.Match != nil && !c.Match(frame, len(frame)) {
			return
		}
		t.kept.Add(1)
		f := network.Frame{Time: at, Dir: dir, Data: frame, WireLen: len(frame)}
		if c.SnapLen > 0 && c.SnapLen < len(frame) {
			f.Data = frame[:c.SnapLen]
		}
		c.Sink(f)
	})
	return t, nil
}

// Stats implements network.Tap.
func (t *tap) Stats() (seen, kept uint64) { return t.seen.Load(), t.kept.Load() }

// Close implements network.Tap.
func (t *tap) Close() error {
	t.remove()
	return nil
}
