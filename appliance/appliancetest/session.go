package appliancetest

import (
	"context"
	"io"
	"regexp"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
)

// A Session is a terminal at the appliance's prompt.
type Session struct {
	t     testing.TB
	ssh   *ssh.Session
	in    io.WriteCloser
	ended chan struct{} // closed at the end of the output

	mu       sync.Mutex
	unread   strings.Builder // output after the latest match
	received chan struct{}   // wakes Match when output has arrived
}

// Login opens a session and blocks until its prompt appears.
func (a *Account) Login() *Session {
	b := a.box
	b.t.Helper()
	s := a.newSession()
	out, err := s.StdoutPipe()
	if err != nil {
		b.t.Fatal("appliancetest: ", err)
	}
	in, err := s.StdinPipe()
	if err != nil {
		b.t.Fatal("appliancetest: ", err)
	}
	if err := s.RequestPty("vt100", 24, 200, ssh.TerminalModes{}); err != nil {
		b.t.Fatal("appliancetest: request a terminal: ", err)
	}
	if err := s.Shell(); err != nil {
		b.t.Fatal("appliancetest: start the session: ", err)
	}
	c := &Session{t: b.t, ssh: s, in: in, ended: make(chan struct{}), received: make(chan struct{}, 1)}
	go c.readOutput(out)
	b.t.Cleanup(c.Close)
	c.Expect(b.Appliance().Hostname() + "> ")
	return c
}

// readOutput stores the output, with line ends as "\n", until the session ends.
func (s *Session) readOutput(out io.Reader) {
	defer close(s.ended)
	b := make([]byte, 4096)
	for {
		n, err := out.Read(b)
		s.mu.Lock()
		s.unread.WriteString(strings.ReplaceAll(string(b[:n]), "\r", ""))
		s.mu.Unlock()
		select {
		case s.received <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

// Type sends a line and Enter.
func (s *Session) Type(line string) { s.Keys(line + "\r") }

// Keys sends keys without Enter. "\x03" is Ctrl-C.
func (s *Session) Keys(keys string) {
	s.t.Helper()
	if _, err := io.WriteString(s.in, keys); err != nil {
		s.t.Fatalf("appliancetest: type %q: %v", keys, err)
	}
}

// Expect blocks until the session prints text. It returns the output since the previous Expect
// or Match, up to and including text. Line ends are "\n". If text does not appear within a minute,
// or the session ends without it, the test fails.
func (s *Session) Expect(text string, limits ...Limit) string {
	s.t.Helper()
	return s.expect(regexp.MustCompile(regexp.QuoteMeta(text)), text, limits)[0]
}

// Match is like Expect for a regular expression. The first element of the result is the output
// up to the end of the match, and the others are the submatches of the groups in expr.
func (s *Session) Match(expr string, limits ...Limit) []string {
	s.t.Helper()
	re, err := regexp.Compile(expr)
	if err != nil {
		s.t.Fatal("appliancetest: ", err)
	}
	return s.expect(re, expr, limits)
}

// expect is Match; want is for the message of a failed test.
func (s *Session) expect(re *regexp.Regexp, want string, limits []Limit) []string {
	s.t.Helper()
	ctx, cancel := limited(s.t.Context(), limits)
	defer cancel()
	for {
		if found, ok := s.match(re); ok {
			return found
		}
		select {
		case <-s.received:
		case <-s.ended:
			if found, ok := s.match(re); ok {
				return found
			}
			s.t.Fatalf("appliancetest: the session ended; it printed%s\nwant%s",
				indented(s.unmatched()), indented(want))
		case <-ctx.Done():
			s.t.Fatalf("appliancetest: %v: the session printed%s\nwant%s",
				context.Cause(ctx), indented(s.unmatched()), indented(want))
		}
	}
}

// match looks for re in the output and discards the output up to the end of the match.
func (s *Session) match(re *regexp.Regexp) ([]string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := s.unread.String()
	m := re.FindStringSubmatchIndex(text)
	if m == nil {
		return nil, false
	}
	found := []string{text[:m[1]]}
	for i := 2; i < len(m); i += 2 {
		if m[i] < 0 {
			found = append(found, "")
		} else {
			found = append(found, text[m[i]:m[i+1]])
		}
	}
	s.unread.Reset()
	s.unread.WriteString(text[m[1]:])
	return found, true
}

// unmatched returns the output after the latest match.
func (s *Session) unmatched() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unread.String()
}

// Wait blocks until the appliance has ended the session. It returns the output after the latest
// Expect or Match. If the session does not end within a minute, the test fails.
func (s *Session) Wait(limits ...Limit) string {
	s.t.Helper()
	ctx, cancel := limited(s.t.Context(), limits)
	defer cancel()
	select {
	case <-s.ended:
	case <-ctx.Done():
		s.t.Fatalf("appliancetest: the session does not end: %v; it printed%s",
			context.Cause(ctx), indented(s.unmatched()))
	}
	return s.unmatched()
}

// Close ends the session from the side of the client. It may be called more than once.
func (s *Session) Close() {
	s.ssh.Close()
	<-s.ended
}
