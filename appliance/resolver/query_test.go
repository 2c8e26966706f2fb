package resolver_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/miekg/dns"

	"github.com/esasim/esasim/appliance/resolver"
)

func TestAQueryTellsAllOfItsAnswer(t *testing.T) {
	b := newBench(t, asking(two))
	b.serve(t, one, func(q *dns.Msg, transport string) []*dns.Msg {
		m := records("example.com. 300 IN MX 10 a.example.com.", "example.com. 60 IN SOA ns. root. 1 2 3 4 5")(q, transport)[0]
		rr, _ := dns.NewRR("a.example.com. 30 IN A 198.51.100.9")
		m.Extra = []dns.RR{rr}
		m.RecursionAvailable = true
		return []*dns.Msg{m}
	})
	got, err := b.Query(t.Context(), resolver.Query{Name: "Example.com", Type: "mx", Server: one})
	if err != nil {
		t.Fatal(err)
	}
	want := &resolver.Response{
		Server: netip.AddrPortFrom(one, 53),
		Opcode: "QUERY", Status: "NOERROR", Flags: []string{"qr", "rd", "ra"},
		Question:   resolver.Record{Name: "Example.com.", Class: "IN", Type: "MX"},
		Answer:     []resolver.Record{{"example.com.", 300, "IN", "MX", "10 a.example.com."}},
		Authority:  []resolver.Record{{"example.com.", 60, "IN", "SOA", "ns. root. 1 2 3 4 5"}},
		Additional: []resolver.Record{{"a.example.com.", 30, "IN", "A", "198.51.100.9"}},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(resolver.Response{}, "ID", "Size", "Took"), cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
		t.Error(diff)
	}
	if got.Size < 50 || got.Took <= 0 {
		t.Errorf("size %d, took %v", got.Size, got.Took)
	}
	if s := b.Stats(); s != (resolver.Stats{Network: 1}) {
		t.Errorf("counters: %+v", s)
	}
}

func TestAFailureIsAnAnswerToAQuery(t *testing.T) {
	b := newBench(t, asking(one))
	b.serve(t, one, fails(dns.RcodeServerFailure))
	got, err := b.Query(t.Context(), resolver.Query{Name: "example.com", Type: "A"})
	if err != nil || got.Status != "SERVFAIL" {
		t.Errorf("Query = %+v, %v", got, err)
	}
}

func TestAQueryOverTCP(t *testing.T) {
	b := newBench(t, asking(one))
	b.serve(t, one, func(q *dns.Msg, transport string) []*dns.Msg {
		m := records("www.example.com. 300 IN A 198.51.100.9")(q, transport)[0]
		m.Truncated = transport == "udp"
		return []*dns.Msg{m}
	})
	got, err := b.Query(t.Context(), resolver.Query{Name: "www.example.com", Type: "A", TCP: true})
	if err != nil || !got.TCP || got.Truncated {
		t.Errorf("Query = %+v, %v", got, err)
	}
	b.wantAsked(t, "192.0.2.1 tcp A")
	got, err = b.Query(t.Context(), resolver.Query{Name: "www.example.com", Type: "A"})
	if err != nil || !got.TCP || !got.Truncated {
		t.Errorf("Query = %+v, %v", got, err)
	}
	b.wantAsked(t, "192.0.2.1 udp A", "192.0.2.1 tcp A")
}

func TestAQueryThatNobodyAnswers(t *testing.T) {
	b := newBench(t, asking(one))
	b.serve(t, one, silent)
	if _, err := b.Query(t.Context(), resolver.Query{Name: "www.example.com", Type: "A"}); !errors.Is(err, resolver.ErrNoAnswer) {
		t.Errorf("Query = %v", err)
	}
	if _, err := newBench(t, asking()).Query(t.Context(), resolver.Query{Name: "www.example.com", Type: "A"}); !errors.Is(err, resolver.ErrNoServer) {
		t.Errorf("Query = %v", err)
	}
}

func TestRecordsGrowOldInTheCache(t *testing.T) {
	s := asking(one)
	s.MinimumTTL = 1800
	b := newBench(t, s)
	b.serve(t, one, sample)
	for _, ttl := range []uint32{1800, 1799} {
		got, err := b.Records(t.Context(), "www.example.com", "a")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]resolver.Record{{"www.example.com.", ttl, "IN", "A", "198.51.100.9"}}, got); diff != "" {
			t.Error(diff)
		}
		b.clock.Advance(time.Second)
	}
	b.wantAsked(t, "192.0.2.1 udp A")
}

func TestRecordsOfAnAddress(t *testing.T) {
	b := newBench(t, asking(good))
	got, err := b.Records(t.Context(), "198.51.100.9", "PTR")
	if err != nil || len(got) != 1 || got[0].Data != "www.example.com." {
		t.Errorf("Records = %v, %v", got, err)
	}
	for kind, want := range map[string]error{"MX": resolver.ErrNoRecord, "TXT": resolver.ErrNoRecord} {
		if _, err := b.Records(t.Context(), "www.example.com", kind); !errors.Is(err, want) {
			t.Errorf("%s: %v", kind, err)
		}
	}
	if _, err := b.Records(t.Context(), "no.example.com", "MX"); !errors.Is(err, resolver.ErrNotFound) || errors.Is(err, resolver.ErrNoRecord) {
		t.Errorf("no.example.com: %v", err)
	}
}

func TestReverseLookupsCanBeSwitchedOff(t *testing.T) {
	s := asking(one)
	s.PTRTimeout = 0
	b := newBench(t, s)
	b.serve(t, one, sample)
	if _, err := b.LookupAddr(t.Context(), netip.MustParseAddr("198.51.100.9")); !errors.Is(err, resolver.ErrNoAnswer) {
		t.Errorf("LookupAddr = %v", err)
	}
	b.wantAsked(t)
}

func TestCountersOfEarlierRuns(t *testing.T) {
	s := asking(one)
	b := benchIn(t, topology, resolver.Options{
		Settings:      func() resolver.Settings { return s },
		PreviousStats: resolver.Stats{Requests: 1000, Network: 200, Hits: 30, Misses: 4, Exceptions: 5, Expired: 6},
	})
	b.serve(t, one, sample)
	b.wantAddrs(t, "www.example.com", 4, "198.51.100.9")
	want := resolver.Stats{Requests: 1001, Network: 201, Hits: 30, Misses: 5, Exceptions: 5, Expired: 6}
	if diff := cmp.Diff(want, b.Lifetime()); diff != "" {
		t.Error(diff)
	}
}
