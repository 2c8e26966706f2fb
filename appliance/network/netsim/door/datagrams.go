package door

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network"
)

const (
	// maxFlows is the number of flows of datagrams that are open at a time. Each has a real
	// socket. A further flow ends the one that has been idle for the longest time.
	maxFlows = 128
	// flowIdle is how long a flow may be idle.
	flowIdle = time.Minute
	// answeredIdle is how long a flow may be idle that has had one request and the answer to
	// it, such as a DNS lookup. The answer may consist of several datagrams.
	answeredIdle = time.Second
	// maxDatagram is the largest UDP payload.
	maxDatagram = 65507
)

// flows are the open flows of datagrams of a back door. The zero value is ready to use.
type flows struct {
	buffers sync.Pool // of *[maxDatagram]byte
	full    sync.Once // the log line about dropped flows

	mu   sync.Mutex
	open []*flow
}

// A flow is a conversation in datagrams between an address of the appliance and a real one.
type flow struct {
	inside   network.PacketConn
	outside  *net.UDPConn
	close    func()       // ends the flow
	last     atomic.Int64 // the clock.Mark of the latest datagram in either direction
	requests atomic.Int64 // datagrams of the appliance
	answered atomic.Bool
}

// idleLimit returns how long the flow may now be idle.
func (f *flow) idleLimit() time.Duration {
	if f.answered.Load() && f.requests.Load() == 1 {
		return answeredIdle
	}
	return flowIdle
}

// add adds a flow. If there are too many, it ends the one that has been idle for the longest
// time.
func (s *flows) add(f *flow, logger *slog.Logger) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.open) >= maxFlows {
		oldest := slices.MinFunc(s.open, func(a, b *flow) int { return int(a.last.Load() - b.last.Load()) })
		s.full.Do(func() {
			logger.Warn(
				"too many flows of datagrams leave the simulated network: those that are idle are ended",
				"limit", maxFlows)
		})
		oldest.close()
		s.removeLocked(oldest)
	}
	s.open = append(s.open, f)
}

func (s *flows) remove(f *flow) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.removeLocked(f)
}

// removeLocked is remove for callers that hold mu.
func (s *flows) removeLocked(f *flow) {
	s.open = slices.DeleteFunc(s.open, func(g *flow) bool { return g == f })
}

func (b *Back) datagrams(_, to netip.AddrPort) func(context.Context, network.PacketConn) {
	real, ok := b.Exit(to)
	if !ok {
		return nil
	}
	return func(ctx context.Context, inside network.PacketConn) { b.relay(ctx, inside, real) }
}

// relay copies datagrams both ways until the flow has been idle for too long.
func (b *Back) relay(ctx context.Context, inside network.PacketConn, to netip.AddrPort) {
	defer inside.Close()
	outside, err := b.dialer.DialContext(ctx, "udp", to.String())
	if err != nil {
		b.Logger.Info("a real server cannot be reached", "real", to, "error", err)
		return
	}
	f := &flow{inside: inside, outside: outside.(*net.UDPConn)}
	f.close = sync.OnceFunc(func() {
		inside.Close()
		outside.Close()
	})
	defer f.close()
	f.last.Store(int64(clock.System().Mark()))
	b.flows.add(f, b.Logger)
	defer b.flows.remove(f)
	stop := context.AfterFunc(ctx, f.close)
	defer stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer f.close()
		b.flows.copy(f, inside, outside, f.receiveOutside, func() { f.answered.Store(true) })
	}()
	b.flows.copy(f, outside, inside, f.receiveInside, func() { f.requests.Add(1) })
	f.close()
	<-done
}

// A packetEnd is a connected datagram socket.
type packetEnd interface {
	Write([]byte) (int, error)
	SetReadDeadline(time.Time) error
}

// copy copies datagrams until one side is closed or the flow has been idle for too long. It
// calls received for each. A port unreachable concerns one datagram and does not end the flow.
func (s *flows) copy(
	f *flow, dst, src packetEnd, receive func(*flows) (*[maxDatagram]byte, int, error),
	received func(),
) {
	machine := clock.System()
	for {
		_ = src.SetReadDeadline(machine.Now().Add(f.idleLimit()))
		buf, n, err := receive(s)
		switch {
		case errors.Is(err, syscall.ECONNREFUSED):
			continue
		case errors.Is(err, os.ErrDeadlineExceeded) &&
			machine.Since(clock.Mark(f.last.Load())) < f.idleLimit():
			continue
		case err != nil:
			return
		}
		f.last.Store(int64(machine.Mark()))
		received()
		_, err = dst.Write(buf[:n])
		s.buffers.Put(buf)
		if err != nil && !errors.Is(err, syscall.ECONNREFUSED) {
			return
		}
	}
}

// buffer borrows a buffer.
func (s *flows) buffer() *[maxDatagram]byte {
	if b, ok := s.buffers.Get().(*[maxDatagram]byte); ok {
		return b
	}
	return new([maxDatagram]byte)
}

// receiveInside waits for a datagram of the appliance and returns it in a borrowed buffer. No
// buffer is borrowed while it waits.
func (f *flow) receiveInside(s *flows) (buf *[maxDatagram]byte, n int, err error) {
	if w, ok := f.inside.(interface{ AwaitReadable() error }); ok {
		if err := w.AwaitReadable(); err != nil {
			return nil, 0, err
		}
	}
	buf = s.buffer()
	if n, err = f.inside.Read(buf[:]); err != nil {
		s.buffers.Put(buf)
		return nil, 0, err
	}
	return buf, n, nil
}
