package daemon

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/refusal"
)

// Listen opens p on every address that the committed configuration gives it. The listener follows
// the configuration until it is closed. Its Accept returns network.Conns.
func (t *Table) Listen(ctx context.Context, p Port) (net.Listener, error) {
	l := &listener{conns: make(chan network.Conn)}
	l.handle = l.handOver
	return t.listen(ctx, p, l)
}

// listen is Listen for a listener with handle, and conns if handle needs it.
func (t *Table) listen(ctx context.Context, p Port, l *listener) (net.Listener, error) {
	l.table, l.port = t, p
	l.done, l.open = make(chan struct{}), map[netip.AddrPort]openPort{}
	// The listener is added before the configuration is read, so that no commit is missed.
	t.mu.Lock()
	t.listeners = append(t.listeners, l)
	t.mu.Unlock()
	if err := l.add(ctx, t.o.Committed); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// A listener accepts connections on all addresses of a port.
type listener struct {
	table  *Table
	port   Port
	handle func(network.Conn) // called for each connection; must return when done is closed
	conns  chan network.Conn  // of handOver
	done   chan struct{}
	wg     sync.WaitGroup

	mu     sync.Mutex
	closed bool
	open   map[netip.AddrPort]openPort
}

// An openPort is a listener on one address.
type openPort struct {
	network.Listener
	wait func() // for its handle, after Close
}

// add listens on those addresses of a configuration that are not open yet: on all of them or on
// none. It calls next with mu held, so that a later call of keep has a newer configuration.
func (l *listener) add(ctx context.Context, next func() *config.Config) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	added := map[netip.AddrPort]network.Listener{}
	process := l.port.Process.properties()
	c := next()
	for _, addr := range l.port.Addrs(c) {
		if l.open[addr].Listener != nil || added[addr] != nil {
			continue
		}
		n, err := l.table.o.Net.Listen(ctx, network.ListenConfig{
			Addr: addr, Backlog: l.port.backlog(c, addr), Mapped: l.port.Mapped,
			Owner: process.name, User: process.user, Workers: process.workers,
			PID: l.table.pid(l.port.Process),
		})
		if err != nil {
			for _, n := range added {
				n.Close()
			}
			err = fmt.Errorf("listen for %s: %w", process.name, err)
			if errors.Is(err, syscall.EADDRINUSE) {
				err = refusal.Because(err, "Port %d of %v is in use.", addr.Port(), addr.Addr())
			}
			return err
		}
		added[addr] = n
	}
	for addr, n := range added {
		l.open[addr] = openPort{n, l.serve(n)}
	}
	return nil
}

// keep stops listening on all addresses but those of a configuration, whose backlogs it sets.
func (l *listener) keep(c *config.Config) {
	l.mu.Lock()
	defer l.mu.Unlock()
	want := l.port.Addrs(c)
	for addr, n := range l.open {
		if !slices.Contains(want, addr) {
			n.Close()
			l.wg.Go(n.wait)
			delete(l.open, addr)
		} else if s, ok := n.Listener.(network.BacklogSetter); ok && l.port.BacklogOf != nil {
			s.SetBacklog(l.port.backlog(c, addr))
		}
	}
}

// serve calls handle for the connections to n until n is closed. wait then waits for that.
func (l *listener) serve(n network.Listener) (wait func()) {
	if s, ok := n.(network.Server); ok {
		return s.Serve(l.handle)
	}
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			c, err := n.AcceptConn()
			if err != nil {
				return
			}
			l.handle(c)
		}
	})
	return accepting.Wait
}

// handOver gives a connection to the caller of Accept.
func (l *listener) handOver(c network.Conn) {
	select {
	case l.conns <- c:
	case <-l.done:
		c.Abort()
	}
}

// Accept waits for the next connection on any of the addresses.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: net.ErrClosed}
	}
}

// Close stops listening and waits until no connection is handled any more.
func (l *listener) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	close(l.done)
	open := slices.Collect(maps.Values(l.open))
	for _, n := range open {
		n.Close()
	}
	clear(l.open)
	l.mu.Unlock()
	for _, n := range open {
		n.wait()
	}
	l.wg.Wait()
	t := l.table
	t.mu.Lock()
	t.listeners = slices.DeleteFunc(t.listeners, func(o *listener) bool { return o == l })
	t.mu.Unlock()
	return nil
}

// Addr returns one of the addresses, or an empty one if there is none.
func (l *listener) Addr() net.Addr {
	l.mu.Lock()
	defer l.mu.Unlock()
	for addr := range l.open {
		return net.TCPAddrFromAddrPort(addr)
	}
	return &net.TCPAddr{}
}
