package peers

import "github.com/miekg/dns"

// AnswerQuery lets tests ask a DNS server without a connection.
func (d *DNSServer) AnswerQuery(w dns.ResponseWriter, q *dns.Msg) { d.answer(w, q) }
