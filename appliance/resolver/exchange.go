package resolver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network"
)

// owner is the process in the socket table.
const owner = "interface"

// A query is a question and how it is put to a server.
type query struct {
	question
	recurse bool       // recursion desired
	tcp     bool       // do not try UDP first
	source  netip.Addr // address to send from; invalid: that of the settings
}

// A reply is a server's answer.
type reply struct {
	*dns.Msg
	server   netip.Addr
	tcp      bool // received over TCP
	retried  bool // over TCP, as it did not fit into a datagram
	size     int  // bytes
	duration time.Duration
}

// resolve gets the answer to a question from the servers that the settings select.
func (c *Client) resolve(ctx context.Context, q query, depth int) (*reply, error) {
	s := c.o.Settings()
	if s.UseRoots {
		return c.iterate(ctx, q, depth)
	}
	q.recurse = true
	servers := alternates(s, q.name)
	if len(servers) == 0 {
		servers = byPriority(s)
	}
	if len(servers) == 0 {
		return nil, ErrNoServer
	}
	return c.queryServers(ctx, q, servers, c.o.Rounds, checkUsable)
}

// byPriority returns the local servers in the order in which they are queried.
func byPriority(s Settings) []netip.Addr {
	sorted := slices.Clone(s.Servers)
	slices.SortStableFunc(sorted, func(a, b Server) int {
		return cmp.Compare(a.Priority, b.Priority)
	})
	addrs := make([]netip.Addr, len(sorted))
	for i, srv := range sorted {
		addrs[i] = srv.Addr
	}
	return addrs
}

// alternates returns the servers that are configured for the innermost domain that contains
// name.
func alternates(s Settings, name string) (addrs []netip.Addr) {
	domain := ""
	for _, a := range s.Alternates {
		if isWithin(name, a.Domain) && len(a.Domain) > len(domain) {
			domain = a.Domain
		}
	}
	for _, a := range s.Alternates {
		if domain != "" && a.Domain == domain {
			addrs = append(addrs, a.Addr)
		}
	}
	return addrs
}

// queryServers queries one server after the other, in the given number of rounds, until check
// accepts an answer by returning nil.
func (c *Client) queryServers(ctx context.Context, q query, servers []netip.Addr, rounds int,
	check func(*reply) error) (*reply, error) {
	failed := ErrNoAnswer
	for range rounds {
		for _, s := range servers {
			r, err := c.exchange(ctx, q, s)
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			if err == nil {
				err = check(r)
			}
			if err == nil {
				return r, nil
			}
			failed = fmt.Errorf("%w: %v: %w", ErrNoAnswer, s, err)
		}
	}
	return nil, failed
}

// checkUsable returns an error if an answer does not answer the question: if it is a failure, or
// refers to other servers.
func checkUsable(r *reply) error {
	if r.Rcode != dns.RcodeSuccess && r.Rcode != dns.RcodeNameError {
		return fmt.Errorf("server answered %s", dns.RcodeToString[r.Rcode])
	}
	if r.Rcode == dns.RcodeSuccess && len(r.Answer) == 0 && len(r.Ns) > 0 && !r.Authoritative &&
		!hasSOA(r.Ns) {
		return errors.New("server answered with a referral")
	}
	return nil
}

func hasSOA(records []dns.RR) bool {
	return slices.ContainsFunc(records, func(rr dns.RR) bool {
		return rr.Header().Rrtype == dns.TypeSOA
	})
}

// exchange sends one query over UDP and, if the answer was truncated, again over TCP.
func (c *Client) exchange(ctx context.Context, q query, server netip.Addr) (*reply, error) {
	m := new(dns.Msg)
	m.SetQuestion(wireName(q.name), q.kind)
	m.RecursionDesired = q.recurse
	m.Id = uint16(c.o.Rand.Uint64())
	to := network.DialConfig{Remote: netip.AddrPortFrom(server, 53), Owner: owner, User: "root"}
	if !q.source.IsValid() && c.o.Source != nil {
		q.source = c.o.Source(c.o.Settings().Interface, server.Is6())
	}
	if q.source.IsValid() {
		to.Local = netip.AddrPortFrom(q.source, 0)
	}
	began := clock.System().Mark()
	r := &reply{server: server}
	defer func() { r.duration = clock.System().Since(began) }()
	if !q.tcp {
		pc, err := c.o.Net.ListenPacket(ctx, to)
		if err != nil {
			return r, err
		}
		if err = c.roundTrip(ctx, &dns.Conn{Conn: pc, UDPSize: dns.MinMsgSize}, m, r); err != nil ||
			!r.Truncated {
			return r, err
		}
		r.retried = true
	}
	r.tcp = true
	ctx, cancel := context.WithTimeoutCause(ctx, c.o.Timeout, c.timeoutError())
	defer cancel()
	tc, err := c.o.Net.Dial(ctx, to)
	if err != nil {
		return r, err
	}
	return r, c.roundTrip(ctx, &dns.Conn{Conn: tc}, m, r)
}

// wireName returns a name in the form in which it is read from a message, with unusual
// characters escaped, so that it can be compared with the question in an answer.
func wireName(name string) string {
	var b [256]byte
	n, err := dns.PackDomainName(dns.Fqdn(name), b[:], 0, nil, false)
	if err != nil {
		return name // WriteMsg will return the error
	}
	read, _, err := dns.UnpackDomainName(b[:n], 0)
	if err != nil {
		return name
	}
	return read
}

func (c *Client) timeoutError() error { return fmt.Errorf("no answer within %v", c.o.Timeout) }

// roundTrip sends m over conn, waits for its answer, stores that in r, and closes conn.
func (c *Client) roundTrip(ctx context.Context, conn *dns.Conn, m *dns.Msg, r *reply) error {
	defer conn.Close()
	sent := c.publishQuery(conn, m, r.tcp)
	err := c.ask(ctx, conn, m, r)
	c.publishAnswer(sent, r, err)
	return err
}

// ask is roundTrip without events.
func (c *Client) ask(ctx context.Context, conn *dns.Conn, m *dns.Msg, r *reply) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.o.Timeout, c.timeoutError())
	defer cancel()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	c.count(func(s *Stats) { s.Network++ })
	if err := conn.WriteMsg(m); err != nil {
		return cmp.Or(context.Cause(ctx), err)
	}
	for {
		b, err := conn.ReadMsgHeader(nil)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil && !errors.Is(err, dns.ErrShortRead) {
			return fmt.Errorf("read answer: %w", err)
		}
		a := new(dns.Msg)
		if err != nil || a.Unpack(b) != nil || a.Id != m.Id || !a.Response ||
			len(a.Question) != 1 || a.Question[0] != m.Question[0] {
			continue // not the answer to this query
		}
		r.Msg, r.size = a, len(b)
		return nil
	}
}
