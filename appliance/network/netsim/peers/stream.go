package peers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"

	"github.com/esasim/esasim/appliance/network"
)

// backlog is the backlog of a peer's listener.
const backlog = 128

// A stream is a TCP server that calls serve for every connection, in a goroutine of its own.
// Most peers are built on it.
type stream struct {
	config Config
	serve  func(network.Conn) // the stream closes the connection when it returns

	mu        sync.Mutex
	listeners []network.Listener
	conns     map[network.Conn]bool
	stopped   bool
	running   sync.WaitGroup
}

// Start listens on the host's addresses.
func (s *stream) Start(ctx context.Context) error {
	listeners, err := listen(ctx, s.config)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listeners, s.conns, s.stopped = listeners, make(map[network.Conn]bool), false
	for _, l := range listeners {
		s.running.Go(func() { s.accept(l) })
	}
	return nil
}

// Stop resets the connections and waits for their goroutines.
func (s *stream) Stop() {
	s.mu.Lock()
	s.stopped = true
	for _, l := range s.listeners {
		l.Close()
	}
	for c := range s.conns {
		c.Abort()
	}
	s.mu.Unlock()
	s.running.Wait()
}

func (s *stream) accept(l network.Listener) {
	for {
		c, err := l.AcceptConn()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				s.config.Logger.Error("a simulated server cannot accept connections any more",
					"server", s.config.Name, "error", err)
			}
			return
		}
		s.mu.Lock()
		if s.stopped {
			c.Abort()
		} else {
			s.conns[c] = true
			s.running.Go(func() { s.handle(c) })
		}
		s.mu.Unlock()
	}
}

func (s *stream) handle(c network.Conn) {
	s.serve(c)
	c.Close()
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
}

// listen opens a TCP listener on each address. If it fails, none is left open.
func listen(ctx context.Context, c Config) ([]network.Listener, error) {
	var open []network.Listener
	for _, a := range c.Addrs {
		l, err := c.Transport.Listen(ctx, network.ListenConfig{
			Addr: netip.AddrPortFrom(a, c.Port), Backlog: backlog,
			MSS: parseCount(c.Options["mss"]), ReceiveBuffer: c.receive, Owner: c.Name,
		})
		if err != nil {
			for _, l := range open {
				l.Close()
			}
			return nil, fmt.Errorf("%s: listen: %w", c.Name, err)
		}
		open = append(open, l)
	}
	return open, nil
}
