package vnet

import (
	"context"

	"gvisor.dev/gvisor/pkg/tcpip/seqnum"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// An ackTracker counts the bytes that have been written and that the peer has acknowledged.
// The stack's count of its send buffer is not sufficient, because a reset empties the
// buffer. The tracker is guarded by its socket's mu.
type ackTracker struct {
	started bool // a segment has arrived
	// oldestUnacked is the sequence number of the first byte that was not acknowledged when
	// the latest segment arrived.
	oldestUnacked seqnum.Value
	acked         int64         // bytes acknowledged at that time; a FIN counts as one
	written       int64         // bytes written
	changed       chan struct{} // closed when a count changes; nil: no caller waits
}

func (a *ackTracker) addWritten(n int) {
	a.written += int64(n)
	a.notify()
}

// update processes the state after a segment has arrived. Until data has been lost, the
// highest sequence number that was retransmitted is that of the SYN; and the stack cannot
// have found data lost before the first segment arrived.
func (a *ackTracker) update(st *tcp.TCPSenderState) {
	if !a.started {
		a.started, a.oldestUnacked = true, st.FastRecovery.HighRxt+1
	}
	if n := a.oldestUnacked.Size(st.SndUna); n > 0 {
		a.acked += int64(n)
		a.oldestUnacked = st.SndUna
		a.notify()
	}
}

// notify wakes the callers that wait for a change.
func (a *ackTracker) notify() {
	if a.changed != nil {
		close(a.changed)
		a.changed = nil
	}
}

// count returns the number of acknowledged bytes. It is limited to the bytes of finished
// Writes, because those of a running one are not counted yet.
func (a *ackTracker) count() int64 { return min(a.acked, a.written) }

// Acknowledged implements network.Conn.
func (c *conn) Acknowledged() int64 {
	c.sock.mu.Lock()
	defer c.sock.mu.Unlock()
	return c.sock.acks.count()
}

// AwaitAcknowledged implements network.Conn.
func (c *conn) AwaitAcknowledged(ctx context.Context, n int64) error {
	for {
		c.sock.mu.Lock()
		a := &c.sock.acks
		if a.count() >= n {
			c.sock.mu.Unlock()
			return nil
		}
		if a.changed == nil {
			a.changed = make(chan struct{})
		}
		changed := a.changed
		c.sock.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
