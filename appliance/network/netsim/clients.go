package netsim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network"
)

// answerWait bounds how long a client waits for an answer and for the other
// side's farewell.
const answerWait = 5 * time.Second

// StartClients says that the appliance's services are up. Doors whose service
// does not listen are shut from now on, and the topology's connections are
// opened (B38), all at once. It returns when they are; those that could not be
// opened are in the error, and the others stay.
func (w *World) StartClients(ctx context.Context) error {
	w.doors.ready()
	var running sync.WaitGroup
	errs := make([]error, len(w.topology.Clients))
	for i := range w.topology.Clients {
		running.Go(func() { errs[i] = w.startClient(ctx, &w.topology.Clients[i]) })
	}
	running.Wait()
	return errors.Join(errs...)
}

func (w *World) startClient(ctx context.Context, c *Client) error {
	host := w.hosts
	if c.From == fromAppliance {
		host = w.appliance
	}
	conn, err := host.Dial(ctx, network.DialConfig{Local: c.Local, Remote: c.Remote, Owner: c.Owner, User: c.User})
	if err != nil {
		return fmt.Errorf("client %v: %w", c.Local, err)
	}
	w.mu.Lock()
	if w.state == stopped {
		w.mu.Unlock()
		conn.Abort()
		return fmt.Errorf("client %v: the world has been stopped", c.Local)
	}
	w.conns = append(w.conns, conn)
	w.mu.Unlock()
	if err := c.talk(conn); err != nil {
		return fmt.Errorf("client %v: %w", c.Local, err)
	}
	return nil
}

// talk says what the client has to say and closes the connection, if that is
// asked for, as its opener: TIME_WAIT stays here.
func (c *Client) talk(conn network.Conn) error {
	conn.SetDeadline(clock.System().Now().Add(answerWait))
	if c.Send != "" {
		if _, err := io.WriteString(conn, c.Send); err != nil {
			return err
		}
		if _, err := conn.Read(make([]byte, 4096)); err != nil {
			return err
		}
	}
	if !c.Close {
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
