package vnet

import (
	"context"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/seqnum"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"github.com/esasim/esasim/appliance/clock"
)

// Segments that this package does not process itself, see ProcessSegments, wake no caller that waits
// for acknowledgements. So a caller looks again after firstAckWait, and then after ever longer times
// up to longestAckWait, because a machine that does not answer may have many callers.
const (
	firstAckWait   = 10 * time.Millisecond
	longestAckWait = 320 * time.Millisecond
)

// An ackTracker counts the bytes that have been written. Together with the sequence numbers of the
// stack they tell how many have been acknowledged. The stack's count of its send buffer is not
// sufficient, because a reset empties the buffer. The tracker is guarded by its socket's mu.
type ackTracker struct {
	started bool          // the connection has been established
	first   seqnum.Value  // sequence number of the first byte
	written int64         // bytes written
	changed chan struct{} // closed when a count changes; nil: no caller waits
}

func (a *ackTracker) addWritten(n int) {
	a.written += int64(n)
	a.notify()
}

// notify wakes the callers that wait for a change.
func (a *ackTracker) notify() {
	if a.changed != nil {
		close(a.changed)
		a.changed = nil
	}
}

// count returns the number of acknowledged bytes, given the sequence number of the oldest byte that
// has not been acknowledged. It is limited to the bytes of finished Writes, because those of a
// running one are not counted yet. A FIN is not counted either.
func (a *ackTracker) count(unacked seqnum.Value) int64 {
	outstanding := int32(a.first.Add(seqnum.Size(a.written)) - unacked)
	return a.written - int64(max(outstanding, 0))
}

// start is called when the connection has been established and nothing has been written.
func (s *socket) start() {
	unacked := s.unacked()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.acks.started, s.acks.first = true, unacked
}

// unacked returns the sequence number of the oldest byte that the peer has not acknowledged. The
// connection has been established. The caller holds no lock.
func (s *socket) unacked() seqnum.Value {
	e := s.ep.(*tcp.Endpoint)
	e.LockUser()
	defer e.UnlockUser()
	var state tcp.TCPEndpointState
	completeState(e, &state)
	return state.Sender.SndUna
}

// counts returns the number of bytes that have been written and of those that have been
// acknowledged. The caller holds no lock.
func (s *socket) counts() (written, acked int64) {
	s.mu.Lock()
	started := s.acks.started && s.acks.written > 0
	s.mu.Unlock()
	if !started {
		return 0, 0
	}
	unacked := s.unacked()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.acks.written, s.acks.count(unacked)
}

// sendQ returns the length of the send queue in bytes. The caller holds no lock.
func (s *socket) sendQ() int {
	written, acked := s.counts()
	return int(written - acked)
}

// acknowledged wakes the callers that wait for acknowledgements.
func (s *socket) acknowledged() {
	if s.ackWaiters.Load() > 0 {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.acks.notify()
	}
}

// Acknowledged implements network.Conn.
func (c *conn) Acknowledged() int64 {
	_, acked := c.sock.counts()
	return acked
}

// AwaitAcknowledged implements network.Conn.
func (c *conn) AwaitAcknowledged(ctx context.Context, n int64) error {
	s := c.sock
	s.ackWaiters.Add(1)
	defer s.ackWaiters.Add(-1)
	for wait := firstAckWait; ; {
		s.mu.Lock()
		if s.acks.changed == nil {
			s.acks.changed = make(chan struct{})
		}
		changed := s.acks.changed
		s.mu.Unlock()
		if c.Acknowledged() >= n {
			return nil
		}
		expired := make(chan struct{})
		stop := clock.System().AfterFunc(wait, func() { close(expired) })
		select {
		case <-changed:
			wait = firstAckWait
		case <-expired:
			wait = min(2*wait, longestAckWait)
		case <-ctx.Done():
		}
		stop()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}
