package traffic

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"mime"
	"path"
	"slices"
	"strings"
	"time"
)

// A Message is what a host sends: an envelope and a text.
type Message struct {
	From string // "" is the empty sender of bounces
	To   []string
	Text Text
}

// A Text is a message's header and body. It is made while it is sent, so that a large one is never
// in memory.
type Text struct {
	head   []byte
	filler int64 // bytes of lines that follow head
}

// fillerLine is what a filler is made of.
const fillerLine = "These lines are here so that the message is large enough for a test.\r\n"

// Size returns the number of bytes of the text.
func (t Text) Size() int64 { return int64(len(t.head)) + t.filler }

// EightBit reports whether the text has bytes above 127.
func (t Text) EightBit() bool {
	return slices.ContainsFunc(t.head, func(b byte) bool { return b > 127 })
}

// Open returns a reader of the text.
func (t Text) Open() io.Reader {
	if t.filler == 0 {
		return bytes.NewReader(t.head)
	}
	return io.MultiReader(bytes.NewReader(t.head), io.LimitReader(&repeated{text: fillerLine}, t.filler))
}

// A repeated reads the same text again and again.
type repeated struct {
	text string
	at   int
}

func (r *repeated) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		m := copy(p[n:], r.text[r.at:])
		n, r.at = n+m, (r.at+m)%len(r.text)
	}
	return n, nil
}

// An Attachment is a file in a message.
type Attachment struct {
	Name string `json:"name"`
	Type string `json:"type,omitempty"` // "application/pdf"; by default that of the name
	Data []byte `json:"data"`
}

// Parts are what a text is made of.
type Parts struct {
	From, To    string // of the header
	Subject     string
	Date        time.Time
	MessageID   string            // without angle brackets; "": none
	Headers     map[string]string // more lines
	Lines       []string          // of the body
	HTML        []string          // of the body in HTML, instead of or besides Lines; nil: none
	Attachments []Attachment
	Boundary    string // of MIME parts, if there are any
	Filler      int64  // bytes that follow the body
}

// Compose returns the text that has these parts.
func Compose(p Parts) Text {
	var b bytes.Buffer
	line := func(name, value string) {
		if _, replaced := p.Headers[name]; value != "" && !replaced {
			fmt.Fprintf(&b, "%s: %s\r\n", name, value)
		}
	}
	line("From", p.From)
	line("To", p.To)
	line("Subject", mime.QEncoding.Encode("utf-8", p.Subject))
	line("Date", p.Date.Format(time.RFC1123Z))
	if p.MessageID != "" {
		line("Message-ID", "<"+p.MessageID+">")
	}
	for _, name := range slices.Sorted(maps.Keys(p.Headers)) {
		fmt.Fprintf(&b, "%s: %s\r\n", name, p.Headers[name])
	}
	line("MIME-Version", "1.0")
	switch {
	case len(p.Attachments) > 0:
		p.composeMixed(&b)
	case p.HTML != nil:
		composePart(&b, "text/html; charset=utf-8", p.HTML)
	default:
		composePart(&b, "text/plain; charset=utf-8", p.Lines)
	}
	return Text{b.Bytes(), p.Filler}
}

// composePart writes the rest of a header, and a body.
func composePart(b *bytes.Buffer, contentType string, lines []string) {
	encoding := "7bit"
	if slices.ContainsFunc(lines, func(l string) bool {
		return strings.ContainsFunc(l, func(r rune) bool { return r > 127 })
	}) {
		encoding = "8bit"
	}
	fmt.Fprintf(b, "Content-Type: %s\r\nContent-Transfer-Encoding: %s\r\n\r\n", contentType, encoding)
	for _, l := range lines {
		b.WriteString(l + "\r\n")
	}
}

// composeMixed writes the rest of the header, and a body with attachments.
func (p *Parts) composeMixed(b *bytes.Buffer) {
	fmt.Fprintf(b, "Content-Type: multipart/mixed; boundary=%q\r\n\r\n--%[1]s\r\n", p.Boundary)
	if p.HTML != nil {
		composePart(b, "text/html; charset=utf-8", p.HTML)
	} else {
		composePart(b, "text/plain; charset=utf-8", p.Lines)
	}
	for _, a := range p.Attachments {
		kind := a.Type
		if kind == "" {
			kind = mime.TypeByExtension(path.Ext(a.Name))
		}
		if kind == "" {
			kind = "application/octet-stream"
		}
		fmt.Fprintf(b, "--%s\r\nContent-Type: %s\r\nContent-Disposition: %s\r\n"+
			"Content-Transfer-Encoding: base64\r\n\r\n", p.Boundary, kind,
			mime.FormatMediaType("attachment", map[string]string{"filename": a.Name}))
		encoded := base64.StdEncoding.EncodeToString(a.Data)
		for len(encoded) > 76 {
			b.WriteString(encoded[:76] + "\r\n")
			encoded = encoded[76:]
		}
		b.WriteString(encoded + "\r\n")
	}
	fmt.Fprintf(b, "--%s--\r\n", p.Boundary)
}

// Raw returns a text that is written already. Its lines may end in LF or CRLF.
func Raw(text []byte) Text { return Text{head: text} }
