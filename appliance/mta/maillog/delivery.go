package maillog

import (
	"encoding/xml"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/mta/mailevents"
)

// deliveryRecord returns the record of the delivery log about a delivery. Its fields are those of the
// guides, its form is a convention (mail.md 2.2).
func (w *Writer) deliveryRecord(now time.Time, f mailevents.Delivered) string {
	var b strings.Builder
	b.WriteString("<success")
	w.recordStart(&b, now, f.Received, f.Bytes, f.MID, f.Remote, f.From, f.Source)
	attribute(&b, "code", fmt.Sprintf("%03d", f.Response.Code))
	attribute(&b, "reply", strings.Join(f.Response.Lines, "\n"))
	b.WriteString(">")
	for _, r := range f.Delivered {
		recipientElement(&b, r.RID, r.To, r.Attempts)
	}
	customerData(&b, f.LoggedHeaders)
	return b.String() + " </success>"
}

// bounceRecord returns the record of the delivery log about a bounce.
func (w *Writer) bounceRecord(now time.Time, f mailevents.Bounced) string {
	var b strings.Builder
	b.WriteString("<bounce")
	w.recordStart(&b, now, f.Received, f.Bytes, f.MID, f.Remote, f.From, f.Source)
	attribute(&b, "reason", f.Failure.Status+" - "+f.Failure.Phrase)
	attribute(&b, "code", fmt.Sprintf("%03d", f.Failure.Reply.Code))
	attribute(&b, "error", list(f.Failure.Reply.Lines))
	b.WriteString(">")
	recipientElement(&b, f.RID, f.To, f.Attempts)
	customerData(&b, f.LoggedHeaders)
	return b.String() + " </bounce>"
}

// recordStart writes the attributes that all records begin with. ip is the address of the mail
// server, source that of the client.
func (w *Writer) recordStart(
	b *strings.Builder, now, received time.Time, bytes int64, mid uint64, ip netip.Addr, from string,
	source netip.Addr,
) {
	const layout = "Mon Jan 02 15:04:05.000 2006"
	attribute(b, "del_time", now.In(w.o.Zone()).Format(layout))
	attribute(b, "inj_time", received.In(w.o.Zone()).Format(layout))
	attribute(b, "bytes", fmt.Sprint(bytes))
	attribute(b, "mid", fmt.Sprint(mid))
	attribute(b, "ip", addrText(ip))
	attribute(b, "from", from)
	attribute(b, "source_ip", addrText(source))
}

// addrText returns an address. The zero one is that of no host.
func addrText(a netip.Addr) string {
	if !a.IsValid() {
		return "0.0.0.0"
	}
	return a.String()
}

func recipientElement(b *strings.Builder, rid int, to string, attempts int) {
	b.WriteString(" <rcpt")
	attribute(b, "rid", fmt.Sprint(rid))
	attribute(b, "to", to)
	attribute(b, "attempts", fmt.Sprint(attempts))
	b.WriteString(" />")
}

// customerData writes the header fields that are logged.
func customerData(b *strings.Builder, fields []mailevents.HeaderField) {
	if len(fields) == 0 {
		return
	}
	b.WriteString(" <customer_data>")
	for _, f := range fields {
		b.WriteString(" <header")
		attribute(b, "name", f.Name)
		attribute(b, "value", f.Value)
		b.WriteString(" />")
	}
	b.WriteString(" </customer_data>")
}

func attribute(b *strings.Builder, name, value string) {
	b.WriteString(" " + name + `="`)
	xml.EscapeText(b, []byte(value)) //nolint:errcheck // a strings.Builder takes everything
	b.WriteByte('"')
}
