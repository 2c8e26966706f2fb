package mail

import (
	"fmt"
	"mime"
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
	return []byte(b.String())
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
