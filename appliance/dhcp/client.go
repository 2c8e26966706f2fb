package dhcp

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/refusal"
)

// Waits of a client, on the appliance's clock.
const (
	discoverTimeout = time.Minute      // until the fallback is used
	retryInterval   = 5 * time.Minute  // between attempts that are not answered
	rebootTimeout   = 10 * time.Second // for the answer about an address from before a restart
	failureDelay    = 10 * time.Second // after an address that could not be used (RFC 2131 3.1)
	carrierInterval = 5 * time.Second  // between looks whether a carrier has come
	firstInterval   = 4 * time.Second  // between the first messages; doubled up to lastInterval
	lastInterval    = 64 * time.Second
	renewalInterval = time.Minute // the least between messages that ask for more time
)

// A client asks for the address of one interface. Its methods are called by the goroutine of run.
type client struct {
	d        *Daemon
	n        Interface
	mac      MAC
	began    clock.Mark // of the present attempt to get an address
	fellBack bool       // the fallback is in use, or was found to be in use by another machine
	bound    uint64     // the number of the last event Bound
	// carrier has a value after the carrier has gone or come back, so that a cable is noticed that was
	// unplugged for a moment.
	carrier chan struct{}
}

func newClient(d *Daemon, n Interface) *client {
	return &client{d: d, n: n, carrier: make(chan struct{}, 1)}
}

// errUnanswered means that no server has answered in time; errRefused that one has said NAK, errInUse
// that another machine has the address, and errReplugged that the carrier has gone and come back.
var (
	errUnanswered = errors.New("no answer")
	errRefused    = errors.New("refused by the server")
	errInUse      = errors.New("in use by another machine")
	errReplugged  = errors.New("the carrier has come back")
)

// run gets an address and keeps it, until ctx ends.
func (c *client) run(ctx context.Context) {
	for _, i := range c.d.o.Net.Interfaces() {
		if i.Name == c.n.Name && len(i.MAC) == len(c.mac) {
			c.mac = MAC(i.MAC)
		}
	}
	if c.mac == (MAC{}) {
		c.d.o.Log(true, fmt.Sprintf("dhclient: %s is no Ethernet interface.", c.n.Name))
		return
	}
	if w, ok := c.d.o.Net.(network.CarrierWatcher); ok {
		cancel, err := w.WatchCarrier(c.n.Name, c.noteCarrier)
		if err != nil {
			c.log(true, "A cable that is unplugged is not noticed: %v.", err)
		} else {
			defer cancel()
		}
	}
	last := c.d.last(c.n.Name)
	if last != nil && last.resume(c.d.o.Clock) {
		c.awaitCarrier(ctx)
		c.keep(ctx, c.reboot(ctx, last))
	}
	for ctx.Err() == nil {
		c.keep(ctx, c.acquire(ctx))
	}
}

// status says what the client does, with the lease l, which may be nil.
func (c *client) status(s State, l *Lease) {
	c.d.setStatus(Status{Interface: c.n.Name, State: s, Lease: l})
}

func (c *client) log(warning bool, format string, a ...any) {
	c.d.o.Log(warning, fmt.Sprintf("dhclient: %s: ", c.n.Name)+fmt.Sprintf(format, a...))
}

// message returns a message of the client with what all have in common.
func (c *client) message(t Type, xid uint32) *Message {
	elapsed := c.d.o.Clock.Since(c.began) / time.Second
	m := &Message{
		Type: t, XID: xid, Secs: uint16(min(elapsed, 0xffff)), MAC: c.mac,
		ClientID: append([]byte{ethernet}, c.mac[:]...),
	}
	if t != Decline {
		m.HostName = c.d.o.HostName()
		m.Parameters = []byte{optMask, optBroadcast, optRouters, optDomain, optDNS}
		m.MaxSize = 1500
	}
	return m
}

func (c *client) newXID() uint32 { return uint32(c.d.o.Rand.Uint64()) }

// broadcast sends a message to all servers, from the address from, which may be invalid.
func (c *client) broadcast(m *Message, from netip.Addr) error {
	if !from.IsValid() {
		from = netip.IPv4Unspecified()
	}
	d := Datagram{
		From: c.mac, To: BroadcastMAC(), Source: netip.AddrPortFrom(from, ClientPort),
		Target: netip.AddrPortFrom(BroadcastAddr(), ServerPort), Data: m.Append(nil),
	}
	return c.d.sender.SendFrame(c.n.Name, d.Frame())
}

// reboot asks for the address of a lease from before a restart. It returns nil if the address may not
// be used any more, and the lease itself if there is no answer.
func (c *client) reboot(ctx context.Context, last *Lease) *Lease {
	if ctx.Err() != nil {
		return nil
	}
	c.status(Rebooting, nil)
	l, err := c.confirm(ctx, last)
	if err != nil {
		return nil
	}
	return l
}

// confirm asks whether the address of a lease is right in the network that the interface is connected
// to now (INIT-REBOOT of RFC 2131). If there is no answer, it returns the lease itself, which may be
// used until it expires. The error is that of request.
func (c *client) confirm(ctx context.Context, last *Lease) (*Lease, error) {
	c.forgetCarrier()
	c.began = c.d.o.Clock.Mark()
	xid := c.newXID()
	l, err := c.request(ctx, exchange{
		xid: xid, timeout: rebootTimeout,
		send: func() error {
			m := c.message(Request, xid)
			m.Requested = last.Address.Addr()
			return c.broadcast(m, netip.Addr{})
		},
	})
	if errors.Is(err, errUnanswered) {
		c.log(true, "No DHCPACK received. Trying the recorded lease %v", last.Address.Addr())
		return last, nil
	}
	return l, err
}

// acquire asks for an address until it has one. It returns nil if ctx has ended.
func (c *client) acquire(ctx context.Context) *Lease {
	for {
		c.awaitCarrier(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if !c.fellBack {
			c.status(Selecting, nil)
		}
		c.forgetCarrier()
		c.began = c.d.o.Clock.Mark()
		xid := c.newXID()
		offer, err := c.discover(ctx, xid)
		if err != nil {
			c.useFallback(ctx)
			c.pause(ctx, retryInterval)
			continue
		}
		if !c.fellBack {
			c.status(Requesting, nil)
		}
		l, err := c.request(ctx, exchange{
			xid: xid, timeout: discoverTimeout,
			send: func() error {
				m := c.message(Request, xid)
				m.Requested, m.Server = offer.Address.Addr(), offer.Server
				return c.broadcast(m, netip.Addr{})
			},
		})
		if err != nil {
			c.pause(ctx, failureDelay)
			continue
		}
		return l
	}
}

// discover returns the first offer. A server that knows the client gives it its last address.
func (c *client) discover(ctx context.Context, xid uint32) (*Lease, error) {
	var offer *Lease
	_, err := c.ask(ctx, exchange{
		xid: xid, timeout: discoverTimeout,
		send: func() error {
			m := c.message(Discover, xid)
			if last := c.d.last(c.n.Name); last != nil {
				m.Requested = last.Address.Addr()
			}
			return c.broadcast(m, netip.Addr{})
		},
		accept: func(m *Message) bool {
			if m.Type != Offer {
				return false
			}
			l, err := leaseOf(m, c.d.o.Clock)
			if err != nil {
				c.log(true, "An offer cannot be used: %v.", err)
				return false
			}
			offer = l
			return true
		},
	})
	return offer, err
}

// request sends a DHCPREQUEST and returns the lease that a server acknowledges. The error is
// errUnanswered, errRefused, errInUse, of which the server is told, or that of ctx.
func (c *client) request(ctx context.Context, e exchange) (*Lease, error) {
	l, err := c.askForLease(ctx, e)
	if err != nil {
		return nil, err
	}
	if by, taken := c.probe(ctx, l.Address.Addr()); taken {
		c.decline(l, fmt.Sprintf("%v has it", by))
		return nil, errInUse
	}
	return l, ctx.Err()
}

// askForLease is request without the probe by ARP.
func (c *client) askForLease(ctx context.Context, e exchange) (*Lease, error) {
	var l *Lease
	e.accept = func(m *Message) bool {
		if m.Type == NAK {
			return true
		}
		if m.Type != ACK {
			return false
		}
		var err error
		if l, err = leaseOf(m, c.d.o.Clock); err != nil {
			c.log(true, "An acknowledgment cannot be used: %v.", err)
		}
		return err == nil
	}
	m, err := c.ask(ctx, e)
	switch {
	case err != nil:
		return nil, err
	case m.Type == NAK:
		c.log(true, "DHCPNAK from %v.", m.Server)
		return nil, errRefused
	}
	return l, nil
}

// decline tells the server that another machine has the address.
func (c *client) decline(l *Lease, reason string) {
	m := c.message(Decline, c.newXID())
	m.Requested, m.Server = l.Address.Addr(), l.Server
	_ = c.broadcast(m, netip.Addr{}) // a server that does not hear it offers the address again
	c.log(true, "The address %v is not used: %s.", l.Address.Addr(), reason)
	events.Publish(c.d.o.Events, 0, Declined{c.n.Name, l.Address, reason})
}

// useFallback gives the interface the fallback, unless it has it already.
func (c *client) useFallback(ctx context.Context) {
	if ctx.Err() != nil || c.fellBack {
		return
	}
	c.log(true, "No DHCPOFFERS received.")
	c.fellBack = true
	used := netip.Prefix{}
	if c.n.Fallback.IsValid() {
		by, taken := c.probe(ctx, c.n.Fallback.Addr())
		b := &Binding{Address: c.n.Fallback, Router: c.n.Gateway}
		switch {
		case ctx.Err() != nil:
			return
		case taken:
			c.log(true, "The address %v is not used: %v has it.", c.n.Fallback.Addr(), by)
		case c.apply(ctx, b) == nil:
			used = c.n.Fallback
			c.log(true, "Using the address %v.", c.n.Fallback.Addr())
		}
	}
	c.status(Fallback, nil)
	events.Publish(c.d.o.Events, 0, Unanswered{c.n.Name, used})
}

// apply is Daemon.bind. It logs what is wrong with the address.
func (c *client) apply(ctx context.Context, b *Binding) error {
	err := c.d.bind(ctx, c.n.Name, b)
	if err != nil && ctx.Err() == nil {
		text, ok := refusal.Text(err)
		if !ok {
			text = err.Error()
		}
		c.log(true, "The address cannot be used: %s", text)
	}
	return err
}

// keep uses a lease until it is lost or ctx ends. If l is nil, it does nothing.
func (c *client) keep(ctx context.Context, l *Lease) {
	if l == nil || ctx.Err() != nil {
		return
	}
	if err := c.apply(ctx, l.binding()); err != nil {
		c.pause(ctx, retryInterval)
		return
	}
	c.fellBack = false
	c.status(IsBound, l)
	c.announce(l.Address.Addr())
	c.log(false, "bound to %v -- %s", l.Address.Addr(), c.nextRenewal(l))
	c.bound = events.Publish(c.d.o.Events, 0, Bound{
		c.n.Name, l.Address, l.Server, l.Routers, l.DNS, l.Expires(),
	})
	c.d.save(c.n.Name, *l) // last, since it waits for the disk
	for {
		next, err := c.extendOrConfirm(ctx, l)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			c.lose(ctx, l, err)
			return
		}
		if next == l { // nobody has answered
			c.status(IsBound, l)
			continue
		}
		if !next.sameSettings(l) && c.apply(ctx, next.binding()) != nil {
			c.lose(ctx, l, errRefused)
			return
		}
		l = next
		c.status(IsBound, l)
		c.log(false, "bound to %v -- %s", l.Address.Addr(), c.nextRenewal(l))
		events.Publish(c.d.o.Events, c.bound, Renewed{c.n.Name, l.Address, l.Server, l.Expires()})
		c.d.save(c.n.Name, *l)
	}
}

func (l *Lease) binding() *Binding {
	b := &Binding{Address: l.Address, DNS: slices.Clone(l.DNS)}
	if len(l.Routers) > 0 {
		b.Router = l.Routers[0]
	}
	return b
}

// nextRenewal says when the lease will be renewed, as dhclient does.
func (c *client) nextRenewal(l *Lease) string {
	if l.Seconds == infiniteSeconds {
		return "no renewal."
	}
	left := max(l.left(l.T1, c.d.o.Clock), 0)
	return fmt.Sprintf("renewal in %d seconds.", left/time.Second)
}

// lose takes the address of a lease from the interface.
func (c *client) lose(ctx context.Context, l *Lease, why error) {
	reason := "expired"
	switch {
	case errors.Is(why, errRefused):
		reason = "refused"
	case errors.Is(why, errInUse):
		reason = "in use"
	}
	c.status(Selecting, nil)
	c.log(true, "The lease of %v is lost: %s.", l.Address.Addr(), reason)
	_ = c.apply(ctx, nil) // logged
	events.Publish(c.d.o.Events, c.bound, Lost{c.n.Name, l.Address, reason})
}
