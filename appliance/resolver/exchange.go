package resolver

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"

	"github.com/esasim/esasim/appliance/network"
)

// owner is the process that the socket table shows for queries.
const owner = "interface"

// ask goes through the servers until one answers.
func (c *Client) ask(ctx context.Context, q question, timeout time.Duration) (*dns.Msg, error) {
	servers := slices.Clone(c.o.Settings().Servers)
	if len(servers) == 0 {
		return nil, ErrNoServer
	}
	slices.SortStableFunc(servers, func(a, b Server) int { return cmp.Compare(a.Priority, b.Priority) })
	failed := ErrNoAnswer
	for range c.o.Rounds {
		for _, s := range servers {
			m, err := c.exchange(ctx, q, s.Addr, timeout)
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			if err != nil {
				failed = fmt.Errorf("%w: %v: %w", ErrNoAnswer, s.Addr, err)
				continue
			}
			return m, nil
		}
	}
	return nil, failed
}

// exchange sends one query over UDP, and once more over TCP if the answer did not
// fit.
func (c *Client) exchange(ctx context.Context, q question, server netip.Addr, timeout time.Duration) (*dns.Msg, error) {
	m := new(dns.Msg)
	m.SetQuestion(q.name, q.kind)
	m.Id = uint16(c.o.Chance.Uint64())
	to := network.DialConfig{Remote: netip.AddrPortFrom(server, 53), Owner: owner, User: "root"}

	pc, err := c.o.Net.ListenPacket(ctx, to)
	if err != nil {
		return nil, err
	}
	r, err := c.talk(ctx, &dns.Conn{Conn: pc, UDPSize: dns.MinMsgSize}, m, timeout)
	if err != nil || !r.Truncated {
		return r, err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	tc, err := c.o.Net.Dial(ctx, to)
	if err != nil {
		return nil, err
	}
	return c.talk(ctx, &dns.Conn{Conn: tc}, m, timeout)
}

// talk sends m over conn and waits for its answer; it closes conn.
func (c *Client) talk(ctx context.Context, conn *dns.Conn, m *dns.Msg, timeout time.Duration) (*dns.Msg, error) {
	defer conn.Close()
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("silent for %v", timeout))
	defer cancel()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	c.count(func(s *Stats) { s.Network++ })
	if err := conn.WriteMsg(m); err != nil {
		return nil, cmp.Or(context.Cause(ctx), err)
	}
	for {
		r, err := conn.ReadMsg()
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err != nil && r == nil {
			return nil, fmt.Errorf("read answer: %w", err)
		}
		if err != nil || r.Id != m.Id || !r.Response || len(r.Question) != 1 || r.Question[0] != m.Question[0] {
			continue // not the answer to this query
		}
		switch r.Rcode {
		case dns.RcodeSuccess, dns.RcodeNameError:
			return r, nil
		default:
			return nil, fmt.Errorf("server answered %s", dns.RcodeToString[r.Rcode])
		}
	}
}
