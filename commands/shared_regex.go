package commands

import (
	"errors"
	"regexp"
	"regexp/syntax"
	"strings"

	"github.com/esasim/esasim/appliance/refusal"
)

// compileRegex compiles a regular expression as administrators write it: in the common part
// of Perl's and RE2's languages, in the rest of RE2's, or with those features of Perl that RE2
// has under another spelling. It refuses features that RE2 does not have, and names them.
func compileRegex(pattern string, insensitive bool) (*regexp.Regexp, error) {
	if pattern == "" {
		return nil, refusal.New("A regular expression is required.")
	}
	text, err := perlToRE2(pattern)
	if err != nil {
		return nil, err
	}
	if insensitive {
		text = "(?i)" + text
	}
	re, err := regexp.Compile(text)
	var bad *syntax.Error
	if errors.As(err, &bad) {
		return nil, refusal.Newf("The regular expression is not valid: %v: %s",
			bad.Code, visible(bad.Expr))
	}
	return re, err
}

// perlGroups are the prefixes of Perl's groups that RE2 does not have, each with its
// replacement. A group without a replacement is refused.
var perlGroups = []struct{ begins, becomes string }{
	{"(?>", "(?:"}, // atomic: RE2 never backtracks
	{"(?=", ""}, {"(?!", ""}, {"(?<=", ""}, {"(?<!", ""},
	{"(?#", ""}, {"(?(", ""}, {"(?R", ""},
}

// perlToRE2 rewrites the features of Perl that RE2 spells otherwise.
func perlToRE2(pattern string) (string, error) {
	var b strings.Builder
	class := false // inside brackets
	for i := 0; i < len(pattern); {
		rest := pattern[i:]
		switch {
		case rest[0] == '\\' && len(rest) > 1:
			text, err := perlEscape(rest[:2], class)
			if err != nil {
				return "", err
			}
			b.WriteString(text)
			i += 2
			continue
		case class:
			class = rest[0] != ']'
		case rest[0] == '[':
			class = true
			// A bracket that comes first in a class stands for itself.
			if first := strings.TrimPrefix(rest[1:], "^"); strings.HasPrefix(first, "]") {
				n := len(rest) - len(first) + 1
				b.WriteString(rest[:n])
				i += n
				continue
			}
		case strings.HasPrefix(rest, "(?"):
			text, n, err := perlGroup(rest)
			if err != nil {
				return "", err
			}
			b.WriteString(text)
			i += n
			continue
		case rest[0] == '+' && i > 0 && strings.IndexByte("*+?}", pattern[i-1]) >= 0 &&
			!escaped(pattern, i-1):
			i++ // a possessive quantifier, which is like an atomic group
			continue
		}
		b.WriteByte(rest[0])
		i++
	}
	return b.String(), nil
}

// escaped reports whether the character at i is escaped by a backslash.
func escaped(pattern string, i int) bool {
	n := 0
	for ; i > n && pattern[i-n-1] == '\\'; n++ {
	}
	return n%2 == 1
}

func perlEscape(e string, class bool) (string, error) {
	switch c := e[1]; {
	case c >= '1' && c <= '9' || c == 'k' || c == 'g':
		return "", refusal.New("Back-references are not supported in regular expressions.")
	case c == 'h' && class:
		return `\t `, nil
	case c == 'h':
		return `[\t ]`, nil
	case c == 'Z':
		return `\z`, nil
	case c == '<' || c == '>':
		return `\b`, nil
	case c == 'e':
		return `\x1b`, nil
	}
	return e, nil
}

// perlGroup returns the replacement of the prefix with which rest begins, and the length of
// that prefix.
func perlGroup(rest string) (text string, n int, err error) {
	for _, g := range perlGroups {
		if !strings.HasPrefix(rest, g.begins) {
			continue
		}
		if g.becomes == "" {
			return "", 0, refusal.Newf(
				"Groups that begin with %s are not supported in regular expressions.", g.begins)
		}
		return g.becomes, len(g.begins), nil
	}
	return "(?", 2, nil
}
