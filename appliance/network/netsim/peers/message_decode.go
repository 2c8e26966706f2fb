package peers

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/emersion/go-message"
)

// A DecodedMessage is the content of a message in readable form.
type DecodedMessage struct {
	Header []HeaderField `json:"header"`
	Parts  []MessagePart `json:"parts"` // those that are not multipart themselves, in their order
	// Problem says why the message cannot be decoded as a whole; "" if it can.
	Problem string `json:"problem,omitempty"`
}

// A HeaderField is a field of a message's header, with its encoded words decoded.
type HeaderField struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// A MessagePart is a part of a message.
type MessagePart struct {
	Type    string `json:"type"`              // "text/plain"
	Charset string `json:"charset,omitempty"` // that the part declares
	Name    string `json:"name,omitempty"`    // of a file
	Size    int64  `json:"size"`              // decoded
	SHA256  string `json:"sha256"`            // of what is decoded, in hexadecimal digits
	// Text is the content of a text, and of a message in this message. Cut reports whether it is
	// only the beginning.
	Text string `json:"text,omitempty"`
	Cut  bool   `json:"cut,omitempty"`
}

// Bounds of a DecodedMessage.
const (
	maxParts    = 200
	maxPartNest = 20
	maxPartText = 64 << 10
)

var errManyParts = fmt.Errorf("the message has more than %d parts, or they are nested more than %d deep",
	maxParts, maxPartNest)

// Decode decodes the message. If it is not valid, Decode returns what it has read and a Problem.
func (m Message) Decode() DecodedMessage {
	d := DecodedMessage{Header: []HeaderField{}, Parts: []MessagePart{}}
	entity, err := message.Read(m.Reader())
	if entity == nil {
		d.Problem = problem(err)
		_ = d.addPart(MessagePart{Type: "text/plain"}, m.Reader()) // reads from memory
		return d
	}
	for fields := entity.Header.Fields(); fields.Next(); {
		value, err := fields.Text()
		if err != nil {
			value = fields.Value()
		}
		d.Header = append(d.Header, HeaderField{fields.Key(), value})
	}
	// The errors of parts are unknown encodings and charsets, which add finds itself.
	err = entity.Walk(func(path []int, part *message.Entity, _ error) error {
		if len(d.Parts) == maxParts || len(path) > maxPartNest {
			return errManyParts
		}
		if part.MultipartReader() != nil {
			return nil
		}
		return d.add(part)
	})
	if err != nil && d.Problem == "" {
		d.Problem = problem(err)
	}
	if m.Cut {
		d.Problem = "only the beginning of the message is stored"
	}
	return d
}

// problem returns the text of an error of the library.
func problem(err error) string {
	return strings.TrimSpace(strings.TrimPrefix(err.Error(), "message: "))
}

// add decodes a part that is not multipart.
func (d *DecodedMessage) add(part *message.Entity) error {
	kind, params, err := part.Header.ContentType()
	if err != nil || kind == "" {
		kind = "text/plain" // RFC 2045 5.2
	}
	_, disposition, _ := part.Header.ContentDisposition() // if it is malformed, there is no name
	p := MessagePart{Type: kind, Charset: params["charset"], Name: params["name"]}
	if name := disposition["filename"]; name != "" {
		p.Name = name
	}
	encoding := strings.ToLower(part.Header.Get("Content-Transfer-Encoding"))
	switch {
	case !slices.Contains(knownEncodings, encoding):
		d.Problem = fmt.Sprintf("the encoding %q is unknown", encoding)
	case strings.HasPrefix(kind, "text/") &&
		!slices.Contains(knownCharsets, strings.ToLower(p.Charset)):
		d.Problem = fmt.Sprintf("the charset %q is unknown", p.Charset)
	}
	return d.addPart(p, part.Body)
}

// What Decode can decode, in lower case.
var (
	knownEncodings = []string{"", "7bit", "8bit", "binary", "quoted-printable", "base64"}
	knownCharsets  = []string{"", "us-ascii", "utf-8", "iso-8859-1"}
)

// addPart reads the content of a part. It returns the error of body.
func (d *DecodedMessage) addPart(p MessagePart, body io.Reader) error {
	var head prefix
	hash := sha256.New()
	out := io.Writer(hash)
	if strings.HasPrefix(p.Type, "text/") || strings.HasPrefix(p.Type, "message/") {
		out = io.MultiWriter(hash, &head)
	}
	var err error
	p.Size, err = io.Copy(out, body)
	p.SHA256 = hex.EncodeToString(hash.Sum(nil))
	p.Text, p.Cut = readable(head.text, p.Charset), head.cut
	d.Parts = append(d.Parts, p)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("a part ends too early")
	}
	return err
}

// readable returns a text in UTF-8. Bytes of an unknown charset become U+FFFD.
func readable(text []byte, charset string) string {
	if utf8.Valid(text) {
		return string(text)
	}
	if !strings.EqualFold(charset, "iso-8859-1") {
		return strings.ToValidUTF8(string(text), "\uFFFD")
	}
	var b strings.Builder
	for _, c := range text {
		b.WriteRune(rune(c))
	}
	return b.String()
}

// A prefix keeps the beginning of what is written to it.
type prefix struct {
	text []byte
	cut  bool
}

func (p *prefix) Write(b []byte) (int, error) {
	room := maxPartText - len(p.text)
	p.cut = p.cut || len(b) > room
	p.text = append(p.text, b[:min(room, len(b))]...)
	return len(b), nil
}
