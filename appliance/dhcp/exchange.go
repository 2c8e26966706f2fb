package dhcp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network"
)

// An exchange is a message that is repeated until an answer is accepted.
type exchange struct {
	xid     uint32
	timeout time.Duration // on the appliance's clock
	send    func() error  // may fail, as a cable can be unplugged: the message is sent again then
	// accept reports whether m answers the message: a reply that has its number and is for this
	// client.
	accept func(m *Message) bool
	// interval returns how long to wait for an answer after a message, if left is the rest of the
	// timeout. nil: as RFC 2131 4.1 has it.
	interval func(left time.Duration) time.Duration
}

// maxReplies is the number of replies that wait for the client.
const maxReplies = 16

// ask sends the message of e until an answer is accepted. If there is none, it returns
// errUnanswered, and if ctx ends, its error.
func (c *client) ask(ctx context.Context, e exchange) (*Message, error) {
	replies := make(chan *Message, maxReplies)
	tap, err := c.d.o.Net.Tap(network.TapConfig{
		Interface: c.n.Name,
		Match:     func(frame []byte, _ int) bool { return mayBeReply(frame) },
		Sink: func(f network.Frame) {
			if m := c.reply(f); m != nil && m.XID == e.xid {
				select {
				case replies <- m:
				default: // a flood
				}
			}
		},
	})
	if err != nil {
		return nil, err
	}
	defer tap.Close()
	began := c.d.o.Clock.Mark()
	for repeated := 0; ; repeated++ {
		left := e.timeout - c.d.o.Clock.Since(began)
		if left <= 0 {
			return nil, errUnanswered
		}
		_ = e.send()
		wait := c.interval(repeated)
		if e.interval != nil {
			wait = e.interval(left)
		}
		m, err := c.await(ctx, min(wait, left), replies, e.accept)
		if m != nil || err != nil {
			return m, err
		}
	}
}

// interval returns the time between two messages: 4 s the first time, twice as long each further
// time, each plus or minus one second.
func (c *client) interval(repeated int) time.Duration {
	d := min(firstInterval<<min(repeated, 8), lastInterval)
	return d + time.Duration((2*c.d.o.Rand.Float64()-1)*float64(time.Second))
}

// await waits for a reply that accept accepts, but no longer than d. It returns nil then.
func (c *client) await(
	ctx context.Context, d time.Duration, replies <-chan *Message, accept func(*Message) bool,
) (*Message, error) {
	expired := make(chan struct{})
	defer c.d.o.Clock.AfterFunc(d, func() { close(expired) })()
	for {
		select {
		case m := <-replies:
			if accept(m) {
				return m, nil
			}
		case <-expired:
			return nil, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// mayBeReply reports whether a frame looks like a datagram from a server to a client. It is called
// for every frame of the interface.
func mayBeReply(frame []byte) bool {
	const ports = etherLen + ipLen
	return len(frame) >= ports+udpLen && frame[12] == 0x08 && frame[13] == 0x00 &&
		frame[etherLen+9] == protocolUDP
}

// reply returns the message of a server to this client in a frame, nil if it has none.
func (c *client) reply(f network.Frame) *Message {
	if f.Dir != network.In {
		return nil
	}
	d, ok := ParseFrame(f.Data)
	if !ok || d.Target.Port() != ClientPort || d.Source.Port() != ServerPort ||
		d.To != c.mac && d.To != BroadcastMAC() {
		return nil
	}
	m, err := Parse(d.Data)
	if err != nil || m.Type.fromClient() || m.MAC != c.mac || !m.Server.IsValid() {
		return nil
	}
	return m
}

// extendOrConfirm is extend until the carrier has gone and come back. The cable may be that of another
// network then, so it is confirm as of then.
func (c *client) extendOrConfirm(ctx context.Context, l *Lease) (*Lease, error) {
	connected, cancel := context.WithCancelCause(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		for connected.Err() == nil {
			await(connected, c.carrier)
			if connected.Err() == nil && c.hasCarrier() {
				cancel(errReplugged)
			}
		}
	})
	next, err := c.extend(connected, l)
	cancel(nil)
	watching.Wait()
	if ctx.Err() != nil || !errors.Is(context.Cause(connected), errReplugged) {
		return next, err
	}
	if next != nil { // it was renewed at the same moment
		l = next
	}
	c.status(Rebooting, l)
	return c.confirm(ctx, l)
}

// noteCarrier records that the carrier has gone or come back.
func (c *client) noteCarrier() {
	select {
	case c.carrier <- struct{}{}:
	default:
	}
}

// forgetCarrier forgets changes of the carrier from before an exchange.
func (c *client) forgetCarrier() {
	select {
	case <-c.carrier:
	default:
	}
}

// extend waits until T1 of the lease and asks for more time: at first its server, from T2 on all. It
// returns the new lease, errRefused, or errUnanswered when the lease has expired.
func (c *client) extend(ctx context.Context, l *Lease) (*Lease, error) {
	if l.Seconds == infiniteSeconds {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	clk := c.d.o.Clock
	if err := clk.Sleep(ctx, l.left(l.T1, clk)); err != nil {
		return nil, err
	}
	c.began = clk.Mark()
	c.status(Renewing, l)
	next, err := c.renew(ctx, l, l.left(l.T2, clk))
	if next != nil || err != errUnanswered {
		return next, err
	}
	c.status(Rebinding, l)
	return c.askForLease(ctx, c.extension(l, l.left(l.Seconds, clk), func(m *Message) error {
		return c.broadcast(m, l.Address.Addr())
	}))
}

// renew asks the server of the lease through a socket of the appliance's. The reply is read from the
// tap, as all replies are; the socket makes sure that the stack expects it.
func (c *client) renew(ctx context.Context, l *Lease, timeout time.Duration) (*Lease, error) {
	conn, err := c.d.o.Net.ListenPacket(ctx, network.DialConfig{
		Local: netip.AddrPortFrom(l.Address.Addr(), ClientPort), Interface: c.n.Name,
		Owner: "dhclient", User: "_dhcp",
	})
	if err != nil {
		return nil, errUnanswered
	}
	defer conn.Close()
	server := net.UDPAddrFromAddrPort(netip.AddrPortFrom(l.Server, ServerPort))
	return c.askForLease(ctx, c.extension(l, timeout, func(m *Message) error {
		_, err := conn.WriteTo(m.Append(nil), server)
		return err
	}))
}

// extension returns the exchange that asks for more time.
func (c *client) extension(l *Lease, timeout time.Duration, send func(*Message) error) exchange {
	xid := c.newXID()
	return exchange{
		xid: xid, timeout: timeout,
		send: func() error {
			m := c.message(Request, xid)
			m.ClientAddr = l.Address.Addr()
			return send(m)
		},
		// Half of what is left, but at least a minute (RFC 2131 4.4.5).
		interval: func(left time.Duration) time.Duration { return max(left/2, renewalInterval) },
	}
}

const (
	probes = 2
	// probeInterval is how long another machine may take to answer a probe, on the machine's clock.
	probeInterval = 100 * time.Millisecond
)

// probe asks by ARP whether another machine has the address.
func (c *client) probe(ctx context.Context, a netip.Addr) (by MAC, taken bool) {
	found := make(chan MAC, 1)
	tap, err := c.d.o.Net.Tap(network.TapConfig{
		Interface: c.n.Name,
		Match:     func(frame []byte, _ int) bool { return len(frame) > 13 && frame[12] == 0x08 && frame[13] == 0x06 },
		Sink: func(f network.Frame) {
			if mac, yes := claims(f.Data, c.mac, a); yes && f.Dir == network.In {
				select {
				case found <- mac:
				default:
				}
			}
		},
	})
	if err != nil {
		return MAC{}, false
	}
	defer tap.Close()
	for range probes {
		_ = c.d.sender.SendFrame(c.n.Name, arpFrame(c.mac, netip.Addr{}, a)) // nobody answers then
		expired := make(chan struct{})
		stop := clock.System().AfterFunc(probeInterval, func() { close(expired) })
		select {
		case by := <-found:
			stop()
			return by, true
		case <-ctx.Done():
			stop()
			return MAC{}, false
		case <-expired:
		}
	}
	return MAC{}, false
}

// announce tells the machines of the segment whose the address is, so that none uses an old entry of
// its cache.
func (c *client) announce(a netip.Addr) {
	_ = c.d.sender.SendFrame(c.n.Name, arpFrame(c.mac, a, a)) // they find out when they need to
}

// hasCarrier reports whether the interface can send.
func (c *client) hasCarrier() bool {
	for _, i := range c.d.o.Net.Interfaces() {
		if i.Name == c.n.Name {
			return i.Up && !i.NoCarrier
		}
	}
	return false
}

// awaitCarrier waits until the interface can send.
func (c *client) awaitCarrier(ctx context.Context) {
	for !c.hasCarrier() && c.d.o.Clock.Sleep(ctx, carrierInterval) == nil {
	}
}

// pause waits for d, but not longer than until a carrier comes back.
func (c *client) pause(ctx context.Context, d time.Duration) {
	began := c.d.o.Clock.Mark()
	had := c.hasCarrier()
	for {
		left := d - c.d.o.Clock.Since(began)
		if left <= 0 || c.d.o.Clock.Sleep(ctx, min(left, carrierInterval)) != nil {
			return
		}
		has := c.hasCarrier()
		if has && !had {
			return
		}
		had = has
	}
}
