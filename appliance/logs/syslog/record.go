package syslog

import (
	"bytes"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// stampForm is RFC 3164's, in local time; it has no year and no zone (A5).
const stampForm = "Jan _2 15:04:05"

// A form makes records of texts. It is for one goroutine at a time.
type form struct {
	priority string
	tag      string
	most     int // bytes of a record, without its line end

	// The last stamp, kept as most records share their second with the one before.
	stamp  []byte
	second int64
	zone   *time.Location
}

func newForm(s Settings) form {
	p, _ := priority(s.Facility) // complete has found it
	return form{priority: p, tag: s.Tag, most: s.MaxMessage}
}

// append appends a text as a record, or as several if it is too long, and returns how
// many these are. The stamp is t's own local time.
func (f *form) append(b []byte, t time.Time, level, text string) ([]byte, int) {
	if f.stamp == nil || t.Unix() != f.second || t.Location() != f.zone {
		f.second, f.zone = t.Unix(), t.Location()
		f.stamp = t.AppendFormat(f.stamp[:0], stampForm)
	}
	return f.stamped(b, f.stamp, level, text)
}

// stamped is append with a stamp that has been made.
func (f *form) stamped(b, stamp []byte, level, text string) ([]byte, int) {
	text = oneLine(text)
	for n := 1; ; n++ {
		begin := len(b)
		b = append(b, f.priority...)
		b = append(b, stamp...)
		b = append(b, ' ')
		b = append(b, f.tag...)
		b = append(b, ": "...)
		if level != "" { // consolidated events have none
			b = append(b, level...)
			b = append(b, ": "...)
		}
		part := text[:cut(text, f.most-(len(b)-begin))]
		b = append(b, part...)
		b = append(b, '\n')
		if text = text[len(part):]; text == "" {
			return b, n
		}
	}
}

// cut is where to cut a text that must have at most most bytes, and no less than one
// character.
func cut(text string, most int) int {
	if len(text) <= most {
		return len(text)
	}
	n := max(most, 0)
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	if n == 0 {
		_, n = utf8.DecodeRuneInString(text)
	}
	return n
}

// oneLine escapes what would end a record early, or hide it on a terminal.
func oneLine(text string) string {
	for i := range len(text) {
		if control(text[i]) {
			return escaped(text)
		}
	}
	return text
}

func control(c byte) bool { return c < ' ' || c == 0x7f }

func escaped(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		switch {
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\r':
			b.WriteString(`\r`)
		case c == '\t':
			b.WriteString(`\t`)
		case control(c):
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// stampOf is the stamp of a record.
func stampOf(record []byte) []byte {
	begin := bytes.IndexByte(record, '>') + 1
	return record[min(begin, len(record)):min(begin+len(stampForm), len(record))]
}

// count is the number of records in b, which are whole.
func count(b []byte) int { return bytes.Count(b, lineEnd) }

var lineEnd = []byte{'\n'}

// whole is the length of the whole records at the beginning of b.
func whole(b []byte) int { return bytes.LastIndexByte(b, '\n') + 1 }
