package mail

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"

	"github.com/esasim/esasim/appliance/pattern"
)

// A Step is a part of an SMTP conversation, named by its command if it has one.
type Step string

// The steps in their order.
const (
	Connect  Step = "connect"
	Greeting Step = "greeting"
	Ehlo     Step = "EHLO"
	Helo     Step = "HELO"
	StartTLS Step = "STARTTLS"
	Auth     Step = "AUTH"
	MailFrom Step = "MAIL FROM"
	RcptTo   Step = "RCPT TO"
	Data     Step = "DATA"
	Body     Step = "message body"
	Reset    Step = "RSET"
	Quit     Step = "QUIT"
)

// A Reply is a server's reply to a step.
type Reply struct {
	Code     int    // 220
	Enhanced string // enhanced status code (RFC 2034) such as "4.2.0"; "": none
	Text     string // lines without codes, with "\n" between them
}

// Positive reports whether the server accepted the step.
func (r Reply) Positive() bool { return r.Code >= 200 && r.Code < 400 }

// Temporary reports whether the server may accept the step later.
func (r Reply) Temporary() bool { return r.Code >= 400 && r.Code < 500 }

// String returns the reply on one line.
func (r Reply) String() string {
	parts := []string{strconv.Itoa(r.Code)}
	for _, s := range []string{r.Enhanced, strings.ReplaceAll(r.Text, "\n", " ")} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, " ")
}

// An Error says which step failed: by the server's reply, or because there was none.
type Error struct {
	Step  Step
	Reply Reply // Code is 0 if there was none
	Err   error // of the connection; nil if there was a reply
}

func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("smtp: %s: %v", e.Step, e.Err)
	}
	return fmt.Sprintf("smtp: %s: %v", e.Step, e.Reply)
}

// Unwrap returns the error of the connection.
func (e *Error) Unwrap() error { return e.Err }

// Temporary reports whether a later attempt may succeed: always, unless the server refused with
// a permanent code.
func (e *Error) Temporary() bool { return e.Err != nil || e.Reply.Temporary() }

// Timeout reports whether the step timed out.
func (e *Error) Timeout() bool {
	var t net.Error
	return errors.As(e.Err, &t) && t.Timeout()
}

// Values of Error.Err, besides the errors of package network.
var (
	// ErrTLSOnly means that the server speaks TLS instead of SMTP.
	ErrTLSOnly = errors.New("the server speaks TLS only")
	// ErrMalformed means that the server sent something that is not an SMTP reply.
	ErrMalformed = errors.New("not an SMTP reply")
	// ErrClosed means that the server closed the connection instead of replying.
	ErrClosed = errors.New("the server closed the connection")
	// ErrUnexpected means that the server sent a positive reply that belongs to another step.
	ErrUnexpected = errors.New("the reply does not belong to the step")
)

// Limits of a reply. RFC 5321 4.5.3.1.5 allows lines of 512 octets; real servers send longer ones.
const (
	maxReplyLine  = 4096
	maxReplyLines = 128
)

// readReply reads a reply of one or more lines, and calls heard with each.
func readReply(r *bufio.Reader, heard func(line string)) (Reply, error) {
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
		whole := strings.TrimRight(string(line), "\r\n")
		heard(whole)
		code, rest, last, ok := parseLine(whole)
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

// isTLS reports whether b begins like a TLS record with an alert or a handshake message.
func isTLS(b []byte) bool {
	return len(b) >= 2 && (b[0] == 0x15 || b[0] == 0x16) && b[1] == 3
}

// parseLine parses "250-text", "250 text" or "250". last reports whether it is the last line of
// a reply.
func parseLine(line string) (code int, text string, last, ok bool) {
	if len(line) < 3 {
		return 0, "", false, false
	}
	for _, c := range []byte(line[:3]) {
		if c < '0' || c > '9' {
			return 0, "", false, false
		}
	}
	code, _ = strconv.Atoi(line[:3]) // these are three digits
	if code < 200 || code > 599 {
		return 0, "", false, false
	}
	if len(line) == 3 {
		return code, "", true, true
	}
	return code, line[4:], line[3] == ' ', line[3] == ' ' || line[3] == '-'
}

var enhanced = pattern.New(`^([245]\.\d{1,3}\.\d{1,3})(?: |$)`)

// takeEnhanced removes the enhanced code from the lines that begin with one, and returns it and
// the lines. A code is an enhanced code only if its class is that of the reply.
func takeEnhanced(code int, lines []string) (found, text string) {
	for i, l := range lines {
		m := enhanced().FindStringSubmatch(l)
		if m != nil && int(m[1][0]-'0') == code/100 {
			found, lines[i] = m[1], l[len(m[0]):]
		}
	}
	return found, strings.Join(lines, "\n")
}
