package peers

import (
	"encoding/json"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/dhcp"
)

// keptDHCP is what a DHCP server knows.
type keptDHCP struct {
	Leases         []keptDHCPLease // in the order of Client
	Received, Sent map[string]int
}

// A keptDHCPLease is a lease with the time at which it began, by the wall clock of the world: it ends
// when the client expects that.
type keptDHCPLease struct {
	Client   []byte // see clientOf
	Address  netip.Addr
	MAC      string
	HostName string
	State    string
	Began    time.Time
	Lasts    time.Duration
}

// Bounds of what is kept.
const (
	maxDHCPClient = 300 // bytes of keptDHCPLease.Client; an option has 255
	maxDHCPTypes  = 300 // of messages: a byte, and names
)

// Keep implements Keeper.
func (s *DHCPServer) Keep() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := keptDHCP{
		Leases: []keptDHCPLease{}, Received: maps.Clone(s.received), Sent: maps.Clone(s.sent),
	}
	for client, l := range s.leases {
		// What is kept twice in a row must be the same, so the time between two looks at the clock
		// must not be seen.
		began := s.config.Clock.Now().Add(-s.config.Clock.Since(l.since)).UTC().Round(time.Millisecond)
		k.Leases = append(k.Leases, keptDHCPLease{
			[]byte(client), l.addr, l.mac.String(), l.hostName, l.state, began, l.lasts,
		})
	}
	slices.SortFunc(k.Leases, func(a, b keptDHCPLease) int {
		return strings.Compare(string(a.Client), string(b.Client))
	})
	return json.Marshal(k)
}

// CheckKept implements Keeper.
func (s *DHCPServer) CheckKept(text []byte) error {
	_, err := s.decodeKept(text)
	return err
}

func (s *DHCPServer) decodeKept(text []byte) (k keptDHCP, err error) {
	if err := decodeKept(text, &k); err != nil {
		return k, err
	}
	clients, addrs := map[string]bool{}, map[netip.Addr]bool{}
	for _, l := range k.Leases {
		mac, err := net.ParseMAC(l.MAC)
		known := slices.Contains([]string{dhcpOffered, dhcpBound, dhcpDeclined, dhcpReleased}, l.State)
		if err != nil || len(mac) != len(dhcp.MAC{}) || !known || l.Lasts < 0 || !s.isFree(l.Address, nil) ||
			clients[string(l.Client)] || addrs[l.Address] ||
			len(l.Client) > maxDHCPClient || len(l.HostName) > maxDHCPClient {
			return k, errKept("a lease", len(addrs)+1)
		}
		clients[string(l.Client)], addrs[l.Address] = true, true
	}
	for _, counts := range []map[string]int{k.Received, k.Sent} {
		if len(counts) > maxDHCPTypes {
			return k, errKept("too many types of messages", len(counts))
		}
		for _, n := range counts {
			if n < 0 {
				return k, errKept("a number of messages", n)
			}
		}
	}
	return k, nil
}

// Recall implements Keeper.
func (s *DHCPServer) Recall(text []byte) error {
	k, err := s.decodeKept(text)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leases, s.received, s.sent = map[string]*dhcpLease{}, map[string]int{}, map[string]int{}
	maps.Copy(s.received, k.Received)
	maps.Copy(s.sent, k.Sent)
	now, mark := s.config.Clock.Now(), s.config.Clock.Mark()
	for _, l := range k.Leases {
		mac, _ := net.ParseMAC(l.MAC) // decodeKept has parsed it
		age := max(now.Sub(l.Began), 0)
		s.leases[string(l.Client)] = &dhcpLease{
			addr: l.Address, mac: dhcp.MAC(mac), hostName: l.HostName, state: l.State,
			since: mark - clock.Mark(age), lasts: l.Lasts,
		}
	}
	return nil
}
