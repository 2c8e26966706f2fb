package netsim_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// lookup queries the lab's name server and returns the records of the answer, or its code if it
// is an error.
func lookup(t testing.TB, w *netsim.World, transport, name, kind string) []string {
	t.Helper()
	server := netip.AddrPortFrom(w.Topology().Appliance.DNS[0], 53)
	conn := new(dns.Conn)
	var err error
	if transport == "tcp" {
		conn.Conn, err = w.Network().Dial(within(t, testTimeout), network.DialConfig{Remote: server})
	} else {
		var c network.PacketConn
		if c, err = w.Network().ListenPacket(within(t, testTimeout), network.DialConfig{Remote: server}); err == nil {
			conn.Conn = c.(interface {
				network.PacketConn
				packetAndStream
			})
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(deadline())
	m := new(dns.Msg)
	m.SetQuestion(name, dns.StringToType[kind])
	if err := conn.WriteMsg(m); err != nil {
		t.Fatal(err)
	}
	answer, err := conn.ReadMsg()
	if err != nil {
		t.Fatal(err)
	}
	if answer.Rcode != dns.RcodeSuccess {
		return []string{dns.RcodeToString[answer.Rcode]}
	}
	var records []string
	for _, r := range answer.Answer {
		records = append(records, strings.TrimPrefix(r.String(), r.Header().String()))
	}
	return records
}

// packetAndStream has the methods that dns.Conn needs of a connected socket.
type packetAndStream interface {
	Read([]byte) (int, error)
	Write([]byte) (int, error)
}

func TestDNSServesTopology(t *testing.T) {
	topo := fixture(t, "lab")
	topo.Mail = []topology.MX{{Domain: "example.org", Preference: 10, Host: "google.com"}}
	w := start(t, topo)
	for _, test := range []struct {
		name, kind string
		want       []string
	}{
		{"google.com.", "A", []string{"216.58.194.206"}},
		{"GOOGLE.com.", "AAAA", []string{"2001:db8:4005::200e"}},
		{"206.194.58.216.in-addr.arpa.", "PTR", []string{"sfo03s01-in-f14.1e100.net."}},
		{"18.177.17.96.in-addr.arpa.", "PTR", []string{"a96-17-177-18.deploy.static.akamaitechnologies.com."}},
		{"25.59.150.63.in-addr.arpa.", "PTR", []string{"svl-edge-25.inet.qwest.net."}},
		{"e.0.0.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.5.0.0.4.8.b.d.0.1.0.0.2.ip6.arpa.", "PTR", []string{"sfo03s01-in-f14.1e100.net."}},
		{"svl-edge-25.inet.qwest.net.", "A", []string{"63.150.59.25"}},
		{"example.com.", "A", []string{"10.0.202.7"}},
		{"example.org.", "MX", []string{"10 google.com."}},
		{"google.com.", "MX", nil},                                // the name exists without such a record
		{"7.202.0.10.in-addr.arpa.", "PTR", []string{"NXDOMAIN"}}, // B38 shows its number
		{"nobody.example.", "A", []string{"NXDOMAIN"}},
	} {
		for _, transport := range []string{"udp", "tcp"} {
			if got := lookup(t, w, transport, test.name, test.kind); !slices.Equal(got, test.want) {
				t.Errorf("%s %s by %s: %q, want %q", test.name, test.kind, transport, got, test.want)
			}
		}
	}
}
