package door

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"syscall"

	"github.com/esasim/esasim/appliance/network/netsim/vnet"
)

// ReceiveBuffer is the receive buffer for the connections of the promiscuous host
// (vnet.Options.MaxReceiveBuffer). Data that the appliance's TCP believes to have arrived but
// that the door has not sent on is lost if the real host dies. It is at most 16 KiB: half of
// ReceiveBuffer, one buffer of the splicer (smallBuffer), and one write that waits in the
// machine's socket. Data that the machine has sent and the real host has not received comes in
// addition: what the path holds, and, rarely, what the host's kernel drops although it fits the
// window that it has announced.
const ReceiveBuffer = 16 << 10

// A Back is the back door.
type Back struct {
	// Exit returns the real address that a simulated one is mapped to. ok is false if the
	// address is not mapped.
	Exit   func(to netip.AddrPort) (real netip.AddrPort, ok bool)
	Logger *slog.Logger

	splicer splicer
	dialer  net.Dialer
	flows   flows
	watches readWatches
}

// ReadByServer returns how many bytes of a connection of the appliance the process of the real
// server has read at least. from and to are the connection's simulated addresses. ok is false if
// that is not known: only a server on this machine can be watched. The last connections that have
// ended are remembered.
func (b *Back) ReadByServer(from, to netip.AddrPort) (n int64, ok bool) {
	if w := b.watches.get(connKey{from, to}); w != nil {
		return w.count()
	}
	return 0, false
}

// Serve passes connections and datagrams that h receives to the real hosts, until h is
// closed. h is a promiscuous host with a ReceiveBuffer; it waits for the connections.
func (b *Back) Serve(h *vnet.Host) {
	b.splicer.small = true
	h.SetForwarders(vnet.Forwarders{TCP: b.connect, UDP: b.datagrams})
}

// connect dials the real host and answers the appliance as the real host answered.
func (b *Back) connect(ctx context.Context, r *vnet.TCPRequest) {
	to, ok := b.Exit(r.To)
	if !ok {
		r.Refuse()
		return
	}
	c, err := b.dialer.DialContext(ctx, "tcp", to.String())
	if err != nil {
		b.Logger.Info("a real server cannot be reached", "simulated", r.To, "real", to, "error", err)
		if errors.Is(err, syscall.ECONNREFUSED) {
			r.Refuse()
		}
		return
	}
	outside, err := newPaced(c.(*net.TCPConn))
	if err != nil {
		b.Logger.Warn("the amount of data in flight to a real server is not bounded",
			"simulated", r.To, "real", to, "error", err)
	}
	inside, err := r.Accept()
	if err != nil {
		abort(outside)
		return
	}
	watch, key := newReadWatch(c.(*net.TCPConn)), connKey{r.From, r.To}
	b.watches.add(key, watch)
	defer b.watches.end(key, watch)
	defer watch.end()
	p := &splice{a: &watchedConn{outside, watch}, b: inside}
	stop := context.AfterFunc(ctx, p.abort)
	defer stop()
	b.splicer.run(p, nil, nil)
}
