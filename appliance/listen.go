package appliance

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/network"
)

// A ServicePort is a port of a process.
type ServicePort struct {
	Process *Process
	Backlog int
	Mapped  bool // as a Java process's, see network.ListenConfig
	// Addrs are where it listens under a configuration, in the order in which the
	// sockets are opened.
	Addrs func(config.View) []netip.AddrPort
	// Farewell is what a Daemon says before it closes a connection; nil: nothing.
	Farewell func(*Appliance) string
}

// The ports of services that the appliance really provides (B35, B41).
var (
	SSHService = ServicePort{Process: Ginetd, Backlog: 10, Addrs: OnInterfaces(func(i IPInterface) uint16 { return i.SSH })}
	FTPService = ServicePort{Process: FTPDaemon, Backlog: 10, Addrs: OnInterfaces(func(i IPInterface) uint16 { return i.FTP })}

	// The page's sockets open in this order.
	HTTPService  = ServicePort{Process: GUI, Backlog: 20, Addrs: OnInterfaces(func(i IPInterface) uint16 { return i.HTTP })}
	HTTPSService = ServicePort{Process: GUI, Backlog: 20, Addrs: OnInterfaces(func(i IPInterface) uint16 { return i.HTTPS })}
)

// ListenService opens p on every address that the configuration says, and follows
// the configuration until the listener is closed. Its Accept returns
// network.Conns.
func (a *Appliance) ListenService(ctx context.Context, p ServicePort) (net.Listener, error) {
	l := &serviceListener{appliance: a, port: p, conns: make(chan network.Conn), done: make(chan struct{}), open: map[netip.AddrPort]network.Listener{}}
	a.mu.Lock()
	a.listeners = append(a.listeners, l) // first of all, so that no commit passes it by
	a.mu.Unlock()
	if err := l.add(ctx, func() []netip.AddrPort { return p.Addrs(a.Config.Committed()) }); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// A serviceListener is one listener for each address of a service, as one.
type serviceListener struct {
	appliance *Appliance
	port      ServicePort
	conns     chan network.Conn
	done      chan struct{}
	wg        sync.WaitGroup

	mu     sync.Mutex
	closed bool
	open   map[netip.AddrPort]network.Listener
}

// add listens on the addresses that are not open yet, all of them or none. It asks for
// them with mu held: what keep is told later is newer.
func (l *serviceListener) add(ctx context.Context, want func() []netip.AddrPort) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	fresh := map[netip.AddrPort]network.Listener{}
	process := l.port.Process
	for _, addr := range want() {
		if l.open[addr] != nil || fresh[addr] != nil {
			continue
		}
		n, err := l.appliance.Net.Listen(ctx, network.ListenConfig{
			Addr: addr, Backlog: l.port.Backlog, Mapped: l.port.Mapped,
			Owner: process.Name, User: process.User, PID: l.appliance.pid(process), Workers: process.Workers,
		})
		if err != nil {
			for _, n := range fresh {
				n.Close()
			}
			err = fmt.Errorf("listen for %s: %w", process.Name, err)
			if errors.Is(err, syscall.EADDRINUSE) {
				err = &RefusedError{fmt.Sprintf("Port %d of %v is in use.", addr.Port(), addr.Addr()), err}
			}
			return err
		}
		fresh[addr] = n
	}
	for addr, n := range fresh {
		l.open[addr] = n
		l.wg.Go(func() { l.accept(n) })
	}
	return nil
}

// keep closes what is not wanted any more.
func (l *serviceListener) keep(want []netip.AddrPort) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for addr, n := range l.open {
		if !slices.Contains(want, addr) {
			n.Close()
			delete(l.open, addr)
		}
	}
}

func (l *serviceListener) accept(n network.Listener) {
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

// Accept waits for the next connection on any address.
func (l *serviceListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: net.ErrClosed}
	}
}

// Close stops listening and waits until nothing accepts any more.
func (l *serviceListener) Close() error {
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
	l.appliance.mu.Lock()
	l.appliance.listeners = slices.DeleteFunc(l.appliance.listeners, func(o *serviceListener) bool { return o == l })
	l.appliance.mu.Unlock()
	return nil
}

// Addr is one of the addresses, or the unspecified one while there is none.
func (l *serviceListener) Addr() net.Addr {
	l.mu.Lock()
	defer l.mu.Unlock()
	for addr := range l.open {
		return net.TCPAddrFromAddrPort(addr)
	}
	return &net.TCPAddr{}
}
