package topology

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/esasim/esasim/appliance/pattern"
)

// A MailReply is an error reply of a mail server.
type MailReply struct {
	Code     int      // 400 to 599
	Enhanced string   // the enhanced status code, "4.2.0"; "" if there is none
	Lines    []string // the text; at least one line, which may be empty
}

// maxReplyLine is the length of a line of a reply without CRLF (RFC 5321 4.5.3.1.5).
const maxReplyLine = 510

var replyForm = pattern.New(
	`^([45][0-9][0-9])(?: ([45]\.[0-9]{1,3}\.[0-9]{1,3}))?(?: ([^\r\n]+(?:\n[^\r\n]+)*))?$`)

// ParseMailReply reads a reply in the form CODE [X.Y.Z] TEXT. TEXT may have several lines, which
// are separated by line feeds: each is sent with the codes in front.
func ParseMailReply(s string) (MailReply, error) {
	m := replyForm().FindStringSubmatch(s)
	if m == nil {
		return MailReply{}, fmt.Errorf("%q is not an error reply, expected a code from 400 to 599 "+
			"and a text, such as \"450 4.2.0 greylisted\"", s)
	}
	code, _ := strconv.Atoi(m[1]) // three digits
	r := MailReply{code, m[2], strings.Split(m[3], "\n")}
	for line := range strings.Lines(r.Wire()) {
		if n := len(strings.TrimRight(line, "\r\n")); n > maxReplyLine {
			return MailReply{}, fmt.Errorf(
				"a line of the reply has %d bytes with its codes, expected at most %d", n, maxReplyLine)
		}
	}
	return r, nil
}

// Wire returns the reply as it is sent.
func (r MailReply) Wire() string {
	var b strings.Builder
	for i, line := range r.Lines {
		if r.Enhanced != "" {
			line = strings.TrimRight(r.Enhanced+" "+line, " ")
		}
		switch {
		case i < len(r.Lines)-1:
			fmt.Fprintf(&b, "%d-%s\r\n", r.Code, line)
		case line == "":
			fmt.Fprintf(&b, "%d\r\n", r.Code)
		default:
			fmt.Fprintf(&b, "%d %s\r\n", r.Code, line)
		}
	}
	return b.String()
}
