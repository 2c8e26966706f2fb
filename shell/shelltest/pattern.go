package shelltest

import (
	"regexp"
	"regexp/syntax"
	"strings"
)

// placeholders are the measured values and their forms.
var placeholders = map[string]string{
	"number": `[0-9]+`,
	"count":  ` *[0-9]+`,
	"ms":     `[0-9]+\.[0-9]{1,3}`,
	"time":   `([01][0-9]|2[0-3])(:[0-5][0-9]){2}`,
	"date":   `(Mon|Tue|Wed|Thu|Fri|Sat|Sun) [A-Z][a-z]{2} [ 0-3][0-9] ([01][0-9]|2[0-3])(:[0-5][0-9]){2} [0-9]{4}`,
	"stamp":  `[0-9]{8}-[0-9]{6}`,
	"port":   `(102[4-9]|10[3-9][0-9]|1[1-9][0-9]{2}|[2-9][0-9]{3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])`,
	"hex":    `[0-9A-Fa-f]+`,
}

var placeholder = regexp.MustCompile(`⟨([a-z]+)⟩`)

// expression is the regular expression of a text with placeholders; quote makes
// that of the text between them. A name that is no placeholder is text.
func expression(text string, quote func(string) string) string {
	var out strings.Builder
	rest := 0
	for _, m := range placeholder.FindAllStringSubmatchIndex(text, -1) {
		if form, ok := placeholders[text[m[2]:m[3]]]; ok {
			out.WriteString(quote(text[rest:m[0]]) + "(?:" + form + ")")
			rest = m[1]
		}
	}
	return out.String() + quote(text[rest:])
}

// matches reports whether want, which may have placeholders, describes text.
func matches(want, text string) bool {
	return regexp.MustCompile(`\A(?:` + expression(want, regexp.QuoteMeta) + `)\z`).MatchString(text)
}

// A matcher compares text with an expectation as it comes, byte by byte. Package
// regexp can only judge a whole text; this one knows at each byte whether the text
// may still become what is wanted. It steps through the program that regexp would
// run, with all the places in it where the text so far may be.
type matcher struct {
	prog   *syntax.Prog
	places map[uint32]bool
}

func newMatcher(want string) *matcher {
	re, err := syntax.Parse(expression(want, func(s string) string { return regexp.QuoteMeta(bytesAsRunes(s)) }), syntax.Perl)
	if err != nil {
		panic(err) // the forms are constants and the rest is quoted
	}
	prog, err := syntax.Compile(re.Simplify())
	if err != nil {
		panic(err)
	}
	m := &matcher{prog, map[uint32]bool{}}
	m.reach(m.places, uint32(prog.Start))
	return m
}

// bytesAsRunes lets one step of a program be one byte.
func bytesAsRunes(s string) string {
	r := make([]rune, len(s))
	for i := range len(s) {
		r[i] = rune(s[i])
	}
	return string(r)
}

// reach notes the places that can be reached from pc without a byte.
func (m *matcher) reach(places map[uint32]bool, pc uint32) {
	if places[pc] {
		return
	}
	switch i := m.prog.Inst[pc]; i.Op {
	case syntax.InstAlt, syntax.InstAltMatch:
		m.reach(places, i.Out)
		m.reach(places, i.Arg)
	case syntax.InstCapture, syntax.InstNop:
		m.reach(places, i.Out)
	default:
		places[pc] = true
	}
}

// step takes the next byte and reports whether the text is as it must be so far.
// After a byte that is not, the matcher is as before it.
func (m *matcher) step(b byte) bool {
	next := map[uint32]bool{}
	for pc := range m.places {
		switch i := &m.prog.Inst[pc]; i.Op {
		case syntax.InstRune, syntax.InstRune1, syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
			if i.MatchRune(rune(b)) {
				m.reach(next, i.Out)
			}
		}
	}
	if len(next) == 0 {
		return false
	}
	m.places = next
	return true
}

// done reports whether the text is whole.
func (m *matcher) done() bool {
	for pc := range m.places {
		if m.prog.Inst[pc].Op == syntax.InstMatch {
			return true
		}
	}
	return false
}
