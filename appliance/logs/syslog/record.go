package syslog

import (
	"bytes"
	"time"
	"unicode/utf8"
)

// stampLayout is RFC 3164's, in local time; it has no year and no zone (A5).
const stampLayout = "Jan _2 15:04:05"

// A formatter makes records of texts. It must be used by one goroutine at a time.
type formatter struct {
	priority string // "<22>"
	tag      string
	maxSize  int // of a record in bytes, without its line end

	// The last stamp. It is kept because most records have the same second as the one before.
	stamp  []byte
	second int64
	zone   *time.Location
}

func newFormatter(s Settings) formatter {
	p, _ := priority(s.Facility) // setDefaults has checked it
	return formatter{priority: p, tag: s.Tag, maxSize: s.MaxMessage}
}

// append appends a text to b as a record, or as several records if it is too long, and returns
// their number. The stamp is t in t's own zone.
func (f *formatter) append(b []byte, t time.Time, level, text string) ([]byte, int) {
	if f.stamp == nil || t.Unix() != f.second || t.Location() != f.zone {
		f.second, f.zone = t.Unix(), t.Location()
		f.stamp = t.AppendFormat(f.stamp[:0], stampLayout)
	}
	return f.appendStamped(b, f.stamp, level, text)
}

// appendStamped is append with a stamp that exists already.
func (f *formatter) appendStamped(b, stamp []byte, level, text string) ([]byte, int) {
	text = Line(text)
	for n := 1; ; n++ {
		begin := len(b)
		b = append(b, f.priority...)
		b = append(b, stamp...)
		b = append(b, ' ')
		b = append(b, f.tag...)
		b = append(b, ": "...)
		if level != "" { // consolidated events have no level
			b = append(b, level...)
			b = append(b, ": "...)
		}
		part := text[:splitPoint(text, f.maxSize-(len(b)-begin))]
		b = append(b, part...)
		b = append(b, '\n')
		if text = text[len(part):]; text == "" {
			return b, n
		}
	}
}

// splitPoint returns where to split a text so that the first part has at most the given number
// of bytes, but at least one character.
func splitPoint(text string, limit int) int {
	if len(text) <= limit {
		return len(text)
	}
	n := max(limit, 0)
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	if n == 0 {
		_, n = utf8.DecodeRuneInString(text)
	}
	return n
}

// stampOf returns the stamp of a record.
func stampOf(record []byte) []byte {
	begin := bytes.IndexByte(record, '>') + 1
	return record[min(begin, len(record)):min(begin+len(stampLayout), len(record))]
}

// countRecords returns the number of records in b, which must be whole.
func countRecords(b []byte) int { return bytes.Count(b, lineEnd) }

var lineEnd = []byte{'\n'}

// wholeRecords returns the length of the whole records at the beginning of b.
func wholeRecords(b []byte) int { return bytes.LastIndexByte(b, '\n') + 1 }
