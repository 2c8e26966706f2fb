package vnet

import (
	"sync"

	"gvisor.dev/gvisor/pkg/waiter"

	"github.com/esasim/esasim/appliance/network"
)

// serving is the state of a listener that calls a function for each connection.
type serving struct {
	handle  func(network.Conn)
	entry   waiter.Entry
	running sync.WaitGroup // the goroutine that accepts

	mu        sync.Mutex // a leaf; taken while the stack's locks are held
	closed    bool
	accepting bool // there is a goroutine
	ready     bool // a connection may have come since the goroutine has looked
}

// Serve implements network.Server.
func (l *listener) Serve(handle func(network.Conn)) (wait func()) {
	s := &l.serving
	s.handle = handle
	s.entry = waiter.NewFunctionEntry(waiter.ReadableEvents, func(waiter.EventMask) { l.connReady() })
	l.widenQueue()
	l.accepts.queue.EventRegister(&s.entry)
	l.connReady() // for connections that have come before
	return s.running.Wait
}

// connReady makes a goroutine accept the connections that wait. The stack calls it.
func (l *listener) connReady() {
	s := &l.serving
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ready = true
	if !s.accepting && !s.closed {
		s.accepting = true
		s.running.Go(l.acceptReady)
	}
}

// acceptReady accepts connections until none waits.
func (l *listener) acceptReady() {
	ReserveStack()
	s := &l.serving
	for {
		s.mu.Lock()
		if !s.ready || s.closed {
			s.accepting = false
			s.mu.Unlock()
			return
		}
		s.ready = false
		s.mu.Unlock()
		for {
			c, err := l.acceptNow()
			if err != nil { // none waits, or the listener is closed
				break
			}
			l.narrowQueueLater()
			s.handle(c)
			l.widenQueue()
		}
	}
}

// stopServing makes connReady have no effect.
func (l *listener) stopServing() {
	s := &l.serving
	if s.handle == nil {
		return
	}
	l.accepts.queue.EventUnregister(&s.entry)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}
