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

// owner is the process that the socket table shows for queries.
const owner = "interface"

// A query is one question, and how it is put to a server.
type query struct {
	question
	recurse bool       // ask the server to do the rest
	tcp     bool       // from the start
	source  netip.Addr // invalid: that of the settings
}

// A reply is a server's answer.
type reply struct {
	*dns.Msg
	server  netip.Addr
	tcp     bool // it came over TCP
	retried bool // because it did not fit over UDP
	size    int  // bytes
	took    time.Duration
}

// find gets the answer to a question from whoever must be asked.
func (c *Client) find(ctx context.Context, q query, depth int) (*reply, error) {
	s := c.o.Settings()
	if s.UseRoots {
		return c.descend(ctx, q, depth)
	}
	q.recurse = true
	servers := alternates(s, q.name)
	if len(servers) == 0 {
		servers = byPriority(s)
	}
	if len(servers) == 0 {
		return nil, ErrNoServer
	}
	return c.ask(ctx, q, servers, c.o.Rounds, usable)
}

// byPriority lists the local servers in the order in which they are asked.
func byPriority(s Settings) []netip.Addr {
	sorted := slices.Clone(s.Servers)
	slices.SortStableFunc(sorted, func(a, b Server) int { return cmp.Compare(a.Priority, b.Priority) })
	addrs := make([]netip.Addr, len(sorted))
	for i, srv := range sorted {
		addrs[i] = srv.Addr
	}
	return addrs
}

// alternates lists the servers that are configured for the innermost domain that name is
// in.
func alternates(s Settings, name string) (addrs []netip.Addr) {
	domain := ""
	for _, a := range s.Alternates {
		if within(name, a.Domain) && len(a.Domain) > len(domain) {
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

// ask goes through the servers, so many rounds, until one gives an answer to which check
// does not object.
func (c *Client) ask(ctx context.Context, q query, servers []netip.Addr, rounds int, check func(*reply) error) (*reply, error) {
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

// usable objects to answers that say nothing about the question: failures, and referrals
// to other servers.
func usable(r *reply) error {
	if r.Rcode != dns.RcodeSuccess && r.Rcode != dns.RcodeNameError {
		return fmt.Errorf("server answered %s", dns.RcodeToString[r.Rcode])
	}
	if r.Rcode == dns.RcodeSuccess && len(r.Answer) == 0 && len(r.Ns) > 0 && !r.Authoritative && !hasSOA(r.Ns) {
		return errors.New("server knows only whom else to ask")
	}
	return nil
}

func hasSOA(records []dns.RR) bool {
	return slices.ContainsFunc(records, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeSOA })
}

// exchange sends one query over UDP, and once more over TCP if the answer did not
// fit.
func (c *Client) exchange(ctx context.Context, q query, server netip.Addr) (*reply, error) {
	m := new(dns.Msg)
	m.SetQuestion(onWire(q.name), q.kind)
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
	defer func() { r.took = clock.System().Since(began) }()
	if !q.tcp {
		pc, err := c.o.Net.ListenPacket(ctx, to)
		if err != nil {
			return r, err
		}
		if err = c.talk(ctx, &dns.Conn{Conn: pc, UDPSize: dns.MinMsgSize}, m, r); err != nil || !r.Truncated {
			return r, err
		}
		r.retried = true
	}
	r.tcp = true
	ctx, cancel := context.WithTimeoutCause(ctx, c.o.Timeout, c.silent())
	defer cancel()
	tc, err := c.o.Net.Dial(ctx, to)
	if err != nil {
		return r, err
	}
	return r, c.talk(ctx, &dns.Conn{Conn: tc}, m, r)
}

// onWire is a name as it is read back from a message, where unusual characters are
// escaped: an answer repeats the question.
func onWire(name string) string {
	var b [256]byte
	n, err := dns.PackDomainName(dns.Fqdn(name), b[:], 0, nil, false)
	if err != nil {
		return name // WriteMsg says what is wrong with it
	}
	read, _, err := dns.UnpackDomainName(b[:n], 0)
	if err != nil {
		return name
	}
	return read
}

func (c *Client) silent() error { return fmt.Errorf("silent for %v", c.o.Timeout) }

// talk sends m over conn and waits for its answer, which it puts into r; it closes conn.
func (c *Client) talk(ctx context.Context, conn *dns.Conn, m *dns.Msg, r *reply) error {
	defer conn.Close()
	ctx, cancel := context.WithTimeoutCause(ctx, c.o.Timeout, c.silent())
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
		if err != nil || a.Unpack(b) != nil || a.Id != m.Id || !a.Response || len(a.Question) != 1 || a.Question[0] != m.Question[0] {
			continue // not the answer to this query
		}
		r.Msg, r.size = a, len(b)
		return nil
	}
}
