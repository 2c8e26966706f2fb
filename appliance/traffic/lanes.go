package traffic

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network"
)

// A Site is the world in which messages are sent.
type Site interface {
	// Clock returns the clock by which messages are due.
	Clock() clock.Clock
	// Now returns the appliance's wall time in its time zone.
	Now() time.Time
	// Hello returns the name that a host says in EHLO.
	Hello(host string) string
	// Route returns the network of the hosts, the address from which a host sends, and that of the
	// appliance's listener. While the appliance reboots, it blocks until ctx ends.
	Route(ctx context.Context, host string) (net network.Transport, local netip.Addr,
		listener netip.AddrPort, err error)
	// SetServer stops or starts a server of the world.
	SetServer(ctx context.Context, name string, running bool) error
}

// Lanes send messages, each lane one after another. A lane keeps a connection open for the messages
// of one group.
type lanes struct {
	site    Site
	count   *counter
	working sync.WaitGroup
	queues  []chan planned // one for each lane; nil: it has not begun
}

// laneBacklog is the number of messages that wait for a lane. When that many wait, the messages
// that follow are late.
const laneBacklog = 4

// connectionIdle is the real time for which a lane keeps a connection open without a message.
const connectionIdle = 2 * time.Second

func newLanes(site Site, n int, c *counter) *lanes {
	return &lanes{site: site, count: c, queues: make([]chan planned, n)}
}

// send hands a message to the lane with that number. It blocks while too many messages wait for it.
// It is called by one goroutine. After ctx has ended it does nothing.
func (l *lanes) send(ctx context.Context, lane int, m planned) {
	q := l.queues[lane]
	if q == nil {
		q = make(chan planned, laneBacklog)
		l.queues[lane] = q
		l.working.Go(func() { l.run(ctx, q) })
	}
	select {
	case q <- m:
	case <-ctx.Done():
	}
}

// close waits until every message that was handed to send is done, or ctx has ended, and for the
// goroutines of the lanes.
func (l *lanes) close() {
	for _, q := range l.queues {
		if q != nil {
			close(q)
		}
	}
	l.working.Wait()
}

// A lane is the state of one lane.
type lane struct {
	site  Site
	open  *connection // nil: none
	group string      // that open belongs to
}

// run sends the messages of a lane.
func (l *lanes) run(ctx context.Context, queue <-chan planned) {
	x := lane{site: l.site}
	defer x.hangUp(ctx)
	for {
		m, ok := x.next(ctx, queue)
		if !ok {
			return
		}
		began := clock.System().Mark()
		result := x.deliver(ctx, m)
		l.count.finish(result, since(began))
	}
}

// next waits for a message. It closes the connection if none comes for a while.
func (x *lane) next(ctx context.Context, queue <-chan planned) (m planned, ok bool) {
	if x.open != nil {
		idle := make(chan struct{})
		stop := clock.System().AfterFunc(connectionIdle, func() { close(idle) })
		defer stop()
		select {
		case m, ok = <-queue:
			return m, ok && ctx.Err() == nil
		case <-idle:
			x.hangUp(ctx)
		case <-ctx.Done():
			return m, false
		}
	}
	select {
	case m, ok = <-queue:
		return m, ok && ctx.Err() == nil
	case <-ctx.Done():
		return m, false
	}
}

// deliver sends a message on the connection of its group, or on a new one.
func (x *lane) deliver(ctx context.Context, m planned) Result {
	if x.open != nil && x.group != m.group {
		x.hangUp(ctx)
	}
	if x.open == nil {
		if err := x.connect(ctx, m); err != nil {
			return failed(Result{}, err)
		}
	}
	result, usable := x.open.send(ctx, m.message)
	if !usable {
		x.open.conn.Close() //nolint:errcheck // the result is known
		x.open = nil
	} else if m.last {
		x.hangUp(ctx)
	}
	return result
}

func (x *lane) connect(ctx context.Context, m planned) error {
	net, local, listener, err := x.site.Route(ctx, m.host)
	if err != nil {
		return fmt.Errorf("find the way to the appliance: %w", err)
	}
	c := Client{Net: net, Local: local, Remote: listener, Hello: x.site.Hello(m.host)}
	if m.tls {
		c.TLS = TLSIfOffered
	}
	x.open, err = c.dial(ctx)
	x.group = m.group
	return err
}

// hangUp ends the conversation, if there is one.
func (x *lane) hangUp(ctx context.Context) {
	if x.open == nil {
		return
	}
	x.open.quit(ctx)
	x.open = nil
}
