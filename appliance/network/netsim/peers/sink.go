package peers

import (
	"context"
	"sync"

	"github.com/esasim/esasim/appliance/network"
)

// SinkKind is the type of sinks in a topology.
const SinkKind = "sink"

var _ = register(Kind{Name: SinkKind, Title: "a sink", New: func(c Config) Peer {
	s := &Sink{stream: stream{config: c}, changed: make(chan struct{})}
	s.serve = s.discard
	return s
}})

// A Sink accepts connections, reads and discards everything, sends nothing, and closes a
// connection when the client does.
type Sink struct {
	stream

	mu       sync.Mutex
	accepted int
	received int64
	changed  chan struct{} // closed and replaced when received grows
}

// A SinkReport is the report of a Sink, about all connections.
type SinkReport struct {
	Connections int   `json:"connections"`
	Bytes       int64 `json:"bytes"`
}

// Report implements Reporter. It returns a SinkReport.
func (s *Sink) Report() any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return SinkReport{s.accepted, s.received}
}

// Received returns the number of bytes read on all connections.
func (s *Sink) Received() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.received
}

// Await blocks until n bytes have been read on all connections.
func (s *Sink) Await(ctx context.Context, n int64) error {
	for {
		s.mu.Lock()
		got, more := s.received, s.changed
		s.mu.Unlock()
		if got >= n {
			return nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (s *Sink) discard(c network.Conn) {
	s.mu.Lock()
	s.accepted++
	s.mu.Unlock()
	// A connection that is idle takes little memory, one with much data few reads.
	b := make([]byte, 512)
	for {
		n, err := c.Read(b)
		if n > 0 {
			s.count(n)
		}
		if err != nil {
			return
		}
		if n == len(b) && n < maxSinkRead {
			b = make([]byte, 4*n)
		}
	}
}

// maxSinkRead is the most that a Sink reads at a time.
const maxSinkRead = 32 << 10

func (s *Sink) count(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.received += int64(n)
	close(s.changed)
	s.changed = make(chan struct{})
}
