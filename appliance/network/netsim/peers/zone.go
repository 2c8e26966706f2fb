package peers

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/miekg/dns"
)

// A zone holds the records of a DNSServer. Its names are in lower case and end in a dot.
type zone struct {
	apex         string // only names in it are answered for; "" means all names
	records      map[string][]dns.RR
	nonTerminals map[string]bool // names that have names below them
	serverAddrs  []netip.Addr    // the addresses of the server itself
	reputations  []Reputation
}

// newZone collects the records of the world and those of the options.
func newZone(c Config) *zone {
	z := &zone{records: map[string][]dns.RR{}, nonTerminals: map[string]bool{}, serverAddrs: c.Addrs,
		reputations: c.Records.Reputation}
	if apex, ok := c.Options["zone"]; ok {
		z.apex = strings.ToLower(dns.Fqdn(apex))
	}
	for name, addrs := range c.Records.Addrs {
		for _, a := range addrs {
			z.add(addressRecord(dns.Fqdn(name), a))
		}
	}
	for domain, list := range c.Records.Mail {
		for _, x := range list {
			z.add(&dns.MX{Hdr: recordHeader(dns.Fqdn(domain), dns.TypeMX), Preference: x.Preference,
				Mx: dns.Fqdn(x.Host)})
		}
	}
	for a, name := range c.Records.Names {
		if reverse, err := dns.ReverseAddr(a.String()); err == nil && name != "" {
			z.add(&dns.PTR{Hdr: recordHeader(reverse, dns.TypePTR), Ptr: dns.Fqdn(name)})
		}
	}
	if len(z.reputations) > 0 {
		z.add(startOfAuthority(ReputationZone))
	}
	more, _ := parseRecords(c.Options["records"]) // the option has been checked
	for _, rr := range more {
		z.add(rr)
	}
	return z
}

func (z *zone) add(rr dns.RR) {
	name := strings.ToLower(rr.Header().Name)
	z.records[name] = append(z.records[name], rr)
	for up := parent(name); up != ""; up = parent(up) {
		z.nonTerminals[up] = true
	}
}

// parent returns the name without its first label: "." for a single label, and "" for ".".
func parent(name string) string {
	if name == "." {
		return ""
	}
	if i, end := dns.NextLabel(name, 0); !end {
		return name[i:]
	}
	return "."
}

func recordHeader(name string, kind uint16) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: kind, Class: dns.ClassINET, Ttl: recordTTL}
}

func addressRecord(name string, a netip.Addr) dns.RR {
	if a.Is4() {
		return &dns.A{Hdr: recordHeader(name, dns.TypeA), A: a.AsSlice()}
	}
	return &dns.AAAA{Hdr: recordHeader(name, dns.TypeAAAA), AAAA: a.AsSlice()}
}

// maxAliases is the largest number of CNAMEs that are followed.
const maxAliases = 8

// answer fills in the records, or the error code, for a question.
func (z *zone) answer(m *dns.Msg, q dns.Question) {
	name := strings.ToLower(q.Name)
	if !z.answersFor(name) {
		m.Rcode = dns.RcodeRefused
		return
	}
	if servers := z.delegated(name); len(servers) > 0 {
		m.Ns = servers
		m.Extra = z.glue(servers)
		return
	}
	m.Authoritative = true
	for range maxAliases {
		found, alias := z.find(name, q.Qtype)
		for _, rr := range found {
			if rr = dns.Copy(rr); strings.EqualFold(rr.Header().Name, q.Name) {
				rr.Header().Name = q.Name // in the case of the question
			}
			m.Answer = append(m.Answer, rr)
		}
		if alias == "" || !z.answersFor(alias) {
			break
		}
		name = alias
	}
	m.Extra = append(z.glue(m.Answer), m.Extra...)
	if len(m.Answer) > 0 {
		return
	}
	m.Ns = []dns.RR{z.authority(name)}
	if !z.exists(name) {
		m.Rcode = dns.RcodeNameError
	}
}

// find returns the records of a name that answer a question for a type. If the name is an
// alias, find returns its CNAME and the alias's target.
func (z *zone) find(name string, kind uint16) (found []dns.RR, alias string) {
	for _, rr := range z.at(name) {
		if kind == dns.TypeANY || rr.Header().Rrtype == kind {
			found = append(found, rr)
		}
	}
	if len(found) > 0 {
		return found, ""
	}
	for _, rr := range z.records[name] {
		if c, ok := rr.(*dns.CNAME); ok {
			return []dns.RR{rr}, strings.ToLower(c.Target)
		}
	}
	return nil, ""
}

// at returns the records of a name. A zone that the topology does not define explicitly has
// an SOA record and this server as its name server.
func (z *zone) at(name string) []dns.RR {
	list := z.records[name]
	if rr := z.reputation(name); rr != nil {
		return append(list[:len(list):len(list)], rr)
	}
	apex := z.apexOf(name)
	if name == apex && z.exists(apex) && !has(list, dns.TypeSOA) {
		list = append(list[:len(list):len(list)], z.authority(name))
		if !has(list, dns.TypeNS) {
			list = append(list,
				&dns.NS{Hdr: recordHeader(name, dns.TypeNS), Ns: "ns." + strings.TrimPrefix(name, ".")})
		}
	}
	if len(list) == 0 && parent(name) == apex && z.exists(apex) && strings.HasPrefix(name, "ns.") {
		for _, a := range z.serverAddrs {
			list = append(list, addressRecord(name, a))
		}
	}
	return list
}

func has(list []dns.RR, kind uint16) bool {
	for _, rr := range list {
		if rr.Header().Rrtype == kind {
			return true
		}
	}
	return false
}

// glue returns the address records of the servers that records name.
func (z *zone) glue(records []dns.RR) (addrs []dns.RR) {
	for _, rr := range records {
		target := ""
		switch rr := rr.(type) {
		case *dns.NS:
			target = rr.Ns
		case *dns.MX:
			target = rr.Mx
		}
		for _, a := range z.at(strings.ToLower(target)) {
			if t := a.Header().Rrtype; t == dns.TypeA || t == dns.TypeAAAA {
				addrs = append(addrs, a)
			}
		}
	}
	return addrs
}

// delegated returns the NS records of the zone below z to which name belongs, or nil if name
// is not delegated.
func (z *zone) delegated(name string) (servers []dns.RR) {
	for up := name; z.apex != "" && up != z.apex && up != ""; up = parent(up) {
		var ns []dns.RR
		for _, rr := range z.records[up] {
			if rr.Header().Rrtype == dns.TypeNS {
				ns = append(ns, rr)
			}
		}
		if len(ns) > 0 {
			servers = ns // the delegation that is closest to the apex decides
		}
	}
	return servers
}

// answersFor reports whether z answers for a name.
func (z *zone) answersFor(name string) bool { return z.apex == "" || dns.IsSubDomain(z.apex, name) }

func (z *zone) exists(name string) bool {
	return len(z.records[name]) > 0 || z.nonTerminals[name] || name == z.apex ||
		strings.HasPrefix(name, "ns.") && parent(name) == z.apexOf(name) && z.exists(parent(name))
}

// apexOf returns the apex of a name's zone: the nearest name with an explicit SOA record, or
// else the name of two labels.
func (z *zone) apexOf(name string) string {
	for up := name; up != ""; up = parent(up) {
		if has(z.records[up], dns.TypeSOA) {
			return up
		}
	}
	if z.apex != "" {
		return z.apex
	}
	if n := dns.CountLabel(name); n > 2 {
		i, _ := dns.PrevLabel(name, 2)
		return name[i:]
	}
	return name
}

// authority returns the SOA record of a name's zone. Resolvers take the lifetime of negative
// answers from it (RFC 2308).
func (z *zone) authority(name string) dns.RR {
	apex := z.apexOf(name)
	for !z.exists(apex) && apex != "." {
		apex = parent(apex) // a name of two labels that does not exist is not a zone
	}
	for _, rr := range z.records[apex] {
		if rr.Header().Rrtype == dns.TypeSOA {
			return rr
		}
	}
	return startOfAuthority(apex)
}

// startOfAuthority returns the SOA record of a zone that the topology does not define.
func startOfAuthority(apex string) *dns.SOA {
	below := strings.TrimPrefix(apex, ".")
	return &dns.SOA{
		Hdr: recordHeader(apex, dns.TypeSOA), Ns: "ns." + below, Mbox: "hostmaster." + below,
		Serial: 1, Refresh: 3600, Retry: 900, Expire: 604800, Minttl: recordTTL,
	}
}

func checkZone(value string) error {
	if _, ok := dns.IsDomainName(value); !ok || value == "" {
		return fmt.Errorf("%q is not a domain, expected one such as example.com, or . for the root", value)
	}
	return nil
}

func checkRecords(value string) error {
	_, err := parseRecords(value)
	return err
}

// parseRecords parses records in the form of a zone file (RFC 1035, section 5).
func parseRecords(text string) (records []dns.RR, err error) {
	p := dns.NewZoneParser(strings.NewReader(text), ".", "")
	p.SetDefaultTTL(recordTTL)
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		records = append(records, rr)
	}
	if err := p.Err(); err != nil {
		return nil, fmt.Errorf(
			"expected records such as \"www.example.com. 300 IN A 192.0.2.1\", one a line: %w", err)
	}
	return records, nil
}
