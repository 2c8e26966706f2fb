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
)

// answerWait bounds how long a client waits for an answer and for the other
// side's farewell.
const answerWait = 5 * time.Second

// orderWait is how long the topology's next connection waits for the one before it
// to be established.
const orderWait = 50 * time.Millisecond

// StartClients says that the appliance's services are up. Doors whose service
// does not listen are shut from now on, and the topology's connections are
// opened in their order (B38), but for those that come after somebody. One that
// takes its time does not keep the next ones waiting. It returns when all are open
// and have said what they have to say; those that could not be opened are in the
// error, and the others stay.
func (w *World) StartClients(ctx context.Context) error {
	w.doors.ready()
	var running sync.WaitGroup
	errs := make([]error, len(w.topology.Clients))
	for i := range w.topology.Clients {
		if w.topology.Clients[i].After != "" {
			continue
		}
		turn, open := context.WithTimeout(ctx, orderWait)
		running.Go(func() {
			defer open()
			errs[i] = w.startClient(ctx, &w.topology.Clients[i], open)
		})
		<-turn.Done()
	}
	running.Wait()
	return errors.Join(errs...)
}

// startFollowers opens, in the background, the connections that come after the first
// one to this port of the appliance's.
func (w *World) startFollowers(port uint16) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.doors.mu.Lock()
	defer w.doors.mu.Unlock()
	w.waiting = slices.DeleteFunc(w.waiting, func(c *topology.Client) bool {
		if w.state != running || w.doors.portOf(c.After) != port {
			return false
		}
		w.followers.Go(func() {
			if err := w.startClient(w.life, c, func() {}); err != nil && w.life.Err() == nil {
				w.options.Logger.Warn("a connection of the topology is missing", "error", err)
			}
		})
		return true
	})
}

// startClient opens a connection, says so, and lets it say what it has to say.
func (w *World) startClient(ctx context.Context, c *topology.Client, open func()) error {
	host := w.hosts
	if c.From == topology.FromAppliance {
		host = w.appliance
	}
	conn, err := host.Dial(ctx, network.DialConfig{Local: c.Local, Remote: c.Remote, Owner: c.Owner, User: c.User})
	if err != nil {
		return fmt.Errorf("client %v: %w", c.Local, err)
	}
	open()
	w.mu.Lock()
	if w.state == stopped {
		w.mu.Unlock()
		conn.Abort()
		return fmt.Errorf("client %v: the world has been stopped", c.Local)
	}
	w.conns = append(w.conns, conn)
	w.mu.Unlock()
	if err := talk(c, conn); err != nil {
		return fmt.Errorf("client %v: %w", c.Local, err)
	}
	return nil
}

// talk says what the client has to say and closes the connection, if that is
// asked for, as its opener: TIME_WAIT stays here.
func talk(c *topology.Client, conn network.Conn) error {
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
