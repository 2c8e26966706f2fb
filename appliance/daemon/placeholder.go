package daemon

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network"
)

// A Placeholder is the service of a process whose protocol the appliance does not speak yet. It
// listens, tells each client that the service is not available if the protocol has words for
// that, and closes the connection. It is safe for concurrent use.
type Placeholder struct {
	table   *Table
	process Process

	mu        sync.Mutex
	listeners []net.Listener
	conns     map[net.Conn]bool // nil: not started, or stopped
	wg        sync.WaitGroup
}

// Placeholder returns a placeholder for the process p.
func (t *Table) Placeholder(p Process) *Placeholder { return &Placeholder{table: t, process: p} }

// Name returns the name of the process.
func (d *Placeholder) Name() string { return d.process.Name() }

// Process returns the process that it is a placeholder for.
func (d *Placeholder) Process() Process { return d.process }

// Start opens the ports and returns. It may be called again after Stop.
func (d *Placeholder) Start(ctx context.Context) error {
	d.mu.Lock()
	d.conns = map[net.Conn]bool{}
	d.mu.Unlock()
	for _, port := range placeholderPorts(d.process) {
		l, err := d.table.listen(ctx, port, &listener{
			handle: func(c network.Conn) { d.serve(c, port) },
		})
		if err != nil {
			return errors.Join(err, d.Stop(ctx))
		}
		d.mu.Lock()
		d.listeners = append(d.listeners, l)
		d.mu.Unlock()
	}
	return nil
}

// serve declines a connection in a goroutine of its own.
func (d *Placeholder) serve(c network.Conn, port Port) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.conns == nil { // Stop has been called
		c.Close()
		return
	}
	d.conns[c] = true
	d.wg.Go(func() { d.decline(c, port) })
}

// declineTimeout bounds how long declining one connection may take.
const declineTimeout = 5 * time.Second

// decline sends the farewell and closes the connection. It first reads what the client has sent:
// to close a connection with unread data would reset it.
func (d *Placeholder) decline(c net.Conn, port Port) {
	defer func() {
		c.Close()
		d.mu.Lock()
		delete(d.conns, c)
		d.mu.Unlock()
	}()
	deadline := clock.System().Now().Add(declineTimeout) // deadlines are on the machine's clock
	if c.SetDeadline(deadline) != nil {
		return
	}
	if port.farewell != nil {
		if _, err := io.WriteString(c, port.farewell(d.table.o.Hostname())); err != nil {
			return
		}
	}
	if half, ok := c.(network.Conn); ok && half.CloseWrite() == nil {
		_, _ = io.Copy(io.Discard, io.LimitReader(c, 1<<20)) // the client's data is not used
	}
}

// Stop closes the ports and all connections. Stop may be called more than once and without Start.
func (d *Placeholder) Stop(context.Context) error {
	d.mu.Lock()
	listeners := d.listeners
	d.listeners = nil
	for c := range d.conns {
		c.Close()
	}
	d.conns = nil
	d.mu.Unlock()
	for _, l := range listeners { // Close waits for serve, which takes mu
		l.Close()
	}
	d.wg.Wait()
	return nil
}
