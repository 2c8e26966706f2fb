package door

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim/vnet"
)

// datagramIdle is how long a flow of datagrams through the back door may be idle.
const datagramIdle = time.Minute

// maxDatagram is the largest UDP payload.
const maxDatagram = 65507

// ReceiveBuffer is the receive buffer for the connections of the promiscuous host
// (vnet.Options.MaxReceiveBuffer). Data that the appliance's TCP believes to have arrived but
// that the real host has not received is lost if that host dies. It is at most 16 KiB: half of
// ReceiveBuffer, one buffer of the splicer (smallBuffer), and three writes of that size that
// the real host has not acknowledged. If a round trip to the real host takes milliseconds,
// what its path holds comes in addition.
const ReceiveBuffer = 16 << 10

// A Back is the back door.
type Back struct {
	// Exit returns the real address that a simulated one is mapped to. ok is false if the
	// address is not mapped.
	Exit   func(to netip.AddrPort) (real netip.AddrPort, ok bool)
	Logger *slog.Logger

	splicer splicer
	dialer  net.Dialer
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
		b.Logger.Warn("the amount of data in flight to a real server is not bounded", "simulated", r.To, "real", to, "error", err)
	}
	inside, err := r.Accept()
	if err != nil {
		abort(outside)
		return
	}
	p := &splice{a: outside, b: inside}
	stop := context.AfterFunc(ctx, p.abort)
	defer stop()
	b.splicer.run(p, nil, nil)
}

func (b *Back) datagrams(_, to netip.AddrPort) func(context.Context, network.PacketConn) {
	real, ok := b.Exit(to)
	if !ok {
		return nil
	}
	return func(ctx context.Context, inside network.PacketConn) { b.relay(ctx, inside, real) }
}

// relay copies datagrams both ways until none has arrived for datagramIdle.
func (b *Back) relay(ctx context.Context, inside network.PacketConn, to netip.AddrPort) {
	defer inside.Close()
	outside, err := b.dialer.DialContext(ctx, "udp", to.String())
	if err != nil {
		b.Logger.Info("a real server cannot be reached", "real", to, "error", err)
		return
	}
	end := sync.OnceFunc(func() {
		inside.Close()
		outside.Close()
	})
	defer end()
	stop := context.AfterFunc(ctx, end)
	defer stop()
	var last atomic.Int64 // the clock.Mark of the latest datagram in either direction
	last.Store(int64(clock.System().Mark()))
	done := make(chan struct{})
	go func() {
		defer close(done)
		copyDatagrams(inside, outside, &last)
		end()
	}()
	copyDatagrams(outside, inside, &last)
	end()
	<-done
}

// A packetEnd is a connected datagram socket.
type packetEnd interface {
	Read([]byte) (int, error)
	Write([]byte) (int, error)
	SetReadDeadline(time.Time) error
}

// copyDatagrams copies datagrams until one side is closed or none has arrived from either
// side for datagramIdle. A port unreachable concerns one datagram and does not end the flow.
func copyDatagrams(dst, src packetEnd, last *atomic.Int64) {
	machine := clock.System()
	buf := make([]byte, maxDatagram)
	for {
		_ = src.SetReadDeadline(machine.Now().Add(datagramIdle))
		n, err := src.Read(buf)
		switch {
		case errors.Is(err, syscall.ECONNREFUSED):
			continue
		case errors.Is(err, os.ErrDeadlineExceeded) && machine.Since(clock.Mark(last.Load())) < datagramIdle:
			continue
		case err != nil:
			return
		}
		last.Store(int64(machine.Mark()))
		if _, err := dst.Write(buf[:n]); err != nil && !errors.Is(err, syscall.ECONNREFUSED) {
			return
		}
	}
}
