package vnet

import (
	"context"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/link/loopback"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/raw"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/network"
)

// Options are what a host is made with. The zero value is a plain host without
// loopback.
type Options struct {
	Name string // for chance and messages
	// Loopback is the index (link#N) of lo0; 0: the host has none.
	Loopback int
	// Promiscuous makes the host answer for every address, see Forward.
	Promiscuous bool
	// Rand gives ports, sequence numbers and the like.
	Rand entropy.Source
	// MaxReceiveBuffer bounds what a connection buffers and, half of it, the
	// window that it offers; 0 means 65535. More than that changes the SYN: it
	// offers a window scale other than 0.
	MaxReceiveBuffer int
	// ConnectTimeout bounds each connect; 0 means BSD's 75 seconds.
	ConnectTimeout time.Duration
	// Retries is how often a segment is sent again before the connection is given up
	// with ETIMEDOUT; 0 means BSD's 12.
	Retries int
	// NeighborLife is how long an ARP entry lives; 0 means BSD's 1200 seconds.
	NeighborLife time.Duration
}

const (
	// FreeBSD's ephemeral ports.
	firstPort, lastPort = 10000, 65535
	// Far more than a person's pings and traceroutes need, still a limit.
	icmpPerSecond, icmpBurst = 10000, 1000

	minBuffer         = 4096
	defaultReceiveBuf = 32768
	bsdMaxReceiveBuf  = 65535
	defaultSendBuf    = 256 << 10
	maxSendBuf        = 4 << 20
)

// A Host is a machine of the simulated network. Its methods are safe for
// concurrent use.
type Host struct {
	options   Options
	stack     *stack.Stack
	sockets   registry
	neighbors neighborSweeper
	learner   learner
	pings     pingSockets
	forwards  sync.WaitGroup
	timers    clock.Group     // of listeners
	ctx       context.Context // ends with Close
	cancel    context.CancelCauseFunc

	mu     sync.RWMutex
	ifaces []*iface
	links  map[string]tcpip.NICID // of interfaces that have been made and are made again
	groups bool                   // AcceptMulticastARP
	routes []network.Route        // as SetRoutes gave them
	closed bool
}

var (
	_ network.Network    = (*Host)(nil)
	_ network.Configurer = (*Host)(nil)
)

// NewHost returns a running host without interfaces, but for lo0.
func NewHost(o Options) *Host {
	if o.ConnectTimeout == 0 {
		o.ConnectTimeout = 75 * time.Second
	}
	if o.Retries == 0 {
		o.Retries = 12
	}
	if o.NeighborLife == 0 {
		o.NeighborLife = 1200 * time.Second
	}
	if o.MaxReceiveBuffer == 0 {
		o.MaxReceiveBuffer = bsdMaxReceiveBuf
	}
	h := &Host{options: o}
	h.ctx, h.cancel = context.WithCancelCause(context.Background())
	h.neighbors.host = h
	h.learner.Clock = tcpip.NewStdClock()
	h.stack = h.newStack()
	if o.Loopback != 0 {
		h.addLoopback()
	}
	return h
}

// newStack is the one place where stacks are made.
func (h *Host) newStack() *stack.Stack {
	rng := h.options.Rand.Stream("vnet/" + h.options.Name)
	s := stack.New(stack.Options{
		NetworkProtocols: []stack.NetworkProtocolFactory{
			ipv4.NewProtocol, arp.NewProtocol,
			ipv6.NewProtocolWithOptions(ipv6.Options{AutoGenLinkLocal: true}),
		},
		TransportProtocols: []stack.TransportProtocolFactory{
			tcp.NewProtocolProbe(h.sockets.probe), // Reno
			udp.NewProtocol, icmp.NewProtocol4, icmp.NewProtocol6,
		},
		// With this on, a promiscuous stack takes every source for its own and
		// drops what arrives.
		HandleLocal: !h.options.Promiscuous,
		Clock:       &h.learner,
		RawFactory:  &raw.EndpointFactory{},
		NUDDisp:     &h.neighbors,
		SecureRNG:   rng,
		RandSource:  source{rng},
	})
	noRACK := tcpip.TCPRecovery(0)
	must(s.SetTransportProtocolOption(tcp.ProtocolNumber, &noRACK))
	retries := tcpip.TCPMaxRetriesOption(h.options.Retries)
	must(s.SetTransportProtocolOption(tcp.ProtocolNumber, &retries))
	must(s.SetTransportProtocolOption(tcp.ProtocolNumber, &tcpip.TCPReceiveBufferSizeRangeOption{
		Min: minBuffer, Default: min(defaultReceiveBuf, h.options.MaxReceiveBuffer), Max: h.options.MaxReceiveBuffer}))
	must(s.SetTransportProtocolOption(tcp.ProtocolNumber, &tcpip.TCPSendBufferSizeRangeOption{
		Min: minBuffer, Default: defaultSendBuf, Max: maxSendBuf}))
	must(s.SetPortRange(firstPort, lastPort))
	s.SetICMPLimit(icmpPerSecond)
	s.SetICMPBurst(icmpBurst)
	return s
}

func (h *Host) addLoopback() {
	i := &iface{
		id: tcpip.NICID(h.options.Loopback), name: "lo0", device: "lo0", up: true, attached: true,
		addrs: loopbackAddrs(),
	}
	must(h.stack.CreateNICWithOptions(i.id, loopback.New(), stack.NICOptions{Name: i.name}))
	for _, p := range i.addrs {
		must(h.addAddr(i, p))
	}
	h.ifaces = append(h.ifaces, i)
	h.applyRoutes()
}

// Close switches the host off: its ports leave their segments, every socket is
// closed, and no goroutine is left. Its peers hear nothing.
func (h *Host) Close() {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return
	}
	h.closed = true
	ifaces := h.ifaces
	h.mu.Unlock()
	for _, i := range ifaces {
		if i.port != nil {
			i.port.Close()
		}
	}
	h.cancel(net.ErrClosed)
	h.sockets.close()
	h.stack.Destroy()
	h.neighbors.close()
	h.forwards.Wait()
	h.timers.Wait()
}

// must is for calls that fail only when this package is wrong.
func must(err tcpip.Error) {
	if err != nil {
		panic(fmt.Sprint("vnet: ", err))
	}
}

// iface finds an interface by its name or its device's; nil: there is none.
func (h *Host) iface(name string) *iface {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.ifaceLocked(name)
}

func (h *Host) ifaceLocked(name string) *iface {
	for _, i := range h.ifaces {
		if i.name == name || i.device == name {
			return i
		}
	}
	return nil
}

// nicOf is the number of the interface called name; 0 for "".
func (h *Host) nicOf(name string) (tcpip.NICID, error) {
	if name == "" {
		return 0, nil
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	if i := h.ifaceLocked(name); i != nil && i.attached {
		return i.id, nil
	}
	return 0, syscall.ENXIO
}
