package resolver_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/resolver"
)

// topologyText is the network of these tests: the appliance, a name server with the names of the
// topology, and three hosts on which tests run servers of their own.
const topologyText = `
appliance:
  hostname: mail.example.com
  model: C100V
  serial: 000000000001-0000001
  version: 14.0.0-698
  interfaces:
    - name: Data 1
      device: nic1
      addresses: [192.0.2.25/24, "2001:db8::25/64"]
hosts:
  - {name: good, wire: Data 1, addresses: [192.0.2.53], services: [{type: dns}]}
  - {name: one, wire: Data 1, addresses: [192.0.2.1]}
  - {name: two, wire: Data 1, addresses: [192.0.2.2]}
  - {name: three, wire: Data 1, addresses: [192.0.2.3]}
names:
  198.51.100.9: www.example.com
`

var (
	worldServer = netip.MustParseAddr("192.0.2.53")
	one         = netip.MustParseAddr("192.0.2.1")
	two         = netip.MustParseAddr("192.0.2.2")
	three       = netip.MustParseAddr("192.0.2.3")
)

// A harness is a client in a simulated network.
type harness struct {
	*resolver.Client
	world *netsim.World
	clock *clock.Fake

	mu      sync.Mutex
	queries []string // such as "192.0.2.1 udp A", in order
}

// timeout is the client's. Servers that answer do so immediately.
const timeout = 500 * time.Millisecond

func newHarness(t *testing.T, s resolver.Settings) *harness {
	t.Helper()
	return newHarnessIn(t, topologyText, resolver.Options{Settings: func() resolver.Settings {
		return s
	}})
}

// newHarnessIn returns a harness in another network, with further options.
func newHarnessIn(t *testing.T, topology string, o resolver.Options) *harness {
	t.Helper()
	topo, err := netsim.Load("test", []byte(topology))
	if err != nil {
		t.Fatal(err)
	}
	w, err := netsim.New(topo, netsim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Stop(context.Background()) })
	if err := w.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	h := &harness{world: w, clock: clock.NewFake(time.Date(2015, 6, 25, 8, 50, 3, 0, time.UTC))}
	o.Net, o.Clock, o.Rand, o.Timeout = w.Network(), h.clock, entropy.System().Stream("resolver"),
		timeout
	h.Client = resolver.New(o)
	return h
}

// settingsWith returns settings with the given servers, of equal priority.
func settingsWith(servers ...netip.Addr) resolver.Settings {
	s := resolver.Settings{PTRTimeout: 20}
	for _, a := range servers {
		s.Servers = append(s.Servers, resolver.Server{Addr: a})
	}
	return s
}

// An answerFunc returns the answers to a query; transport is "udp" or "tcp".
type answerFunc func(q *dns.Msg, transport string) []*dns.Msg

// serve runs a name server on one of the hosts.
func (h *harness) serve(t *testing.T, on netip.Addr, r answerFunc) {
	t.Helper()
	at := netip.AddrPortFrom(on, 53)
	packets, err := h.world.Hosts().ListenPacket(t.Context(), network.DialConfig{Local: at})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := h.world.Hosts().Listen(t.Context(), network.ListenConfig{Addr: at})
	if err != nil {
		t.Fatal(err)
	}
	for transport, s := range map[string]*dns.Server{"udp": {PacketConn: packets}, "tcp": {Listener: listener}} {
		s.Handler = dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
			h.mu.Lock()
			h.queries = append(h.queries, fmt.Sprintf("%v %s %s", on, transport,
				dns.TypeToString[q.Question[0].Qtype]))
			h.mu.Unlock()
			for _, m := range r(q, transport) {
				if err := w.WriteMsg(m); err != nil {
					t.Error(err)
				}
			}
		})
		begun := make(chan struct{})
		s.NotifyStartedFunc = func() { close(begun) }
		ended := make(chan error, 1)
		go func() { ended <- s.ActivateAndServe() }()
		<-begun
		t.Cleanup(func() {
			if err := s.Shutdown(); err != nil {
				t.Error(err)
			}
			<-ended
		})
	}
}

// wantQueries compares the queries that the tests' servers have received, and forgets them.
func (h *harness) wantQueries(t *testing.T, want ...string) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if diff := cmp.Diff(want, h.queries); diff != "" {
		t.Error("queries:\n", diff)
	}
	h.queries = nil
}

// answerRecords returns an answerFunc that answers with the given records, in the format of zone
// files.
func answerRecords(lines ...string) answerFunc {
	return func(q *dns.Msg, _ string) []*dns.Msg {
		m := new(dns.Msg).SetReply(q)
		for _, l := range lines {
			rr, err := dns.NewRR(l)
			if err != nil {
				panic(err)
			}
			if rr.Header().Rrtype == dns.TypeSOA {
				m.Ns = append(m.Ns, rr)
			} else {
				m.Answer = append(m.Answer, rr)
			}
		}
		return []*dns.Msg{m}
	}
}

// answerError returns an answerFunc that answers with the given response code.
func answerError(rcode int, more ...string) answerFunc {
	return func(q *dns.Msg, transport string) []*dns.Msg {
		m := answerRecords(more...)(q, transport)[0]
		m.Rcode = rcode
		return []*dns.Msg{m}
	}
}

func noAnswer(*dns.Msg, string) []*dns.Msg { return nil }

var sampleAnswer = answerRecords("www.example.com. 300 IN A 198.51.100.9")

// wantAddrs looks up a name and compares the addresses.
func (h *harness) wantAddrs(t *testing.T, name string, family int, want ...string) {
	t.Helper()
	got, err := h.Lookup(t.Context(), name, family)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	var texts []string
	for _, a := range got {
		texts = append(texts, a.String())
	}
	if !slices.Equal(texts, want) {
		t.Errorf("%s: %q, want %q", name, texts, want)
	}
}

func (h *harness) wantError(t *testing.T, name string, family int, want error) {
	t.Helper()
	if got, err := h.Lookup(t.Context(), name, family); !errors.Is(err, want) {
		t.Errorf("%s: %v, %v; want %v", name, got, err, want)
	}
}

func TestNamesOfTheWorld(t *testing.T) {
	h := newHarness(t, settingsWith(worldServer))
	h.wantAddrs(t, "WWW.Example.com", 4, "198.51.100.9")
	h.wantAddrs(t, "www.example.com.", 0, "198.51.100.9")
	h.wantAddrs(t, "mail.example.com", 0, "192.0.2.25", "2001:db8::25")
	h.wantAddrs(t, "mail.example.com", 6, "2001:db8::25")
	h.wantError(t, "www.example.com", 6, resolver.ErrNotFound)
	for _, nobody := range []string{"nobody.example.com", "no body.example.com", "nobody's.example.com", `no\body"(;)`} {
		h.wantError(t, nobody, 0, resolver.ErrNotFound)
	}
	if name, err := h.LookupAddr(t.Context(), netip.MustParseAddr("198.51.100.9")); name != "www.example.com" || err != nil {
		t.Errorf("198.51.100.9 is %q, %v", name, err)
	}
	if _, err := h.LookupAddr(t.Context(), netip.MustParseAddr("2001:db8::9")); !errors.Is(err, resolver.ErrNotFound) {
		t.Errorf("2001:db8::9: %v", err)
	}
}

func TestNamesThatNeedNoServer(t *testing.T) {
	h := newHarness(t, resolver.Settings{PTRTimeout: 1})
	h.wantAddrs(t, "192.0.2.7", 0, "192.0.2.7")
	h.wantAddrs(t, "2001:db8::7", 6, "2001:db8::7")
	h.wantError(t, "192.0.2.7", 6, resolver.ErrNotFound)
	h.wantError(t, "2001:db8::7", 4, resolver.ErrNotFound)
	h.wantAddrs(t, "localhost", 0, "127.0.0.1", "::1")
	h.wantAddrs(t, "LocalHost.", 4, "127.0.0.1")
	h.wantError(t, "", 0, resolver.ErrNotFound)
	h.wantError(t, strings.Repeat("a", 64)+".com", 0, resolver.ErrNotFound)
	if name, err := h.LookupAddr(t.Context(), netip.MustParseAddr("127.0.0.1")); name != "localhost" || err != nil {
		t.Errorf("127.0.0.1 is %q, %v", name, err)
	}
	h.wantError(t, "www.example.com", 4, resolver.ErrNoServer)
}

func TestAnswerIsCachedForItsTTL(t *testing.T) {
	for _, c := range []struct {
		ttl, minimum int
		kept         time.Duration
	}{
		{300, 0, 300 * time.Second},
		{300, 1800, 1800 * time.Second},
		{1 << 30, 0, 24 * time.Hour},
	} {
		s := settingsWith(one)
		s.MinimumTTL = c.minimum
		h := newHarness(t, s)
		h.serve(t, one, answerRecords(fmt.Sprintf("www.example.com. %d IN A 198.51.100.9", c.ttl)))
		h.wantAddrs(t, "www.example.com", 4, "198.51.100.9")
		h.clock.Advance(c.kept - time.Second)
		h.wantAddrs(t, "www.example.com", 4, "198.51.100.9")
		h.wantQueries(t, "192.0.2.1 udp A")
		h.clock.Advance(time.Second)
		h.wantAddrs(t, "www.example.com", 4, "198.51.100.9")
		h.wantQueries(t, "192.0.2.1 udp A")
		want := resolver.Stats{Requests: 3, Network: 2, Hits: 1, Misses: 2, Expired: 1}
		if diff := cmp.Diff(want, h.Stats()); diff != "" {
			t.Errorf("TTL %d: counters: %s", c.ttl, diff)
		}
	}
}

func TestNegativeCaching(t *testing.T) {
	for name, c := range map[string]struct {
		answer answerFunc
		kept   time.Duration
	}{
		"TTL of the zone": {answerError(dns.RcodeNameError,
			"example.com. 600 IN SOA ns. root. 1 1 1 1 120"), 120 * time.Second},
		"TTL of the SOA record": {answerError(dns.RcodeNameError,
			"example.com. 90 IN SOA ns. root. 1 1 1 1 120"), 90 * time.Second},
		"no record of the type": {answerRecords("example.com. 600 IN SOA ns. root. 1 1 1 1 120"),
			120 * time.Second},
		"no SOA record": {answerError(dns.RcodeNameError), time.Minute},
		"below the minimum TTL": {answerError(dns.RcodeNameError,
			"example.com. 5 IN SOA ns. root. 1 1 1 1 5"), 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			s := settingsWith(one)
			s.MinimumTTL = 1800 // must not apply to negative answers
			h := newHarness(t, s)
			h.serve(t, one, c.answer)
			h.wantError(t, "no.example.com", 4, resolver.ErrNotFound)
			h.clock.Advance(c.kept - time.Second)
			h.wantError(t, "no.example.com", 4, resolver.ErrNotFound)
			h.wantQueries(t, "192.0.2.1 udp A")
			h.clock.Advance(time.Second)
			h.wantError(t, "no.example.com", 4, resolver.ErrNotFound)
			h.wantQueries(t, "192.0.2.1 udp A")
		})
	}
}

func TestFlush(t *testing.T) {
	h := newHarness(t, settingsWith(one))
	h.serve(t, one, sampleAnswer)
	h.wantAddrs(t, "www.example.com", 4, "198.51.100.9")
	h.Flush()
	h.wantAddrs(t, "www.example.com", 4, "198.51.100.9")
	h.wantQueries(t, "192.0.2.1 udp A", "192.0.2.1 udp A")
}

func TestServersAreQueriedByPriority(t *testing.T) {
	s := resolver.Settings{PTRTimeout: 20, Servers: []resolver.Server{
		{Priority: 2, Addr: three}, {Priority: 0, Addr: one}, {Priority: 1, Addr: two},
	}}
	h := newHarness(t, s)
	h.serve(t, one, answerError(dns.RcodeServerFailure))
	h.serve(t, two, answerError(dns.RcodeRefused))
	h.serve(t, three, sampleAnswer)
	h.wantAddrs(t, "www.example.com", 4, "198.51.100.9")
	h.wantQueries(t, "192.0.2.1 udp A", "192.0.2.2 udp A", "192.0.2.3 udp A")
	if s.Servers[0].Addr != three {
		t.Error("the settings were sorted in place")
	}
}

func TestSilentServerIsSkipped(t *testing.T) {
	h := newHarness(t, settingsWith(one, two))
	h.serve(t, one, noAnswer)
	h.serve(t, two, sampleAnswer)
	h.wantAddrs(t, "www.example.com", 4, "198.51.100.9")
	h.wantQueries(t, "192.0.2.1 udp A", "192.0.2.2 udp A")
}

// A host without a name server, which refuses, and a server that fails are each queried twice.
func TestAllServersFail(t *testing.T) {
	h := newHarness(t, settingsWith(one, two))
	h.serve(t, two, answerError(dns.RcodeServerFailure))
	_, err := h.Lookup(t.Context(), "www.example.com", 4)
	if !errors.Is(err, resolver.ErrNoAnswer) || !strings.HasSuffix(err.Error(), "192.0.2.2: server answered SERVFAIL") {
		t.Errorf("Lookup = %v", err)
	}
	h.wantQueries(t, "192.0.2.2 udp A", "192.0.2.2 udp A")
	if s := h.Stats(); s.Network != 4 || s.Exceptions != 1 {
		t.Errorf("counters: %+v", s)
	}
	h.wantError(t, "www.example.com", 4, resolver.ErrNoAnswer) // failures are not cached
	h.wantQueries(t, "192.0.2.2 udp A", "192.0.2.2 udp A")
}

// That the look-up of one family fails is not hidden by the other family having no address.
func TestFailureOfOneFamily(t *testing.T) {
	broken := dns.TypeAAAA
	h := newHarness(t, settingsWith(one))
	h.serve(t, one, func(q *dns.Msg, transport string) []*dns.Msg {
		if q.Question[0].Qtype == broken {
			return answerError(dns.RcodeServerFailure)(q, transport)
		}
		if strings.HasPrefix(q.Question[0].Name, "no.") {
			return answerError(dns.RcodeNameError)(q, transport)
		}
		return sampleAnswer(q, transport)
	})
	h.wantAddrs(t, "www.example.com", 0, "198.51.100.9")
	h.wantError(t, "no.example.com", 0, resolver.ErrNoAnswer)
}

func TestTruncatedAnswerIsFetchedOverTCP(t *testing.T) {
	h := newHarness(t, settingsWith(one))
	h.serve(t, one, func(q *dns.Msg, transport string) []*dns.Msg {
		if transport == "tcp" {
			return sampleAnswer(q, transport)
		}
		m := new(dns.Msg).SetReply(q)
		m.Truncated = true
		return []*dns.Msg{m}
	})
	h.wantAddrs(t, "www.example.com", 4, "198.51.100.9")
	h.wantQueries(t, "192.0.2.1 udp A", "192.0.2.1 tcp A")
}

func TestUnrelatedAnswersAreIgnored(t *testing.T) {
	h := newHarness(t, settingsWith(one))
	h.serve(t, one, func(q *dns.Msg, transport string) []*dns.Msg {
		forged := func(change func(*dns.Msg)) *dns.Msg {
			m := answerRecords("www.example.com. 300 IN A 203.0.113.66")(q, transport)[0]
			change(m)
			return m
		}
		return append([]*dns.Msg{
			forged(func(m *dns.Msg) { m.Id++ }),
			forged(func(m *dns.Msg) { m.Response = false }),
			forged(func(m *dns.Msg) { m.Question[0].Name = "other.example.com." }),
			forged(func(m *dns.Msg) { m.Question = nil }),
		}, sampleAnswer(q, transport)...)
	})
	h.wantAddrs(t, "www.example.com", 4, "198.51.100.9")
}

func TestLookupReturnsCauseOfContext(t *testing.T) {
	h := newHarness(t, settingsWith(one))
	cause := errors.New("cause")
	ctx, cancel := context.WithCancelCause(t.Context())
	h.serve(t, one, func(*dns.Msg, string) []*dns.Msg {
		cancel(cause)
		return nil
	})
	if _, err := h.Lookup(ctx, "www.example.com", 4); !errors.Is(err, cause) {
		t.Errorf("Lookup = %v", err)
	}
	h.wantQueries(t, "192.0.2.1 udp A")
}

// The time-out applies to all servers and rounds together.
func TestReverseLookupsHaveOwnTimeout(t *testing.T) {
	s := settingsWith(one, two, three)
	s.PTRTimeout = 1
	h := newHarness(t, s)
	for _, a := range []netip.Addr{one, two, three} {
		h.serve(t, a, noAnswer)
	}
	if _, err := h.LookupAddr(t.Context(), netip.MustParseAddr("198.51.100.9")); !errors.Is(err, resolver.ErrNoAnswer) {
		t.Errorf("LookupAddr = %v", err)
	}
	if n := h.Stats().Network; n < 2 || n > 3 {
		t.Errorf("%d queries, want those of one second", n)
	}
}

func TestMailExchangersByPreference(t *testing.T) {
	h := newHarness(t, settingsWith(one))
	h.serve(t, one, answerRecords("example.com. 300 IN MX 20 h.example.com.",
		"example.com. 300 IN MX 10 a.example.com.", "example.com. 300 IN MX 20 c.example.com."))
	got, err := h.LookupMX(t.Context(), "example.com")
	if err != nil {
		t.Fatal(err)
	}
	want := []resolver.MX{{10, "a.example.com"}, {20, "h.example.com"}, {20, "c.example.com"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAliasesAreFollowed(t *testing.T) {
	h := newHarness(t, settingsWith(one))
	h.serve(t, one, answerRecords("www.example.com. 300 IN CNAME web.example.com.",
		"web.example.com. 60 IN A 198.51.100.9"))
	h.wantAddrs(t, "www.example.com", 4, "198.51.100.9")
	h.clock.Advance(61 * time.Second) // the shortest TTL of the chain counts
	h.wantAddrs(t, "www.example.com", 4, "198.51.100.9")
	h.wantQueries(t, "192.0.2.1 udp A", "192.0.2.1 udp A")
}

func TestConcurrentLookups(t *testing.T) {
	h := newHarness(t, settingsWith(worldServer))
	var all sync.WaitGroup
	for n := range 20 {
		all.Go(func() {
			if n%2 == 0 {
				h.wantAddrs(t, "www.example.com", 4, "198.51.100.9")
			} else {
				h.wantError(t, fmt.Sprintf("no%d.example.com", n), 4, resolver.ErrNotFound)
			}
		})
	}
	all.Wait()
	if s := h.Stats(); s.Requests != 20 || s.Hits+s.Misses != 20 || s.Exceptions != 0 {
		t.Errorf("counters: %+v", s)
	}
}

func TestInvalidSettings(t *testing.T) {
	store := config.NewStore()
	for _, change := range []func(*resolver.Settings){
		func(s *resolver.Settings) { s.Servers = []resolver.Server{{}} },
		func(s *resolver.Settings) { s.Servers = []resolver.Server{{Priority: 21, Addr: one}} },
		func(s *resolver.Settings) { s.Servers = []resolver.Server{{Priority: -1, Addr: one}} },
		func(s *resolver.Settings) { s.PTRTimeout = -1 },
		func(s *resolver.Settings) { s.MinimumTTL = -1 },
	} {
		d := store.NewDraft()
		s := resolver.DNS.Get(d)
		change(&s)
		resolver.DNS.Set(d, s)
		var invalid *config.InvalidError
		if _, err := store.Commit(t.Context(), d, config.CommitInfo{}); !errors.As(err, &invalid) {
			t.Errorf("%+v: %v", s, err)
		}
	}
}
