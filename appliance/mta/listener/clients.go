package listener

import (
	"net/netip"
	"strings"

	"github.com/esasim/esasim/appliance/clock"
)

// maxClients is how many addresses are remembered for limits by the hour. Above it, the one whose
// period began first is forgotten.
const maxClients = 20_000

// clients counts connections and recipients by address. Its owner locks it.
type clients struct {
	open    int // connections, of all listeners
	tls     int // of open, those with TLS
	byHost  map[hostKey]int
	periods map[hostKey]*period
}

// A hostKey is an address at a listener.
type hostKey struct {
	listener string
	addr     netip.Addr
}

// A period is what an address did since the beginning of its present hour.
type period struct {
	since    clock.Mark
	accepted int // recipients
	refused  int // recipients
}

func newClients() clients {
	return clients{byHost: map[hostKey]int{}, periods: map[hostKey]*period{}}
}

// enter counts a connection, or returns the answer for one too many.
func (c *clients) enter(s *session, limits Limits, e Effective) (answer string) {
	switch {
	case c.open >= limits.Connections:
		return "#4.4.5 Too many connections to this host"
	case c.byHost[s.key()] >= e.MaxConnections:
		return "#4.4.5 Too many connections from your host"
	}
	c.open++
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
	if c.byHost[s.key()]--; c.byHost[s.key()] <= 0 {
		delete(c.byHost, s.key())
	}
}

// period returns the present period of an address.
func (c *clients) period(k hostKey, now clock.Mark, length clock.Mark) *period {
	p := c.periods[k]
	if p != nil && now-p.since < length {
		return p
	}
	if p == nil && len(c.periods) >= maxClients {
		c.forgetOldest()
	}
	p = &period{since: now}
	c.periods[k] = p
	return p
}

func (c *clients) forgetOldest() {
	var oldest hostKey
	first := true
	for k, p := range c.periods {
		if first || p.since < c.periods[oldest].since {
			oldest, first = k, false
		}
	}
	delete(c.periods, oldest)
}

func lower(s string) string { return strings.ToLower(s) }

func sameName(a, b string) bool { return strings.EqualFold(a, b) }
