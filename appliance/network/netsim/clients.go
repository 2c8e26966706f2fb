package netsim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/appliance/network/netsim/vnet"
)

// answerTimeout bounds how long a client waits for an answer, and for the other side to
// close the connection.
const answerTimeout = 5 * time.Second

// orderTimeout is how long the next connection waits for the one before it to be established. The
// appliance accepts connections in the order in which they are established.
const orderTimeout = time.Second

// settleTimeout is how long others wait for connections to be opened. Unless their packets are
// lost, they are open within milliseconds, or as soon as a busy machine gets round to it.
const settleTimeout = 10 * time.Second

// clients are the connections of a topology.
type clients struct {
	stacks *stacks
	// servicePort returns the port on which a service of the appliance listens.
	servicePort func(service string) uint16
	running     func() bool // reports whether the world runs

	opening sync.WaitGroup // goroutines that open connections in the background
	ctx     context.Context
	cancel  context.CancelFunc // ends ctx, which is that of the background

	mu       sync.Mutex // servicePort and running are called under it
	started  bool
	stopped  bool
	conns    []network.Conn
	waiting  []*topology.Client // to be opened after the first connection to a service
	seen     bool               // somebody looks: connections are opened as soon as they can be
	pending  []dial             // of the appliance, which are opened when somebody looks
	settling []context.Context  // each ends when connections are open, or after settleTimeout
}

func newClients(s *stacks, servicePort func(string) uint16, running func() bool) *clients {
	c := &clients{stacks: s, servicePort: servicePort, running: running}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	for i := range s.topology.Clients {
		if x := &s.topology.Clients[i]; x.After != "" && s.topology.OpensClient(x) {
			c.waiting = append(c.waiting, x)
		}
	}
	return c
}

// A dial is a connection of the topology that has a socket.
type dial struct {
	*topology.Client
	socket *vnet.PendingDial
}

// start opens the connections that follow no other. Their sockets are opened in the order of the
// topology (B38). Connections of hosts, which the appliance's services answer, are established and
// have exchanged their text when start returns. Connections of the appliance are established when
// somebody looks; see wait. The error is about the sockets and the connections of hosts.
func (c *clients) start(ctx context.Context) error {
	if !c.begin() {
		return ErrStopped
	}
	defer c.opening.Done()
	c.setStarted()
	list := c.stacks.topology.Clients
	var running sync.WaitGroup
	errs := make([]error, len(list))
	var background []dial
	for i := range list {
		if list[i].After != "" || !c.stacks.topology.OpensClient(&list[i]) {
			continue
		}
		d, err := c.newDial(&list[i])
		switch {
		case err != nil:
			errs[i] = err
		case d.From == topology.FromAppliance:
			background = append(background, d)
		default:
			c.openNext(ctx, &running, d, func(err error) { errs[i] = err })
		}
	}
	c.openWhenSeen(background)
	running.Wait()
	return errors.Join(errs...)
}

func (c *clients) setStarted() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.started = true
}

// isStarted reports whether connections are open or pending. Whoever looks earlier sees the world
// before the appliance is up.
func (c *clients) isStarted() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.started
}

// openNext opens a connection in a goroutine of group, which calls done in the end. openNext
// returns when the connection is established, or after orderTimeout: a slow one does not hold up
// the next.
func (c *clients) openNext(ctx context.Context, group *sync.WaitGroup, d dial, done func(error)) {
	turn, established := context.WithTimeout(ctx, orderTimeout)
	group.Go(func() {
		defer established()
		done(c.open(ctx, d, established))
	})
	<-turn.Done()
}

// openWhenSeen opens connections of the appliance in the background: when somebody looks, or at
// once if somebody does already, or if a real machine is at the other end of one of them. It is
// called after begin.
func (c *clients) openWhenSeen(list []dial) {
	leadsOut := slices.ContainsFunc(list, func(d dial) bool {
		return c.stacks.topology.LeadsOut(d.Remote.Addr())
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pending = append(c.pending, list...)
	if leadsOut || c.seen {
		c.openPending()
	}
}

// openPending opens the pending connections in their order in a goroutine. wait blocks until it has
// ended. It is called after begin and with mu held.
func (c *clients) openPending() {
	list := c.pending
	if len(list) == 0 {
		return
	}
	settled, done := context.WithTimeout(c.ctx, settleTimeout)
	c.settling = append(c.settling, settled)
	c.pending = nil
	c.opening.Go(func() {
		defer done()
		var running sync.WaitGroup
		for _, d := range list {
			c.openNext(c.ctx, &running, d, c.logMissing)
		}
		running.Wait()
	})
}

// look opens the pending connections, and from now on others as soon as they can be: somebody sees
// what happens in the world from now on. It does not block.
func (c *clients) look() {
	if !c.begin() {
		return
	}
	defer c.opening.Done()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = true
	c.openPending()
}

// logMissing logs the error of a connection that is opened in the background.
func (c *clients) logMissing(err error) {
	if err != nil && c.ctx.Err() == nil {
		c.stacks.options.Logger.Warn("a connection of the topology is missing", "error", err)
	}
}

// wait blocks until the connections of the appliance are open and have exchanged their text, or for
// settleTimeout. Whatever shows the world, or changes it, calls wait first, so that nobody sees it
// before these connections are a part of it.
func (c *clients) wait() {
	if c.isStarted() {
		c.look()
	}
	c.mu.Lock()
	c.settling = slices.DeleteFunc(c.settling, func(x context.Context) bool { return x.Err() != nil })
	settling := slices.Clone(c.settling)
	c.mu.Unlock()
	for _, settled := range settling {
		<-settled.Done()
	}
}

// accepted opens the connections that follow the first one to a port of the appliance: those of
// hosts until they are established, those of the appliance when somebody looks.
func (c *clients) accepted(port uint16) {
	if !c.begin() {
		return
	}
	defer c.opening.Done()
	var background []dial
	for _, x := range c.takeFollowers(port) {
		d, err := c.newDial(x)
		switch {
		case err != nil:
			c.logMissing(err)
		case d.From == topology.FromAppliance:
			background = append(background, d)
		default:
			c.openNext(c.ctx, &c.opening, d, c.logMissing)
		}
	}
	c.openWhenSeen(background)
}

// begin reports whether connections may still be opened. If so, stop waits for opening.Done.
func (c *clients) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.stopped {
		c.opening.Add(1)
	}
	return !c.stopped
}

// takeFollowers returns the connections to open after the first one to a port.
func (c *clients) takeFollowers(port uint16) (list []*topology.Client) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = slices.DeleteFunc(c.waiting, func(x *topology.Client) bool {
		follows := c.running() && c.servicePort(x.After) == port
		if follows {
			list = append(list, x)
		}
		return follows
	})
	return list
}

// newDial opens the socket of a connection.
func (c *clients) newDial(x *topology.Client) (dial, error) {
	host := c.stacks.hosts
	if x.From == topology.FromAppliance {
		host = c.stacks.appliance
	}
	d, err := host.NewDial(network.DialConfig{
		Local: x.Local, Remote: x.Remote, Owner: x.Owner, User: x.User,
	})
	if err != nil {
		return dial{}, fmt.Errorf("client %v: %w", x.Local, err)
	}
	return dial{x, d}, nil
}

// open establishes a connection, calls established, and exchanges the client's text.
func (c *clients) open(ctx context.Context, d dial, established func()) error {
	conn, err := d.socket.Connect(ctx)
	if err != nil {
		return fmt.Errorf("client %v: %w", d.Local, err)
	}
	established()
	if !c.add(conn) {
		conn.Abort()
		return fmt.Errorf("client %v: %w", d.Local, ErrStopped)
	}
	if err := exchange(conn, d.Client); err != nil {
		return fmt.Errorf("client %v: %w", d.Local, err)
	}
	return nil
}

// add keeps a connection until stop. It returns false if the clients have been stopped.
func (c *clients) add(conn network.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.stopped {
		c.conns = append(c.conns, conn)
	}
	return !c.stopped
}

// exchange sends the client's text, reads an answer and, if the client wants that, closes
// the connection first, so that TIME_WAIT stays at this end.
func exchange(conn network.Conn, x *topology.Client) error {
	conn.SetDeadline(clock.System().Now().Add(answerTimeout))
	if x.Send != "" {
		if _, err := io.WriteString(conn, x.Send); err != nil {
			return err
		}
		if _, err := conn.Read(make([]byte, 4096)); err != nil {
			return err
		}
	}
	if !x.Close {
		return conn.SetDeadline(time.Time{})
	}
	if err := conn.CloseWrite(); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, struct{ io.Reader }{conn}); err != nil {
		return err
	}
	return conn.Close()
}

// shut makes the clients open no more connections. It does not wait.
func (c *clients) shut() {
	c.mu.Lock()
	c.stopped = true
	c.mu.Unlock()
	c.cancel()
}

// stop aborts all connections and waits for those that are being opened in the background.
// It is called after shut.
func (c *clients) stop() {
	c.mu.Lock()
	conns, pending := c.conns, c.pending
	c.conns, c.pending = nil, nil
	c.mu.Unlock()
	for _, conn := range conns {
		conn.Abort()
	}
	for _, d := range pending {
		d.socket.Close()
	}
	c.opening.Wait()
}
