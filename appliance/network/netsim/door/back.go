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

// datagramIdle ends a flow of datagrams through the back door.
const datagramIdle = time.Minute

// maxDatagram is the largest UDP payload.
const maxDatagram = 65507

// ReceiveBuffer is what the promiscuous host's connections are to have
// (vnet.Options.MaxReceiveBuffer). What the appliance's TCP believes to have arrived and
// the door has not sent on is lost when the real host dies. It is 16 KiB at most: half of
// ReceiveBuffer, what the splicer has in its hand (frugalBuffer), and a write that waits
// in the machine's socket.
const ReceiveBuffer = 16 << 10

// A Back is the door out.
type Back struct {
	// Exit gives the real address of a simulated one; false: it does not lead out.
	Exit   func(to netip.AddrPort) (netip.AddrPort, bool)
	Logger *slog.Logger

	splicer splicer
	dialer  net.Dialer
}

// Serve has h, a promiscuous host with a ReceiveBuffer, lead out what is sent to it, until
// h is closed. h waits for the connections.
func (b *Back) Serve(h *vnet.Host) {
	b.splicer.frugal = true
	h.SetForwarders(vnet.Forwarders{TCP: b.connect, UDP: b.datagrams})
}

// connect asks the real host and answers as it does.
func (b *Back) connect(ctx context.Context, r *vnet.TCPRequest) {
	to, ok := b.Exit(r.To)
	if !ok {
		r.Refuse()
		return
	}
	c, err := b.dialer.DialContext(ctx, "tcp", to.String())
	if err != nil {
		b.Logger.Info("a real server was not reached", "simulated", r.To, "real", to, "error", err)
		if errors.Is(err, syscall.ECONNREFUSED) {
			r.Refuse()
		}
		return
	}
	outside, err := newFrugal(c.(*net.TCPConn))
	if err != nil {
		b.Logger.Warn("a real server may be sent too much", "simulated", r.To, "real", to, "error", err)
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

// relay carries datagrams both ways until none has come for a while.
func (b *Back) relay(ctx context.Context, inside network.PacketConn, to netip.AddrPort) {
	defer inside.Close()
	outside, err := b.dialer.DialContext(ctx, "udp", to.String())
	if err != nil {
		b.Logger.Info("a real server was not reached", "real", to, "error", err)
		return
	}
	end := sync.OnceFunc(func() {
		inside.Close()
		outside.Close()
	})
	defer end()
	stop := context.AfterFunc(ctx, end)
	defer stop()
	var last atomic.Int64 // the Mark of the last datagram
	last.Store(int64(clock.System().Mark()))
	done := make(chan struct{})
	go func() {
		defer close(done)
		carry(inside, outside, &last)
		end()
	}()
	carry(outside, inside, &last)
	end()
	<-done
}

// A packetEnd is a connected socket of datagrams.
type packetEnd interface {
	Read([]byte) (int, error)
	Write([]byte) (int, error)
	SetReadDeadline(time.Time) error
}

// carry copies datagrams until one side is closed or nothing has come from either
// side for a while. A port unreachable is one datagram's fault, not the flow's.
func carry(dst, src packetEnd, last *atomic.Int64) {
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
