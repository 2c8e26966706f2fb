package vnet

import (
	"errors"
	"net"
	"net/netip"
	"syscall"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/network"
)

// A ConnectionStarted is the event that a process of the machine is about to open a TCP connection.
// It is the cause of the event that says what became of it.
type ConnectionStarted struct {
	Remote  netip.AddrPort
	Process string
}

// Kind implements events.Fields.
func (ConnectionStarted) Kind() string { return "connection.started" }

// A ConnectionOpened is the event that a TCP connection of the machine was established. One from
// outside is established for the machine when its process has accepted it.
type ConnectionOpened struct {
	Direction     string // "in" or "out"
	Local, Remote netip.AddrPort
	Process       string // that has dialed or listens
	Interface     string // that its first packets pass: "Data 1", or "lo0"
}

// Kind implements events.Fields.
func (ConnectionOpened) Kind() string { return "connection.opened" }

// A ConnectionClosed is the event that the machine has closed a connection. Its cause is that the
// connection was opened.
type ConnectionClosed struct {
	Local, Remote netip.AddrPort
	Process       string
	Sent          int64  // bytes that the process has written
	Acknowledged  int64  // of these, until now
	Received      int64  // bytes that the process has read
	End           string // "local": closed; "aborted": reset; "remote", "reset": by the other side before
}

// Kind implements events.Fields.
func (ConnectionClosed) Kind() string { return "connection.closed" }

// A ConnectionRefused is the event that one side has refused a connection: for the direction "out"
// the other side, for "in" the machine, because no process listens.
type ConnectionRefused struct {
	Direction     string
	Local, Remote netip.AddrPort // Local is zero if no packet was sent
	Process       string         // "" for the direction "in"
}

// Kind implements events.Fields.
func (ConnectionRefused) Kind() string { return "connection.refused" }

// A DatagramRefused is the event that a UDP datagram has arrived for which no process has a socket.
type DatagramRefused struct{ Local, Remote netip.AddrPort }

// Kind implements events.Fields.
func (DatagramRefused) Kind() string { return "datagram.refused" }

// A ConnectionFailed is the event that a connection could not be established for another reason.
type ConnectionFailed struct {
	Local, Remote netip.AddrPort // Local is zero if no packet was sent
	Process       string
	Reason        string
}

// Kind implements events.Fields.
func (ConnectionFailed) Kind() string { return "connection.failed" }

// A SocketOpened is the event that a process has opened a TCP listener or a UDP socket.
type SocketOpened struct {
	Protocol      string         // "tcp" or "udp"
	Local, Remote netip.AddrPort // Remote is zero if the socket is not connected
	Process       string
}

// Kind implements events.Fields.
func (SocketOpened) Kind() string { return "socket.opened" }

// A SocketClosed is the event that a process has closed a listener or a UDP socket. Its cause is
// that the socket was opened.
type SocketClosed struct {
	Protocol      string
	Local, Remote netip.AddrPort
	Process       string
}

// Kind implements events.Fields.
func (SocketClosed) Kind() string { return "socket.closed" }

// publishOpened is called when the connection has been established.
func (c *conn) publishOpened(cause uint64, nic tcpip.NICID, direction, process string) {
	stream := c.host.options.Events
	if stream == nil || c.local == nil {
		return
	}
	opened := ConnectionOpened{
		Direction: direction, Local: c.local.AddrPort(), Remote: c.remote.AddrPort(), Process: process,
	}
	if stream.Hears(opened.Kind()) {
		opened.Interface = c.host.interfaceOf(nic, opened.Local.Addr(), opened.Remote.Addr())
	}
	c.opened = events.Publish(stream, cause, opened)
	c.process = process
}

// interfaceOf returns the name of the interface over which packets between two addresses are sent, ""
// if that is not known. nic is the one that the caller of Dial has chosen, 0 if none.
func (h *Host) interfaceOf(nic tcpip.NICID, local, remote netip.Addr) string {
	nic = h.outgoingNIC(nic, local, remote)
	h.mu.RLock()
	defer h.mu.RUnlock()
	for _, i := range h.ifaces {
		if i.id == nic {
			return i.name
		}
	}
	return ""
}

// endOf returns how a connection ends that is about to be closed.
func (c *conn) endOf() string {
	switch tcp.EndpointState(c.ep.State()) {
	case tcp.StateCloseWait, tcp.StateLastAck, tcp.StateClosing, tcp.StateTimeWait:
		return "remote"
	case tcp.StateClose, tcp.StateError:
		return "reset"
	}
	if linger := c.ep.SocketOptions().GetLinger(); linger.Enabled && linger.Timeout == 0 {
		return "aborted"
	}
	return "local"
}

// publishClosed is called once, when the connection is closed.
func (c *conn) publishClosed(end string) {
	if c.opened == 0 {
		return
	}
	sent, acknowledged := c.sock.counts()
	events.Publish(c.host.options.Events, c.opened, ConnectionClosed{
		c.local.AddrPort(), c.remote.AddrPort(), c.process, sent, acknowledged, c.received.Load(), end,
	})
}

// publishFailed is called when an attempt to connect has failed. local is zero if no packet was
// sent.
func (h *Host) publishFailed(cause uint64, local netip.AddrPort, config network.DialConfig, err error) {
	if errors.Is(err, syscall.ECONNREFUSED) {
		events.Publish(h.options.Events, cause,
			ConnectionRefused{"out", local, config.Remote, config.Owner})
		return
	}
	events.Publish(h.options.Events, cause,
		ConnectionFailed{local, config.Remote, config.Owner, err.Error()})
}

// attemptedFrom returns the address from which a connection was attempted.
func (c *conn) attemptedFrom() netip.AddrPort {
	id := c.sock.id
	if id.LocalPort == 0 {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(fromAddress(id.LocalAddress, 0), id.LocalPort)
}

// publishUnclaimed publishes that the machine refuses a packet, which the stack does next. It is
// called while the packet is delivered.
func (h *Host) publishUnclaimed(
	p tcpip.TransportProtocolNumber, id stack.TransportEndpointID, pkt *stack.PacketBuffer,
) {
	from, to := ends(id)
	if p == udp.ProtocolNumber {
		events.Publish(h.options.Events, 0, DatagramRefused{to, from})
		return
	}
	const wanted = header.TCPFlagSyn | header.TCPFlagAck | header.TCPFlagRst
	if header.TCP(pkt.TransportHeader().Slice()).Flags()&wanted == header.TCPFlagSyn {
		events.Publish(h.options.Events, 0, ConnectionRefused{Direction: "in", Local: to, Remote: from})
	}
}

// publishSocket is called when a listener or a UDP socket is open. local may be nil.
func (h *Host) publishSocket(s *socket, protocol string, local, remote net.Addr) {
	if h.options.Events == nil {
		return
	}
	s.opening = SocketOpened{protocol, addrPortOrZero(local), addrPortOrZero(remote), s.owner}
	s.opened = events.Publish(h.options.Events, 0, s.opening)
}

// publishSocketClosed is called once, when the socket is closed.
func (h *Host) publishSocketClosed(s *socket) {
	if s.opened != 0 {
		events.Publish(h.options.Events, s.opened, SocketClosed(s.opening))
	}
}

// addrPortOrZero returns an address of package net, the zero one for none.
func addrPortOrZero(a net.Addr) netip.AddrPort {
	out, _ := addrPortOf(a)
	return out
}
