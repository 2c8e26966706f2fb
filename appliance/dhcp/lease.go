package dhcp

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/esasim/esasim/appliance/clock"
)

// A Lease is the permission to use an address.
type Lease struct {
	Address  netip.Prefix `json:"address"` // with the length of its network
	Server   netip.Addr   `json:"server"`  // that has given it
	Routers  []netip.Addr `json:"routers,omitempty"`
	DNS      []netip.Addr `json:"dns,omitempty"`
	Domain   string       `json:"domain,omitempty"`
	Obtained time.Time    `json:"obtained"` // by the appliance's clock
	// Seconds is how long the lease is valid; T1 and T2 are its times in seconds. A lease of
	// infiniteSeconds does not expire.
	Seconds uint32 `json:"seconds"`
	T1      uint32 `json:"t1"`
	T2      uint32 `json:"t2"`

	since clock.Mark // Obtained, so that setting the clock does not change how long the lease lasts
}

const (
	infiniteSeconds = 1<<32 - 1
	maxDomain       = 255 // length of a domain name
	maxAddrs        = 16  // of routers, and of name servers
)

// after returns the time at which a number of seconds of the lease has passed, zero if never.
func (l *Lease) after(seconds uint32) time.Time {
	if l.Seconds == infiniteSeconds {
		return time.Time{}
	}
	return l.Obtained.Add(time.Duration(seconds) * time.Second)
}

// Renews returns the time at which the client asks its server for more time; zero: it does not.
func (l *Lease) Renews() time.Time { return l.after(l.T1) }

// Rebinds returns the time at which the client asks every server for more time; zero: it does not.
func (l *Lease) Rebinds() time.Time { return l.after(l.T2) }

// Expires returns the time at which the lease expires; zero: it does not.
func (l *Lease) Expires() time.Time { return l.after(l.Seconds) }

// left returns how long it is until a number of seconds of the lease has passed.
func (l *Lease) left(seconds uint32, c clock.Clock) time.Duration {
	return time.Duration(seconds)*time.Second - c.Since(l.since)
}

// resume makes a lease from before a restart last as long as its times say, and reports whether it
// can be used: it has been obtained in the past and has not expired.
func (l *Lease) resume(c clock.Clock) bool {
	now := c.Now()
	l.since = c.Mark() - clock.Mark(now.Sub(l.Obtained))
	return !now.Before(l.Obtained) && (l.Seconds == infiniteSeconds || now.Before(l.Expires()))
}

// sameSettings reports whether two leases give the interface the same address and settings.
func (l *Lease) sameSettings(o *Lease) bool {
	return l.Address == o.Address && slices.Equal(l.Routers, o.Routers) &&
		slices.Equal(l.DNS, o.DNS) && l.Domain == o.Domain
}

// check reports what is wrong with a lease.
func (l *Lease) check() error {
	switch a := l.Address.Addr(); {
	case !a.Is4() || !isHost(a) || l.Address.Bits() < 1:
		return fmt.Errorf("%v is no address of a machine", l.Address)
	case !l.Server.Is4() || !isHost(l.Server):
		return fmt.Errorf("%v is no address of a server", l.Server)
	case l.Seconds == 0 || l.T1 == 0 || l.T1 > l.T2 || l.T2 > l.Seconds:
		return fmt.Errorf("a lease of %d seconds, with T1 %d and T2 %d", l.Seconds, l.T1, l.T2)
	case len(l.Routers) > maxAddrs || len(l.DNS) > maxAddrs || len(l.Domain) > maxDomain:
		return errors.New("too many addresses, or too long a domain")
	}
	for _, a := range l.Routers {
		if !l.Address.Contains(a) || a == l.Address.Addr() {
			return fmt.Errorf("the router %v is not on the network of %v", a, l.Address)
		}
	}
	for _, a := range l.DNS {
		if !a.Is4() || !isHost(a) {
			return fmt.Errorf("%v is no address of a name server", a)
		}
	}
	return nil
}

// isHost reports whether an IPv4 address can be that of a machine on a network.
func isHost(a netip.Addr) bool {
	return a.IsValid() && !a.IsUnspecified() && !a.IsLoopback() && !a.IsMulticast() &&
		a.Is4() && a.As4()[0] != 0 && a.As4()[0] < 240
}

// leaseOf returns the lease that a message of a server offers or gives, obtained now.
// What the message says about the network is taken over as far as it makes sense: routers must be on
// the network of the address. A message without a netmask means that of the address's class, as a
// message without T1 and T2 means the defaults of RFC 2131.
func leaseOf(m *Message, c clock.Clock) (*Lease, error) {
	if !m.YourAddr.IsValid() {
		return nil, errors.New("the server gives no address")
	}
	l := &Lease{
		Server: m.Server, Obtained: c.Now().Truncate(time.Second), since: c.Mark(),
		Seconds: uint32(m.LeaseTime / time.Second),
	}
	length := m.MaskBits
	if length == 0 {
		length = classBits(m.YourAddr)
	}
	l.Address = netip.PrefixFrom(m.YourAddr, length)
	l.T1, l.T2 = uint32(m.T1/time.Second), uint32(m.T2/time.Second)
	if l.T1 == 0 || l.T2 == 0 || l.T1 >= l.T2 || l.T2 >= l.Seconds {
		l.T1, l.T2 = max(l.Seconds/2, 1), max(uint32(uint64(l.Seconds)*7/8), 1)
	}
	for _, a := range m.Routers {
		if l.Address.Contains(a) && a != m.YourAddr && len(l.Routers) < maxAddrs {
			l.Routers = append(l.Routers, a)
		}
	}
	for _, a := range m.DNS {
		if isHost(a) && !slices.Contains(l.DNS, a) && len(l.DNS) < maxAddrs {
			l.DNS = append(l.DNS, a)
		}
	}
	if len(m.Domain) <= maxDomain && isDomain(m.Domain) {
		l.Domain = m.Domain
	}
	if err := l.check(); err != nil {
		return nil, err
	}
	return l, nil
}

// classBits returns the length of the network that an address belongs to by its class.
func classBits(a netip.Addr) int {
	switch first := a.As4()[0]; {
	case first < 128:
		return 8
	case first < 192:
		return 16
	}
	return 24
}

// isDomain reports whether s consists of the characters of domain names.
func isDomain(s string) bool {
	for _, r := range s {
		if !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' ||
			r == '-' || r == '_' || r == '.') {
			return false
		}
	}
	return true
}
