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

// followTimeout is how long the first connection to a service waits for those that follow it.
// Unless their packets are lost, they are established within a millisecond, or as soon as a busy
// machine gets round to it.
const followTimeout = 10 * time.Second

// clients are the connections of a topology.
type clients struct {
	stacks *stacks
	// servicePort returns the port on which a service of the appliance listens.
	servicePort func(service string) uint16
	running     func() bool // reports whether the world runs

	followers sync.WaitGroup // connections that are opened after another one
	ctx       context.Context
	cancel    context.CancelFunc // ends ctx, which is the followers'

	mu      sync.Mutex // servicePort and running are called under it
	stopped bool
	conns   []network.Conn
	waiting []*topology.Client // to be opened after the first connection to a service
}

func newClients(s *stacks, servicePort func(string) uint16, running func() bool) *clients {
	c := &clients{stacks: s, servicePort: servicePort, running: running}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	for i := range s.topology.Clients {
		if x := &s.topology.Clients[i]; x.After != "" {
			c.waiting = append(c.waiting, x)
		}
	}
	return c
}

// start opens the connections that follow no other. Their sockets are opened in the order of the
// topology (B38). start returns when all are established and have exchanged their text; those that
// failed are in the error.
func (c *clients) start(ctx context.Context) error {
	list := c.stacks.topology.Clients
	var running sync.WaitGroup
	errs := make([]error, len(list))
	for i := range list {
		if list[i].After != "" {
			continue
		}
		d, err := c.newDial(&list[i])
		if err != nil {
			errs[i] = err
			continue
		}
		turn, established := context.WithTimeout(ctx, orderTimeout)
		running.Go(func() {
			defer established()
			errs[i] = c.open(ctx, &list[i], d, established)
		})
		<-turn.Done()
	}
	running.Wait()
	return errors.Join(errs...)
}

// accepted opens the connections that follow the first one to a port of the appliance. It
// returns when they are established, so that the tables that a client of that first connection
// asks for have them, or after followTimeout.
func (c *clients) accepted(port uint16) {
	var wait []context.Context
	for _, x := range c.takeFollowers(port) {
		established, cancel := context.WithTimeout(c.ctx, followTimeout)
		wait = append(wait, established)
		d, err := c.newDial(x)
		go func() {
			defer c.followers.Done()
			defer cancel()
			if err == nil {
				err = c.open(c.ctx, x, d, cancel)
			}
			if err != nil && c.ctx.Err() == nil {
				c.stacks.options.Logger.Warn("a connection of the topology is missing", "error", err)
			}
		}()
	}
	for _, established := range wait {
		<-established.Done()
	}
}

// takeFollowers returns the connections to open after the first one to a port. The caller must
// call followers.Done for each.
func (c *clients) takeFollowers(port uint16) (list []*topology.Client) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = slices.DeleteFunc(c.waiting, func(x *topology.Client) bool {
		follows := !c.stopped && c.running() && c.servicePort(x.After) == port
		if follows {
			list = append(list, x)
		}
		return follows
	})
	c.followers.Add(len(list))
	return list
}

// newDial opens the socket of a connection.
func (c *clients) newDial(x *topology.Client) (*vnet.PendingDial, error) {
	host := c.stacks.hosts
	if x.From == topology.FromAppliance {
		host = c.stacks.appliance
	}
	d, err := host.NewDial(network.DialConfig{
		Local: x.Local, Remote: x.Remote, Owner: x.Owner, User: x.User,
	})
	if err != nil {
		return nil, fmt.Errorf("client %v: %w", x.Local, err)
	}
	return d, nil
}

// open establishes a connection, calls established, and exchanges the client's text.
func (c *clients) open(
	ctx context.Context, x *topology.Client, d *vnet.PendingDial, established func(),
) error {
	conn, err := d.Connect(ctx)
	if err != nil {
		return fmt.Errorf("client %v: %w", x.Local, err)
	}
	established()
	if !c.add(conn) {
		conn.Abort()
		return fmt.Errorf("client %v: %w", x.Local, ErrStopped)
	}
	if err := exchange(conn, x); err != nil {
		return fmt.Errorf("client %v: %w", x.Local, err)
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
	conns := c.conns
	c.conns = nil
	c.mu.Unlock()
	for _, conn := range conns {
		conn.Abort()
	}
	c.followers.Wait()
}
