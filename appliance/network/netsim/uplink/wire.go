package uplink

import (
	"context"
	"errors"
	"sync"

	"github.com/esasim/esasim/appliance/network/netsim/ether"
)

// A Wire is a wire of another world in this process: the outside of an uplink to a network that
// several appliances share.
type Wire interface {
	// Plug plugs an appliance with that MAC in. receive is called with the frames for it, on the pump
	// of the other world: it does not block and retains nothing.
	Plug(mac ether.MAC, receive func(frame []byte)) Plug
}

// A Plug is the end of a cable at a Wire.
type Plug interface {
	// Transmit sends frames of the appliance. They may be changed after it has returned.
	Transmit(frames [][]byte)
	// Carrier returns "" if the wire carries frames, or else why it does not. changed is closed when
	// that is no longer so.
	Carrier() (reason string, changed <-chan struct{})
	// Unplug ends the connection. When it has returned, receive is not called any more.
	Unplug()
}

// wires opens links to a Wire.
type wires struct {
	wire Wire
	mac  func() ether.MAC // of the appliance
	plug Plug             // nil: not plugged in
	in   outQueue         // frames for the appliance
}

func newWires(w Wire) *wires {
	o := &wires{wire: w}
	o.in.init(noStormLimit)
	return o
}

func (o *wires) open(ctx context.Context, waiting func(string)) (link, error) {
	if o.plug == nil {
		o.plug = o.wire.Plug(o.mac(), func(frame []byte) { o.in.put(frame) })
	}
	for {
		reason, changed := o.plug.Carrier()
		if reason == "" {
			o.in.open()
			return &wireLink{wires: o, changed: changed, ended: make(chan struct{})}, nil
		}
		waiting(reason)
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (o *wires) close() {
	if o.plug != nil {
		o.plug.Unplug()
	}
}

// A wireLink is a link to a Wire.
type wireLink struct {
	*wires
	changed <-chan struct{}
	ended   chan struct{} // closed by close
	ending  sync.Once
	out     [][]byte // memory for the frames that are sent
}

var errUnplugged = errors.New("the cable was pulled")

func (l *wireLink) receive() ([]frame, error) {
	for {
		select {
		case <-l.in.wake:
			if frames := l.in.take(); len(frames) > 0 {
				return frames, nil
			}
		case <-l.changed:
			return nil, errUnplugged
		case <-l.ended:
			return nil, errUnplugged
		}
	}
}

func (l *wireLink) send(frames []frame) error {
	l.out = l.out[:0]
	for _, f := range frames {
		l.out = append(l.out, f.bytes)
	}
	l.plug.Transmit(l.out)
	return nil
}

func (l *wireLink) close() {
	l.in.shut()
	l.ending.Do(func() { close(l.ended) })
}
