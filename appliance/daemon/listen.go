package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"

	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/refusal"
)

// Listen opens p on every address that the committed configuration gives it. The listener follows
// the configuration until it is closed. Its Accept returns network.Conns.
func (t *Table) Listen(ctx context.Context, p Port) (net.Listener, error) {
	l := &listener{
		table: t, port: p,
		conns: make(chan network.Conn), done: make(chan struct{}),
		open: map[netip.AddrPort]network.Listener{},
	}
	// The listener is added before the configuration is read, so that no commit is missed.
	t.mu.Lock()
	t.listeners = append(t.listeners, l)
	t.mu.Unlock()
	if err := l.add(ctx, func() []netip.AddrPort { return p.Addrs(t.o.Committed()) }); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// A listener accepts connections on all addresses of a port.
type listener struct {
	table *Table
	port  Port
	conns chan network.Conn
	done  chan struct{}
	wg    sync.WaitGroup

	mu     sync.Mutex
	closed bool
	open   map[netip.AddrPort]network.Listener
}

// add listens on those wanted addresses that are not open yet: on all of them or on none. It calls
// want with mu held, so that a later call of keep has newer addresses.
func (l *listener) add(ctx context.Context, want func() []netip.AddrPort) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	added := map[netip.AddrPort]network.Listener{}
	process := l.port.Process.properties()
	for _, addr := range want() {
		if l.open[addr] != nil || added[addr] != nil {
			continue
		}
		n, err := l.table.o.Net.Listen(ctx, network.ListenConfig{
			Addr: addr, Backlog: l.port.Backlog, Mapped: l.port.Mapped,
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
		l.open[addr] = n
		l.wg.Go(func() { l.accept(n) })
	}
	return nil
}

// keep stops listening on all addresses but those that are wanted.
func (l *listener) keep(want []netip.AddrPort) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for addr, n := range l.open {
		if !slices.Contains(want, addr) {
			n.Close()
			delete(l.open, addr)
		}
	}
}

func (l *listener) accept(n network.Listener) {
	for {
		c, err := n.AcceptConn()
		if err != nil {
			return
		}
		select {
		case l.conns <- c:
		case <-l.done:
			c.Abort()
			return
		}
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

// Close stops listening and waits until no goroutine accepts any more.
func (l *listener) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	close(l.done)
	for _, n := range l.open {
		n.Close()
	}
	clear(l.open)
	l.mu.Unlock()
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
