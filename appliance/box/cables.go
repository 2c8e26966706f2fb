package box

import (
	"context"
	"io"

	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/packets"
)

// Cables returns the places where packets can be observed: the appliance's interfaces, hosts,
// servers, gateways and paths. There are none before Start.
func (b *Box) Cables() []netsim.Cable { return b.cables.List() }

// Watch begins to queue the packets that pass a cable and match a filter as of tcpdump, which may be
// empty. It ends when ctx does, or when it is closed. Reboots and resets do not end it. If cable or
// filter make no sense, the error is a *packets.Error. The appliance does not notice it.
func (b *Box) Watch(ctx context.Context, cable, filter string) (*packets.Watch, error) {
	return b.cables.Watch(ctx, cable, filter)
}

// StartCapture begins a capture of a cable. See packets.Cables.StartCapture. A reset removes all
// captures.
func (b *Box) StartCapture(r packets.CaptureRequest) (packets.Capture, error) {
	return b.cables.StartCapture(r)
}

// Captures returns all captures of cables, the oldest first.
func (b *Box) Captures() []packets.Capture { return b.cables.Captures() }

// Capture returns the state of a capture. The error is a *netsim.NotFoundError.
func (b *Box) Capture(name string) (packets.Capture, error) { return b.cables.Capture(name) }

// StopCapture ends a capture and waits until its file is complete. If it has ended already,
// StopCapture does nothing. The error is a *netsim.NotFoundError.
func (b *Box) StopCapture(name string) (packets.Capture, error) { return b.cables.StopCapture(name) }

// RemoveCapture ends a capture and forgets it. The error is a *netsim.NotFoundError.
func (b *Box) RemoveCapture(name string) error { return b.cables.RemoveCapture(name) }

// WriteCapture writes the file of a capture in the form pcapng, what there is so far if the capture
// runs. The error is a *netsim.NotFoundError, or that of w.
func (b *Box) WriteCapture(name string, w io.Writer) error { return b.cables.WriteCapture(name, w) }
