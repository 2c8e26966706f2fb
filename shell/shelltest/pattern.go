package shelltest

import (
	"regexp"
	"regexp/syntax"
	"strings"

	"github.com/esasim/esasim/appliance/pattern"
)

// placeholders are the regular expressions of the placeholders, by name.
var placeholders = map[string]string{
	"number": `[0-9]+`,
	"count":  ` *[0-9]+`,
	"ms":     `[0-9]+\.[0-9]{1,3}`,
	"time":   `([01][0-9]|2[0-3])(:[0-5][0-9]){2}`,
	"date": `(Mon|Tue|Wed|Thu|Fri|Sat|Sun) [A-Z][a-z]{2} [ 0-3][0-9] ` +
		`([01][0-9]|2[0-3])(:[0-5][0-9]){2} [0-9]{4}`,
	"stamp": `[0-9]{8}-[0-9]{6}`,
	"port": `(102[4-9]|10[3-9][0-9]|1[1-9][0-9]{2}|[2-9][0-9]{3}|` +
		`[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])`,
	"hex": `[0-9A-Fa-f]+`,
}

var placeholder = pattern.New(`⟨([a-z]+)⟩`)

// expression returns the regular expression of a text with placeholders. quote returns that of the
// text between them. ⟨name⟩ with an unknown name is text.
func expression(text string, quote func(string) string) string {
	var out strings.Builder
	rest := 0
	for _, m := range placeholder().FindAllStringSubmatchIndex(text, -1) {
		if form, ok := placeholders[text[m[2]:m[3]]]; ok {
			out.WriteString(quote(text[rest:m[0]]) + "(?:" + form + ")")
			rest = m[1]
		}
	}
	return out.String() + quote(text[rest:])
}

// matches reports whether text matches want, which may contain placeholders.
func matches(want, text string) bool {
	re := `\A(?:` + expression(want, regexp.QuoteMeta) + `)\z`
	return regexp.MustCompile(re).MatchString(text)
}

// A matcher compares text with an expectation byte by byte. Package regexp can only match a whole
// text; a matcher knows after each byte whether the text can still match. It simulates the
// nondeterministic automaton that regexp compiles the expression to.
type matcher struct {
	prog   *syntax.Prog
	states map[uint32]bool // that the automaton can be in after the bytes so far
}

func newMatcher(want string) *matcher {
	quote := func(s string) string { return regexp.QuoteMeta(bytesAsRunes(s)) }
	re, err := syntax.Parse(expression(want, quote), syntax.Perl)
	if err != nil {
		panic(err) // cannot happen: the placeholders are constants and the rest is quoted
	}
	prog, err := syntax.Compile(re.Simplify())
	if err != nil {
		panic(err)
	}
	m := &matcher{prog, map[uint32]bool{}}
	m.reach(m.states, uint32(prog.Start))
	return m
}

// bytesAsRunes returns a string with a rune for each byte of s: a step of the automaton consumes a
// rune, and a step of the matcher a byte.
func bytesAsRunes(s string) string {
	r := make([]rune, len(s))
	for i := range len(s) {
		r[i] = rune(s[i])
	}
	return string(r)
}

// reach adds the states that can be reached from pc without consuming a byte.
func (m *matcher) reach(states map[uint32]bool, pc uint32) {
	if states[pc] {
		return
	}
	switch i := m.prog.Inst[pc]; i.Op {
	case syntax.InstAlt, syntax.InstAltMatch:
		m.reach(states, i.Out)
		m.reach(states, i.Arg)
	case syntax.InstCapture, syntax.InstNop:
		m.reach(states, i.Out)
	default:
		states[pc] = true
	}
}

// step consumes the next byte and reports whether the text can still match. If it cannot, the
// matcher is unchanged.
func (m *matcher) step(b byte) bool {
	next := map[uint32]bool{}
	for pc := range m.states {
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
	m.states = next
	return true
}

// done reports whether the text so far matches.
func (m *matcher) done() bool {
	for pc := range m.states {
		if m.prog.Inst[pc].Op == syntax.InstMatch {
			return true
		}
	}
	return false
}
