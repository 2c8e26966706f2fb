package door

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network"
)

const (
	// reopenAfter is how long after a failed attempt a door is opened again.
	reopenAfter = time.Second
	// lastWords is how long Close waits for services to close their connections:
	// what they wrote last has to get outside.
	lastWords = 500 * time.Millisecond
)

// A FrontConfig says where a door is and where it leads.
type FrontConfig struct {
	Name   string
	Listen netip.AddrPort // real; port 0 takes a free one
	// Enter gives the simulated address of a real client, and where the door
	// leads for it. An error turns the client away.
	Enter func(client netip.Addr) (from netip.Addr, to netip.AddrPort, err error)
	// Hosts is the network of the simulated clients.
	Hosts  network.Transport
	FTP    *FTP // nil: the door is not FTP's
	Logger *slog.Logger
}

// A Front is a door in.
type Front struct {
	FrontConfig
	splicer splicer
	ctx     context.Context // ends when connections are to be cut
	cut     context.CancelFunc
	running sync.WaitGroup // accepting goroutine and connections
	queue   queue

	mu       sync.Mutex
	addr     netip.AddrPort // real; port 0 until claimed
	listener *net.TCPListener
	state    state
	reopen   func() bool // stops the timer of an attempt to open; nil: none
	splices  map[*splice]bool
	entered  int // connections that the service may know: dialled, or being dialled
}

// A state is a door's.
type state uint8

const (
	shut    state = iota // no listener
	claimed              // a listener on which nobody accepts
	open
	gone // for good
)

// NewFront returns a door that is shut.
func NewFront(c FrontConfig) *Front {
	f := &Front{FrontConfig: c, addr: c.Listen, splices: make(map[*splice]bool)}
	f.queue.places = make(chan struct{}, queueLength)
	f.ctx, f.cut = context.WithCancel(context.Background())
	return f
}

// Addr is the real address; its port is 0 until Claim.
func (f *Front) Addr() netip.AddrPort {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.addr
}

// Claim takes the real address. Connections wait until SetOpen.
func (f *Front) Claim(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state != shut {
		return nil
	}
	return f.listen(ctx)
}

// listen is called with mu held.
func (f *Front) listen(ctx context.Context) error {
	var c net.ListenConfig
	l, err := c.Listen(ctx, "tcp", f.addr.String())
	if err != nil {
		return fmt.Errorf("door %s: %w", f.Name, err)
	}
	f.listener = l.(*net.TCPListener)
	f.addr = realAddr(l.Addr())
	f.state = claimed
	return nil
}

// SetOpen opens the door or shuts it. Connections that are inside stay. An address
// that somebody else has taken meanwhile is tried again each second.
func (f *Front) SetOpen(want bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stopReopening()
	switch {
	case f.state == gone, want && f.state == open, !want && f.state == shut:
		return
	case !want:
		f.listener.Close()
		f.listener, f.state = nil, shut
		return
	}
	if f.state == shut {
		if err := f.listen(f.ctx); err != nil {
			f.Logger.Warn("a door cannot be opened", "door", f.Name, "error", err)
			f.running.Add(1)
			f.reopen = clock.System().AfterFunc(reopenAfter, func() {
				defer f.running.Done()
				f.SetOpen(true)
			})
			return
		}
	}
	f.state = open
	l := f.listener
	f.running.Go(func() { f.accept(l) })
}

// stopReopening is called with mu held.
func (f *Front) stopReopening() {
	if f.reopen != nil && f.reopen() {
		f.running.Done()
	}
	f.reopen = nil
}

// Close shuts the door for good. A connection that the service closes, or has
// closed, ends when all it said is outside; the others are reset after a moment, or
// when ctx ends. It returns when no goroutine of the door is left.
func (f *Front) Close(ctx context.Context) {
	f.SetOpen(false)
	f.mu.Lock()
	f.state = gone
	busy := len(f.splices) > 0 || f.entered > 0
	for p := range f.splices {
		p.farewell()
	}
	f.mu.Unlock()
	if busy {
		stop := clock.System().AfterFunc(lastWords, f.abortAll)
		defer stop()
	}
	stop := context.AfterFunc(ctx, f.abortAll)
	defer stop()
	if !busy {
		f.abortAll() // who comes in just now
	}
	f.running.Wait()
	f.cut()
}

// abortAll resets every connection.
func (f *Front) abortAll() {
	f.cut()
	f.mu.Lock()
	defer f.mu.Unlock()
	for p := range f.splices {
		p.abort()
	}
}

func (f *Front) accept(l *net.TCPListener) {
	for {
		place := f.queue.enter()
		c, err := l.AcceptTCP()
		if err == nil {
			f.running.Go(func() { f.enter(c, place) })
			continue
		}
		place.leave()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		default: // too many open files, for example
			f.Logger.Warn("a door lets nobody in", "door", f.Name, "error", err)
			if clock.System().Sleep(f.ctx, 50*time.Millisecond) != nil {
				return
			}
		}
	}
}

// enter leads a real client in, who has a place in the queue.
func (f *Front) enter(outside *net.TCPConn, p *place) {
	p.hold()
	from, to, err := f.Enter(realAddr(outside.RemoteAddr()).Addr())
	if err != nil {
		f.Logger.Warn("a door turned a client away", "door", f.Name, "client", outside.RemoteAddr(), "error", err)
		p.leave()
		abort(outside)
		return
	}
	f.count(1)
	defer f.count(-1)
	inside, err := f.dial(from, to, realAddr(outside.RemoteAddr()).Port())
	if err != nil {
		p.leave()
		abort(outside) // as the client's simulated self was refused
		return
	}
	if f.FTP != nil {
		f.FTP.relay(f, outside, inside, from, to)
	} else {
		f.splice(outside, inside, nil, nil)
	}
	p.leave()
}

func (f *Front) count(change int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.entered += change
}

// Accepted says that the service has accepted a connection, so that another client
// may come in.
func (f *Front) Accepted() { f.queue.shift() }

// dial connects the simulated client, with the port of the real one if it is free.
func (f *Front) dial(from netip.Addr, to netip.AddrPort, port uint16) (network.Conn, error) {
	c := network.DialConfig{Local: netip.AddrPortFrom(from, port), Remote: to}
	inside, err := f.Hosts.Dial(f.ctx, c)
	if errors.Is(err, syscall.EADDRINUSE) {
		c.Local = netip.AddrPortFrom(from, 0)
		inside, err = f.Hosts.Dial(f.ctx, c)
	}
	return inside, err
}

// splice makes one connection of two and returns when both are closed.
func (f *Front) splice(outside *net.TCPConn, inside network.Conn, fromOutside, fromInside filter) {
	p := &splice{a: outside, b: inside}
	f.mu.Lock()
	if f.ctx.Err() != nil {
		f.mu.Unlock()
		p.abort()
		return
	}
	f.splices[p] = true
	if f.state == gone {
		p.farewell()
	}
	f.mu.Unlock()
	f.splicer.run(p, fromOutside, fromInside)
	f.mu.Lock()
	delete(f.splices, p)
	f.mu.Unlock()
}

// realAddr is a TCP address without IPv6's disguise of IPv4.
func realAddr(a net.Addr) netip.AddrPort {
	ap := a.(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
}
