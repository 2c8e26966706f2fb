package peers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/dhcp"
	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/network"
)

// DHCPKind is the type of servers that give addresses.
const DHCPKind = "dhcp"

var _ = register(Kind{
	Name: DHCPKind, Title: "a DHCP server",
	Port: dhcp.ServerPort,
	Options: map[string]func(string) error{
		"range":  checkRange,
		"lease":  checkLease,
		"t1":     checkSeconds,
		"t2":     checkSeconds,
		"router": checkRouter,
		"dns":    checkAddrs,
		"domain": nil,
		"delay":  checkDelay,
		"refuse": checkRefuse,
	},
	OnWire: true,
	New:    func(c Config) Peer { return newDHCPServer(c) },
})

const (
	defaultLease = time.Hour
	// offerTime is how long an offered address is kept for the client.
	offerTime = time.Minute
	// declineTime is how long an address that a client has declined is not offered again.
	declineTime = time.Hour
	maxRange    = 1 << 16 // addresses
	infinite    = "infinite"
)

// A DHCPServer gives addresses to the machines of its wire (RFC 2131). It is authoritative: it knows
// which addresses of its network are right, so it confirms a free one to a client that it does not
// know, and refuses one of another network.
type DHCPServer struct {
	config        Config
	first, last   netip.Addr
	lease, t1, t2 time.Duration
	router        netip.Addr
	dns           []netip.Addr
	delay         time.Duration
	refuses       bool
	mac           dhcp.MAC
	running       sync.WaitGroup
	transport     dhcpTransport

	mu       sync.Mutex
	conn     network.PacketConn
	leases   map[string]*dhcpLease // by the client
	received map[string]int        // messages by type
	sent     map[string]int
	ctx      context.Context // ends when the server stops
	cancel   context.CancelFunc
}

// A dhcpTransport is the stack of the simulated hosts.
type dhcpTransport interface {
	network.Transport
	network.FrameSender
	Interfaces() []network.Interface
}

// A dhcpLease is what the server knows of a client and its address.
type dhcpLease struct {
	addr     netip.Addr
	mac      dhcp.MAC
	hostName string
	state    string // one of the constants
	since    clock.Mark
	lasts    time.Duration // dhcp.Infinite: for ever
}

// States of a lease.
const (
	dhcpOffered  = "offered"
	dhcpBound    = "bound"
	dhcpDeclined = "declined"
	dhcpReleased = "released"
)

func newDHCPServer(c Config) *DHCPServer {
	s := &DHCPServer{
		config: c, lease: defaultLease, delay: parseDelay(c.Options["delay"]),
		refuses: c.Options["refuse"] == "yes",
		leases:  map[string]*dhcpLease{}, received: map[string]int{}, sent: map[string]int{},
	}
	switch text := c.Options["lease"]; text {
	case "":
	case infinite:
		s.lease = dhcp.Infinite
	default:
		s.lease, _ = time.ParseDuration(text)
	}
	s.t1, _ = time.ParseDuration(c.Options["t1"])
	s.t2, _ = time.ParseDuration(c.Options["t2"])
	s.dns, _ = parseAddrs(c.Options["dns"])
	if c.Wire == nil {
		return s // Start says what is wrong
	}
	s.router = c.Wire.Router
	if text := c.Options["router"]; text != "" {
		s.router, _ = netip.ParseAddr(text) // "none": invalid
	}
	s.first, s.last = upperHalf(c.Wire.Network)
	if text := c.Options["range"]; text != "" {
		s.first, s.last, _ = parseRange(text)
	}
	return s
}

// upperHalf returns the first and the last address of the upper half of a network, without the
// broadcast address.
func upperHalf(p netip.Prefix) (first, last netip.Addr) {
	size := uint32(1) << (32 - p.Bits())
	base := addrNumber(p.Masked().Addr())
	return numberedAddr(base + size/2), numberedAddr(base + size - 2)
}

// Eager implements Eager: the requests of clients are for all machines, not for an address.
func (s *DHCPServer) Eager() bool { return true }

// Start listens on the wire.
func (s *DHCPServer) Start(ctx context.Context) error {
	var ok bool
	w := s.config.Wire
	if s.transport, ok = s.config.Transport.(dhcpTransport); !ok || w == nil {
		return fmt.Errorf("%s: a DHCP server needs a wire", s.config.Name)
	}
	if !w.Network.Contains(s.first) || !w.Network.Contains(s.last) {
		return fmt.Errorf("%s: range %v-%v is not in %v, the network of the wire",
			s.config.Name, s.first, s.last, w.Network.Masked())
	}
	for _, i := range s.transport.Interfaces() {
		if i.Name == w.Interface {
			s.mac = dhcp.MAC(i.MAC)
		}
	}
	conn, err := s.transport.ListenPacket(ctx, network.DialConfig{
		Local:     netip.AddrPortFrom(netip.IPv4Unspecified(), s.config.Port),
		Interface: w.Interface, Owner: s.config.Name,
	})
	if err != nil {
		return fmt.Errorf("%s: listen: %w", s.config.Name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conn = conn
	s.ctx, s.cancel = context.WithCancel(context.Background())
	stopped := s.ctx
	s.running.Go(func() { s.serve(stopped, conn) })
	return nil
}

// Stop waits for the reply that is being sent. Leases are kept.
func (s *DHCPServer) Stop() {
	s.mu.Lock()
	if s.conn != nil {
		s.cancel()
		s.conn.Close()
		s.conn = nil
	}
	s.mu.Unlock()
	s.running.Wait()
}

func (s *DHCPServer) serve(ctx context.Context, conn network.PacketConn) {
	buf := make([]byte, 2048)
	for {
		n, _, err := conn.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			s.config.Logger.Error("a simulated server cannot answer any more",
				"server", s.config.Name, "error", err)
			return
		}
		q, err := dhcp.Parse(buf[:n])
		if err != nil {
			continue
		}
		reply := s.answer(q)
		if reply == nil || s.delay > 0 && clock.System().Sleep(ctx, s.delay) != nil {
			continue
		}
		if err := s.send(conn, q, reply); err == nil {
			s.mu.Lock()
			s.sent[reply.Type.String()]++
			s.mu.Unlock()
		}
	}
}

// send sends a reply as RFC 2131 4.1 demands: to the relay, to the address that the client has, or to
// the Ethernet address of a client that has none.
func (s *DHCPServer) send(conn network.PacketConn, q, reply *dhcp.Message) error {
	data := reply.Append(nil)
	to := netip.AddrPort{}
	switch {
	case q.Relay.IsValid():
		to = netip.AddrPortFrom(q.Relay, dhcp.ServerPort)
	case q.ClientAddr.IsValid() && reply.Type != dhcp.NAK:
		to = netip.AddrPortFrom(q.ClientAddr, dhcp.ClientPort)
	}
	if to.IsValid() {
		_, err := conn.WriteTo(data, net.UDPAddrFromAddrPort(to))
		return err
	}
	d := dhcp.Datagram{
		From: s.mac, To: q.MAC, Data: data,
		Source: netip.AddrPortFrom(s.own(), s.config.Port),
		Target: netip.AddrPortFrom(reply.YourAddr, dhcp.ClientPort),
	}
	if reply.Type == dhcp.NAK || q.Broadcast || !reply.YourAddr.IsValid() {
		d.To = dhcp.BroadcastMAC()
		d.Target = netip.AddrPortFrom(dhcp.BroadcastAddr(), dhcp.ClientPort)
	}
	return s.transport.SendFrame(s.config.Wire.Interface, d.Frame())
}

// own returns the server's address.
func (s *DHCPServer) own() netip.Addr { return s.config.Wire.Network.Addr() }

// answer returns the reply to a message, nil if there is none.
func (s *DHCPServer) answer(q *dhcp.Message) *dhcp.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	if q.Type == dhcp.Offer || q.Type == dhcp.ACK || q.Type == dhcp.NAK {
		return nil // of another server
	}
	s.received[q.Type.String()]++
	client := clientOf(q)
	switch q.Type {
	case dhcp.Discover:
		return s.offer(q, client)
	case dhcp.Request:
		return s.grant(q, client)
	case dhcp.Inform:
		if !q.ClientAddr.IsValid() {
			return nil
		}
		m := s.reply(q, dhcp.ACK, netip.Addr{})
		m.LeaseTime, m.T1, m.T2 = 0, 0, 0
		return m
	case dhcp.Release, dhcp.Decline:
		if l := s.leases[client]; l != nil && q.Server == s.own() {
			s.giveUp(l, q)
		}
	}
	return nil
}

// giveUp records that a client does not use its address any more. It is called with mu held.
func (s *DHCPServer) giveUp(l *dhcpLease, q *dhcp.Message) {
	switch {
	case q.Type == dhcp.Release && q.ClientAddr == l.addr:
		l.state, l.lasts = dhcpReleased, 0 // the client gets the address again while nobody needs it
	case q.Type == dhcp.Decline && q.Requested == l.addr:
		l.state, l.lasts, l.since = dhcpDeclined, declineTime, s.config.Clock.Mark()
		delete(s.leases, clientOf(q))
		s.leases[dhcpDeclined+" "+l.addr.String()] = l
	}
}

// clientOf returns the identity of a client.
func clientOf(q *dhcp.Message) string {
	if len(q.ClientID) > 0 {
		return "id " + string(q.ClientID)
	}
	return "mac " + q.MAC.String()
}

// offer answers a DHCPDISCOVER. It is called with mu held.
func (s *DHCPServer) offer(q *dhcp.Message, client string) *dhcp.Message {
	addr := s.choose(q, client)
	if !addr.IsValid() {
		s.config.Logger.Warn("a simulated DHCP server has no address left", "server", s.config.Name)
		return nil
	}
	if l := s.leases[client]; l == nil || l.addr != addr || !s.holds(l) {
		s.forgetOthers(addr, client)
		s.leases[client] = &dhcpLease{
			addr: addr, mac: q.MAC, hostName: q.HostName, state: dhcpOffered,
			since: s.config.Clock.Mark(), lasts: offerTime,
		}
	}
	return s.reply(q, dhcp.Offer, addr)
}

// choose returns an address for a client: its own, the one that it asks for, or the first that is
// free. It is invalid if there is none. It is called with mu held.
func (s *DHCPServer) choose(q *dhcp.Message, client string) netip.Addr {
	held := s.held(client)
	if l := s.leases[client]; l != nil && s.isFree(l.addr, held) {
		return l.addr
	}
	if s.isFree(q.Requested, held) {
		return q.Requested
	}
	known := map[netip.Addr]bool{}
	for _, l := range s.leases {
		known[l.addr] = true
	}
	reused := netip.Addr{}
	for a := s.first; a.Compare(s.last) <= 0; a = a.Next() {
		switch {
		case !s.isFree(a, held):
		case !known[a]:
			return a // nobody had it before
		case !reused.IsValid():
			reused = a
		}
	}
	return reused
}

// held returns the addresses that clients other than the given one hold. It is called with mu held.
func (s *DHCPServer) held(client string) map[netip.Addr]bool {
	held := map[netip.Addr]bool{}
	for c, l := range s.leases {
		if c != client && s.holds(l) {
			held[l.addr] = true
		}
	}
	return held
}

// isFree reports whether the server can give an address that is not held.
func (s *DHCPServer) isFree(a netip.Addr, held map[netip.Addr]bool) bool {
	return a.IsValid() && !a.Less(s.first) && !s.last.Less(a) && a != s.own() && a != s.router && !held[a]
}

// holds reports whether a lease has not ended.
func (s *DHCPServer) holds(l *dhcpLease) bool {
	return l.lasts == dhcp.Infinite || s.config.Clock.Since(l.since) < l.lasts
}

// grant answers a DHCPREQUEST. It is called with mu held.
func (s *DHCPServer) grant(q *dhcp.Message, client string) *dhcp.Message {
	addr := q.Requested
	switch {
	case q.Server.IsValid() && q.Server != s.own():
		if l := s.leases[client]; l != nil && l.state == dhcpOffered {
			delete(s.leases, client) // the client has chosen another server
		}
		return nil
	case !addr.IsValid():
		addr = q.ClientAddr
	}
	if s.refuses || !s.isFree(addr, s.held(client)) {
		m := s.reply(q, dhcp.NAK, netip.Addr{})
		m.Text = "the address is not available"
		return m
	}
	s.forgetOthers(addr, client)
	s.leases[client] = &dhcpLease{
		addr: addr, mac: q.MAC, hostName: q.HostName, state: dhcpBound,
		since: s.config.Clock.Mark(), lasts: s.lease,
	}
	events.Publish(s.config.Events, 0, AddressLeased{
		s.config.Name, addr, q.MAC.String(), printable(q.HostName),
	})
	return s.reply(q, dhcp.ACK, addr)
}

// forgetOthers removes leases of an address that have ended, so that there is one for each address
// at most. It is called with mu held.
func (s *DHCPServer) forgetOthers(addr netip.Addr, client string) {
	maps.DeleteFunc(s.leases, func(c string, l *dhcpLease) bool { return c != client && l.addr == addr })
}

// reply returns a reply to q. addr is the address for the client; invalid: none.
func (s *DHCPServer) reply(q *dhcp.Message, t dhcp.Type, addr netip.Addr) *dhcp.Message {
	m := &dhcp.Message{
		Type: t, XID: q.XID, Broadcast: q.Broadcast, MAC: q.MAC, Relay: q.Relay,
		Server: s.own(), ClientID: q.ClientID,
	}
	if t == dhcp.NAK {
		return m
	}
	m.YourAddr, m.ClientAddr = addr, netip.Addr{}
	if t == dhcp.ACK {
		m.ClientAddr = q.ClientAddr
	}
	m.MaskBits, m.DNS, m.Domain = s.config.Wire.Network.Bits(), s.dns, s.config.Options["domain"]
	if s.router.IsValid() {
		m.Routers = []netip.Addr{s.router}
	}
	m.LeaseTime, m.T1, m.T2 = s.lease, s.t1, s.t2
	if s.lease != dhcp.Infinite {
		if m.T1 == 0 {
			m.T1 = (s.lease / 2).Truncate(time.Second)
		}
		if m.T2 == 0 {
			m.T2 = (s.lease * 7 / 8).Truncate(time.Second)
		}
	}
	return m
}

// A DHCPLease is a lease in a report.
type DHCPLease struct {
	Address  netip.Addr `json:"address"`
	MAC      string     `json:"mac"`
	HostName string     `json:"hostname,omitempty"`
	State    string     `json:"state"`            // offered, bound, declined, released or expired
	Expires  time.Time  `json:"expires,omitzero"` // zero: never
}

// A DHCPReport is the report of a DHCPServer.
type DHCPReport struct {
	Leases   []DHCPLease    `json:"leases"`   // by address
	Received map[string]int `json:"received"` // messages by type: DHCPDISCOVER, ...
	Sent     map[string]int `json:"sent"`
}

// Leases returns what the server knows of its clients, by address.
func (s *DHCPServer) Leases() []DHCPLease {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := []DHCPLease{}
	now := s.config.Clock.Now()
	for _, l := range s.leases {
		x := DHCPLease{
			Address: l.addr, MAC: l.mac.String(), HostName: printable(l.hostName), State: l.state,
		}
		if l.lasts != dhcp.Infinite {
			x.Expires = now.Add(l.lasts - s.config.Clock.Since(l.since)).Round(time.Second)
		}
		if !s.holds(l) && l.state != dhcpReleased {
			x.State = "expired"
		}
		list = append(list, x)
	}
	slices.SortFunc(list, func(a, b DHCPLease) int { return a.Address.Compare(b.Address) })
	return list
}

// Report implements Reporter. It returns a DHCPReport.
func (s *DHCPServer) Report() any {
	r := DHCPReport{Leases: s.Leases()}
	s.mu.Lock()
	defer s.mu.Unlock()
	r.Received, r.Sent = maps.Clone(s.received), maps.Clone(s.sent)
	return r
}

// printable returns a text of a client's without control characters.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r > 0x7e {
			return '?'
		}
		return r
	}, s)
}
