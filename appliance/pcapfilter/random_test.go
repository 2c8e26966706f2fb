package pcapfilter_test

import (
	"fmt"
	"strings"
)

// randomSource is a small random number generator (splitmix64). The same seed gives the same
// frames and filters on every machine and with every release of Go.
type randomSource uint64

func (d *randomSource) uint64() uint64 {
	*d += 0x9e3779b97f4a7c15
	z := uint64(*d)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// intn returns a number from 0 to n-1.
func (d *randomSource) intn(n int) int { return int(d.uint64() % uint64(n)) }

// oneIn returns true once in n times on average.
func (d *randomSource) oneIn(n int) bool { return d.intn(n) == 0 }

// pick returns one of the strings.
func (d *randomSource) pick(words ...string) string { return words[d.intn(len(words))] }

func pickOf[T any](d *randomSource, from []T) T { return from[d.intn(len(from))] }

// randomFilter returns an expression of the language. Most of them can be compiled, some are not
// valid (a keyword of the wrong kind, an address instead of a port).
func randomFilter(d *randomSource) string {
	return randomExpression(d, 3)
}

func randomExpression(d *randomSource, depth int) string {
	terms := 1 + d.intn(3)
	var b strings.Builder
	for i := range terms {
		if i > 0 {
			b.WriteString(d.pick(" and ", " or ", " && ", " || "))
			if d.oneIn(4) {
				b.WriteString(d.pick("", "", "not ") + randomIDs(d))
				continue
			}
		}
		if d.oneIn(4) {
			b.WriteString(d.pick("not ", "! "))
		}
		if depth > 0 && d.oneIn(3) {
			b.WriteString("(" + randomExpression(d, depth-1) + ")")
		} else {
			b.WriteString(randomPrimitive(d))
		}
	}
	return b.String()
}

// randomIDs returns an identifier, or a list of identifiers in parentheses.
func randomIDs(d *randomSource) string {
	if !d.oneIn(4) {
		return randomID(d)
	}
	var b strings.Builder
	b.WriteString("(" + d.pick("", "not ") + randomID(d))
	for range 1 + d.intn(2) {
		b.WriteString(d.pick(" and ", " or ") + d.pick("", "", "not ") + randomID(d))
	}
	b.WriteString(")")
	return b.String()
}

func randomID(d *randomSource) string {
	return d.pick("10.1.1.1", "10.1.1.2", "10.1", "192.168.1.0/24", "80", "25", "0x50", "http",
		"domain",
		"2001:db8::1", "fe80::/10", "2:0:0:0:0:1", "80-90", `\tcp`, "6", "17", "3", "0")
}

func randomPrimitive(d *randomSource) string {
	switch d.intn(16) {
	case 0, 1, 2:
		return d.pick("", "", "", "ip ", "ip6 ", "arp ", "rarp ", "ether ", "tcp ") +
			d.pick("", "", "src ", "dst ", "src or dst ", "src and dst ") +
			d.pick("host ", "host ", "net ") + randomAddress(d)
	case 3, 4:
		return d.pick("", "", "tcp ", "udp ", "sctp ", "ip ") +
			d.pick("", "", "src ", "dst ", "src and dst ") +
			d.pick("port ", "port ", "portrange ") + d.pick("80", "25", "http", "domain", "20-30",
			"ftp-http", "53", "65535", "syslog")
	case 5:
		return d.pick("", "ip ", "ip6 ", "ether ", "iso ", "isis ") + "proto " +
			d.pick("6", "17", `\tcp`, `\udp`, "0x800", "58", "1", "2", `\isis`, `\arp`, "300", "(6 or 17)")
	case 6, 7:
		return d.pick("ip", "ip6", "arp", "rarp", "tcp", "udp", "sctp", "icmp", "icmp6", "igmp", "igrp",
			"pim",
			"vrrp", "carp", "ah", "esp", "atalk", "aarp", "decnet", "lat", "sca", "moprc", "mopdl", "iso",
			"esis", "isis", "clnp", "stp", "ipx", "netbeui", "l1", "l2", "iih", "lsp", "snp", "csnp", "psnp")
	case 8:
		return d.pick("", "ether ", "ip ", "ip6 ") + d.pick("broadcast", "multicast")
	case 9:
		return d.pick("less ", "greater ") + fmt.Sprint(d.intn(200))
	case 10:
		return d.pick("vlan", "vlan 5", "vlan 100", "mpls", "mpls 1000", "mpls 5", "pppoed", "pppoes",
			"pppoes 7", "geneve", "geneve 42")
	case 11:
		return "llc" + d.pick("", " i", " s", " u", " rr", " rnr", " ui", " xid")
	case 12:
		return fmt.Sprintf("byte %d %s %d", d.intn(40), d.pick("=", "<", ">", "&", "|"), d.intn(256))
	case 13:
		return d.pick("", "ip ", "ip6 ") + "protochain " + d.pick("6", "17", `\udp`, "58")
	default:
		return randomArith(d, 2) + d.pick(" = ", " != ", " > ", " < ", " >= ", " <= ",
			" == ") + randomArith(d, 1)
	}
}

func randomAddress(d *randomSource) string {
	return d.pick("10.1.1.1", "10.1.1.2", "192.168.1.5", "10", "10.1", "10.0.0.0/8", "10.1.1.0/24",
		"0.0.0.0/0",
		"224.0.0.5", "10.1.0.0 mask 255.255.0.0", "2001:db8::1", "fe80::1", "fe80::/10", "::/0",
		"ff02::/16", "2001:db8::/32", "2:0:0:0:0:1", "2:0:0:0:0:2", "0002.0000.0001")
}

func randomArith(d *randomSource, depth int) string {
	if depth > 0 && d.oneIn(2) {
		op := d.pick(" + ", " - ", " * ", " / ", " & ", " | ", " ^ ", " << ", " >> ", " % ", " & ", " + ")
		s := randomArith(d, depth-1) + op + randomArith(d, depth-1)
		if d.oneIn(3) {
			s = "(" + s + ")"
		}
		return s
	}
	switch d.intn(6) {
	case 0:
		return "len"
	case 1:
		return d.pick("icmp[icmptype]", "tcp[tcpflags]", "icmp6[icmp6type]", "ip[2:2]", "ip[6:2]",
			"tcp[12]")
	case 2:
		return "-" + randomArith(d, 0)
	case 3, 4:
		index := fmt.Sprint(d.intn(24))
		if depth > 0 && d.oneIn(3) {
			index = randomArith(d, depth-1)
		}
		return d.pick("ip", "ip6", "tcp", "udp", "icmp", "icmp6", "ether", "arp", "sctp", "link",
			"igmp") +
			"[" + index + d.pick("", "", ":1", ":2", ":4") + "]"
	}
	return d.pick("0", "1", "2", "3", "6", "8", "0x0f", "0xff", "0x1fff", "255", "80", "tcp-syn",
		"icmp-echo", "0xffffffff", "0x80000000", "31", "32", "1500")
}

// randomChain returns a long chain of tests of few values, which the optimizer can simplify in
// many ways.
func randomChain(d *randomSource, depth int) string {
	var b strings.Builder
	op := d.pick(" and ", " or ")
	for i := range 2 + d.intn(6) {
		if i > 0 {
			if d.oneIn(5) {
				op = d.pick(" and ", " or ")
			}
			b.WriteString(op)
		}
		if d.oneIn(3) {
			b.WriteString("not ")
		}
		switch d.intn(10) {
		case 0, 1:
			if depth > 0 {
				b.WriteString("(" + randomChain(d, depth-1) + ")")
				continue
			}
			fallthrough
		case 2:
			fmt.Fprintf(&b, "tcp port %d", 25*d.intn(3))
		case 3:
			fmt.Fprintf(&b, "ip proto %d", d.intn(4))
		case 4:
			fmt.Fprintf(&b, "host 10.1.1.%d", d.intn(3))
		case 5:
			fmt.Fprintf(&b, "ip[8] = %d", d.intn(3))
		case 6:
			fmt.Fprintf(&b, "ether[%d] & %d != 0", d.intn(3), d.intn(3))
		case 7:
			fmt.Fprintf(&b, "len > %d", 60*d.intn(3))
		case 8:
			fmt.Fprintf(&b, "ether proto %d", 0x800+3*d.intn(3))
		case 9:
			fmt.Fprintf(&b, "ether[%d] > ether[%d]", d.intn(3), d.intn(3))
		}
	}
	return b.String()
}
