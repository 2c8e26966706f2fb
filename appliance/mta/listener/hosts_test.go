package listener

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/esasim/esasim/appliance/product"
)

// TestEntriesOfHosts: each kind of entry matches the hosts that it describes and no others.
func TestEntriesOfHosts(t *testing.T) {
	score := func(n float64) *float64 { return &n }
	host := sender{
		addr: netip.MustParseAddr("192.0.2.9"), host: "Mail.Example.net", verified: true, score: score(-2),
		listed: func(zone string) bool { return zone == "list.example" },
	}
	v6 := host
	v6.addr = netip.MustParseAddr("2001:db8::9")
	unverified, nameless, silent, unknown := host, host, host, host
	unverified.verified = false
	nameless.host, nameless.verified, nameless.noName = "", false, true
	silent.host, silent.verified, silent.noAnswer = "", false, true
	unknown.score = nil
	for _, test := range []struct {
		entry string
		who   sender
		want  bool
	}{
		{"192.0.2.9", host, true}, {"192.0.2.8", host, false}, {"2001:db8::9", v6, true}, {"192.0.2.9", v6, false},
		{"192.0.2.9-9", host, true}, {"192.0.2.1-10", host, true}, {"192.0.2.1-8", host, false}, {"192.0.2.1-10", v6, false},
		{"192.0.2.0/28", host, true}, {"192.0.2.16/28", host, false}, {"2001:db8::/32", v6, true}, {"2001:db9::/32", v6, false},
		{"mail.example.NET", host, true}, {"example.net", host, false}, {"mail.example.net", unverified, false},
		{".example.net", host, true}, {".net", host, true}, {".ample.net", host, false}, {".mail.example.net", host, false}, {".example.net", unverified, false},
		{"dnslist[list.example]", host, true}, {"dnslist[other.example]", host, false},
		{"sbrs[-3.0:-1.0]", host, true}, {"sbrs[-2:-2]", host, true}, {"sbrs[-1.9:10.0]", host, false}, {"sbrs[-10.0:10.0]", unknown, false},
		{"sbrs[none]", unknown, true}, {"sbrs[none]", host, false},
		{"nx.domain", nameless, true}, {"nx.domain", host, false}, {"nx.domain", silent, false},
		{"serv.fail", silent, true}, {"serv.fail", nameless, false},
		{"not.double.verified", unverified, true}, {"not.double.verified", nameless, true}, {"not.double.verified", host, false},
		{"ALL", silent, true},
	} {
		match, err := parseEntry(test.entry)
		if err != nil || match(test.who) != test.want {
			t.Errorf("%s matches %v %q: %v, %v, want %v", test.entry, test.who.addr, test.who.host, !test.want, err, test.want)
		}
	}
}

// TestOrderOfGroups: the first group that matches counts, unless its policy continues.
func TestOrderOfGroups(t *testing.T) {
	hosts, _, err := ParseHosts(`$GO
    CONTINUE
$YES
    ACCEPT
$NO
    REJECT
LOOKED_AT:
        192.0.2.0/24
        $GO
FIRST:
        192.0.2.1
        $NO
SECOND:
        192.0.2.1-9
        $YES
ALL
    $NO
`)
	if err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[string]string{
		"192.0.2.1": "FIRST REJECT 192.0.2.1", "192.0.2.2": "SECOND ACCEPT 192.0.2.1-9",
		"192.0.2.99": " REJECT ALL", "198.51.100.1": " REJECT ALL",
	} {
		v := hosts.judge(sender{addr: netip.MustParseAddr(addr)})
		if got := fmt.Sprintf("%s %s %s", v.group, v.policy.Action, v.entry); got != want {
			t.Errorf("%s: %s, want %s", addr, got, want)
		}
	}
}

// TestHostsByDNS: the entries that ask DNS match by what it says, and the log names them.
func TestHostsByDNS(t *testing.T) {
	b := newFixture(t, func(s *Settings) {
		hosts, _, err := ParseHosts("LISTED:\n dnslist[list.example]\n REJECT\nNONE:\n nx.domain\n ACCEPT\n" +
			"BROKEN:\n serv.fail\n ACCEPT\nFORGED:\n not.double.verified\n ACCEPT\nGOOD:\n .example.net\n ACCEPT\nALL\n REJECT\n")
		if err != nil {
			t.Fatal(err)
		}
		s.Listeners[0].Hosts = hosts
	})
	b.dns.names = map[string]string{"192.0.2.3": "forged.example.net", "192.0.2.4": "good.example.net"}
	b.dns.addrs = map[string]string{
		"1.2.0.192.list.example": "127.0.0.2", "forged.example.net": "192.0.2.77", "good.example.net": "192.0.2.4",
	}
	b.dns.fails = map[string]bool{"192.0.2.2": true}
	b.dial("192.0.2.1", "554-esa.example.com", "554 "+standardRejection).quit()
	for i, from := range []string{"192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5"} {
		b.dial(from).quit()
		b.awaitClosed(i + 2)
	}
	for _, want := range []string{
		"ICID 1 REJECT SG LISTED match dnslist[list.example] SBRS None",
		"ICID 2 ACCEPT SG BROKEN match serv.fail  SBRS None",
		"ICID 3 ACCEPT SG FORGED match not.double.verified  SBRS None",
		"ICID 4 ACCEPT SG GOOD match .example.net SBRS None",
		"ICID 5 ACCEPT SG NONE match nx.domain  SBRS None",
		"ICID 3 interface Management (192.0.2.1) address 192.0.2.3 reverse dns host forged.example.net verified no",
	} {
		if !strings.Contains(b.log(), want+"\n") {
			t.Errorf("the mail log has\n%s\nwithout %q", b.log(), want)
		}
	}
}

// TestPrivateListener: it relays the mail of the hosts that it knows to anybody, has no limit of
// recipients an hour and no time limit for unsuccessful clients, and rejects all other hosts.
func TestPrivateListener(t *testing.T) {
	b := newFixture(t, func(s *Settings) {
		s.Listeners[0] = New("Out", "Management", 25, Private, product.Version{Major: 14})
		s.Listeners[0].Hosts.Groups[0].Entries = []Entry{{Host: "192.0.2.50"}}
	})
	b.dial("192.0.2.9", "554-esa.example.com", "554 "+standardRejection).quit()
	c := b.dial("192.0.2.50")
	c.say("EHLO x", "250-esa.example.com", "250-8BITMIME", "250 SIZE 104857600")
	c.say("MAIL FROM:<a@example.com>", "250 sender <a@example.com> ok")
	b.clock.Advance(10 * minute)
	for range 30 {
		c.say("RCPT TO:<u@outside.example>", "250 recipient <u@outside.example> ok")
	}
	c.say("DATA", "354 go ahead")
	c.say(".", "250 ok:  Message 1 accepted")
	c.quit()
	if env, _ := b.queue.Message(1); !env.Outgoing || len(env.Recipients) != 30 {
		t.Errorf("the envelope is %+v", env)
	}
}

// TestBlackHole: a listener that is a black hole accepts mail and drops it.
func TestBlackHole(t *testing.T) {
	b := newFixture(t, func(s *Settings) { s.Listeners[0].Type = BlackHole })
	c := b.dial("192.0.2.9")
	c.begin()
	c.say("Message-ID: <1@x>\r\nSubject: s\r\n\r\n.", "250 ok:  Message 1 accepted")
	c.quit()
	b.expectLog(append(connected(1), "Start MID 1 ICID 1", "MID 1 ICID 1 From: <a@example.net>",
		"MID 1 ICID 1 RID 0 To: <b@example.com>", "MID 1 Message-ID '<1@x>'", "MID 1 Subject \"s\"",
		"Message aborted MID 1 Dropped by black hole listener", "Message finished MID 1 done", "ICID 1 close")...)
	if n := b.queue.Stats().Messages; n != 0 {
		t.Errorf("%d messages are in the queue", n)
	}
}
