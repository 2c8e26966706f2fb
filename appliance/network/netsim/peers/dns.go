package peers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"

	"github.com/miekg/dns"

	"github.com/esasim/esasim/appliance/network"
)

// Records are what the DNS of a world knows. Names are in lower case and
// without the final dot.
type Records struct {
	Addrs map[string][]netip.Addr
	Names map[netip.Addr]string
	Mail  map[string][]MX // by domain
}

// An MX is a mail exchanger.
type MX struct {
	Preference uint16
	Host       string
}

// recordTTL is the life of a record in a cache, in seconds.
const recordTTL = 300

var _ = register(Kind{Name: "dns", Port: 53, New: func(c Config) Peer { return &DNS{config: c} }})

// A DNS answers for all names of its world (A, AAAA, PTR and MX) with authority,
// over UDP and TCP. Names that nobody has do not exist.
type DNS struct {
	config  Config
	servers []*dns.Server
	running sync.WaitGroup
}

// Start listens on the host's addresses.
func (d *DNS) Start(ctx context.Context) error {
	d.servers = nil
	listeners, err := listen(ctx, d.config)
	if err != nil {
		return err
	}
	for _, l := range listeners {
		d.servers = append(d.servers, &dns.Server{Listener: l, Handler: d})
	}
	for _, a := range d.config.Addrs {
		p, err := d.config.Transport.ListenPacket(ctx, network.DialConfig{
			Local: netip.AddrPortFrom(a, d.config.Port), Owner: d.config.Name,
		})
		if err != nil {
			d.closeAll()
			return fmt.Errorf("%s: listen: %w", d.config.Name, err)
		}
		d.servers = append(d.servers, &dns.Server{PacketConn: p, Handler: d})
	}
	for _, s := range d.servers {
		// A server that has not begun cannot be told to stop.
		begun := make(chan struct{})
		s.NotifyStartedFunc = func() { close(begun) }
		d.running.Go(func() {
			if err := s.ActivateAndServe(); err != nil && !errors.Is(err, net.ErrClosed) {
				d.config.Logger.Error("a simulated server stopped answering", "server", d.config.Name, "error", err)
			}
		})
		<-begun
	}
	return nil
}

func (d *DNS) closeAll() {
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

// Stop waits for the questions that are being answered.
func (d *DNS) Stop() {
	for _, s := range d.servers {
		_ = s.Shutdown() // fails when the server has not started
	}
	d.running.Wait()
	d.closeAll()
}

// ServeDNS answers one query.
func (d *DNS) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	answer := new(dns.Msg)
	answer.SetReply(q)
	answer.Authoritative, answer.RecursionAvailable = true, true
	if len(q.Question) != 1 || q.Opcode != dns.OpcodeQuery {
		answer.Rcode = dns.RcodeNotImplemented
	} else {
		d.answer(answer, q.Question[0])
	}
	limit := dns.MaxMsgSize
	if _, stream := w.RemoteAddr().(*net.TCPAddr); !stream {
		limit = dns.MinMsgSize
		if o := q.IsEdns0(); o != nil {
			limit = max(limit, int(o.UDPSize()))
			answer.SetEdns0(dns.DefaultMsgSize, false)
		}
	}
	answer.Truncate(limit)
	_ = w.WriteMsg(answer) // who asked may be gone
}

// answer fills in what is known of the question's name.
func (d *DNS) answer(m *dns.Msg, q dns.Question) {
	r := d.config.Records
	name := strings.ToLower(strings.TrimSuffix(q.Name, "."))
	head := dns.RR_Header{Name: q.Name, Class: dns.ClassINET, Ttl: recordTTL}
	known := false
	for _, a := range r.Addrs[name] {
		known = true
		head.Rrtype = dns.TypeAAAA
		if a.Is4() {
			head.Rrtype = dns.TypeA
		}
		if head.Rrtype != q.Qtype {
			continue
		}
		if a.Is4() {
			m.Answer = append(m.Answer, &dns.A{Hdr: head, A: a.AsSlice()})
		} else {
			m.Answer = append(m.Answer, &dns.AAAA{Hdr: head, AAAA: a.AsSlice()})
		}
	}
	for _, x := range r.Mail[name] {
		known = true
		if q.Qtype == dns.TypeMX {
			head.Rrtype = dns.TypeMX
			m.Answer = append(m.Answer, &dns.MX{Hdr: head, Preference: x.Preference, Mx: dns.Fqdn(x.Host)})
		}
	}
	if a, ok := reverse(name); ok && r.Names[a] != "" {
		known = true
		if q.Qtype == dns.TypePTR {
			head.Rrtype = dns.TypePTR
			m.Answer = append(m.Answer, &dns.PTR{Hdr: head, Ptr: dns.Fqdn(r.Names[a])})
		}
	}
	if !known {
		m.Rcode = dns.RcodeNameError
	}
}

// reverse is the address that a name below in-addr.arpa or ip6.arpa stands for.
func reverse(name string) (netip.Addr, bool) {
	labels := strings.Split(name, ".")
	n := len(labels)
	if n < 3 || labels[n-1] != "arpa" {
		return netip.Addr{}, false
	}
	kind, labels := labels[n-2], labels[:n-2]
	var b strings.Builder
	for i := len(labels) - 1; i >= 0; i-- {
		b.WriteString(labels[i])
		switch at := len(labels) - i; {
		case i == 0:
		case kind == "in-addr":
			b.WriteByte('.')
		case at%4 == 0:
			b.WriteByte(':')
		}
	}
	a, err := netip.ParseAddr(b.String())
	full := kind == "in-addr" && a.Is4() || kind == "ip6" && a.Is6() && len(labels) == 32
	return a, err == nil && full
}
