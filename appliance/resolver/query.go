package resolver

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// A Record is a resource record in the format of zone files (RFC 1035, section 5).
type Record struct {
	Name  string // with a final dot
	TTL   uint32 // seconds
	Class string // "IN"
	Type  string // "MX"
	Data  string // "10 mail.example.com."
}

func recordsOf(rrs []dns.RR) []Record {
	out := make([]Record, 0, len(rrs))
	for _, rr := range rrs {
		h := rr.Header()
		if h.Rrtype == dns.TypeOPT {
			continue
		}
		out = append(out, Record{
			h.Name, h.Ttl, dns.Class(h.Class).String(), dns.Type(h.Rrtype).String(),
			strings.TrimPrefix(rr.String(), h.String()),
		})
	}
	return out
}

// ValidType reports whether t, in any case, is a record type that can be asked for.
func ValidType(t string) bool {
	kind, ok := dns.StringToType[strings.ToUpper(t)]
	return ok && !slices.Contains([]uint16{
		dns.TypeNone, dns.TypeOPT, dns.TypeReserved, dns.TypeTSIG, dns.TypeAXFR, dns.TypeIXFR,
	}, kind)
}

// ReverseName returns the name under which the name of an address is looked up.
func ReverseName(a netip.Addr) string {
	name, err := dns.ReverseAddr(a.Unmap().WithZone("").String())
	if err != nil {
		return "" // cannot happen: every address has one
	}
	return name
}

// ListName returns the name under which the DNS list of a domain has an address (RFC 5782).
func ListName(a netip.Addr, domain string) string {
	name := ReverseName(a)
	name = strings.TrimSuffix(strings.TrimSuffix(name, "in-addr.arpa."), "ip6.arpa.")
	return name + domain
}

// Records returns the records of a name, from the cache or from the servers, as Lookup does.
// Their TTL is the remaining time in the cache. If the type is PTR, name may be an address.
func (c *Client) Records(ctx context.Context, name, kind string) ([]Record, error) {
	if a, err := netip.ParseAddr(name); err == nil && strings.EqualFold(kind, "PTR") {
		name = ReverseName(a)
	}
	if local := localRecords(name, kind); local != nil {
		local[0].TTL = uint32(c.o.Settings().MinimumTTL)
		return local, nil
	}
	found, err := c.answer(ctx, name, dns.StringToType[strings.ToUpper(kind)])
	if err != nil {
		return nil, err
	}
	records := recordsOf(found.records)
	left := time.Duration(found.until - c.o.Clock.Mark()).Round(time.Second)
	for i := range records {
		records[i].TTL = uint32(max(left, 0) / time.Second)
	}
	return records, nil
}

// localRecords returns the records for the name localhost and its addresses, which need no
// server.
func localRecords(name, kind string) []Record {
	for _, r := range []Record{
		{"localhost.", 0, "IN", "A", "127.0.0.1"},
		{"localhost.", 0, "IN", "AAAA", "::1"},
		{ReverseName(netip.AddrFrom4([4]byte{127, 0, 0, 1})), 0, "IN", "PTR", "localhost."},
		{ReverseName(netip.IPv6Loopback()), 0, "IN", "PTR", "localhost."},
	} {
		if strings.EqualFold(dns.Fqdn(name), r.Name) && strings.EqualFold(kind, r.Type) {
			return []Record{r}
		}
	}
	return nil
}

// A Query asks one server one question. It neither uses nor fills the cache.
type Query struct {
	Name   string
	Type   string     // "MX", in any case; see ValidType
	Server netip.Addr // invalid: the servers of a look-up
	Source netip.Addr // address to send from; invalid: that of a look-up
	TCP    bool       // do not try UDP first
}

// A Response is the answer of a server.
type Response struct {
	Server    netip.AddrPort
	TCP       bool // received over TCP
	Truncated bool // the answer over UDP was truncated, so TCP was used
	Took      time.Duration
	Size      int // bytes

	ID             uint16
	Opcode, Status string   // "QUERY", "NOERROR"
	Flags          []string // those that are set: "qr", "aa", "tc", "rd", "ra", "ad", "cd"

	Question                      Record // without TTL and data
	Answer, Authority, Additional []Record
}

// Query puts a question to a server. A failure that the server reports is also a Response; an
// error means that there was no answer. Silent servers are queried again, as often as for a
// look-up.
func (c *Client) Query(ctx context.Context, q Query) (*Response, error) {
	name := dns.Fqdn(q.Name)
	if _, ok := dns.IsDomainName(name); !ok {
		return nil, ErrNotFound
	}
	x := query{
		question: question{name, dns.StringToType[strings.ToUpper(q.Type)]}, recurse: true,
		tcp: q.TCP, source: q.Source,
	}
	s := c.o.Settings()
	var servers []netip.Addr
	if q.Server.IsValid() {
		servers = []netip.Addr{q.Server}
	} else if servers = alternates(s, name); len(servers) == 0 {
		servers = byPriority(s)
	}
	var r *reply
	var err error
	switch {
	case s.UseRoots && !q.Server.IsValid():
		r, err = c.iterate(ctx, x, 0)
	case len(servers) == 0:
		err = ErrNoServer
	default:
		r, err = c.queryServers(ctx, x, servers, c.o.Rounds, func(*reply) error { return nil })
	}
	if err != nil {
		return nil, err
	}
	return r.response(), nil
}

func (r *reply) response() *Response {
	out := &Response{
		Server: netip.AddrPortFrom(r.server, 53), TCP: r.tcp, Truncated: r.retried,
		Took: r.duration, Size: r.size,
		ID: r.Id, Opcode: dns.OpcodeToString[r.Opcode], Status: dns.RcodeToString[r.Rcode],
		Answer: recordsOf(r.Answer), Authority: recordsOf(r.Ns), Additional: recordsOf(r.Extra),
	}
	if out.Status == "" {
		out.Status = fmt.Sprintf("RESERVED%d", r.Rcode)
	}
	q := r.Msg.Question[0]
	out.Question = Record{
		Name: q.Name, Class: dns.Class(q.Qclass).String(), Type: dns.Type(q.Qtype).String(),
	}
	for _, f := range []struct {
		set  bool
		name string
	}{
		{r.Response, "qr"}, {r.Authoritative, "aa"}, {r.Truncated, "tc"},
		{r.RecursionDesired, "rd"},
		{r.RecursionAvailable, "ra"}, {r.AuthenticatedData, "ad"}, {r.CheckingDisabled, "cd"},
	} {
		if f.set {
			out.Flags = append(out.Flags, f.name)
		}
	}
	return out
}
