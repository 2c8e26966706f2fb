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

func TestQueryReturnsWholeAnswer(t *testing.T) {
	h := newHarness(t, settingsWith(two))
	h.serve(t, one, func(q *dns.Msg, transport string) []*dns.Msg {
		m := answerRecords("example.com. 300 IN MX 10 a.example.com.",
			"example.com. 60 IN SOA ns. root. 1 2 3 4 5")(q, transport)[0]
		rr, _ := dns.NewRR("a.example.com. 30 IN A 198.51.100.9")
		m.Extra = []dns.RR{rr}
		m.RecursionAvailable = true
		return []*dns.Msg{m}
	})
	got, err := h.Query(t.Context(), resolver.Query{Name: "Example.com", Type: "mx", Server: one})
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
	if s := h.Stats(); s != (resolver.Stats{Network: 1}) {
		t.Errorf("counters: %+v", s)
	}
}

func TestQueryReturnsFailures(t *testing.T) {
	h := newHarness(t, settingsWith(one))
	h.serve(t, one, answerError(dns.RcodeServerFailure))
	got, err := h.Query(t.Context(), resolver.Query{Name: "example.com", Type: "A"})
	if err != nil || got.Status != "SERVFAIL" {
		t.Errorf("Query = %+v, %v", got, err)
	}
}

func TestQueryOverTCP(t *testing.T) {
	h := newHarness(t, settingsWith(one))
	h.serve(t, one, func(q *dns.Msg, transport string) []*dns.Msg {
		m := answerRecords("www.example.com. 300 IN A 198.51.100.9")(q, transport)[0]
		m.Truncated = transport == "udp"
		return []*dns.Msg{m}
	})
	got, err := h.Query(t.Context(), resolver.Query{Name: "www.example.com", Type: "A", TCP: true})
	if err != nil || !got.TCP || got.Truncated {
		t.Errorf("Query = %+v, %v", got, err)
	}
	h.wantQueries(t, "192.0.2.1 tcp A")
	got, err = h.Query(t.Context(), resolver.Query{Name: "www.example.com", Type: "A"})
	if err != nil || !got.TCP || !got.Truncated {
		t.Errorf("Query = %+v, %v", got, err)
	}
	h.wantQueries(t, "192.0.2.1 udp A", "192.0.2.1 tcp A")
}

func TestQueryWithoutAnswer(t *testing.T) {
	h := newHarness(t, settingsWith(one))
	h.serve(t, one, noAnswer)
	if _, err := h.Query(t.Context(), resolver.Query{Name: "www.example.com", Type: "A"}); !errors.Is(err, resolver.ErrNoAnswer) {
		t.Errorf("Query = %v", err)
	}
	if _, err := newHarness(t, settingsWith()).Query(t.Context(), resolver.Query{Name: "www.example.com", Type: "A"}); !errors.Is(err, resolver.ErrNoServer) {
		t.Errorf("Query = %v", err)
	}
}

func TestRecordsReturnsRemainingTTL(t *testing.T) {
	s := settingsWith(one)
	s.MinimumTTL = 1800
	h := newHarness(t, s)
	h.serve(t, one, sampleAnswer)
	for _, ttl := range []uint32{1800, 1799} {
		got, err := h.Records(t.Context(), "www.example.com", "a")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]resolver.Record{{"www.example.com.", ttl, "IN", "A", "198.51.100.9"}}, got); diff != "" {
			t.Error(diff)
		}
		h.clock.Advance(time.Second)
	}
	h.wantQueries(t, "192.0.2.1 udp A")
}

func TestRecordsOfAddress(t *testing.T) {
	h := newHarness(t, settingsWith(worldServer))
	got, err := h.Records(t.Context(), "198.51.100.9", "PTR")
	if err != nil || len(got) != 1 || got[0].Data != "www.example.com." {
		t.Errorf("Records = %v, %v", got, err)
	}
	for kind, want := range map[string]error{"MX": resolver.ErrNoRecord, "TXT": resolver.ErrNoRecord} {
		if _, err := h.Records(t.Context(), "www.example.com", kind); !errors.Is(err, want) {
			t.Errorf("%s: %v", kind, err)
		}
	}
	if _, err := h.Records(t.Context(), "no.example.com", "MX"); !errors.Is(err, resolver.ErrNotFound) || errors.Is(err, resolver.ErrNoRecord) {
		t.Errorf("no.example.com: %v", err)
	}
}

func TestReverseLookupsCanBeDisabled(t *testing.T) {
	s := settingsWith(one)
	s.PTRTimeout = 0
	h := newHarness(t, s)
	h.serve(t, one, sampleAnswer)
	if _, err := h.LookupAddr(t.Context(), netip.MustParseAddr("198.51.100.9")); !errors.Is(err, resolver.ErrNoAnswer) {
		t.Errorf("LookupAddr = %v", err)
	}
	h.wantQueries(t)
}

func TestLifetimeIncludesEarlierRuns(t *testing.T) {
	s := settingsWith(one)
	h := newHarnessIn(t, topologyText, resolver.Options{
		Settings: func() resolver.Settings { return s },
		PreviousStats: resolver.Stats{
			Requests: 1000, Network: 200, Hits: 30, Misses: 4, Exceptions: 5, Expired: 6,
		},
	})
	h.serve(t, one, sampleAnswer)
	h.wantAddrs(t, "www.example.com", 4, "198.51.100.9")
	want := resolver.Stats{
		Requests: 1001, Network: 201, Hits: 30, Misses: 5, Exceptions: 5, Expired: 6,
	}
	if diff := cmp.Diff(want, h.Lifetime()); diff != "" {
		t.Error(diff)
	}
}
