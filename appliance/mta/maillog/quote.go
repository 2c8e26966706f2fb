package maillog

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"github.com/esasim/esasim/appliance/mta/mailevents"
)

// quote returns s as Python's repr writes it (mail.md 1.1): in single quotes, or in double quotes
// if s holds single quotes and no double ones. Control characters and bytes that are not UTF-8 are
// escaped, so that no text from outside can end a line of a log.
func quote(s string) string {
	mark := '\''
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		mark = '"'
	}
	return quoteWith(s, mark)
}

// quoteWith returns s between two marks. A mark inside is escaped.
func quoteWith(s string, mark rune) string {
	var b strings.Builder
	b.WriteRune(mark)
	for i, r := range s {
		switch {
		case r == mark || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == unicode.ReplacementChar && !strings.HasPrefix(s[i:], "\uFFFD"):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r < 0x80 && !strconv.IsPrint(r):
			fmt.Fprintf(&b, `\x%02x`, r)
		case !strconv.IsPrint(r) && r > 0xffff:
			fmt.Fprintf(&b, `\U%08x`, r)
		case !strconv.IsPrint(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteRune(mark)
	return b.String()
}

// list returns strings as Python's repr writes a list of them: ['a', 'b'].
func list(items []string) string {
	quoted := make([]string, len(items))
	for i, s := range items {
		quoted[i] = quote(s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// headers returns header fields as a list of pairs: [('from', 'a'), ('to', 'b')].
func headers(fields []mailevents.HeaderField) string {
	pairs := make([]string, len(fields))
	for i, f := range fields {
		pairs[i] = "(" + quote(f.Name) + ", " + quote(f.Value) + ")"
	}
	return "[" + strings.Join(pairs, ", ") + "]"
}

// recipients returns the numbers of recipients: [0, 1].
func recipients(rids []int) string {
	words := make([]string, len(rids))
	for i, rid := range rids {
		words[i] = strconv.Itoa(rid)
	}
	return "[" + strings.Join(words, ", ") + "]"
}

// reply returns a mail server's reply as a pair: ('550', ['no such user']). No reply has the code
// 000.
func reply(r mailevents.Reply) string {
	return fmt.Sprintf("('%03d', %s)", r.Code, list(r.Lines))
}
