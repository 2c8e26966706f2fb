package peers

import (
	"context"
	"io"
	"sync"

	"github.com/esasim/esasim/appliance/network"
)

var _ = register(Kind{Name: "sink", New: func(c Config) Peer {
	s := &Sink{stream: stream{config: c}, more: make(chan struct{})}
	s.serve = s.swallow
	return s
}})

// A Sink accepts, reads everything, says nothing, and closes when the other side
// does.
type Sink struct {
	stream

	mu       sync.Mutex
	accepted int
	received int64
	more     chan struct{} // closed when received grows, and replaced
}

// A SinkReport is what a sink has received on all connections.
type SinkReport struct {
	Connections int   `json:"connections"`
	Bytes       int64 `json:"bytes"`
}

// Report returns a SinkReport.
func (s *Sink) Report() any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return SinkReport{s.accepted, s.received}
}

// Received counts the bytes read on all connections.
func (s *Sink) Received() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.received
}

// Await waits until n bytes have been read on all connections.
func (s *Sink) Await(ctx context.Context, n int64) error {
	for {
		s.mu.Lock()
		got, more := s.received, s.more
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

func (s *Sink) swallow(c network.Conn) {
	s.mu.Lock()
	s.accepted++
	s.mu.Unlock()
	_, _ = io.Copy(s, struct{ io.Reader }{c})
}

// Write counts; it is what swallow copies to.
func (s *Sink) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.received += int64(len(b))
	close(s.more)
	s.more = make(chan struct{})
	return len(b), nil
}
