package mail

import (
	"encoding/base64"
	"fmt"
	"mime"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// A Message is a text message as the appliance writes it.
type Message struct {
	From, Subject string
	To            []string
	Date          time.Time
	ID            string // Message-ID such as "x@example.com", without brackets; "": none
	Text          string // UTF-8, "\n" at the ends of lines
	Attachment    *Attachment
}

// An Attachment is a file that is sent with a message.
type Attachment struct {
	Name string
	Type string // media type, such as "application/xml"
	Data []byte
}

// Bytes returns the message with its header (RFC 5322) and with "\r\n" at the ends of lines.
// Line ends in the values of header fields become blanks. Lines of the text that exceed the
// limit of section 2.1.1 are broken.
func (m Message) Bytes() []byte {
	var b strings.Builder
	field := func(name, value string) {
		fmt.Fprintf(&b, "%s: %s\r\n", name, strings.NewReplacer("\r\n", " ", "\r", " ", "\n",
			" ").Replace(value))
	}
	field("Date", m.Date.Format(time.RFC1123Z))
	field("From", m.From)
	field("To", strings.Join(m.To, ", "))
	field("Subject", mime.QEncoding.Encode("utf-8", m.Subject))
	if m.ID != "" {
		field("Message-ID", "<"+m.ID+">")
	}
	field("MIME-Version", "1.0")
	if m.Attachment != nil {
		field("Content-Type",
			mime.FormatMediaType("multipart/mixed", map[string]string{"boundary": boundary}))
		b.WriteString("\r\n--" + boundary + "\r\n")
	}
	field("Content-Type", `text/plain; charset="utf-8"`)
	encoding := "7bit"
	if strings.ContainsFunc(m.Text, func(r rune) bool { return r > 127 }) {
		encoding = "8bit"
	}
	field("Content-Transfer-Encoding", encoding)
	b.WriteString("\r\n")
	for line := range strings.Lines(m.Text) {
		line = strings.TrimRight(line, "\r\n")
		for len(line) > maxLine {
			end := lineBreak(line)
			b.WriteString(line[:end] + "\r\n")
			line = strings.TrimPrefix(line[end:], " ")
		}
		b.WriteString(line + "\r\n")
	}
	if a := m.Attachment; a != nil {
		name := map[string]string{"filename": a.Name}
		b.WriteString("\r\n--" + boundary + "\r\n")
		field("Content-Type", a.Type)
		field("Content-Disposition", mime.FormatMediaType("attachment", name))
		field("Content-Transfer-Encoding", "base64")
		b.WriteString("\r\n")
		writeBase64(&b, a.Data)
		b.WriteString("\r\n--" + boundary + "--\r\n")
	}
	return []byte(b.String())
}

// boundary separates the parts of a message. No part can have a line with it: base64 has no
// underscores, and the text is the appliance's own.
const boundary = "=_end_of_part"

// writeBase64 writes data in lines of 76 characters (RFC 2045, section 6.8).
func writeBase64(b *strings.Builder, data []byte) {
	const bytesOfLine = 57
	for line := range slices.Chunk(data, bytesOfLine) {
		b.WriteString(base64.StdEncoding.EncodeToString(line) + "\r\n")
	}
}

// maxLine is how many bytes a line of a message may have, without its line end.
const maxLine = 998

// lineBreak returns where to break a line that is too long: at a blank or, if there is none,
// between two characters.
func lineBreak(line string) int {
	if i := strings.LastIndexByte(line[:maxLine+1], ' '); i > 0 {
		return i
	}
	end := maxLine
	for end > maxLine-utf8.UTFMax && !utf8.RuneStart(line[end]) {
		end--
	}
	return end
}
