package dissect

import (
	"fmt"
	"strings"

	"github.com/gopacket/gopacket/layers"
)

func dnsInfo(d *layers.DNS) string {
	var b strings.Builder
	b.WriteString("Standard query ")
	if d.QR {
		b.WriteString("response ")
	}
	fmt.Fprintf(&b, "0x%04x", d.ID)
	if d.QR && d.ResponseCode != layers.DNSResponseCodeNoErr {
		b.WriteString(" " + d.ResponseCode.String())
	}
	for _, q := range d.Questions {
		fmt.Fprintf(&b, " %v %s", q.Type, dnsName(q.Name))
	}
	for i, a := range d.Answers {
		if i == 4 {
			b.WriteString(" …")
			break
		}
		fmt.Fprintf(&b, " %v", a.Type)
		for _, f := range recordData(a) {
			if f.Name != "" { // fields without a name are too long for a line
				b.WriteString(" " + f.Value)
			}
		}
	}
	return b.String()
}

func dnsFields(l *layers.DNS, add addField) {
	add("Summary", "%s", dnsInfo(l))
	add("Transaction ID", "0x%04x", l.ID)
	add("Recursion desired", "%s", yesNo(l.RD))
	if l.QR {
		add("Recursion available", "%s", yesNo(l.RA))
		add("Authoritative", "%s", yesNo(l.AA))
		add("Response code", "%v", l.ResponseCode)
	}
	for _, q := range l.Questions {
		add("Question", "%s: type %v, class %v", dnsName(q.Name), q.Type, q.Class)
	}
	for _, part := range []struct {
		name string
		list []layers.DNSResourceRecord
	}{{"Answer", l.Answers}, {"Authority", l.Authorities}, {"Additional", l.Additionals}} {
		for _, r := range part.list {
			add(part.name, "%s", recordText(r))
		}
	}
}

func yesNo(on bool) string {
	if on {
		return "Yes"
	}
	return "No"
}

// recordText returns a record in the words of Wireshark.
func recordText(r layers.DNSResourceRecord) string {
	if r.Type == layers.DNSTypeOPT { // its class is a size, and its TTL flags (RFC 6891, 6.1.2)
		return fmt.Sprintf("%s: type OPT, UDP payload size %d", dnsName(r.Name), uint16(r.Class))
	}
	text := fmt.Sprintf("%s: type %v, class %v, TTL %d", dnsName(r.Name), r.Type, r.Class, r.TTL)
	for _, f := range recordData(r) {
		text += ", " + strings.TrimSpace(f.Name+" "+f.Value)
	}
	return text
}

// recordData returns the fields of a record's data. For an unknown type it returns the length.
func recordData(r layers.DNSResourceRecord) []Field {
	number := func(name string, n uint16) Field { return Field{Name: name, Value: fmt.Sprint(n)} }
	switch r.Type {
	case layers.DNSTypeA, layers.DNSTypeAAAA:
		return []Field{{Name: "addr", Value: r.IP.String()}}
	case layers.DNSTypeNS:
		return []Field{{Name: "ns", Value: dnsName(r.NS)}}
	case layers.DNSTypeCNAME:
		return []Field{{Name: "cname", Value: dnsName(r.CNAME)}}
	case layers.DNSTypePTR:
		return []Field{{Name: "ptr", Value: dnsName(r.PTR)}}
	case layers.DNSTypeMX:
		return []Field{number("preference", r.MX.Preference), {Name: "mx", Value: dnsName(r.MX.Name)}}
	case layers.DNSTypeSRV:
		return []Field{
			number("priority", r.SRV.Priority), number("weight", r.SRV.Weight),
			number("port", r.SRV.Port), {Name: "target", Value: dnsName(r.SRV.Name)},
		}
	case layers.DNSTypeSOA:
		s := r.SOA
		return []Field{
			{Name: "mname", Value: dnsName(s.MName)},
			{Name: "", Value: fmt.Sprintf("rname %s, serial %d, refresh %d, retry %d, expire %d, minimum %d",
				dnsName(s.RName), s.Serial, s.Refresh, s.Retry, s.Expire, s.Minimum)},
		}
	case layers.DNSTypeTXT:
		var texts []string
		for _, t := range r.TXTs {
			texts = append(texts, fmt.Sprintf("%q", Printable(string(t))))
		}
		return []Field{{Name: "", Value: "text " + strings.Join(texts, " ")}}
	}
	return []Field{{Name: "", Value: fmt.Sprintf("%d bytes", len(r.Data))}}
}

// dnsName returns a domain name. That of the root is empty in a packet.
func dnsName(name []byte) string {
	if len(name) == 0 {
		return "<Root>"
	}
	return Printable(string(name))
}
