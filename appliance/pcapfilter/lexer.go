package pcapfilter

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// A kind is the kind of a token. For a token of one character it is that character: '(', '[',
// '+', '>' and so on.
type kind int

const (
	tokEnd        kind = iota + 256
	tokInvalid         // the text is no token
	tokName            // ftp-data, or an escaped keyword: \ip
	tokNumber          // 80, 0x50, 0120, or a named number: icmp-echo
	tokIPv4            // 10.1, 10.1.1 or 10.1.1.1; a number without dots is a tokNumber
	tokIPv6            // fe80::1
	tokMAC             // 0:1:2:3:4:5 and the other forms
	tokARCnet          // $12
	tokProtocol        // ip, tcp, ether, ...
	tokSrc             // here and below, one kind for each keyword with its own grammar
	tokDst             //
	tokWLANAddr        // addr1, ra, ...
	tokHost            //
	tokNet             //
	tokPort            //
	tokPortrange       //
	tokProto           //
	tokProtochain      //
	tokGateway         //
	tokMask            //
	tokLess            //
	tokGreater         //
	tokByte            //
	tokBroadcast       //
	tokMulticast       //
	tokAnd             //
	tokOr              //
	tokLen             //
	tokInbound         //
	tokOutbound        //
	tokIfindex         //
	tokVLAN            //
	tokMPLS            //
	tokPPPoED          //
	tokPPPoES          //
	tokGeneve          //
	tokLLC             //
	tokType            // of 802.11, as are tokSubtype and tokDir
	tokSubtype         //
	tokDir             //
	tokPFName          // ifname, ruleset
	tokPFNumber        // rulenum, subrulenum
	tokReason          //
	tokAction          //
	tokATM             // oam and other cells of ATM
	tokATMField        // vpi, vci
	tokMTP2            // fisu and other signal units of SS7
	tokMTP3Field       // opc and other fields of SS7
	tokGE              // >=
	tokLE              // <=
	tokNE              // !=
	tokLsh             // <<
	tokRsh             // >>
)

// A token is a word, number, address or operator.
type token struct {
	kind  kind
	text  string // as in the expression; that of a name without the escaping backslash
	at    int    // its position in the expression
	value uint32 // of a tokNumber
	proto proto  // of a tokProtocol
}

// A lexer splits an expression into tokens. Each token is as long as possible: "80-90" is a
// name, which portrange needs, and so is "10-3".
type lexer struct {
	src string
	pos int
}

// next returns the next token. It fails for malformed addresses and numbers.
func (l *lexer) next() token {
	for l.pos < len(l.src) && strings.IndexByte(" \r\n\t", l.src[l.pos]) >= 0 {
		l.pos++
	}
	if l.pos == len(l.src) {
		return token{kind: tokEnd, at: l.pos}
	}
	t := l.scan(l.src[l.pos:])
	t.at = l.pos
	switch t.kind {
	case tokInvalid:
		return t // the lexer stays here
	case tokName:
		l.pos += len(t.text)
		t.text = strings.TrimPrefix(t.text, `\`)
	default:
		l.pos += len(t.text)
	}
	switch t.kind {
	case tokNumber:
		if isDigit(t.text[0]) { // not a named number
			t.value = number(t)
		}
	case tokIPv6:
		if _, err := netip.ParseAddr(t.text); err != nil {
			fail(t.at, "bogus IPv6 address "+t.text)
		}
	case tokMAC:
		if t.text[len(t.text)-1] == ':' {
			fail(t.at, "bogus ethernet address "+t.text)
		}
	}
	return t
}

// scan returns the token at the beginning of s, which is not empty.
func (l *lexer) scan(s string) token {
	if k, n := operatorAt(s); n > 0 {
		return token{kind: k, text: s[:n]}
	}
	if s[0] == '\\' {
		n := span(s[1:], func(c byte) bool { return strings.IndexByte(" !()\n\t", c) < 0 })
		if n == 0 {
			return token{kind: tokInvalid}
		}
		return token{kind: tokName, text: s[:1+n]}
	}
	if s[0] == '$' {
		if n := hexDigits(s[1:], 1, 2); n > 0 {
			return token{kind: tokARCnet, text: s[:1+n]}
		}
		return token{kind: tokInvalid}
	}

	// The longest token is chosen; of two with the same length, the first in this order.
	word := wordLength(s)
	best := token{kind: tokInvalid}
	try := func(k kind, n int) {
		if n > len(best.text) {
			best = token{kind: k, text: s[:n]}
		}
	}
	if t, ok := keywords[s[:word]]; ok {
		best = t
		best.text = s[:word]
	}
	try(tokMAC, macLength(s))
	try(tokNumber, numberLength(s))
	try(tokIPv4, ipv4Length(s))
	try(tokIPv6, ipv6Length(s))
	try(tokMAC, malformedMACLength(s))
	if v, ok := namedNumbers[s[:word]]; ok && word > len(best.text) {
		best = token{kind: tokNumber, text: s[:word], value: v}
	}
	try(tokName, word)
	return best
}

// operatorAt returns the kind and the length of the operator or punctuation at the beginning of
// s. The length is 0 if there is none.
func operatorAt(s string) (kind, int) {
	if len(s) >= 2 {
		switch s[:2] {
		case "&&":
			return tokAnd, 2
		case "||":
			return tokOr, 2
		case ">=":
			return tokGE, 2
		case "<=":
			return tokLE, 2
		case "!=":
			return tokNE, 2
		case "==":
			return '=', 2
		case "<<":
			return tokLsh, 2
		case ">>":
			return tokRsh, 2
		}
	}
	if strings.IndexByte("()[]!<>=+-*/%&|^:", s[0]) >= 0 && ipv6Length(s) == 0 {
		return kind(s[0]), 1
	}
	return 0, 0
}

// number parses the notation of C: decimal, hexadecimal after 0x, octal after 0.
func number(t token) uint32 {
	base, digits := 10, t.text
	switch {
	case strings.HasPrefix(t.text, "0x") || strings.HasPrefix(t.text, "0X"):
		base, digits = 16, t.text[2:]
	case len(t.text) > 1 && t.text[0] == '0':
		base, digits = 8, t.text[1:]
		if strings.ContainsAny(digits, "89") {
			fail(t.at, fmt.Sprintf("number %s contains non-octal digit", t.text))
		}
	}
	v, err := strconv.ParseUint(digits, base, 32)
	if err != nil {
		fail(t.at, fmt.Sprintf("number %s overflows 32 bits", t.text))
	}
	return uint32(v)
}

// span returns the length of the longest prefix of s whose bytes all satisfy in.
func span(s string, in func(byte) bool) int {
	n := 0
	for n < len(s) && in(s[n]) {
		n++
	}
	return n
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isHex(c byte) bool { return isDigit(c) || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F' }

func isAlnum(c byte) bool { return isDigit(c) || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

// wordLength returns the length of the name at the beginning of s: letters, digits, dots and,
// except at its end, hyphens and underscores. It begins with a letter or digit.
func wordLength(s string) int {
	if !isAlnum(s[0]) {
		return 0
	}
	n := span(s, func(c byte) bool { return isAlnum(c) || c == '-' || c == '_' || c == '.' })
	for s[n-1] == '-' || s[n-1] == '_' {
		n--
	}
	return n
}

// hexDigits returns the number of hexadecimal digits at the beginning of s, at most high. It
// returns 0 if there are fewer than low.
func hexDigits(s string, low, high int) int {
	n := span(s[:min(len(s), high)], isHex)
	if n < low {
		return 0
	}
	return n
}

// numberLength returns the length of a decimal, octal or hexadecimal number.
func numberLength(s string) int {
	if len(s) > 2 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X') {
		if n := span(s[2:], isHex); n > 0 {
			return 2 + n
		}
	}
	return span(s, isDigit)
}

// ipv4Length returns the length of one to four numbers separated by dots.
func ipv4Length(s string) int {
	n := numberLength(s)
	if n == 0 {
		return 0
	}
	for parts := 1; parts < 4; parts++ {
		if n+1 >= len(s) || s[n] != '.' {
			break
		}
		m := numberLength(s[n+1:])
		if m == 0 {
			break
		}
		n += 1 + m
	}
	return n
}

// ipv6Length returns the length of an IPv6 address: eight groups of hexadecimal digits separated
// by colons, or fewer with one "::". The last two groups may be an IPv4 address.
func ipv6Length(s string) int {
	at, count, best := 0, 0, 0
	short := strings.HasPrefix(s, "::")
	if short {
		at, best = 2, 2
	}
	for at < len(s) && count < 8 {
		if count == 6 && !short || count <= 5 && short {
			if n := ipv4Length(s[at:]); strings.Count(s[at:at+n], ".") == 3 {
				return at + n
			}
		}
		n := hexDigits(s[at:], 1, 4)
		if n == 0 {
			break
		}
		count++
		at += n
		if short && count < 8 || count == 8 && !short {
			best = at
		}
		rest := s[at:]
		switch {
		case strings.HasPrefix(rest, "::") && !short && count < 8:
			short = true
			at += 2
			best = at
		case strings.HasPrefix(rest, ":"):
			at++
		default:
			return best
		}
	}
	return best
}

// macLength returns the length of a hardware address in one of the forms 0:1:2:3:4:5 (or with
// hyphens, or dots), 0001.0203.0405 and 000102030405.
func macLength(s string) int {
	for _, sep := range []byte(":-.") {
		if n := groups(s, 6, 1, 2, sep); n > 0 {
			return n
		}
	}
	if n := groups(s, 3, 4, 4, '.'); n > 0 {
		return n
	}
	if hexDigits(s, 12, 12) == 12 {
		return 12
	}
	return 0
}

// groups returns the length of count groups of low to high hexadecimal digits separated by sep.
func groups(s string, count, low, high int, sep byte) int {
	at := 0
	for i := range count {
		if i > 0 {
			if at >= len(s) || s[at] != sep {
				return 0
			}
			at++
		}
		n := hexDigits(s[at:], low, high)
		if n == 0 {
			return 0
		}
		at += n
	}
	return at
}

// malformedMACLength returns the length of a malformed address with colons: two or more bytes,
// each followed by colons.
func malformedMACLength(s string) int {
	at, count := 0, 0
	for {
		n := hexDigits(s[at:], 1, 2)
		if n == 0 {
			break
		}
		colons := span(s[at+n:], func(c byte) bool { return c == ':' })
		if colons == 0 {
			break
		}
		at += n + colons
		count++
	}
	if count < 2 {
		return 0
	}
	return at
}
