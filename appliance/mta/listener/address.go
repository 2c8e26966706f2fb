package listener

import (
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/clock"
)

// maxAddress is the longest address, in bytes (RFC 5321 4.5.3.1).
const maxAddress = 320

// parsePath returns the address and the parameters of MAIL or RCPT. The angle brackets may be
// missing, and blanks may stand before the address, as the real appliance accepts both.
func parsePath(rest, keyword string) (address string, params []string, ok bool) {
	if len(rest) < len(keyword) || !strings.EqualFold(rest[:len(keyword)], keyword) {
		return "", nil, false
	}
	rest = strings.TrimLeft(rest[len(keyword):], " ")
	if inside, found := strings.CutPrefix(rest, "<"); found {
		end := closingBracket(inside)
		if end < 0 {
			return "", nil, false
		}
		address, rest = inside[:end], inside[end+1:]
		if rest != "" && rest[0] != ' ' {
			return "", nil, false
		}
	} else {
		address, rest, _ = strings.Cut(rest, " ")
		if address == "" {
			return "", nil, false
		}
	}
	// A source route is ignored (RFC 5321 4.1.1.3).
	if strings.HasPrefix(address, "@") {
		_, address, ok = strings.Cut(address, ":")
		if !ok {
			return "", nil, false
		}
	}
	return address, strings.Fields(rest), validAddress(address)
}

// closingBracket returns the index of the bracket that ends an address, -1 if there is none. A
// bracket within quotes does not end it.
func closingBracket(s string) int {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == '>' && !quoted:
			return i
		}
	}
	return -1
}

// validAddress reports whether an address may stand in an envelope: it is short enough, and has
// neither control characters nor, outside quotes, blanks or brackets.
func validAddress(a string) bool {
	if len(a) > maxAddress {
		return false
	}
	quoted := false
	for i := 0; i < len(a); i++ {
		switch c := a[i]; {
		case c < ' ' || c == 0x7f:
			return false
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case !quoted && (c == ' ' || c == '<' || c == '>'):
			return false
		}
	}
	return !quoted && !strings.HasSuffix(a, "@") && !strings.HasPrefix(a, "@")
}

// withDomain returns an address with the listener's default domain if it has none. ok is false if
// it has none and needs one.
func (s *session) withDomain(address string) (full string, ok bool) {
	_, _, has := cutAddress(address)
	if has || address == "" || s.conf.DefaultDomain == "" {
		return address, true
	}
	return address + "@" + s.conf.DefaultDomain, true
}

// printable returns text of a client as an answer may repeat it: without control characters, and
// not too long.
func printable(text string) string {
	const most = 100
	if len(text) > most {
		text = text[:most]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0xfffd {
			return '?'
		}
		return r
	}, text)
}

// period returns what the client has done in the present hour. Server.mu must be held.
func (s *session) period() *period {
	length := clock.Mark(time.Duration(s.settings.CounterReset) * time.Second)
	return s.server.clients.hosts.get(s.key(), s.server.o.Clock.Mark(), length)
}

// senderPeriod returns what an envelope sender has done at the listener in its present interval.
// Server.mu must be held.
func (s *session) senderPeriod(from string) *period {
	length := clock.Mark(time.Duration(s.limits.SenderInterval) * time.Minute)
	key := senderKey{lower(s.conf.Name), lower(from)}
	return s.server.clients.senders.get(key, s.server.o.Clock.Mark(), length)
}
