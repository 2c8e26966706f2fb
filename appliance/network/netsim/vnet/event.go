package vnet

import (
	"errors"
	"net/netip"
	"syscall"

	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/network"
)

// A ConnectionOpened is the event that a TCP connection of the machine was established.
type ConnectionOpened struct {
	Direction     string // "in" or "out"
	Local, Remote netip.AddrPort
	Process       string // that has dialed or listens
}

// Kind implements events.Fields.
func (ConnectionOpened) Kind() string { return "connection.opened" }

// A ConnectionClosed is the event that the machine has closed a connection. Its cause is that the
// connection was opened.
type ConnectionClosed struct {
	Local, Remote netip.AddrPort
	Process       string
}

// Kind implements events.Fields.
func (ConnectionClosed) Kind() string { return "connection.closed" }

// A ConnectionRefused is the event that the other side has refused a connection of the machine.
type ConnectionRefused struct {
	Remote  netip.AddrPort
	Process string
}

// Kind implements events.Fields.
func (ConnectionRefused) Kind() string { return "connection.refused" }

// A ConnectionFailed is the event that a connection could not be established for another reason.
type ConnectionFailed struct {
	Remote  netip.AddrPort
	Process string
	Reason  string
}

// Kind implements events.Fields.
func (ConnectionFailed) Kind() string { return "connection.failed" }

// publishOpened is called when the connection has been established.
func (c *conn) publishOpened(direction, process string) {
	stream := c.host.options.Events
	if stream == nil || c.local == nil {
		return
	}
	c.opened = events.Publish(stream, 0, ConnectionOpened{
		direction, c.local.AddrPort(), c.remote.AddrPort(), process,
	})
	c.process = process
}

// publishClosed is called once, when the connection is closed.
func (c *conn) publishClosed() {
	if c.opened != 0 {
		events.Publish(c.host.options.Events, c.opened, ConnectionClosed{
			c.local.AddrPort(), c.remote.AddrPort(), c.process,
		})
	}
}

func (h *Host) publishFailed(config network.DialConfig, err error) {
	if errors.Is(err, syscall.ECONNREFUSED) {
		events.Publish(h.options.Events, 0, ConnectionRefused{config.Remote, config.Owner})
		return
	}
	events.Publish(h.options.Events, 0, ConnectionFailed{config.Remote, config.Owner, err.Error()})
}
