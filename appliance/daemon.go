package appliance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/network"
)

// httpUnavailable is what the ports of the API say to whoever asks.
const httpUnavailable = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

func saysHTTP(*Appliance) string { return httpUnavailable }

// saysSMTP is the greeting of a mail server that takes no mail now (RFC 5321, 3.8).
func saysSMTP(a *Appliance) string {
	return fmt.Sprintf("421 4.3.2 %s Service not available, closing transmission channel\r\n", a.Hostname())
}

// sockets are what a daemon of B35 listens on, with the backlogs of B41, in the order
// in which it opens them.
var sockets = map[*Process][]ServicePort{
	Postgres:   {{Process: Postgres, Backlog: 208, Addrs: onLocalhost(5432)}},
	Controller: {{Process: Controller, Backlog: 10, Addrs: onLocalhost(53)}},
	Quarantine: {{Process: Quarantine, Backlog: 20, Mapped: true, Addrs: onLocalhost(18081)}},
	APIServer: {
		{Process: APIServer, Backlog: 15, Addrs: OnInterfaces(func(i IPInterface) uint16 { return i.APIHTTP }), Farewell: saysHTTP},
		{Process: APIServer, Backlog: 15, Addrs: onLocalhost(60001)},
		{Process: APIServer, Backlog: 15, Addrs: OnInterfaces(func(i IPInterface) uint16 { return i.APIHTTPS })},
	},
	Hermes:  {{Process: Hermes, Backlog: 50, Addrs: onListeners, Farewell: saysSMTP}},
	Nginx:   {{Process: Nginx, Backlog: 128, Addrs: everywhere(func(i IPInterface) uint16 { return i.NextGUI })}},
	NextGUI: {{Process: NextGUI, Backlog: 50, Addrs: onLocalhost(9999)}},
}

// Daemon is the service of a process whose protocol the appliance does not speak yet:
// it listens, says so where the protocol has words for that, and closes. The service
// is to be added to a.
func (a *Appliance) Daemon(p *Process) Service { return &daemon{appliance: a, process: p} }

type daemon struct {
	appliance *Appliance
	process   *Process

	mu        sync.Mutex
	listeners []net.Listener
	conns     map[net.Conn]bool
	wg        sync.WaitGroup
}

var _ Restarter = (*daemon)(nil)

func (d *daemon) Name() string      { return d.process.Name }
func (d *daemon) Process() *Process { return d.process }

func (d *daemon) Start(ctx context.Context) error {
	d.mu.Lock()
	d.conns = map[net.Conn]bool{}
	d.mu.Unlock()
	for _, port := range sockets[d.process] {
		l, err := d.appliance.ListenService(ctx, port)
		if err != nil {
			return errors.Join(err, d.Stop(ctx))
		}
		d.mu.Lock()
		d.listeners = append(d.listeners, l)
		d.mu.Unlock()
		d.wg.Go(func() { d.serve(l, port) })
	}
	return nil
}

func (d *daemon) serve(l net.Listener, port ServicePort) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		d.mu.Lock()
		open := d.conns != nil
		if open {
			d.conns[c] = true
			d.wg.Go(func() { d.decline(c, port) })
		}
		d.mu.Unlock()
		if !open {
			c.Close()
		}
	}
}

// courtesy is how long a client may take to hear that nobody serves it.
const courtesy = 5 * time.Second

// decline says farewell and closes. It reads what the client has sent: a close with
// data unread would be a reset.
func (d *daemon) decline(c net.Conn, port ServicePort) {
	defer func() {
		c.Close()
		d.mu.Lock()
		delete(d.conns, c)
		d.mu.Unlock()
	}()
	if c.SetDeadline(clock.System().Now().Add(courtesy)) != nil { // connections run on the machine's time
		return
	}
	if port.Farewell != nil {
		if _, err := io.WriteString(c, port.Farewell(d.appliance)); err != nil {
			return
		}
	}
	if half, ok := c.(network.Conn); ok && half.CloseWrite() == nil {
		_, _ = io.Copy(io.Discard, io.LimitReader(c, 1<<20)) // what it says does not matter
	}
}

// Stop closes the sockets, and cuts what is being declined.
func (d *daemon) Stop(context.Context) error {
	d.mu.Lock()
	for _, l := range d.listeners {
		l.Close()
	}
	d.listeners = nil
	for c := range d.conns {
		c.Close()
	}
	d.conns = nil
	d.mu.Unlock()
	d.wg.Wait()
	return nil
}

// onLocalhost are sockets for the appliance's own use.
func onLocalhost(port uint16) func(config.View) []netip.AddrPort {
	at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)
	return func(config.View) []netip.AddrPort { return []netip.AddrPort{at} }
}

// OnInterfaces are the addresses of the IP interfaces on which a service is on: port
// is its port there, 0 where it is off.
func OnInterfaces(port func(IPInterface) uint16) func(config.View) []netip.AddrPort {
	return func(v config.View) []netip.AddrPort {
		var out []netip.AddrPort
		for _, i := range Interfaces.Get(v).List {
			if p := port(i); p != 0 {
				out = append(out, i.at(p)...)
			}
		}
		return out
	}
}

// everywhere is one socket on all addresses for each port that a service has on some
// IP interface.
func everywhere(port func(IPInterface) uint16) func(config.View) []netip.AddrPort {
	return func(v config.View) []netip.AddrPort {
		var out []netip.AddrPort
		for _, i := range Interfaces.Get(v).List {
			if p := port(i); p != 0 {
				out = append(out, netip.AddrPortFrom(netip.IPv4Unspecified(), p))
			}
		}
		return out
	}
}

// at are the interface's addresses with a port.
func (i IPInterface) at(port uint16) []netip.AddrPort {
	var out []netip.AddrPort
	for _, a := range []netip.Addr{i.IPv4, i.IPv6.Addr()} {
		if a.IsValid() {
			out = append(out, netip.AddrPortFrom(a, port))
		}
	}
	return out
}

// onListeners are the mail listeners' addresses.
func onListeners(v config.View) []netip.AddrPort {
	var out []netip.AddrPort
	for _, l := range Listeners.Get(v).List {
		for _, i := range Interfaces.Get(v).List {
			if i.Name == l.Interface {
				out = append(out, i.at(l.Port)...)
			}
		}
	}
	return out
}
