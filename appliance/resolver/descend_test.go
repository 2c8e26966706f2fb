package resolver_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/resolver"
)

// An Internet: a root server, servers of com and of two zones below it. Nobody recurses.
const internet = `
appliance:
  hostname: mail.example.com
  model: C100V
  serial: 000000000001-0000001
  version: 14.0.0-698
  interfaces:
    - {name: Data 1, device: nic1, addresses: [192.0.2.25/24], gateway: 192.0.2.1}
    - {name: Data 2, device: nic2, addresses: [198.51.100.25/24]}
paths:
  - to: 198.41.0.0/24
  - to: 192.5.6.0/24
  - to: 203.0.113.0/24
hosts:
  - name: root
    addresses: [198.41.0.4]
    services:
      - type: dns
        options:
          zone: .
          records: |
            com.                 172800 IN NS a.gtld-servers.net.
            a.gtld-servers.net.  172800 IN A  192.5.6.30
  - name: com
    addresses: [192.5.6.30]
    services:
      - type: dns
        options:
          zone: com
          records: |
            example.com.  172800 IN NS ns.example.com.
            ns.example.com.      IN A  203.0.113.1
            example2.com.        IN NS ns.example.com.
            nowhere.com.         IN NS ns.nowhere.com.
  - name: example
    addresses: [203.0.113.1]
    services:
      - type: dns
        options:
          zone: example.com
          records: |
            ns.example.com.   300 IN A     203.0.113.1
            www.example.com.  300 IN CNAME web.example.com.
            web.example.com.  300 IN A     203.0.113.80
            far.example.com.  300 IN CNAME www.example2.com.
  - name: intranet
    wire: Data 1
    addresses: [192.0.2.53]
    services:
      - type: dns
        options:
          zone: corp.example.com
          records: |
            www.corp.example.com. 300 IN A 10.1.1.1
`

func rooted(more ...resolver.Alternate) resolver.Options {
	s := resolver.Settings{UseRoots: true, PTRTimeout: 20, Alternates: more}
	return resolver.Options{Settings: func() resolver.Settings { return s }, RootHints: []netip.Addr{netip.MustParseAddr("198.41.0.4")}}
}

func TestFromTheRootDownwards(t *testing.T) {
	b := benchIn(t, internet, rooted())
	b.wantAddrs(t, "www.example.com", 4, "203.0.113.80")
	if n := b.Stats().Network; n != 3 {
		t.Errorf("%d queries, want one each to the root, com and example.com", n)
	}
	b.wantError(t, "no.example.com", 4, resolver.ErrNotFound)
	if n := b.Stats().Network; n != 4 {
		t.Errorf("%d queries: the servers of a zone are remembered", n)
	}
	b.wantError(t, "web.example.com", 6, resolver.ErrNoRecord)
	b.Flush()
	b.wantAddrs(t, "web.example.com", 4, "203.0.113.80")
	if n := b.Stats().Network; n != 8 {
		t.Errorf("%d queries: Flush forgets the servers of zones", n)
	}
}

// The server of example2.com has a name in another zone, and refuses; that of
// nowhere.com has a name that nobody knows.
func TestZonesWithoutAServer(t *testing.T) {
	b := benchIn(t, internet, rooted())
	b.wantError(t, "www.example2.com", 4, resolver.ErrNoAnswer)
	b.wantError(t, "www.nowhere.com", 4, resolver.ErrNoAnswer)
	b.wantError(t, "far.example.com", 4, resolver.ErrNoAnswer)
	b.wantError(t, "no-such-tld", 4, resolver.ErrNotFound)
}

func TestAlternateServersAreAskedForTheirDomain(t *testing.T) {
	intranet := resolver.Alternate{Domain: "corp.example.com", Host: "ns.corp.example.com", Addr: netip.MustParseAddr("192.0.2.53")}
	b := benchIn(t, internet, rooted(intranet))
	b.wantAddrs(t, "www.corp.example.com", 4, "10.1.1.1")
	if n := b.Stats().Network; n != 1 {
		t.Errorf("%d queries, want only the one to the alternate server", n)
	}
	b.wantAddrs(t, "www.example.com", 4, "203.0.113.80")

	s := asking(one)
	s.Alternates = []resolver.Alternate{{Domain: "com", Addr: one}, {Domain: "example.com", Addr: two}, {Domain: "example.com", Addr: three}}
	b = newBench(t, s)
	b.serve(t, one, records("other.com. 300 IN A 198.51.100.7"))
	b.serve(t, two, silent)
	b.serve(t, three, sample)
	b.wantAddrs(t, "www.example.com", 4, "198.51.100.9")
	b.wantAddrs(t, "other.com", 4, "198.51.100.7")
	b.wantAsked(t, "192.0.2.2 udp A", "192.0.2.3 udp A", "192.0.2.1 udp A")
}

// Without root servers a look-up ends in time; it does not wait for all thirteen.
func TestNoRootServerAnswers(t *testing.T) {
	o := rooted()
	o.RootHints = nil
	for range 13 {
		o.RootHints = append(o.RootHints, one) // a machine without a name server, and silent
	}
	b := benchIn(t, topology, o)
	b.serve(t, one, silent)
	_, err := b.Lookup(t.Context(), "www.example.com", 4)
	if !errors.Is(err, resolver.ErrNoAnswer) || !strings.Contains(err.Error(), "root servers") {
		t.Errorf("Lookup = %v", err)
	}
	if n := b.Stats().Network; n < 2 || n > 7 {
		t.Errorf("%d queries were sent within six times the time-out", n)
	}
}

func TestQueriesComeFromTheChosenInterface(t *testing.T) {
	s := asking(netip.MustParseAddr("203.0.113.1"))
	s.Interface = "Second"
	second := netip.MustParseAddr("198.51.100.25")
	var asked []bool
	b := benchIn(t, internet, resolver.Options{
		Settings: func() resolver.Settings { return s },
		Source: func(ifname string, v6 bool) netip.Addr {
			if ifname != "Second" {
				t.Errorf("the source of %q was asked for", ifname)
			}
			asked = append(asked, v6)
			return second
		},
	})
	// Data 2 has no route to the server: nothing comes back for its address.
	b.wantError(t, "web.example.com", 4, resolver.ErrNoAnswer)
	if len(asked) == 0 || asked[0] {
		t.Errorf("asked for sources of IPv6: %v", asked)
	}
}

func TestCutsGrowOld(t *testing.T) {
	b := benchIn(t, internet, rooted())
	b.wantAddrs(t, "web.example.com", 4, "203.0.113.80")
	b.clock.Advance(49 * time.Hour)
	b.wantAddrs(t, "web.example.com", 4, "203.0.113.80")
	if n := b.Stats().Network; n != 6 {
		t.Errorf("%d queries, want all three again after the delegations' two days", n)
	}
}
