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
	t    testing.TB
	ssh  *ssh.Session
	in   io.WriteCloser
	done chan struct{} // closed when the output has ended

	mu    sync.Mutex
	heard strings.Builder // since the last Expect
	more  chan struct{}   // something was heard
}

// Login opens a session for the factory account and waits for its prompt.
func (b *Box) Login() *Session {
	b.t.Helper()
	s := b.open()
	out, err := s.StdoutPipe()
	if err != nil {
		b.t.Fatal("appliancetest:", err)
	}
	in, err := s.StdinPipe()
	if err != nil {
		b.t.Fatal("appliancetest:", err)
	}
	if err := s.RequestPty("vt100", 24, 200, ssh.TerminalModes{}); err != nil {
		b.t.Fatal("appliancetest: request a terminal:", err)
	}
	if err := s.Shell(); err != nil {
		b.t.Fatal("appliancetest: start the session:", err)
	}
	c := &Session{t: b.t, ssh: s, in: in, done: make(chan struct{}), more: make(chan struct{}, 1)}
	go c.listen(out)
	b.t.Cleanup(c.Close)
	c.Expect(b.Appliance().Hostname() + "> ")
	return c
}

func (s *Session) listen(out io.Reader) {
	defer close(s.done)
	b := make([]byte, 4096)
	for {
		n, err := out.Read(b)
		s.mu.Lock()
		s.heard.WriteString(strings.ReplaceAll(string(b[:n]), "\r", ""))
		s.mu.Unlock()
		select {
		case s.more <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

// Type types a line and Enter.
func (s *Session) Type(line string) { s.Keys(line + "\r") }

// Keys types keys as they are; "\x03" is Ctrl-C.
func (s *Session) Keys(keys string) {
	s.t.Helper()
	if _, err := io.WriteString(s.in, keys); err != nil {
		s.t.Fatalf("appliancetest: type %q: %v", keys, err)
	}
}

// Expect reads until text comes and returns what was heard since the last Expect,
// with text at its end. Line ends are "\n". If text does not come the test fails.
func (s *Session) Expect(text string) string {
	s.t.Helper()
	return s.Match(regexp.QuoteMeta(text))[0]
}

// Match is Expect for a regular expression. It returns what was heard, up to the
// end of the match, and then the match's groups.
func (s *Session) Match(expr string) []string {
	s.t.Helper()
	re := regexp.MustCompile(expr)
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	for {
		if found, ok := s.take(re); ok {
			return found
		}
		select {
		case <-s.more:
		case <-s.done:
			if found, ok := s.take(re); ok {
				return found
			}
			s.t.Fatalf("appliancetest: the session ended; heard %q, want %q", s.rest(), expr)
		case <-ctx.Done():
			s.t.Fatalf("appliancetest: heard %q, want %q", s.rest(), expr)
		}
	}
}

func (s *Session) take(re *regexp.Regexp) ([]string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := s.heard.String()
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
	s.heard.Reset()
	s.heard.WriteString(text[m[1]:])
	return found, true
}

func (s *Session) rest() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.heard.String()
}

// Wait waits until the appliance has ended the session and returns the last words.
func (s *Session) Wait() string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	select {
	case <-s.done:
	case <-ctx.Done():
		s.t.Fatalf("appliancetest: the session does not end; heard %q", s.rest())
	}
	return s.rest()
}

// Close hangs up.
func (s *Session) Close() {
	s.ssh.Close()
	<-s.done
}
