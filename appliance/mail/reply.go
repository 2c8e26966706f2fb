package mail

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
)

// A Step is a part of an SMTP conversation, in the words of its commands.
type Step string

// The steps in the order in which they come.
const (
	Connect  Step = "connect"
	Greeting Step = "greeting"
	Ehlo     Step = "EHLO"
	Helo     Step = "HELO"
	StartTLS Step = "STARTTLS"
	MailFrom Step = "MAIL FROM"
	RcptTo   Step = "RCPT TO"
	Data     Step = "DATA"
	Body     Step = "message body"
	Reset    Step = "RSET"
	Quit     Step = "QUIT"
)

// A Reply is a server's answer.
type Reply struct {
	Code     int    // 220
	Enhanced string // RFC 2034's: "4.2.0"; "" if it has none
	Text     string // its lines, without codes, with "\n" between them
}

// Positive reports whether the server agreed, or wants to hear more.
func (r Reply) Positive() bool { return r.Code >= 200 && r.Code < 400 }

// Temporary reports whether the same may be accepted later.
func (r Reply) Temporary() bool { return r.Code >= 400 && r.Code < 500 }

// String is the reply on one line.
func (r Reply) String() string {
	parts := []string{strconv.Itoa(r.Code)}
	for _, s := range []string{r.Enhanced, strings.ReplaceAll(r.Text, "\n", " ")} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, " ")
}

// An Error is a step that failed: by the server's reply, or because none came.
type Error struct {
	Step  Step
	Reply Reply // Code 0: there was none
	Err   error // what befell the connection; nil if there was a reply
}

func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("smtp: %s: %v", e.Step, e.Err)
	}
	return fmt.Sprintf("smtp: %s: %v", e.Step, e.Reply)
}

// Unwrap returns what befell the connection.
func (e *Error) Unwrap() error { return e.Err }

// Temporary reports whether a later attempt may do better: always, unless the server
// said no for good.
func (e *Error) Temporary() bool { return e.Err != nil || e.Reply.Temporary() }

// Timeout reports whether the step took longer than it may.
func (e *Error) Timeout() bool {
	var t net.Error
	return errors.As(e.Err, &t) && t.Timeout()
}

// Errors that are an Error's Err; others are those of package network.
var (
	// ErrTLSOnly says that the server speaks TLS where it should speak SMTP.
	ErrTLSOnly = errors.New("the server speaks TLS only")
	// ErrMalformed says that what came is no SMTP reply.
	ErrMalformed = errors.New("not an SMTP reply")
	// ErrClosed says that the server closed the connection instead of answering.
	ErrClosed = errors.New("the server closed the connection")
	// ErrUnexpected says that the server answered something of another step.
	ErrUnexpected = errors.New("the reply does not belong to the step")
)

// Bounds of a reply. RFC 5321 4.5.3.1.5 has 512 octets a line; real servers have more.
const (
	maxReplyLine  = 4096
	maxReplyLines = 128
)

// readReply reads a reply of one or more lines.
func readReply(r *bufio.Reader) (Reply, error) {
	var reply Reply
	var text []string
	for range maxReplyLines {
		line, err := r.ReadSlice('\n')
		switch {
		case isTLS(line):
			return Reply{}, ErrTLSOnly
		case errors.Is(err, bufio.ErrBufferFull):
			return Reply{}, fmt.Errorf("%w: a line without end", ErrMalformed)
		case errors.Is(err, io.EOF):
			return Reply{}, ErrClosed
		case err != nil:
			return Reply{}, err
		}
		code, rest, last, ok := parseLine(strings.TrimRight(string(line), "\r\n"))
		if !ok || reply.Code != 0 && code != reply.Code {
			return Reply{}, fmt.Errorf("%w: %q", ErrMalformed, line)
		}
		reply.Code = code
		text = append(text, rest)
		if last {
			reply.Enhanced, reply.Text = takeEnhanced(code, text)
			return reply, nil
		}
	}
	return Reply{}, fmt.Errorf("%w: more than %d lines", ErrMalformed, maxReplyLines)
}

// isTLS reports whether b begins like a record of TLS: an alert or a handshake.
func isTLS(b []byte) bool {
	return len(b) >= 2 && (b[0] == 0x15 || b[0] == 0x16) && b[1] == 3
}

// parseLine takes "250-text" or "250 text" or "250" apart.
func parseLine(line string) (code int, text string, last, ok bool) {
	if len(line) < 3 {
		return 0, "", false, false
	}
	for _, c := range []byte(line[:3]) {
		if c < '0' || c > '9' {
			return 0, "", false, false
		}
	}
	code, _ = strconv.Atoi(line[:3]) // three digits are a number
	if code < 200 || code > 599 {
		return 0, "", false, false
	}
	if len(line) == 3 {
		return code, "", true, true
	}
	return code, line[4:], line[3] == ' ', line[3] == ' ' || line[3] == '-'
}

var enhanced = regexp.MustCompile(`^([245]\.\d{1,3}\.\d{1,3})(?: |$)`)

// takeEnhanced removes the enhanced code from the lines that begin with it. It is one
// only if its class is the reply's.
func takeEnhanced(code int, lines []string) (found, text string) {
	for i, l := range lines {
		m := enhanced.FindStringSubmatch(l)
		if m != nil && int(m[1][0]-'0') == code/100 {
			found, lines[i] = m[1], l[len(m[0]):]
		}
	}
	return found, strings.Join(lines, "\n")
}
