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
	"github.com/esasim/esasim/appliance/network/netsim/vnet"
)

const (
	// reopenAfter is the delay between a failed attempt to open a door and the next one.
	reopenAfter = time.Second
	// drainTimeout is how long Close waits for services to close their connections, so
	// that their last output reaches the client.
	drainTimeout = 500 * time.Millisecond
)

// A FrontConfig says where a front door listens and where it leads.
type FrontConfig struct {
	Name   string
	Listen netip.AddrPort // real; port 0 takes a free one
	// Enter returns the simulated address of a real client and the address to which its
	// connections lead. If it returns an error, the client's connection is reset.
	Enter func(client netip.Addr) (from netip.Addr, to netip.AddrPort, err error)
	// Hosts is the network of the simulated clients.
	Hosts  network.Transport
	FTP    *FTP // nil unless the door leads to an FTP server
	Logger *slog.Logger
	// Held returns a handle of another Front's listener at Listen (see Hold and Reserve), or nil; the
	// door takes it over. It is called each time before the door listens. Nil: there is none.
	Held func() *net.TCPListener
}

// A Front is a front door. Its methods are safe for concurrent use.
type Front struct {
	FrontConfig
	splicer splicer
	ctx     context.Context // ends when connections must be reset
	cut     context.CancelFunc
	running sync.WaitGroup // accepting goroutine and connections
	queue   queue
	clock   clock.Clock // of the following timers
	timers  clock.Group // of lingering splices

	mu        sync.Mutex
	addr      netip.AddrPort // real; port 0 until claimed
	listener  *net.TCPListener
	reserved  *net.TCPListener // keeps the address while the door is shut, and refuses; may be nil
	handedOn  bool             // another handle of the listener goes on listening
	state     state
	reopen    func() bool // stops the timer of the next attempt to open; nil if there is none
	splices   map[*splice]bool
	lingering []*splice // whose service has closed, the longest ago first
	inside    int       // connections that have been dialed inside, or are being dialed
}

// A state is the state of a front door.
type state uint8

const (
	shut    state = iota // clients are refused
	claimed              // there is a listener, but connections are not accepted
	open
	closed // by Close
)

// NewFront returns a front door that is shut.
func NewFront(c FrontConfig) *Front {
	f := &Front{FrontConfig: c, addr: c.Listen, splices: make(map[*splice]bool), clock: clock.System()}
	f.queue.slots = make(chan struct{}, queueLength)
	f.ctx, f.cut = context.WithCancel(context.Background())
	return f
}

// Addr returns the real address. Its port is 0 until Claim if Listen has port 0.
func (f *Front) Addr() netip.AddrPort {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.addr
}

// Claim takes the real address. Clients that connect wait until SetOpen. If the door has
// the address already, Claim does nothing.
func (f *Front) Claim(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state != shut {
		return nil
	}
	return f.listen(ctx)
}

// listen opens the real listener. The caller holds mu.
func (f *Front) listen(ctx context.Context) error {
	l := f.reserved
	f.reserved = nil
	if l == nil && f.Held != nil {
		l = f.Held()
	}
	if l != nil {
		if err := listenAgain(l); err != nil {
			l.Close()
			return fmt.Errorf("door %s: listen again: %w", f.Name, err)
		}
	} else {
		var err error
		if l, err = listen(ctx, f.addr); err != nil {
			return fmt.Errorf("door %s: %w", f.Name, err)
		}
	}
	f.listener = l
	f.addr = realAddr(l.Addr())
	f.state = claimed
	return nil
}

// listenTCP listens at a.
func listenTCP(ctx context.Context, a netip.AddrPort) (*net.TCPListener, error) {
	var c net.ListenConfig
	l, err := c.Listen(ctx, "tcp", a.String())
	if err != nil {
		return nil, err
	}
	return l.(*net.TCPListener), nil
}

// Hold returns another handle of the real listener, which stays open when the door is shut or closed:
// clients that connect wait. The caller closes it or gives it to another Front. It is nil if the door
// does not have its address.
func (f *Front) Hold() (*net.TCPListener, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l, err := f.duplicate()
	f.handedOn = f.handedOn || l != nil
	return l, err
}

// Reserve returns another handle of the real listener, which keeps the address when the door is shut
// or closed: clients that connect are refused, and no other program can take the address. The caller
// closes it or gives it to another Front. It is nil if the door does not have its address. The error
// wraps errors.ErrUnsupported except on Linux.
func (f *Front) Reserve() (*net.TCPListener, error) {
	if !canReserve {
		return nil, errors.ErrUnsupported
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.duplicate()
}

// duplicate returns another handle of the door's socket; nil if it has none. The caller holds mu.
func (f *Front) duplicate() (*net.TCPListener, error) {
	l := f.listener
	if l == nil {
		l = f.reserved
	}
	if l == nil {
		return nil, nil
	}
	l, err := duplicate(l)
	if err != nil {
		return nil, fmt.Errorf("hold the door %s: %w", f.Name, err)
	}
	return l, nil
}

// shut closes the listener and, unless somebody else goes on listening, keeps its address. The caller
// holds mu.
func (f *Front) shut() {
	l := f.listener
	f.listener, f.state = nil, shut
	if f.handedOn || !canReserve {
		l.Close()
		return
	}
	// An Accept on a handle that is closed ends; one on a listener that only stops listening might not
	// notice it before the listener listens again.
	reserved, err := duplicate(l)
	l.Close()
	if err == nil {
		err = stopListening(reserved)
	}
	if err == nil {
		f.reserved = reserved
		return
	}
	f.Logger.Warn("a front door that is shut does not keep its address", "door", f.Name, "error", err)
	if reserved != nil {
		reserved.Close()
	}
}

// SetOpen opens or shuts the door. Established connections are untouched. A door that is shut keeps
// its address on Linux. Elsewhere another program can take it meanwhile: SetOpen then tries again
// each second.
func (f *Front) SetOpen(want bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stopReopening()
	switch {
	case f.state == closed, want && f.state == open, !want && f.state == shut:
		return
	case !want:
		f.shut()
		return
	}
	if f.state == shut {
		if err := f.listen(f.ctx); err != nil {
			f.Logger.Warn("a front door cannot be opened", "door", f.Name, "error", err)
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

// stopReopening cancels the next attempt to open. The caller holds mu.
func (f *Front) stopReopening() {
	if f.reopen != nil && f.reopen() {
		f.running.Done()
	}
	f.reopen = nil
}

// Close shuts the door permanently. A connection that the service closes, or has closed,
// ends when all that the service sent has been passed on. The others are reset after
// drainTimeout, or when ctx ends. Close blocks until every goroutine of the door has ended.
func (f *Front) Close(ctx context.Context) {
	f.SetOpen(false)
	f.mu.Lock()
	f.state = closed
	if f.reserved != nil {
		f.reserved.Close()
		f.reserved = nil
	}
	busy := len(f.splices) > 0 || f.inside > 0
	for p := range f.splices {
		p.closeWhenDone()
	}
	f.mu.Unlock()
	if busy {
		stop := clock.System().AfterFunc(drainTimeout, f.abortAll)
		defer stop()
	}
	stop := context.AfterFunc(ctx, f.abortAll)
	defer stop()
	if !busy {
		f.abortAll() // a connection that is being accepted at this moment
	}
	f.running.Wait()
	f.timers.Wait()
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
		slot := f.queue.acquire()
		c, err := l.AcceptTCP()
		if err == nil {
			f.running.Go(func() { f.admit(c, slot) })
			continue
		}
		slot.release()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		default: // too many open files, for example
			f.Logger.Warn("a front door cannot accept connections", "door", f.Name, "error", err)
			if clock.System().Sleep(f.ctx, 50*time.Millisecond) != nil {
				return
			}
		}
	}
}

// admit connects a real client, which has a slot in the queue, to the service.
func (f *Front) admit(outside *net.TCPConn, p *slot) {
	vnet.ReserveStack()
	p.occupy()
	from, to, err := f.Enter(realAddr(outside.RemoteAddr()).Addr())
	if err != nil {
		f.Logger.Warn("a front door reset the connection of a client", "door", f.Name,
			"client", outside.RemoteAddr(), "error", err)
		p.release()
		abort(outside)
		return
	}
	f.addInside(1)
	defer f.addInside(-1)
	inside, err := f.dial(from, to, realAddr(outside.RemoteAddr()).Port())
	if err != nil {
		p.release()
		abort(outside) // because the simulated client was refused
		return
	}
	if f.FTP != nil {
		f.FTP.relay(f, outside, inside, from, to)
	} else {
		f.splice(outside, inside, nil, nil)
	}
	p.release()
}

func (f *Front) addInside(change int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.inside += change
}

// Accepted tells the door that the service has accepted a connection. The door then lets
// the next client in.
func (f *Front) Accepted() { f.queue.releaseOldest() }

// dial connects the simulated client. It uses the real client's port if that is free.
func (f *Front) dial(from netip.Addr, to netip.AddrPort, port uint16) (network.Conn, error) {
	c := network.DialConfig{Local: netip.AddrPortFrom(from, port), Remote: to}
	inside, err := f.Hosts.Dial(f.ctx, c)
	if errors.Is(err, syscall.EADDRINUSE) {
		c.Local = netip.AddrPortFrom(from, 0)
		inside, err = f.Hosts.Dial(f.ctx, c)
	}
	return inside, err
}

// splice copies between the two connections and returns when both are closed.
func (f *Front) splice(outside *net.TCPConn, inside network.Conn, fromOutside, fromInside filter) {
	p := &splice{a: outside, b: inside, onServiceDone: f.linger}
	f.mu.Lock()
	if f.ctx.Err() != nil {
		f.mu.Unlock()
		p.abort()
		return
	}
	f.splices[p] = true
	if f.state == closed {
		p.closeWhenDone()
	}
	f.mu.Unlock()
	f.splicer.run(p, fromOutside, fromInside)
	f.forget(p)
}

// realAddr returns a TCP address; an IPv4 address mapped to IPv6 becomes plain IPv4.
func realAddr(a net.Addr) netip.AddrPort {
	ap := a.(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
}
