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

// maxHandshakes is the number of connections that may wait for a decision.
const maxHandshakes = 1024

// Forwarders decide what a promiscuous host does with packets to addresses that are not its
// own, and to ports of its own that have no listener.
type Forwarders struct {
	// TCP decides about a new connection. It runs in its own goroutine and may block until
	// ctx is done, which is when the host is closed: the client's SYN waits meanwhile. If TCP
	// returns without a decision, the SYN is ignored.
	TCP func(ctx context.Context, r *TCPRequest)
	// UDP decides about the first packet of a flow from one address to another. If it
	// returns nil, the packet is answered with "port unreachable". Otherwise the function
	// that it returns is called in its own goroutine, with a socket that is connected to
	// from and from which the packet can be read. That function must close the socket. UDP
	// itself must not block.
	UDP func(from, to netip.AddrPort) func(ctx context.Context, c network.PacketConn)
}

// SetForwarders sets the forwarders of the host, which must be promiscuous. A nil function
// refuses everything. SetForwarders must be called once, before the first packet arrives.
func (h *Host) SetForwarders(c Forwarders) {
	if c.TCP != nil {
		// gVisor's default is a window of 1 MiB. A client can fill it before the connection gets
		// its own receive buffer, which is smaller.
		window := min(defaultReceiveBuf, h.options.MaxReceiveBuffer)
		f := tcp.NewForwarder(h.stack, window, maxHandshakes, func(r *tcp.ForwarderRequest) {
			h.forwardTCP(c.TCP, r)
		})
		h.stack.SetTransportProtocolHandler(tcp.ProtocolNumber, f.HandlePacket)
	}
	if c.UDP != nil {
		f := udp.NewForwarder(h.stack, func(r *udp.ForwarderRequest) bool {
			return h.forwardUDP(c.UDP, r)
		})
		h.stack.SetTransportProtocolHandler(udp.ProtocolNumber, f.HandlePacket)
	}
}

// beginForward counts a goroutine that Close waits for. It returns false if the host is
// closed.
func (h *Host) beginForward() bool {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.closed {
		return false
	}
	h.forwards.Add(1)
	return true
}

// A TCPRequest is a connection that a client wants to open. The first call of Accept, Refuse
// or Ignore decides; later calls have no effect, and Accept then returns net.ErrClosed.
type TCPRequest struct {
	From, To netip.AddrPort

	host    *Host
	mu      sync.Mutex
	request *tcp.ForwarderRequest // nil once decided
}

// forwardTCP handles a new connection, in a goroutine that gVisor starts.
func (h *Host) forwardTCP(decide func(context.Context, *TCPRequest), fr *tcp.ForwarderRequest) {
	if !h.beginForward() {
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
		from, to := net.TCPAddrFromAddrPort(r.From), net.TCPAddrFromAddrPort(r.To)
		return nil, opError("accept", "accept", "tcp", from, to, errno(terr))
	}
	s := new(socket)
	c := r.host.newConn(ep, q, s)
	c.finishHandshake(r.host.receiveBuffer)
	if !r.host.sockets.add(s) {
		c.Close()
		return nil, net.ErrClosed
	}
	r.host.sockets.setID(s)
	return c, nil
}

// Refuse answers with a reset.
func (r *TCPRequest) Refuse() {
	if fr := r.take(); fr != nil {
		fr.Complete(true)
	}
}

// Ignore does not answer. The client retransmits its SYN and finally times out.
func (r *TCPRequest) Ignore() {
	if fr := r.take(); fr != nil {
		fr.Complete(false)
	}
}

// forwardUDP handles the first packet of a flow and reports whether it was accepted. It runs
// on the fabric's pump.
func (h *Host) forwardUDP(
	decide func(from, to netip.AddrPort) func(context.Context, network.PacketConn),
	fr *udp.ForwarderRequest,
) bool {
	from, to := ends(fr.ID())
	serve := decide(from, to)
	if serve == nil {
		return false
	}
	q := new(waiter.Queue)
	ep, terr := fr.CreateEndpoint(q)
	if terr != nil {
		return true // another packet of a flow that is being set up
	}
	s := new(socket)
	c := h.newPacketConn(ep, q, protocolOf(to.Addr()), s)
	c.setAddrs()
	if !h.beginForward() {
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
