package box

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim"
)

// A Socket is a row of a table of sockets.
type Socket struct {
	Protocol     string         `json:"protocol"`        // tcp4, tcp6, udp4 or udp6
	State        string         `json:"state,omitempty"` // BSD's name: LISTEN, ESTABLISHED, ...; "" of UDP
	Local        netip.AddrPort `json:"local"`
	Remote       netip.AddrPort `json:"remote,omitzero"` // zero: there is none
	ReceiveQueue int            `json:"receive_queue"`   // bytes that the process has not read
	SendQueue    int            `json:"send_queue"`      // bytes that the peer has not acknowledged
	// The next three are those of a listener: connections that wait to be accepted, those whose
	// handshake is not complete, and how many may wait.
	Waiting  int `json:"waiting,omitempty"`
	HalfOpen int `json:"half_open,omitempty"`
	Backlog  int `json:"backlog,omitempty"`
	// Process and User own the socket; "" if it no longer belongs to a process.
	Process string `json:"process,omitempty"`
	User    string `json:"user,omitempty"`
	PID     int    `json:"pid,omitempty"`
}

// A Neighbor is an entry of an ARP (IPv4) or NDP (IPv6) cache.
type Neighbor struct {
	Interface string          `json:"interface"`
	Address   netip.Addr      `json:"address"`
	MAC       string          `json:"mac,omitempty"`    // "": there was no answer yet
	State     string          `json:"state"`            // reachable, stale, incomplete or permanent
	Expires   netsim.Duration `json:"expires,omitzero"` // until the entry is removed; 0: it is not
	Router    bool            `json:"router"`
}

// A Route is a row of a routing table.
type Route struct {
	Destination netip.Prefix `json:"destination"`      // 0.0.0.0/0 and ::/0 are the default routes
	Gateway     netip.Addr   `json:"gateway,omitzero"` // zero: the network is on the cable
	Interface   string       `json:"interface"`
	Flags       string       `json:"flags"`         // in BSD's letters: UGS, U, UH
	MTU         int          `json:"mtu,omitempty"` // 0: none of its own
}

// An Interface is a network interface with its counters since the start.
type Interface struct {
	Name      string         `json:"name"`   // "Data 1"
	Device    string         `json:"device"` // "nic1"
	MAC       string         `json:"mac,omitempty"`
	MTU       int            `json:"mtu"`
	Addresses []netip.Prefix `json:"addresses"`
	Up        bool           `json:"up"`
	Carrier   bool           `json:"carrier"` // false: the cable is unplugged
	Loopback  bool           `json:"loopback"`
	VLAN      int            `json:"vlan,omitempty"`   // the number of a VLAN
	Parent    string         `json:"parent,omitempty"` // the interface that a VLAN is on
	DHCP      *Lease         `json:"dhcp,omitempty"`   // nil: the address is not asked for by DHCP
	Counters  Counters       `json:"counters"`
}

// Counters are totals of an interface. Bytes are those of whole frames.
type Counters struct {
	ReceivedPackets uint64 `json:"received_packets"`
	ReceivedBytes   uint64 `json:"received_bytes"`
	ReceivedErrors  uint64 `json:"received_errors"`
	ReceivedDropped uint64 `json:"received_dropped"`
	SentPackets     uint64 `json:"sent_packets"`
	SentBytes       uint64 `json:"sent_bytes"`
	SentErrors      uint64 `json:"sent_errors"`
	SentDropped     uint64 `json:"sent_dropped"`
	Collisions      uint64 `json:"collisions"`
}

// Tables are the tables of the network of one machine.
type Tables struct {
	Sockets    []Socket    // in the order in which they were opened
	Neighbors  []Neighbor  // as arpshow lists them
	Routes     []Route     // as netstat lists them
	Interfaces []Interface // as the machine lists them
}

// Tables returns the tables of a simulated host, which is given by its name or an address in the
// topology, or, if host is "", those of the appliance. A host behind the gateways has no cable of
// its own, so it has sockets only. If there is no such host, the error is a *netsim.NotFoundError;
// it wraps netsim.ErrStopped if the box does not run.
func (b *Box) Tables(host string) (Tables, error) {
	if host != "" {
		t, err := b.World().Tables(host)
		if err != nil {
			return Tables{}, err
		}
		return tablesOf(t), nil
	}
	net := b.Appliance().Net
	t := netsim.Tables{Interfaces: net.Interfaces(), Counters: map[string]network.Counters{}}
	var err error
	for _, i := range t.Interfaces {
		if err == nil {
			t.Counters[i.Name], err = net.Counters(i.Name)
		}
	}
	if err == nil {
		t.Sockets, err = net.Sockets()
	}
	if err == nil {
		t.Neighbors, err = net.Neighbors()
	}
	if err == nil {
		t.Routes, err = net.Routes()
	}
	if err != nil {
		return Tables{}, fmt.Errorf("read the appliance's network tables: %w", err)
	}
	tables := tablesOf(t)
	for i := range tables.Interfaces {
		tables.Interfaces[i].DHCP = b.Lease(tables.Interfaces[i].Name)
	}
	return tables, nil
}

// A Lease is the state of an interface that gets its address by DHCP.
type Lease struct {
	// State is selecting, requesting, rebooting, bound, renewing, rebinding or fallback. The other
	// fields are set in the states bound, renewing and rebinding only.
	State    string       `json:"state"`
	Address  netip.Prefix `json:"address,omitzero"`
	Server   netip.Addr   `json:"server,omitzero"`
	Routers  []netip.Addr `json:"routers,omitempty"`
	DNS      []netip.Addr `json:"dns,omitempty"`
	Domain   string       `json:"domain,omitempty"`
	Obtained time.Time    `json:"obtained,omitzero"` // by the appliance's clock, as the following
	// The lease is renewed at Renews, with any server from Rebinds on, and ends at Expires; zero: never.
	Renews  time.Time `json:"renews,omitzero"`
	Rebinds time.Time `json:"rebinds,omitzero"`
	Expires time.Time `json:"expires,omitzero"`
}

// Lease returns what the DHCP client of an interface does; nil if there is none, or an administrator
// has configured the interfaces.
func (b *Box) Lease(ifname string) *Lease {
	s, ok := b.Appliance().DHCP.Status(ifname)
	if !ok {
		return nil
	}
	l := &Lease{State: string(s.State)}
	if x := s.Lease; x != nil {
		l.Address, l.Server, l.Routers, l.DNS = x.Address, x.Server, x.Routers, x.DNS
		l.Domain, l.Obtained = x.Domain, x.Obtained
		l.Renews, l.Rebinds, l.Expires = x.Renews(), x.Rebinds(), x.Expires()
	}
	return l
}

// tablesOf returns tables in the form of this package. Lists are never nil, for JSON.
func tablesOf(from netsim.Tables) Tables {
	t := Tables{
		Sockets: []Socket{}, Neighbors: []Neighbor{}, Routes: []Route{}, Interfaces: []Interface{},
	}
	for _, s := range from.Sockets {
		t.Sockets = append(t.Sockets, socketOf(s))
	}
	for _, n := range from.Neighbors {
		t.Neighbors = append(t.Neighbors, Neighbor{
			n.Interface, n.Addr, n.MAC.String(), n.State, netsim.Duration(n.Expires), n.Router,
		})
	}
	for _, r := range from.Routes {
		t.Routes = append(t.Routes, Route{r.Dst, r.Gateway, r.Interface, r.Flags, r.MTU})
	}
	for _, i := range from.Interfaces {
		c := from.Counters[i.Name]
		t.Interfaces = append(t.Interfaces, Interface{
			Name: i.Name, Device: i.Device, MAC: i.MAC.String(), MTU: i.MTU,
			Addresses: append([]netip.Prefix{}, i.Addrs...),
			Up:        i.Up, Carrier: !i.NoCarrier, Loopback: i.Loopback, VLAN: i.VLAN, Parent: i.Parent,
			Counters: Counters{
				c.RxPackets, c.RxBytes, c.RxErrors, c.RxDropped,
				c.TxPackets, c.TxBytes, c.TxErrors, c.TxDropped, c.Collisions,
			},
		})
	}
	return t
}

func socketOf(s network.Socket) Socket {
	x := Socket{
		Protocol: s.Proto, State: s.State, Local: s.Local,
		ReceiveQueue: s.RecvQ, SendQueue: s.SendQ,
		Waiting: s.QLen, HalfOpen: s.IncQLen, Process: s.Owner, User: s.User, PID: s.PID,
	}
	if s.State == "LISTEN" {
		x.Backlog = s.MaxQLen
	}
	if s.Remote.Port() != 0 {
		x.Remote = s.Remote
	}
	return x
}
