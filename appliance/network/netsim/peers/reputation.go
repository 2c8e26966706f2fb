package peers

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/miekg/dns"
)

// ReputationZone is the domain below which DNS servers answer for the reputation of addresses. The
// name of an address there is like that in a DNS list (RFC 5782), and its TXT record has the form
// that the appliance's mail listener reads: the form of the real service is not public. The zone
// exists in worlds that know the reputation of something. Like a DNS list it has an entry for
// testing, 127.0.0.2.
const ReputationZone = "rf.senderbase.org."

// testEntry is the address that every DNS list has an entry for (RFC 5782, section 5).
var testEntry = netip.AddrFrom4([4]byte{127, 0, 0, 2})

// A Reputation is what is known of the senders of mail in a network.
type Reputation struct {
	Network netip.Prefix
	Score   *float64 // nil: none
	Country string   // "": not known
}

// reputation returns the TXT record of a name below ReputationZone, nil if nothing is known of its
// address or the name is another one.
func (z *zone) reputation(name string) dns.RR {
	reversed, ok := strings.CutSuffix(name, "."+ReputationZone)
	if !ok {
		return nil
	}
	addr, ok := parseReversed(reversed)
	if !ok {
		return nil
	}
	var best *Reputation
	if len(z.reputations) > 0 && addr == testEntry {
		best = &Reputation{}
	}
	for i, r := range z.reputations {
		if r.Network.Contains(addr) && (best == nil || r.Network.Bits() > best.Network.Bits()) {
			best = &z.reputations[i]
		}
	}
	if best == nil {
		return nil
	}
	score := "none"
	if best.Score != nil {
		score = fmt.Sprintf("%.1f", *best.Score)
	}
	text := "score=" + score
	if best.Country != "" {
		text += " country=" + best.Country
	}
	return &dns.TXT{Hdr: recordHeader(name, dns.TypeTXT), Txt: []string{text}}
}

// parseReversed returns the address whose name in a DNS list begins with labels.
func parseReversed(labels string) (netip.Addr, bool) {
	parts := strings.Split(labels, ".")
	for i, j := 0, len(parts)-1; i < j; i, j = i+1, j-1 {
		parts[i], parts[j] = parts[j], parts[i]
	}
	if len(parts) == 4 {
		addr, err := netip.ParseAddr(strings.Join(parts, "."))
		return addr, err == nil
	}
	if len(parts) != 32 {
		return netip.Addr{}, false
	}
	var b strings.Builder
	for i, digit := range parts {
		if i > 0 && i%4 == 0 {
			b.WriteByte(':')
		}
		b.WriteString(digit)
	}
	addr, err := netip.ParseAddr(b.String())
	return addr, err == nil
}
