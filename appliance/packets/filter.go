package packets

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/appliance/pcapfilter"
)

// An Error says what is wrong with a request.
type Error struct {
	Field string // "cable", "filter", "name", ...
	Value any
	Text  string // one line for people: what was wrong and what is expected
}

func (e *Error) Error() string { return e.Text }

// A filter selects packets: those that match text, and on the cable of a server those of the server.
type filter struct {
	text   string
	server *pcapfilter.Filter // nil: the cable is not that of a server
	user   *pcapfilter.Filter // nil: text is empty
}

// match reports whether the filter selects a packet in an Ethernet frame. length is that of the
// packet on its cable.
func (f *filter) match(frame []byte, length int) bool {
	return (f.server == nil || f.server.Match(frame, length)) &&
		(f.user == nil || f.user.Match(frame, length))
}

// compile compiles a filter for packets on a cable. Host names in it are those of the topology.
func compile(t *topology.Topology, cable netsim.Cable, text string) (filter, error) {
	f := filter{text: strings.TrimSpace(text)}
	if cable.Kind == netsim.ServerCable {
		var hosts []string
		for _, a := range cable.Addresses {
			hosts = append(hosts, "host "+a.String())
		}
		expr := fmt.Sprintf("(%s) and port %d", strings.Join(hosts, " or "), cable.Port)
		var err error
		if f.server, err = pcapfilter.Compile(expr, pcapfilter.Options{}); err != nil {
			return f, fmt.Errorf("compile the filter of %s: %w", cable.Name, err)
		}
	}
	if f.text == "" {
		return f, nil
	}
	o := pcapfilter.Options{
		Netmask: netmaskOf(t, cable),
		LookupHost: func(name string) ([]netip.Addr, error) {
			return addressesOf(t, name)
		},
	}
	var err error
	var syntax *pcapfilter.SyntaxError
	switch f.user, err = pcapfilter.Compile(f.text, o); {
	case errors.As(err, &syntax):
		return f, &Error{"filter", text, fmt.Sprintf(
			"the filter is not valid at character %d: %s: expected a filter as of tcpdump",
			syntax.Column(), syntax.Reason())}
	case err != nil:
		return f, &Error{"filter", text, fmt.Sprintf("expected a filter as of tcpdump: %v", err)}
	case cable.Link == netsim.RawLink && readsMACs(f.user):
		return f, &Error{"filter", text, fmt.Sprintf(
			"packets on %s are IP packets without Ethernet addresses: expected a filter without them",
			cable.Name)}
	}
	return f, nil
}

// readsMACs reports whether a filter loads from the Ethernet addresses of a frame. Its program has
// instructions of classic BPF: a load has class 0 or 1 and, from a fixed offset, mode 0x20.
func readsMACs(f *pcapfilter.Filter) bool {
	const typeOffset = 12
	for _, i := range f.Program() {
		if i.Op&7 <= 1 && i.Op&0xe0 == 0x20 && i.K < typeOffset {
			return true
		}
	}
	return false
}

// netmaskOf returns the IPv4 mask of an interface of the appliance, for "ip broadcast".
func netmaskOf(t *topology.Topology, cable netsim.Cable) net.IPMask {
	for _, n := range t.Appliance.Interfaces {
		for _, p := range n.Addresses {
			if cable.Kind == netsim.InterfaceCable && n.Name == cable.Name && p.Addr().Is4() {
				return net.CIDRMask(p.Bits(), 32)
			}
		}
	}
	return nil
}

// addressesOf returns the addresses of a host by its name in the topology or in the DNS.
func addressesOf(t *topology.Topology, name string) ([]netip.Addr, error) {
	for _, h := range t.Hosts {
		if h.Name == name {
			return h.Addresses, nil
		}
	}
	names, _ := t.DNSRecords()
	if list := names[strings.ToLower(name)]; len(list) > 0 {
		return list, nil
	}
	return nil, fmt.Errorf("the topology has no host %q", name)
}
