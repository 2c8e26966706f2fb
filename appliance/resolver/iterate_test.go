package resolver_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/resolver"
)

// internet is a network with a root server, and servers of com and of a zone below it. None of
// them offers recursion.
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

// rootOptions returns options for iterative look-ups.
func rootOptions(more ...resolver.Alternate) resolver.Options {
	s := resolver.Settings{UseRoots: true, PTRTimeout: 20, Alternates: more}
	return resolver.Options{Settings: func() resolver.Settings {
		return s
	}, RootHints: []netip.Addr{netip.MustParseAddr("198.41.0.4")}}
}

func TestIterativeResolution(t *testing.T) {
	h := newHarnessIn(t, internet, rootOptions())
	h.wantAddrs(t, "www.example.com", 4, "203.0.113.80")
	if n := h.Stats().Network; n != 3 {
		t.Errorf("%d queries, want one each to the root, com and example.com", n)
	}
	h.wantError(t, "no.example.com", 4, resolver.ErrNotFound)
	if n := h.Stats().Network; n != 4 {
		t.Errorf("%d queries, want one more: the servers of a zone are cached", n)
	}
	h.wantError(t, "web.example.com", 6, resolver.ErrNoRecord)
	h.Flush()
	h.wantAddrs(t, "web.example.com", 4, "203.0.113.80")
	if n := h.Stats().Network; n != 8 {
		t.Errorf("%d queries, want three more after Flush", n)
	}
}

// The server of example2.com has a name in another zone, and refuses; that of nowhere.com has a
// name that does not exist.
func TestZonesWithoutServer(t *testing.T) {
	h := newHarnessIn(t, internet, rootOptions())
	h.wantError(t, "www.example2.com", 4, resolver.ErrNoAnswer)
	h.wantError(t, "www.nowhere.com", 4, resolver.ErrNoAnswer)
	h.wantError(t, "far.example.com", 4, resolver.ErrNoAnswer)
	h.wantError(t, "no-such-tld", 4, resolver.ErrNotFound)
}

func TestAlternateServers(t *testing.T) {
	intranet := resolver.Alternate{
		Domain: "corp.example.com",
		Host:   "ns.corp.example.com", Addr: netip.MustParseAddr("192.0.2.53"),
	}
	h := newHarnessIn(t, internet, rootOptions(intranet))
	h.wantAddrs(t, "www.corp.example.com", 4, "10.1.1.1")
	if n := h.Stats().Network; n != 1 {
		t.Errorf("%d queries, want only the one to the alternate server", n)
	}
	h.wantAddrs(t, "www.example.com", 4, "203.0.113.80")

	s := settingsWith(one)
	s.Alternates = []resolver.Alternate{
		{Domain: "com", Addr: one}, {Domain: "example.com", Addr: two},
		{Domain: "example.com", Addr: three},
	}
	h = newHarness(t, s)
	h.serve(t, one, answerRecords("other.com. 300 IN A 198.51.100.7"))
	h.serve(t, two, noAnswer)
	h.serve(t, three, sampleAnswer)
	h.wantAddrs(t, "www.example.com", 4, "198.51.100.9")
	h.wantAddrs(t, "other.com", 4, "198.51.100.7")
	h.wantQueries(t, "192.0.2.2 udp A", "192.0.2.3 udp A", "192.0.2.1 udp A")
}

// If no root server answers, a look-up does not wait for all thirteen.
func TestSilentRootServers(t *testing.T) {
	o := rootOptions()
	o.RootHints = nil
	for range 13 {
		o.RootHints = append(o.RootHints, one) // a silent server
	}
	h := newHarnessIn(t, topologyText, o)
	h.serve(t, one, noAnswer)
	_, err := h.Lookup(t.Context(), "www.example.com", 4)
	if !errors.Is(err, resolver.ErrNoAnswer) || !strings.Contains(err.Error(), "root servers") {
		t.Errorf("Lookup = %v", err)
	}
	if n := h.Stats().Network; n < 2 || n > 7 {
		t.Errorf("%d queries within six times the time-out", n)
	}
}

func TestQueriesComeFromConfiguredInterface(t *testing.T) {
	s := settingsWith(netip.MustParseAddr("203.0.113.1"))
	s.Interface = "Second"
	second := netip.MustParseAddr("198.51.100.25")
	var v6Calls []bool
	h := newHarnessIn(t, internet, resolver.Options{
		Settings: func() resolver.Settings { return s },
		Source: func(ifname string, v6 bool) netip.Addr {
			if ifname != "Second" {
				t.Errorf("Source was called for %q", ifname)
			}
			v6Calls = append(v6Calls, v6)
			return second
		},
	})
	// Data 2 has no route to the server: no answer arrives for its address.
	h.wantError(t, "web.example.com", 4, resolver.ErrNoAnswer)
	if len(v6Calls) == 0 || v6Calls[0] {
		t.Errorf("Source was called for IPv6: %v", v6Calls)
	}
}

func TestZoneCutsExpire(t *testing.T) {
	h := newHarnessIn(t, internet, rootOptions())
	h.wantAddrs(t, "web.example.com", 4, "203.0.113.80")
	h.clock.Advance(49 * time.Hour)
	h.wantAddrs(t, "web.example.com", 4, "203.0.113.80")
	if n := h.Stats().Network; n != 6 {
		t.Errorf("%d queries, want three more after the delegations' TTL of two days", n)
	}
}
