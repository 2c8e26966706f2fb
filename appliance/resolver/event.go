package resolver

import (
	"net"
	"net/netip"

	"github.com/miekg/dns"

	"github.com/esasim/esasim/appliance/events"
)

// A QuerySent is the event that a query is sent to a DNS server.
type QuerySent struct {
	ID            uint16 // of the message
	Name          string // fully qualified
	Type          string // "A", "MX", ...
	TCP           bool
	Local, Server netip.AddrPort
}

// Kind implements events.Fields.
func (QuerySent) Kind() string { return "query.sent" }

// A QueryEnded is the event that a query was answered, or that no answer came. Its cause is that the
// query was sent.
type QueryEnded struct {
	Answered bool
	Code     string // "NOERROR", "NXDOMAIN", ...; "" without an answer
	Records  int    // in the answer section
	Size     int    // bytes
	Error    string // why there is no answer
}

// Kind implements events.Fields.
func (QueryEnded) Kind() string { return "query.ended" }

// publishQuery is called before a query is sent.
func (c *Client) publishQuery(conn net.Conn, m *dns.Msg, tcp bool) uint64 {
	if !c.o.Events.Hears("query.sent") {
		return 0
	}
	local, _ := netip.ParseAddrPort(conn.LocalAddr().String())
	server, _ := netip.ParseAddrPort(conn.RemoteAddr().String())
	q := m.Question[0]
	return events.Publish(c.o.Events, 0, QuerySent{
		m.Id, q.Name, dns.TypeToString[q.Qtype], tcp, local, server,
	})
}

// publishAnswer is called when a query was answered or has failed.
func (c *Client) publishAnswer(sent uint64, r *reply, err error) {
	if sent == 0 {
		return
	}
	if err != nil {
		events.Publish(c.o.Events, sent, QueryEnded{Error: err.Error()})
		return
	}
	events.Publish(c.o.Events, sent, QueryEnded{
		Answered: true, Code: dns.RcodeToString[r.Rcode], Records: len(r.Answer), Size: r.size,
	})
}
