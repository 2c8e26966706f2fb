package vnet

import (
	"context"

	"gvisor.dev/gvisor/pkg/tcpip/seqnum"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// acks is how much of what was written a peer has acknowledged. The stack's account
// of its send buffer does not tell: a reset empties the buffer. It is guarded by its
// socket's mu.
type acks struct {
	known   bool
	una     seqnum.Value // the oldest byte that is not acknowledged, when a segment last arrived
	seen    int64        // acknowledged then; a FIN counts as a byte
	written int64
	news    chan struct{} // closed when either rises; nil: nobody waits
}

func (a *acks) wrote(n int) {
	a.written += int64(n)
	a.tell()
}

// probe takes note of a segment that has arrived. Until data has been lost, the highest
// sequence number that was retransmitted is the SYN's; and data cannot have been found
// to be lost before the first segment arrived.
func (a *acks) probe(st *tcp.TCPSenderState) {
	if !a.known {
		a.known, a.una = true, st.FastRecovery.HighRxt+1
	}
	if n := a.una.Size(st.SndUna); n > 0 {
		a.seen += int64(n)
		a.una = st.SndUna
		a.tell()
	}
}

func (a *acks) tell() {
	if a.news != nil {
		close(a.news)
		a.news = nil
	}
}

// count is the number of bytes. While a Write is under way what it has written is not
// known yet.
func (a *acks) count() int64 { return min(a.seen, a.written) }

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
		if a.news == nil {
			a.news = make(chan struct{})
		}
		news := a.news
		c.sock.mu.Unlock()
		select {
		case <-news:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
