package listener

import (
	"bytes"
	"mime"
	"strings"
)

// maxHeader bounds the header of a message in bytes, which is held in memory. The limit of header
// lines is reached long before by messages of people.
const maxHeader = 1 << 20

// A header is that of a message that is being received.
type header struct {
	text  []byte // without the empty line at its end
	lines int

	messageID string
	subject   string
	received  int // Received fields
}

// The results of header.add: where the line belongs.
type headerState int

const (
	headerGoesOn headerState = iota // the line belongs to the header
	headerEnded                     // the line is the empty one that ends it
	noHeader                        // the line belongs to the body, although no empty line was there
)

// add takes a line, or a part of a long one. lineStart says that part begins a line.
func (h *header) add(part []byte, lineStart bool) headerState {
	if lineStart {
		switch {
		case string(part) == "\r\n":
			return headerEnded
		case !isField(part) && !(h.lines > 0 && (part[0] == ' ' || part[0] == '\t')):
			return noHeader
		}
		h.lines++
	}
	if len(h.text) <= maxHeader {
		h.text = append(h.text, part...)
	}
	return headerGoesOn
}

// isField reports whether a line begins with the name of a header field and a colon (RFC 5322 2.2).
func isField(line []byte) bool {
	i := bytes.IndexByte(line, ':')
	if i <= 0 {
		return false
	}
	for _, c := range bytes.TrimRight(line[:i], " \t") {
		if c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return true
}

// parse finds the fields that are logged or counted.
func (h *header) parse() {
	found := map[string]string{}
	for name, value := range fields(h.text) {
		key := strings.ToLower(name)
		if key == "received" {
			h.received++
		}
		if _, seen := found[key]; !seen {
			found[key] = value
		}
	}
	h.messageID = strings.TrimSpace(found["message-id"])
	h.subject = decodeWords(found["subject"])
}

// fields yields the fields of a header, with the line ends of folded values.
func fields(text []byte) func(yield func(name, value string) bool) {
	return func(yield func(name, value string) bool) {
		lines := strings.SplitAfter(string(text), "\r\n")
		for i := 0; i < len(lines); {
			field := lines[i]
			for i++; i < len(lines) && (strings.HasPrefix(lines[i], " ") || strings.HasPrefix(lines[i], "\t")); i++ {
				field += lines[i]
			}
			name, value, ok := strings.Cut(field, ":")
			if ok && !yield(strings.TrimRight(name, " \t"), strings.Trim(value, " \t\r\n")) {
				return
			}
		}
	}
}

// decodeWords returns the value of a field with its encoded words decoded (RFC 2047). One that
// cannot be decoded stays as it is.
func decodeWords(value string) string {
	decoded, err := new(mime.WordDecoder).DecodeHeader(value)
	if err != nil {
		return value
	}
	return decoded
}
