package peers_test

import (
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network/netsim/peers"
)

// An answerRecorder is a dns.ResponseWriter that keeps the answer. It appears to use TCP.
type answerRecorder struct {
	dns.ResponseWriter
	answer *dns.Msg
}

func (a *answerRecorder) RemoteAddr() net.Addr        { return &net.TCPAddr{} }
func (a *answerRecorder) WriteMsg(m *dns.Msg) error   { a.answer = m; return nil }
func (a *answerRecorder) Write(b []byte) (int, error) { return len(b), nil }

var world = &peers.Records{
	Addrs: map[string][]netip.Addr{"google.com": {netip.MustParseAddr("216.58.194.206")}, "mx.example.org": {netip.MustParseAddr("203.0.113.25")}},
	Names: map[netip.Addr]string{netip.MustParseAddr("216.58.194.206"): "sfo03s01-in-f14.1e100.net"},
	Mail:  map[string][]peers.MX{"example.org": {{Preference: 10, Host: "mx.example.org"}}},
	Reputation: []peers.Reputation{
		{Network: netip.MustParsePrefix("203.0.113.0/24"), Score: new(float64), Country: "United States"},
		{Network: netip.MustParsePrefix("203.0.113.66/32"), Country: "Netherlands"},
		{Network: netip.MustParsePrefix("2001:db8::/32"), Score: new(float64)},
	},
}

// TestReputation: the smallest network that has the address counts; of other addresses nothing is
// known. The test entry exists.
func TestReputation(t *testing.T) {
	const six = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2"
	for name, want := range map[string]string{
		"9.113.0.203":  `NOERROR aa "score=0.0 country=United States"`,
		"66.113.0.203": `NOERROR aa "score=none country=Netherlands"`,
		six:            `NOERROR aa "score=0.0"`,
		"2.0.0.127":    `NOERROR aa "score=none"`,
	} {
		got := ask(t, nil, name+".rf.senderbase.org. TXT")
		if text := strings.Join(got, " "); !strings.HasPrefix(text, "NOERROR aa ") ||
			!strings.HasSuffix(text, strings.TrimPrefix(want, "NOERROR aa")) {
			t.Errorf("%s: %q, want %s", name, got, want)
		}
	}
	for _, name := range []string{"7.2.0.192", "203", "x.113.0.203", "1.1.113.0.203"} {
		if got := ask(t, nil, name+".rf.senderbase.org. TXT"); got[0] != "NXDOMAIN aa" {
			t.Errorf("%s: %q, want that the name does not exist", name, got)
		}
	}
}

// ask sends a question such as "google.com. A" to a server with these options. The result is
// the response code and the records, each with its section.
func ask(t *testing.T, options map[string]string, question string) []string {
	t.Helper()
	kind, _ := peers.Lookup("dns")
	for name, value := range options {
		if err := kind.CheckOption(name, value); err != nil {
			t.Fatal(err)
		}
	}
	d := kind.New(peers.Config{Options: options, Records: world, Addrs: []netip.Addr{localhost}, Logger: slog.New(slog.DiscardHandler), Clock: clock.System()}).(*peers.DNSServer)
	name, class, _ := strings.Cut(question, " ")
	q := new(dns.Msg)
	q.SetQuestion(name, dns.StringToType[class])
	a := &answerRecorder{}
	d.AnswerQuery(a, q)
	said := []string{dns.RcodeToString[a.answer.Rcode]}
	if a.answer.Authoritative {
		said[0] += " aa"
	}
	for section, records := range map[string][]dns.RR{"": a.answer.Answer, "ns ": a.answer.Ns, "extra ": a.answer.Extra} {
		for _, rr := range records {
			said = append(said, section+strings.Join(strings.Fields(rr.String()), " "))
		}
	}
	slices.Sort(said[1:])
	return said
}

const internet = `
com.                IN NS a.gtld-servers.net.
a.gtld-servers.net. IN A  192.5.6.30
text.example.com. 60 IN TXT "v=spf1 -all"`

func TestDNSServerAnswers(t *testing.T) {
	for _, test := range []struct {
		options  map[string]string
		question string
		want     []string
	}{
		{nil, "google.com. A", []string{"NOERROR aa", "google.com. 300 IN A 216.58.194.206"}},
		{nil, "google.com. SOA", []string{"NOERROR aa", "google.com. 300 IN SOA ns.google.com. hostmaster.google.com. 1 3600 900 604800 300"}},
		{nil, "google.com. NS", []string{"NOERROR aa", "extra ns.google.com. 300 IN A 127.0.0.1", "google.com. 300 IN NS ns.google.com."}},
		{nil, "ns.google.com. A", []string{"NOERROR aa", "ns.google.com. 300 IN A 127.0.0.1"}},
		{nil, "google.com. ANY", []string{
			"NOERROR aa", "extra ns.google.com. 300 IN A 127.0.0.1", "google.com. 300 IN A 216.58.194.206", "google.com. 300 IN NS ns.google.com.",
			"google.com. 300 IN SOA ns.google.com. hostmaster.google.com. 1 3600 900 604800 300",
		}},
		{nil, "example.org. MX", []string{"NOERROR aa", "example.org. 300 IN MX 10 mx.example.org.", "extra mx.example.org. 300 IN A 203.0.113.25"}},
		{nil, "206.194.58.216.in-addr.arpa. PTR", []string{"NOERROR aa", "206.194.58.216.in-addr.arpa. 300 IN PTR sfo03s01-in-f14.1e100.net."}},

		// No such record, and no such name: both have the SOA record of RFC 2308.
		{nil, "google.com. TXT", []string{"NOERROR aa", "ns google.com. 300 IN SOA ns.google.com. hostmaster.google.com. 1 3600 900 604800 300"}},
		{nil, "com. A", []string{"NOERROR aa", "ns com. 300 IN SOA ns.com. hostmaster.com. 1 3600 900 604800 300"}},
		{nil, "no.google.com. A", []string{"NXDOMAIN aa", "ns google.com. 300 IN SOA ns.google.com. hostmaster.google.com. 1 3600 900 604800 300"}},
		{nil, "nobody.example. A", []string{"NXDOMAIN aa", "ns . 300 IN SOA ns. hostmaster. 1 3600 900 604800 300"}},

		// A zone that the options define.
		{map[string]string{"records": internet}, "text.example.com. TXT", []string{"NOERROR aa", `text.example.com. 60 IN TXT "v=spf1 -all"`}},
		{map[string]string{"records": "a. IN CNAME b.\nb. IN CNAME google.com."}, "a. A", []string{
			"NOERROR aa", "a. 300 IN CNAME b.", "b. 300 IN CNAME google.com.", "google.com. 300 IN A 216.58.194.206",
		}},
		{map[string]string{"records": "a. IN CNAME b.\nb. IN CNAME a."}, "a. CNAME", []string{"NOERROR aa", "a. 300 IN CNAME b."}},

		// A server for one zone only.
		{map[string]string{"zone": ".", "records": internet}, "www.example.com. A", []string{
			"NOERROR", "extra a.gtld-servers.net. 300 IN A 192.5.6.30", "ns com. 300 IN NS a.gtld-servers.net.",
		}},
		{map[string]string{"zone": "example.com"}, "google.com. A", []string{"REFUSED"}},
		{map[string]string{"zone": "Google.com"}, "GOOGLE.com. A", []string{"NOERROR aa", "GOOGLE.com. 300 IN A 216.58.194.206"}},
		{map[string]string{"zone": "example.com"}, "example.com. NS", []string{"NOERROR aa", "example.com. 300 IN NS ns.example.com.", "extra ns.example.com. 300 IN A 127.0.0.1"}},
	} {
		if got := ask(t, test.options, test.question); !slices.Equal(got, test.want) {
			t.Errorf("%v %s:\n got %q\nwant %q", test.options, test.question, got, test.want)
		}
	}
}

func TestLoopsOfAliasesEnd(t *testing.T) {
	if got := ask(t, map[string]string{"records": "a. IN CNAME b.\nb. IN CNAME a."}, "a. A"); got[0] != "NOERROR aa" {
		t.Errorf("got %q", got)
	}
}

func TestDNSServerOptionsAreChecked(t *testing.T) {
	kind, _ := peers.Lookup("dns")
	for name, value := range map[string]string{"zone": "a..b", "records": "www.example.com. IN A nonsense", "colour": "red"} {
		if err := kind.CheckOption(name, value); err == nil {
			t.Errorf("%s: %q passed", name, value)
		}
	}
}
