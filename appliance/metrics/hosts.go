package metrics

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/mta/mailevents"
)

// maxHosts is how many destinations are remembered.
const maxHosts = 10_000

// A HostState says whether a destination could be reached at the last attempt.
type HostState string

// The states, in the words of hoststatus.
const (
	HostUnknown HostState = "unknown"
	HostUp      HostState = "up"
	HostDown    HostState = "down"
)

// A Host is what happened to the mail for one destination domain since the appliance came up.
type Host struct {
	Domain       string
	State        HostState
	LastActivity time.Time // zero: none
	Last5XX      mailevents.Reply
	Last5XXAt    time.Time // zero: never
	Connections  int       // open

	counts tally
}

// Count returns the destination's value of c.
func (h Host) Count(c Counter) uint64 { return h.counts.value(c) }

// hostTable is the table of destinations. The owner locks it.
type hostTable struct {
	hosts map[string]*Host
	open  map[uint64]string // the destination of each open connection, by DCID
}

func newHostTable() hostTable {
	return hostTable{hosts: map[string]*Host{}, open: map[uint64]string{}}
}

// host returns the entry of a domain, which it makes if there is none.
func (t *hostTable) host(domain string) *Host {
	domain = strings.ToLower(domain)
	if h := t.hosts[domain]; h != nil {
		return h
	}
	if len(t.hosts) >= maxHosts {
		t.forgetOldest()
	}
	h := &Host{Domain: domain, State: HostUnknown}
	t.hosts[domain] = h
	return h
}

// forgetOldest removes the entry whose last event is oldest, of those without a connection.
func (t *hostTable) forgetOldest() {
	var oldest *Host
	for _, h := range t.hosts {
		if h.Connections == 0 && (oldest == nil || h.LastActivity.Before(oldest.LastActivity)) {
			oldest = h
		}
	}
	if oldest != nil {
		delete(t.hosts, oldest.Domain)
	}
}

// handle counts an event for the destination that it is about.
func (t *hostTable) handle(e events.Event) {
	var h *Host
	switch f := e.Fields.(type) {
	case mailevents.DeliveryConnectionOpened:
		h = t.host(f.Domain)
		h.Connections++
		t.open[f.DCID] = h.Domain
	case mailevents.DeliveryConnectionClosed:
		domain, ok := t.open[f.DCID]
		if !ok {
			return // it was never opened
		}
		delete(t.open, f.DCID)
		h = t.host(domain)
		h.Connections--
	case mailevents.HostChanged:
		h = t.host(f.Domain)
		h.State = HostDown
		if f.Up {
			h.State = HostUp
		}
	case mailevents.Delivered:
		h = t.host(f.Domain)
	case mailevents.RecipientsDeleted:
		h = t.host(f.Domain)
	case mailevents.Delayed:
		h = t.host(f.Domain)
	case mailevents.Bounced:
		h = t.host(f.Domain)
		if f.Failure.Reply.Code/100 == 5 {
			h.Last5XX, h.Last5XXAt = f.Failure.Reply, e.Wall
		}
	default:
		return
	}
	h.LastActivity = e.Wall
	count(e.Fields, func(c Counter, n uint64) { h.counts[c] += n })
}

// Host returns what happened to the mail for a domain. ok is false if nothing did.
func (s *Set) Host(domain string) (h Host, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.hosts.hosts[strings.ToLower(domain)]; h != nil {
		return *h, true
	}
	return Host{Domain: domain, State: HostUnknown}, false
}

// Hosts returns all destinations in the order of their names.
func (s *Set) Hosts() []Host {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Host, 0, len(s.hosts.hosts))
	for _, h := range s.hosts.hosts {
		out = append(out, *h)
	}
	slices.SortFunc(out, func(a, b Host) int { return strings.Compare(a.Domain, b.Domain) })
	return out
}

// source is where a client's connection comes from and leads to.
type source struct {
	host     string
	verified bool
	addr     netip.Addr
	listener string
}

// A Client is a row of topin: the open connections of one address to one listener.
type Client struct {
	Host        string // the verified name; the address if there is none
	Addr        netip.Addr
	Listener    string
	Connections int
}

// Clients returns the open connections of clients by address and listener, most first.
func (s *Set) Clients() []Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	rows := map[source]int{}
	for _, from := range s.inbound {
		rows[from]++
	}
	var out []Client
	for from, n := range rows {
		name := from.host
		if name == "" || !from.verified {
			name = from.addr.String()
		}
		out = append(out, Client{name, from.addr, from.listener, n})
	}
	slices.SortFunc(out, func(a, b Client) int {
		return cmp.Or(b.Connections-a.Connections, a.Addr.Compare(b.Addr),
			strings.Compare(a.Listener, b.Listener))
	})
	return out
}
