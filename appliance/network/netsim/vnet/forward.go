package vnet

import (
	"context"
	"net"
	"net/netip"
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"

	"github.com/esasim/esasim/appliance/network"
)

// maxHandshakes is how many connections may wait for a decision.
const maxHandshakes = 1024

// A ForwardConfig says what a promiscuous host does with what is sent to
// addresses that are not its own, and to ports of its own that nobody listens on.
type ForwardConfig struct {
	// TCP decides on a connection that somebody wants to open. It runs on a goroutine of its
	// own and may take its time, until ctx ends with the host: the other side's
	// SYN waits. When it returns without having decided, the SYN is ignored.
	TCP func(ctx context.Context, r *TCPRequest)
	// UDP decides on the first packet of a flow from one address to another. nil
	// refuses it by a port unreachable; otherwise the function returned runs on a
	// goroutine of its own, with a socket that is connected to from and has the
	// packet waiting; it closes the socket. UDP itself must not block.
	UDP func(from, to netip.AddrPort) func(ctx context.Context, c network.PacketConn)
}

// Forward makes the host, which must be promiscuous, treat every address as c
// says. A nil func refuses all. It is called once, before anything arrives.
func (h *Host) Forward(c ForwardConfig) {
	if c.TCP != nil {
		f := tcp.NewForwarder(h.stack, 0, maxHandshakes, func(r *tcp.ForwarderRequest) { h.forwardTCP(c.TCP, r) })
		h.stack.SetTransportProtocolHandler(tcp.ProtocolNumber, f.HandlePacket)
	}
	if c.UDP != nil {
		f := udp.NewForwarder(h.stack, func(r *udp.ForwarderRequest) bool { return h.forwardUDP(c.UDP, r) })
		h.stack.SetTransportProtocolHandler(udp.ProtocolNumber, f.HandlePacket)
	}
}

// begin enters a goroutine that Close waits for; false when the host is closed.
func (h *Host) begin() bool {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.closed {
		return false
	}
	h.forwards.Add(1)
	return true
}

// A TCPRequest is a connection that somebody wants to open. One of Accept, Refuse
// and Ignore is called; later calls do nothing.
type TCPRequest struct {
	From, To netip.AddrPort

	host    *Host
	mu      sync.Mutex
	request *tcp.ForwarderRequest // nil once decided
}

// forwardTCP runs on a goroutine that gVisor starts.
func (h *Host) forwardTCP(decide func(context.Context, *TCPRequest), fr *tcp.ForwarderRequest) {
	if !h.begin() {
		fr.Complete(false)
		return
	}
	defer h.forwards.Done()
	from, to := ends(fr.ID())
	r := &TCPRequest{From: from, To: to, host: h, request: fr}
	defer r.Ignore()
	decide(h.ctx, r)
}

func ends(id stack.TransportEndpointID) (from, to netip.AddrPort) {
	from = netip.AddrPortFrom(fromAddress(id.RemoteAddress, 0), id.RemotePort)
	to = netip.AddrPortFrom(fromAddress(id.LocalAddress, 0), id.LocalPort)
	return from, to
}

func (r *TCPRequest) take() *tcp.ForwarderRequest {
	r.mu.Lock()
	defer r.mu.Unlock()
	fr := r.request
	r.request = nil
	return fr
}

// Accept completes the handshake and returns the connection.
func (r *TCPRequest) Accept() (network.Conn, error) {
	fr := r.take()
	if fr == nil {
		return nil, net.ErrClosed
	}
	defer fr.Complete(false)
	q := new(waiter.Queue)
	ep, terr := fr.CreateEndpoint(q)
	if terr != nil {
		return nil, opError("accept", "accept", "tcp", net.TCPAddrFromAddrPort(r.From), net.TCPAddrFromAddrPort(r.To), errno(terr))
	}
	s := new(socket)
	c := r.host.newConn(ep, q, s)
	c.established(r.host.options.MaxReceiveBuffer)
	if !r.host.sockets.add(s) {
		c.Close()
		return nil, net.ErrClosed
	}
	r.host.sockets.identify(s)
	return c, nil
}

// Refuse answers with a reset.
func (r *TCPRequest) Refuse() {
	if fr := r.take(); fr != nil {
		fr.Complete(true)
	}
}

// Ignore does not answer: the other side tries again and gives up in the end.
func (r *TCPRequest) Ignore() {
	if fr := r.take(); fr != nil {
		fr.Complete(false)
	}
}

// forwardUDP runs on the wire's pump.
func (h *Host) forwardUDP(decide func(from, to netip.AddrPort) func(context.Context, network.PacketConn), fr *udp.ForwarderRequest) bool {
	from, to := ends(fr.ID())
	serve := decide(from, to)
	if serve == nil {
		return false
	}
	q := new(waiter.Queue)
	ep, terr := fr.CreateEndpoint(q)
	if terr != nil {
		return true // a second packet of a flow that is being set up
	}
	s := new(socket)
	c := h.newPacketConn(ep, q, protocolOf(to.Addr()), s)
	c.setAddrs()
	if !h.begin() {
		c.Close()
		return true
	}
	if !h.sockets.add(s) {
		h.forwards.Done()
		c.Close()
		return true
	}
	go func() {
		defer h.forwards.Done()
		serve(h.ctx, c)
	}()
	return true
}
