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

// The network of these tests: the appliance, a name server that knows the names of the
// topology, and three machines on which tests run servers of their own.
const topology = `
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
	good  = netip.MustParseAddr("192.0.2.53")
	one   = netip.MustParseAddr("192.0.2.1")
	two   = netip.MustParseAddr("192.0.2.2")
	three = netip.MustParseAddr("192.0.2.3")
)

// A bench is a client in that network.
type bench struct {
	*resolver.Client
	world *netsim.World
	clock *clock.Fake

	mu    sync.Mutex
	asked []string // "192.0.2.1 udp A", in order
}

// timeout is how long the client waits for a server. Those that answer do it at once.
const timeout = 500 * time.Millisecond

func newBench(t *testing.T, s resolver.Settings) *bench {
	t.Helper()
	return benchIn(t, topology, resolver.Options{Settings: func() resolver.Settings { return s }})
}

// benchIn is a bench in another network, with what o says.
func benchIn(t *testing.T, topology string, o resolver.Options) *bench {
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
	b := &bench{world: w, clock: clock.NewFake(time.Date(2015, 6, 25, 8, 50, 3, 0, time.UTC))}
	o.Net, o.Clock, o.Rand, o.Timeout = w.Network(), b.clock, entropy.System().Stream("resolver"), timeout
	b.Client = resolver.New(o)
	return b
}

// asking are settings with these servers, of equal priority.
func asking(servers ...netip.Addr) resolver.Settings {
	s := resolver.Settings{PTRTimeout: 20}
	for _, a := range servers {
		s.Servers = append(s.Servers, resolver.Server{Addr: a})
	}
	return s
}

// A reply makes the answers to a query; transport is "udp" or "tcp".
type reply func(q *dns.Msg, transport string) []*dns.Msg

// serve runs a name server on one of the machines.
func (b *bench) serve(t *testing.T, on netip.Addr, r reply) {
	t.Helper()
	at := netip.AddrPortFrom(on, 53)
	packets, err := b.world.Hosts().ListenPacket(t.Context(), network.DialConfig{Local: at})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := b.world.Hosts().Listen(t.Context(), network.ListenConfig{Addr: at})
	if err != nil {
		t.Fatal(err)
	}
	for transport, s := range map[string]*dns.Server{"udp": {PacketConn: packets}, "tcp": {Listener: listener}} {
		s.Handler = dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
			b.mu.Lock()
			b.asked = append(b.asked, fmt.Sprintf("%v %s %s", on, transport, dns.TypeToString[q.Question[0].Qtype]))
			b.mu.Unlock()
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

// wantAsked compares the queries that the tests' servers were sent, and forgets them.
func (b *bench) wantAsked(t *testing.T, want ...string) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if diff := cmp.Diff(want, b.asked); diff != "" {
		t.Error("queries:\n", diff)
	}
	b.asked = nil
}

// records answers with these records, in the form of zone files.
func records(lines ...string) reply {
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

// fails answers with an error.
func fails(rcode int, more ...string) reply {
	return func(q *dns.Msg, transport string) []*dns.Msg {
		m := records(more...)(q, transport)[0]
		m.Rcode = rcode
		return []*dns.Msg{m}
	}
}

func silent(*dns.Msg, string) []*dns.Msg { return nil }

var sample = records("www.example.com. 300 IN A 198.51.100.9")

// wantAddrs looks a name up.
func (b *bench) wantAddrs(t *testing.T, name string, family int, want ...string) {
	t.Helper()
	got, err := b.Lookup(t.Context(), name, family)
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

func (b *bench) wantError(t *testing.T, name string, family int, want error) {
	t.Helper()
	if got, err := b.Lookup(t.Context(), name, family); !errors.Is(err, want) {
		t.Errorf("%s: %v, %v; want %v", name, got, err, want)
	}
}

func TestNamesOfTheWorld(t *testing.T) {
	b := newBench(t, asking(good))
	b.wantAddrs(t, "WWW.Example.com", 4, "198.51.100.9")
	b.wantAddrs(t, "www.example.com.", 0, "198.51.100.9")
	b.wantAddrs(t, "mail.example.com", 0, "192.0.2.25", "2001:db8::25")
	b.wantAddrs(t, "mail.example.com", 6, "2001:db8::25")
	b.wantError(t, "www.example.com", 6, resolver.ErrNotFound)
	for _, nobody := range []string{"nobody.example.com", "no body.example.com", "nobody's.example.com", `no\body"(;)`} {
		b.wantError(t, nobody, 0, resolver.ErrNotFound)
	}
	if name, err := b.LookupAddr(t.Context(), netip.MustParseAddr("198.51.100.9")); name != "www.example.com" || err != nil {
		t.Errorf("198.51.100.9 is %q, %v", name, err)
	}
	if _, err := b.LookupAddr(t.Context(), netip.MustParseAddr("2001:db8::9")); !errors.Is(err, resolver.ErrNotFound) {
		t.Errorf("2001:db8::9: %v", err)
	}
}

func TestWhatNeedsNoServer(t *testing.T) {
	b := newBench(t, resolver.Settings{PTRTimeout: 1})
	b.wantAddrs(t, "192.0.2.7", 0, "192.0.2.7")
	b.wantAddrs(t, "2001:db8::7", 6, "2001:db8::7")
	b.wantError(t, "192.0.2.7", 6, resolver.ErrNotFound)
	b.wantError(t, "2001:db8::7", 4, resolver.ErrNotFound)
	b.wantAddrs(t, "localhost", 0, "127.0.0.1", "::1")
	b.wantAddrs(t, "LocalHost.", 4, "127.0.0.1")
	b.wantError(t, "", 0, resolver.ErrNotFound)
	b.wantError(t, strings.Repeat("a", 64)+".com", 0, resolver.ErrNotFound)
	if name, err := b.LookupAddr(t.Context(), netip.MustParseAddr("127.0.0.1")); name != "localhost" || err != nil {
		t.Errorf("127.0.0.1 is %q, %v", name, err)
	}
	b.wantError(t, "www.example.com", 4, resolver.ErrNoServer)
}

func TestAnAnswerIsKeptForItsTime(t *testing.T) {
	for _, c := range []struct {
		ttl, minimum int
		kept         time.Duration
	}{
		{300, 0, 300 * time.Second},
		{300, 1800, 1800 * time.Second},
		{1 << 30, 0, 24 * time.Hour},
	} {
		s := asking(one)
		s.MinimumTTL = c.minimum
		b := newBench(t, s)
		b.serve(t, one, records(fmt.Sprintf("www.example.com. %d IN A 198.51.100.9", c.ttl)))
		b.wantAddrs(t, "www.example.com", 4, "198.51.100.9")
		b.clock.Advance(c.kept - time.Second)
		b.wantAddrs(t, "www.example.com", 4, "198.51.100.9")
		b.wantAsked(t, "192.0.2.1 udp A")
		b.clock.Advance(time.Second)
		b.wantAddrs(t, "www.example.com", 4, "198.51.100.9")
		b.wantAsked(t, "192.0.2.1 udp A")
		want := resolver.Stats{Requests: 3, Network: 2, Hits: 1, Misses: 2, Expired: 1}
		if diff := cmp.Diff(want, b.Stats()); diff != "" {
			t.Errorf("TTL %d: counters: %s", c.ttl, diff)
		}
	}
}

func TestANameThatDoesNotExistIsRemembered(t *testing.T) {
	for name, c := range map[string]struct {
		answer reply
		kept   time.Duration
	}{
		"the zone's time":       {fails(dns.RcodeNameError, "example.com. 600 IN SOA ns. root. 1 1 1 1 120"), 120 * time.Second},
		"its record's time":     {fails(dns.RcodeNameError, "example.com. 90 IN SOA ns. root. 1 1 1 1 120"), 90 * time.Second},
		"another record":        {records("example.com. 600 IN SOA ns. root. 1 1 1 1 120"), 120 * time.Second},
		"nobody says how long":  {fails(dns.RcodeNameError), time.Minute},
		"the minimum is not it": {fails(dns.RcodeNameError, "example.com. 5 IN SOA ns. root. 1 1 1 1 5"), 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			s := asking(one)
			s.MinimumTTL = 1800 // of answers only
			b := newBench(t, s)
			b.serve(t, one, c.answer)
			b.wantError(t, "no.example.com", 4, resolver.ErrNotFound)
			b.clock.Advance(c.kept - time.Second)
			b.wantError(t, "no.example.com", 4, resolver.ErrNotFound)
			b.wantAsked(t, "192.0.2.1 udp A")
			b.clock.Advance(time.Second)
			b.wantError(t, "no.example.com", 4, resolver.ErrNotFound)
			b.wantAsked(t, "192.0.2.1 udp A")
		})
	}
}

func TestFlushForgets(t *testing.T) {
	b := newBench(t, asking(one))
	b.serve(t, one, sample)
	b.wantAddrs(t, "www.example.com", 4, "198.51.100.9")
	b.Flush()
	b.wantAddrs(t, "www.example.com", 4, "198.51.100.9")
	b.wantAsked(t, "192.0.2.1 udp A", "192.0.2.1 udp A")
}

func TestServersAreAskedByPriority(t *testing.T) {
	s := resolver.Settings{PTRTimeout: 20, Servers: []resolver.Server{{Priority: 2, Addr: three}, {Priority: 0, Addr: one}, {Priority: 1, Addr: two}}}
	b := newBench(t, s)
	b.serve(t, one, fails(dns.RcodeServerFailure))
	b.serve(t, two, fails(dns.RcodeRefused))
	b.serve(t, three, sample)
	b.wantAddrs(t, "www.example.com", 4, "198.51.100.9")
	b.wantAsked(t, "192.0.2.1 udp A", "192.0.2.2 udp A", "192.0.2.3 udp A")
	if s.Servers[0].Addr != three {
		t.Error("the settings were sorted in place")
	}
}

func TestASilentServerIsLeftForTheNext(t *testing.T) {
	b := newBench(t, asking(one, two))
	b.serve(t, one, silent)
	b.serve(t, two, sample)
	b.wantAddrs(t, "www.example.com", 4, "198.51.100.9")
	b.wantAsked(t, "192.0.2.1 udp A", "192.0.2.2 udp A")
}

// A machine without a name server, which refuses, and a server that fails are gone
// through twice.
func TestNobodyKnows(t *testing.T) {
	b := newBench(t, asking(one, two))
	b.serve(t, two, fails(dns.RcodeServerFailure))
	_, err := b.Lookup(t.Context(), "www.example.com", 4)
	if !errors.Is(err, resolver.ErrNoAnswer) || !strings.HasSuffix(err.Error(), "192.0.2.2: server answered SERVFAIL") {
		t.Errorf("Lookup = %v", err)
	}
	b.wantAsked(t, "192.0.2.2 udp A", "192.0.2.2 udp A")
	if s := b.Stats(); s.Network != 4 || s.Exceptions != 1 {
		t.Errorf("counters: %+v", s)
	}
	b.wantError(t, "www.example.com", 4, resolver.ErrNoAnswer) // that is not remembered
	b.wantAsked(t, "192.0.2.2 udp A", "192.0.2.2 udp A")
}

// One family fails; that the other has no address does not hide it.
func TestAFailureOfOneFamily(t *testing.T) {
	broken := dns.TypeAAAA
	b := newBench(t, asking(one))
	b.serve(t, one, func(q *dns.Msg, transport string) []*dns.Msg {
		if q.Question[0].Qtype == broken {
			return fails(dns.RcodeServerFailure)(q, transport)
		}
		if strings.HasPrefix(q.Question[0].Name, "no.") {
			return fails(dns.RcodeNameError)(q, transport)
		}
		return sample(q, transport)
	})
	b.wantAddrs(t, "www.example.com", 0, "198.51.100.9")
	b.wantError(t, "no.example.com", 0, resolver.ErrNoAnswer)
}

func TestATruncatedAnswerIsFetchedOverTCP(t *testing.T) {
	b := newBench(t, asking(one))
	b.serve(t, one, func(q *dns.Msg, transport string) []*dns.Msg {
		if transport == "tcp" {
			return sample(q, transport)
		}
		m := new(dns.Msg).SetReply(q)
		m.Truncated = true
		return []*dns.Msg{m}
	})
	b.wantAddrs(t, "www.example.com", 4, "198.51.100.9")
	b.wantAsked(t, "192.0.2.1 udp A", "192.0.2.1 tcp A")
}

func TestWhatDoesNotAnswerTheQueryIsOverlooked(t *testing.T) {
	b := newBench(t, asking(one))
	b.serve(t, one, func(q *dns.Msg, transport string) []*dns.Msg {
		lie := func(change func(*dns.Msg)) *dns.Msg {
			m := records("www.example.com. 300 IN A 203.0.113.66")(q, transport)[0]
			change(m)
			return m
		}
		return append([]*dns.Msg{
			lie(func(m *dns.Msg) { m.Id++ }),
			lie(func(m *dns.Msg) { m.Response = false }),
			lie(func(m *dns.Msg) { m.Question[0].Name = "other.example.com." }),
			lie(func(m *dns.Msg) { m.Question = nil }),
		}, sample(q, transport)...)
	})
	b.wantAddrs(t, "www.example.com", 4, "198.51.100.9")
}

func TestALookupEndsWithItsContext(t *testing.T) {
	b := newBench(t, asking(one))
	why := errors.New("why")
	ctx, cancel := context.WithCancelCause(t.Context())
	b.serve(t, one, func(*dns.Msg, string) []*dns.Msg {
		cancel(why)
		return nil
	})
	if _, err := b.Lookup(ctx, "www.example.com", 4); !errors.Is(err, why) {
		t.Errorf("Lookup = %v", err)
	}
	b.wantAsked(t, "192.0.2.1 udp A")
}

// The limit holds for all servers and rounds together.
func TestReverseLookupsHaveTheirOwnLimit(t *testing.T) {
	s := asking(one, two, three)
	s.PTRTimeout = 1
	b := newBench(t, s)
	for _, a := range []netip.Addr{one, two, three} {
		b.serve(t, a, silent)
	}
	if _, err := b.LookupAddr(t.Context(), netip.MustParseAddr("198.51.100.9")); !errors.Is(err, resolver.ErrNoAnswer) {
		t.Errorf("LookupAddr = %v", err)
	}
	if n := b.Stats().Network; n < 2 || n > 3 {
		t.Errorf("%d queries, want those of a second", n)
	}
}

func TestMailExchangersByPreference(t *testing.T) {
	b := newBench(t, asking(one))
	b.serve(t, one, records("example.com. 300 IN MX 20 b.example.com.", "example.com. 300 IN MX 10 a.example.com.", "example.com. 300 IN MX 20 c.example.com."))
	got, err := b.LookupMX(t.Context(), "example.com")
	if err != nil {
		t.Fatal(err)
	}
	want := []resolver.MX{{10, "a.example.com"}, {20, "b.example.com"}, {20, "c.example.com"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAliasesAreFollowed(t *testing.T) {
	b := newBench(t, asking(one))
	b.serve(t, one, records("www.example.com. 300 IN CNAME web.example.com.", "web.example.com. 60 IN A 198.51.100.9"))
	b.wantAddrs(t, "www.example.com", 4, "198.51.100.9")
	b.clock.Advance(61 * time.Second) // the chain is as old as its shortest-lived record
	b.wantAddrs(t, "www.example.com", 4, "198.51.100.9")
	b.wantAsked(t, "192.0.2.1 udp A", "192.0.2.1 udp A")
}

func TestManyAtOnce(t *testing.T) {
	b := newBench(t, asking(good))
	var all sync.WaitGroup
	for n := range 20 {
		all.Go(func() {
			if n%2 == 0 {
				b.wantAddrs(t, "www.example.com", 4, "198.51.100.9")
			} else {
				b.wantError(t, fmt.Sprintf("no%d.example.com", n), 4, resolver.ErrNotFound)
			}
		})
	}
	all.Wait()
	if s := b.Stats(); s.Requests != 20 || s.Hits+s.Misses != 20 || s.Exceptions != 0 {
		t.Errorf("counters: %+v", s)
	}
}

func TestSettingsThatCannotBe(t *testing.T) {
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
