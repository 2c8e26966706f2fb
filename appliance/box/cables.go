package box

import (
	"context"

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
