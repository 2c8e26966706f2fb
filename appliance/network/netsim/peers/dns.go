package peers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"

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

var _ = register(Kind{
	Name: "dns", Port: 53,
	Options: map[string]func(string) error{"zone": checkZone, "records": checkRecords},
	New:     func(c Config) Peer { return &DNSServer{config: c, zone: newZone(c)} },
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
	zone    *zone
	servers []*dns.Server
	running sync.WaitGroup
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
	reply.RecursionAvailable = d.zone.apex == ""
	if len(q.Question) != 1 || q.Opcode != dns.OpcodeQuery {
		reply.Rcode = dns.RcodeNotImplemented
	} else {
		d.zone.answer(reply, q.Question[0])
	}
	limit := dns.MaxMsgSize
	if _, stream := w.RemoteAddr().(*net.TCPAddr); !stream {
		limit = dns.MinMsgSize
		if o := q.IsEdns0(); o != nil {
			limit = max(limit, int(o.UDPSize()))
			reply.SetEdns0(dns.DefaultMsgSize, false)
		}
	}
	reply.Truncate(limit)
	reply.Compress = true // as real servers do, even if the reply would fit without
	_ = w.WriteMsg(reply) // fails if the client has closed the connection
}
