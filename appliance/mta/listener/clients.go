package listener

import (
	"net/netip"
	"strings"

	"github.com/esasim/esasim/appliance/clock"
)

// maxPeriods is how many addresses, and how many envelope senders, are remembered for limits by the
// hour. Above it, the one whose period began first is forgotten.
const maxPeriods = 20_000

// clients counts connections, and recipients by address and by envelope sender. Its owner locks it.
type clients struct {
	open       int // connections, of all listeners
	tls        int // of open, those with TLS
	byListener map[string]int
	byHost     map[hostKey]int
	hosts      periods[hostKey]
	senders    periods[senderKey]
}

// A hostKey is an address at a listener.
type hostKey struct {
	listener string
	addr     netip.Addr
}

// A senderKey is an envelope sender at a listener.
type senderKey struct{ listener, from string }

// A period is what an address, or an envelope sender, did since the beginning of its present hour or
// interval.
type period struct {
	since    clock.Mark
	accepted int // recipients
	refused  int // recipients
}

func newClients() clients {
	return clients{
		byListener: map[string]int{}, byHost: map[hostKey]int{},
		hosts: periods[hostKey]{}, senders: periods[senderKey]{},
	}
}

// enter counts a connection, or returns the answer for one too many.
func (c *clients) enter(s *session, limits Limits, e Effective) (answer string) {
	switch {
	case c.open >= limits.Connections:
		return "#4.4.5 Too many connections to this host"
	case s.conf.MaxConnections > 0 && c.byListener[s.key().listener] >= s.conf.MaxConnections:
		return "#4.4.5 Too many connections to this listener"
	case c.byHost[s.key()] >= e.MaxConnections:
		return "#4.4.5 Too many connections from your host"
	}
	c.open++
	c.byListener[s.key().listener]++
	c.byHost[s.key()]++
	s.counted = true
	return ""
}

// enterTLS counts a connection with TLS. It reports whether the limit allows it.
func (c *clients) enterTLS(s *session, limits Limits) bool {
	if c.tls >= limits.TLSConnections {
		return false
	}
	c.tls++
	s.countedTLS = true
	return true
}

// leave ends what enter and enterTLS have counted. It may be called more than once.
func (c *clients) leave(s *session) {
	if s.countedTLS {
		c.tls--
		s.countedTLS = false
	}
	if !s.counted {
		return
	}
	s.counted = false
	c.open--
	if name := s.key().listener; c.byListener[name] > 1 {
		c.byListener[name]--
	} else {
		delete(c.byListener, name)
	}
	if c.byHost[s.key()]--; c.byHost[s.key()] <= 0 {
		delete(c.byHost, s.key())
	}
}

// periods are the present periods of addresses or senders.
type periods[K comparable] map[K]*period

// get returns the present period of k.
func (m periods[K]) get(k K, now, length clock.Mark) *period {
	p := m[k]
	if p != nil && now-p.since < length {
		return p
	}
	if p == nil && len(m) >= maxPeriods {
		m.forgetOldest()
	}
	p = &period{since: now}
	m[k] = p
	return p
}

func (m periods[K]) forgetOldest() {
	var oldest K
	first := true
	for k, p := range m {
		if first || p.since < m[oldest].since {
			oldest, first = k, false
		}
	}
	delete(m, oldest)
}

func lower(s string) string { return strings.ToLower(s) }

func sameName(a, b string) bool { return strings.EqualFold(a, b) }
