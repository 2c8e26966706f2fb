package peers

import (
	"io"
	"sync/atomic"

	"github.com/esasim/esasim/appliance/network"
)

var _ = register(Kind{Name: "sink", New: func(c Config) Peer {
	s := &Sink{stream: stream{config: c}}
	s.serve = s.swallow
	return s
}})

// A Sink accepts, reads everything, says nothing, and closes when the other side
// does.
type Sink struct {
	stream
	received atomic.Int64
}

// Received counts the bytes read on all connections.
func (s *Sink) Received() int64 { return s.received.Load() }

func (s *Sink) swallow(c network.Conn) {
	io.Copy(s, struct{ io.Reader }{c})
}

// Write counts; it is what swallow copies to.
func (s *Sink) Write(b []byte) (int, error) {
	s.received.Add(int64(len(b)))
	return len(b), nil
}
