package mail

import (
	"fmt"
	"mime"
	"strings"
	"time"
)

// A Message is a text to one or more people, as the appliance writes them.
type Message struct {
	From, Subject string
	To            []string
	Date          time.Time
	ID            string // of the Message-ID, "x@example.com", without brackets; "" has none
	Text          string // UTF-8, "\n" at the ends of lines
}

// Bytes is the message with its header (RFC 5322), with "\r\n" at the ends of lines.
// Line ends within the header's values become blanks.
func (m Message) Bytes() []byte {
	var b strings.Builder
	field := func(name, value string) {
		fmt.Fprintf(&b, "%s: %s\r\n", name, strings.NewReplacer("\r\n", " ", "\r", " ", "\n", " ").Replace(value))
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
		b.WriteString(strings.TrimRight(line, "\r\n") + "\r\n")
	}
	return []byte(b.String())
}
