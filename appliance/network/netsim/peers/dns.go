package peers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"github.com/esasim/esasim/appliance/network"
)

// Records are the DNS records of a world. Names are in lower case and have no final dot.
type Records struct {
	Addrs map[string][]netip.Addr
	Names map[netip.Addr]string
	Mail  map[string][]MX // by domain
	// Reputation is answered for by every server, below ReputationZone.
	Reputation []Reputation
}

// An MX is a mail exchanger.
type MX struct {
	Preference uint16
	Host       string
}

// recordTTL is the time to live of records, in seconds.
const recordTTL = 300

// DNSKind is the type of DNS servers in a topology.
const DNSKind = "dns"

var _ = register(Kind{
	Name: DNSKind, Title: "a DNS server", Port: 53,
	Options: map[string]func(string) error{"zone": checkZone, "records": checkRecords},
	New: func(c Config) Peer {
		zone := sync.OnceValue(func() *zone { return newZone(c) })
		return &DNSServer{config: c, zone: zone, changed: make(chan struct{})}
	},
})

// A DNSServer answers authoritatively for all names of its world (A, AAAA, PTR and MX), over
// UDP and TCP. Names that are not in the world do not exist. Its options:
//
//	records  more records, in the form of a zone file with fully qualified names
//	zone     a domain: the server answers only for names in it, refuses other names, and
//	         offers no recursion; if records has NS records below the zone, it refers
//	         clients to those servers
type DNSServer struct {
	config  Config
	zone    func() *zone // made for the first query
	servers []*dns.Server
	running sync.WaitGroup

	mu      sync.Mutex
	queries []DNSQuery
	total   int
	changed chan struct{} // closed and replaced when total grows
}

// maxDNSQueries is how many queries a DNSServer stores.
const maxDNSQueries = 1000

// A DNSQuery is a query that a DNSServer has answered.
type DNSQuery struct {
	Time   time.Time      `json:"time"`
	Client netip.AddrPort `json:"client"`
	TCP    bool           `json:"tcp,omitempty"`
	Name   string         `json:"name"` // as the client has written it, without its final dot
	Type   string         `json:"type"` // "A", "MX"
	Code   string         `json:"code"` // of the answer: "NOERROR", "NXDOMAIN"
	// Answers are the records of the answer, as in a zone file.
	Answers []string `json:"answers,omitempty"`
}

// A DNSReport is the report of a DNSServer.
type DNSReport struct {
	Taken   int        `json:"taken"`   // queries since the start
	Queries []DNSQuery `json:"queries"` // those that are still stored
}

// Start listens on the host's addresses.
func (d *DNSServer) Start(ctx context.Context) error {
	d.servers = nil
	listeners, err := listen(ctx, d.config)
	if err != nil {
		return err
	}
	for _, l := range listeners {
		d.servers = append(d.servers, &dns.Server{Listener: l, Handler: dns.HandlerFunc(d.answer)})
	}
	for _, a := range d.config.Addrs {
		p, err := d.config.Transport.ListenPacket(ctx, network.DialConfig{
			Local: netip.AddrPortFrom(a, d.config.Port), Owner: d.config.Name,
		})
		if err != nil {
			d.closeAll()
			return fmt.Errorf("%s: listen: %w", d.config.Name, err)
		}
		d.servers = append(d.servers, &dns.Server{PacketConn: p, Handler: dns.HandlerFunc(d.answer)})
	}
	for _, s := range d.servers {
		// Shutdown has no effect on a server that has not started yet.
		begun := make(chan struct{})
		s.NotifyStartedFunc = func() { close(begun) }
		d.running.Go(func() {
			if err := s.ActivateAndServe(); err != nil && !errors.Is(err, net.ErrClosed) {
				d.config.Logger.Error("a simulated server cannot answer any more",
					"server", d.config.Name, "error", err)
			}
		})
		<-begun
	}
	return nil
}

func (d *DNSServer) closeAll() {
	for _, s := range d.servers {
		if s.Listener != nil {
			s.Listener.Close()
		}
		if s.PacketConn != nil {
			s.PacketConn.Close()
		}
	}
	d.servers = nil
}

// Stop waits for the queries that are being answered.
func (d *DNSServer) Stop() {
	for _, s := range d.servers {
		_ = s.Shutdown() // fails if the server has not started
	}
	d.running.Wait()
	d.closeAll()
}

// answer sends the answer to one query.
func (d *DNSServer) answer(w dns.ResponseWriter, q *dns.Msg) {
	reply := new(dns.Msg)
	reply.SetReply(q)
	reply.RecursionAvailable = d.zone().apex == ""
	if len(q.Question) != 1 || q.Opcode != dns.OpcodeQuery {
		reply.Rcode = dns.RcodeNotImplemented
	} else {
		d.zone().answer(reply, q.Question[0])
	}
	limit := dns.MaxMsgSize
	if _, stream := w.RemoteAddr().(*net.TCPAddr); !stream {
		limit = dns.MinMsgSize
		if o := q.IsEdns0(); o != nil {
			limit = max(limit, int(o.UDPSize()))
			reply.SetEdns0(dns.DefaultMsgSize, false)
		}
	}
	d.record(w.RemoteAddr(), q, reply)
	reply.Truncate(limit)
	reply.Compress = true // as real servers do, even if the reply would fit without
	_ = w.WriteMsg(reply) // fails if the client has closed the connection
}

// record stores a query with its answer.
func (d *DNSServer) record(client net.Addr, q, reply *dns.Msg) {
	seen := DNSQuery{Time: d.config.Clock.Now(), Code: dns.RcodeToString[reply.Rcode]}
	seen.Client, _ = netip.ParseAddrPort(client.String())
	_, seen.TCP = client.(*net.TCPAddr)
	if len(q.Question) > 0 {
		seen.Name = strings.TrimSuffix(q.Question[0].Name, ".")
		seen.Type = dns.Type(q.Question[0].Qtype).String()
	}
	for _, rr := range reply.Answer {
		seen.Answers = append(seen.Answers, rr.String())
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.total++
	if d.queries = append(d.queries, seen); len(d.queries) > maxDNSQueries {
		d.queries = d.queries[1:]
	}
	close(d.changed)
	d.changed = make(chan struct{})
}

// After returns the stored queries that follow query number n, and the number of all queries that
// have been answered. changed is closed when another query is answered.
func (d *DNSServer) After(n int) (queries []DNSQuery, total int, changed <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	first := d.total - len(d.queries) // the number of queries that are no longer stored
	return slices.Clone(d.queries[min(max(n-first, 0), len(d.queries)):]), d.total, d.changed
}

// Report implements Reporter. It returns a DNSReport.
func (d *DNSServer) Report() any {
	queries, total, _ := d.After(0)
	return DNSReport{total, append([]DNSQuery{}, queries...)}
}
