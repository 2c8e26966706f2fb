package peers

import (
	"bufio"
	"io"
	"mime"
	"net/netip"
	"net/textproto"
	"time"
)

// A Message is a mail that a MailExchanger has accepted.
type Message struct {
	ID     int            `json:"id"` // 1 for the first message since the start, then counting up
	Time   time.Time      `json:"time"`
	Client netip.AddrPort `json:"client"`
	Hello  string         `json:"hello"` // the name in the client's EHLO or HELO
	TLS    bool           `json:"tls"`
	User   string         `json:"user,omitempty"` // that the client has logged in as; "" if it has not
	From   string         `json:"from"`           // "" is the empty sender
	To     []string       `json:"to"`
	Size   int64          `json:"size"` // bytes of header and body
	// Cut reports whether only the beginning of the message is stored, because there was no room
	// for the rest.
	Cut bool `json:"cut,omitempty"`

	text *mailText
}

// newMessage returns m with a text.
func newMessage(m Message, text *mailText) Message {
	m.text, m.Size, m.Cut = text, text.size, text.stored() < text.size
	return m
}

// Reader returns a reader of what is stored of header and body, without dot-stuffing.
func (m Message) Reader() io.Reader { return m.text.reader() }

// Data returns what Reader reads. It copies the message: prefer Reader for large ones.
func (m Message) Data() []byte {
	data := make([]byte, 0, m.text.stored())
	for _, p := range m.text.pieces {
		data = append(data, p...)
	}
	return data
}

// maxHeader is the size of the part of a message in which its subject is looked for.
const maxHeader = 256 << 10

// Subject returns the decoded subject in the message's header, or "" if there is none.
func (m Message) Subject() string {
	// If the header is followed by no empty line, or is malformed, what has been read of it counts.
	header, _ := textproto.NewReader(bufio.NewReader(io.LimitReader(m.Reader(), maxHeader))).
		ReadMIMEHeader()
	subject := header.Get("Subject")
	if decoded, err := new(mime.WordDecoder).DecodeHeader(subject); err == nil {
		return decoded
	}
	return subject
}

// A MessageReport is the report of a MailExchanger.
type MessageReport struct {
	Connections int              `json:"connections"`
	Taken       int              `json:"taken"`             // messages since the start
	Dropped     int              `json:"dropped,omitempty"` // of them, for lack of room
	Refused     map[string]int   `json:"refused,omitempty"` // error replies of rules, by stage
	Messages    []MessageSummary `json:"mails"`             // those that are still stored
}

// A MessageSummary is a message in a MessageReport.
type MessageSummary struct {
	Message
	Subject string `json:"subject"`
	Text    string `json:"text"` // the beginning of header and body
}

// maxReportText is the number of bytes of a message in a report.
const maxReportText = 64 << 10

// summary returns the message for a report.
func (m Message) summary() MessageSummary {
	text := make([]byte, min(m.text.stored(), maxReportText))
	n, _ := io.ReadFull(m.Reader(), text) // reads from memory
	return MessageSummary{Message: m, Subject: m.Subject(), Text: string(text[:n])}
}
