package vnet

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
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
	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim/ether"
)

// Options configure a Host. Only Rand is required.
type Options struct {
	Name string // names the host's stream of randomness and its ports
	// LoopbackIndex is the N of link#N of lo0; 0 means that the host has no lo0.
	LoopbackIndex int
	// Promiscuous makes the host accept packets to every address, see SetForwarders.
	Promiscuous bool
	// Rand is the source of ports, sequence numbers and other random values.
	Rand entropy.Source
	// MaxReceiveBuffer limits the bytes that a connection buffers; half of it limits the
	// window that the connection offers. A value above 65535 changes the SYN, which then offers
	// a window scale other than 0. 0 means BSD's buffers: the SYN is that of 65535 bytes, and an
	// established connection holds 128 KiB.
	MaxReceiveBuffer int
	// ConnectTimeout limits the time of each connect; 0 means BSD's 75 seconds.
	ConnectTimeout time.Duration
	// Retries is the number of retransmissions of a segment after which the connection fails
	// with ETIMEDOUT; 0 means BSD's 12.
	Retries int
	// Personalities are those of the host's addresses; the one of the zero address is for all
	// others. A machine without one looks like Linux.
	Personalities map[netip.Addr]*Personality
	// ClientPersonality is that of the addresses in Clients that are not in Personalities.
	ClientPersonality *Personality
	Clients           []netip.Prefix
	// Events gets what happens to the machine's connections, sockets and probes; nil: nobody.
	Events *events.Stream
	// NeighborLife is the time after which an ARP entry expires; 0 means BSD's 1200 seconds.
	NeighborLife time.Duration
}

const (
	// FreeBSD's ephemeral ports.
	firstPort, lastPort = 10000, 65535
	// The limit of ICMP messages that a stack sends: far more than pings and traceroutes of a
	// person need.
	icmpPerSecond, icmpBurst = 10000, 1000

	minBuffer         = 4096
	defaultReceiveBuf = 32768
	bsdMaxReceiveBuf  = 65535
	// bsdEstablishedBuf is the most that BSD's receive buffers grow to. gVisor counts half of a
	// buffer as data. So a connection offers the largest window that there is without a scale,
	// 65535, while up to 64 KiB wait for the program. If what waits closed the window, the peer
	// would send short pieces, each of which costs as much as a long one.
	bsdEstablishedBuf = 4 * 65535
	defaultSendBuf    = 256 << 10
	maxSendBuf        = 4 << 20
)

// A Host is a machine of the simulated network. Its methods are safe for
// concurrent use.
type Host struct {
	options Options
	stack   *stack.Stack
	// receiveBuffer is the buffer of an established connection.
	receiveBuffer int
	sockets       registry
	neighbors     neighborSweeper
	learner       learner
	pings         pingSockets
	dormants      dormants
	forwards      sync.WaitGroup  // goroutines of forwarders
	timers        clock.Group     // of listeners
	ctx           context.Context // done when the host is closed
	cancel        context.CancelCauseFunc

	fabric        atomic.Pointer[ether.Fabric] // nil: there is no interface except lo0
	personalities *personalities               // nil: no machine has one
	dormantIfaces atomic.Int32                 // number of interfaces that are dormant

	pausing   sync.Mutex // held while the stack processes no TCP segments
	destroyed bool       // the stack; guarded by pausing

	mu                 sync.RWMutex
	ifaces             []*iface
	linkNumbers        map[string]tcpip.NICID // of interfaces that were added later, by name
	acceptMulticastARP bool
	routes             []network.Route // as given to SetRoutes
	closed             bool
}

var (
	_ network.Network    = (*Host)(nil)
	_ network.Configurer = (*Host)(nil)
)

// NewHost returns a running host without interfaces, except for lo0.
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
	established := o.MaxReceiveBuffer
	if o.MaxReceiveBuffer == 0 {
		o.MaxReceiveBuffer, established = bsdMaxReceiveBuf, bsdEstablishedBuf
	}
	h := &Host{options: o, receiveBuffer: established}
	if len(o.Personalities) > 0 || o.ClientPersonality != nil {
		h.personalities = &personalities{
			of: o.Personalities, ofClients: o.ClientPersonality, clients: o.Clients,
		}
	}
	h.ctx, h.cancel = context.WithCancelCause(context.Background())
	h.neighbors.host = h
	h.learner.Clock = tcpip.NewStdClock()
	h.stack = h.newStack()
	h.sockets.setTimeWait = h.setTimeWait
	h.handleUnknown() // a promiscuous host replaces it, see SetForwarders
	if o.LoopbackIndex != 0 {
		h.addLoopback()
	}
	return h
}

// newStack returns a new stack. All stacks are created here, so that all are set up alike.
func (h *Host) newStack() *stack.Stack {
	rng := h.options.Rand.Stream("vnet/" + h.options.Name)
	s := stack.New(stack.Options{
		NetworkProtocols: []stack.NetworkProtocolFactory{
			ipv4.NewProtocol, arp.NewProtocol,
			ipv6.NewProtocolWithOptions(ipv6.Options{AutoGenLinkLocal: true}),
		},
		TransportProtocols: []stack.TransportProtocolFactory{
			tcp.NewProtocol, // Reno
			udp.NewProtocol, icmp.NewProtocol4, icmp.NewProtocol6,
		},
		// If this were set, a promiscuous stack would regard every source address as its
		// own and drop all packets that arrive.
		HandleLocal: !h.options.Promiscuous,
		Clock:       &h.learner,
		RawFactory:  &raw.EndpointFactory{},
		NUDDisp:     &h.neighbors,
		IPTables:    new(stack.IPTables), // no rules; gVisor's own empty tables take 8 KiB
		SecureRNG:   rng,
		RandSource:  randSource{rng},
	})
	noRACK := tcpip.TCPRecovery(0)
	must(s.SetTransportProtocolOption(tcp.ProtocolNumber, &noRACK))
	retries := tcpip.TCPMaxRetriesOption(h.options.Retries)
	must(s.SetTransportProtocolOption(tcp.ProtocolNumber, &retries))
	must(s.SetTransportProtocolOption(tcp.ProtocolNumber, &tcpip.TCPReceiveBufferSizeRangeOption{
		Min:     minBuffer,
		Default: min(defaultReceiveBuf, h.options.MaxReceiveBuffer),
		Max:     h.options.MaxReceiveBuffer,
	}))
	must(s.SetTransportProtocolOption(tcp.ProtocolNumber, &tcpip.TCPSendBufferSizeRangeOption{
		Min: minBuffer, Default: defaultSendBuf, Max: maxSendBuf}))
	must(s.SetPortRange(firstPort, lastPort))
	s.SetICMPLimit(icmpPerSecond)
	s.SetICMPBurst(icmpBurst)
	return s
}

func (h *Host) addLoopback() {
	i := &iface{
		id: tcpip.NICID(h.options.LoopbackIndex), name: "lo0", device: "lo0", up: true, attached: true,
		addrs: lo0Addrs(),
	}
	must(h.stack.CreateNICWithOptions(i.id, loopback.New(), stack.NICOptions{Name: i.name}))
	for _, p := range i.addrs {
		must(h.addAddr(i, p))
	}
	h.ifaces = append(h.ifaces, i)
	h.applyRoutes()
}

// setTimeWait sets how long connections stay in TIME-WAIT that enter it from now on.
func (h *Host) setTimeWait(d time.Duration) {
	timeout := tcpip.TCPTimeWaitTimeoutOption(d)
	must(h.stack.SetTransportProtocolOption(tcp.ProtocolNumber, &timeout))
}

// Close switches the host off: it closes its ports, then all sockets, and waits for all its
// goroutines. The peers of its connections are not notified.
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
			h.publishCounted(i)
		}
	}
	h.cancel(net.ErrClosed)
	h.sockets.close()
	h.pausing.Lock()
	h.destroyed = true
	h.pausing.Unlock()
	h.stack.Destroy()
	h.neighbors.close()
	h.forwards.Wait()
	h.timers.Wait()
	h.sockets.timers.Wait()
}

// pauseSegments calls f while the stack processes no TCP segments. Those that have arrived
// before are processed first, later ones afterwards.
func (h *Host) pauseSegments(f func()) {
	h.pausing.Lock()
	defer h.pausing.Unlock()
	if !h.destroyed {
		h.stack.Pause()
		defer h.stack.Resume()
	}
	f()
}

// hold announces that the caller is about to make the stack transmit, see ether.Fabric.Hold.
func (h *Host) hold() {
	if f := h.fabric.Load(); f != nil {
		f.Hold()
	}
}

// release ends a hold. The caller must not hold a lock of the stack.
func (h *Host) release() {
	if f := h.fabric.Load(); f != nil {
		f.Release()
	}
}

// must panics if err is not nil. It is for calls that fail only if this package is wrong.
func must(err tcpip.Error) {
	if err != nil {
		panic(fmt.Sprint("vnet: ", err))
	}
}

// iface returns the interface with a name or device name, nil if there is none.
func (h *Host) iface(name string) *iface {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.ifaceLocked(name)
}

// ifaceLocked is iface for callers that hold mu.
func (h *Host) ifaceLocked(name string) *iface {
	for _, i := range h.ifaces {
		if i.name == name || i.device == name {
			return i
		}
	}
	return nil
}

// portOf returns the port of a NIC, nil if it has none.
func (h *Host) portOf(id tcpip.NICID) *ether.Port {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for _, i := range h.ifaces {
		if i.id == id {
			return i.port
		}
	}
	return nil
}

// nicID returns the number of the interface with a name, 0 for "". An interface without a NIC
// is an error.
func (h *Host) nicID(name string) (tcpip.NICID, error) {
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
