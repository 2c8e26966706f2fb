package shelltest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/clock"
)

// A Player plays conversations over one session, one after the other.
type Player struct {
	conn    io.ReadWriteCloser
	reading sync.WaitGroup

	mu       sync.Mutex
	changed  chan struct{} // receives a value when text or err has changed; its capacity is 1
	text     []byte        // received and not used yet
	err      error         // why nothing more will arrive
	received strings.Builder
}

// NewPlayer returns a player over conn, the client's end of a session with a terminal. The player
// owns conn.
func NewPlayer(conn io.ReadWriteCloser) *Player {
	p := &Player{conn: conn, changed: make(chan struct{}, 1)}
	p.reading.Go(p.read)
	return p
}

// Close ends the session.
func (p *Player) Close() error {
	err := p.conn.Close()
	p.reading.Wait()
	return err
}

// read reads the output to its end.
func (p *Player) read() {
	var lines lineEnds
	b := make([]byte, 4096)
	for {
		n, err := p.conn.Read(b)
		p.mu.Lock()
		for _, c := range b[:n] {
			p.text = lines.append(p.text, c)
		}
		p.err = err
		p.mu.Unlock()
		select {
		case p.changed <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

// lineEnds removes carriage returns. It replaces the sequence that erases the pager's marker, 25
// blanks between two carriage returns, by a line end.
type lineEnds struct {
	erasing bool // the last byte that is not a blank was a carriage return
	blanks  int  // after it, which have not been appended yet
}

func (l *lineEnds) append(out []byte, c byte) []byte {
	const erasure = 25
	switch {
	case c == '\r' && l.erasing && l.blanks == erasure:
		l.erasing = false
		return append(out, '\n')
	case c == ' ' && l.erasing && l.blanks < erasure:
		l.blanks++
		return out
	}
	if l.erasing {
		for range l.blanks {
			out = append(out, ' ')
		}
	}
	l.erasing, l.blanks = c == '\r', 0
	if c == '\r' {
		return out
	}
	return append(out, c)
}

// SkipWelcome reads the text at the beginning of a session, up to the first prompt. It fails if no
// byte arrives for the time of timeout.
func (p *Player) SkipWelcome(timeout time.Duration) error {
	var text strings.Builder
	for !strings.HasSuffix(text.String(), "> ") {
		c, err := p.next(timeout)
		if err != nil {
			return p.mismatch(text.String(), "a prompt", err)
		}
		text.WriteByte(c)
	}
	prompt := text.String()[strings.LastIndexByte(text.String(), '\n')+1:]
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text = append([]byte(prompt), p.text...)
	return nil
}

// Play plays a conversation in lock step. It fails if no byte arrives for the time of timeout; a
// longer timeout only delays the failure.
func (p *Player) Play(conversation string, timeout time.Duration) error {
	for _, s := range parse(conversation) {
		if err := p.expect(s.output, timeout); err != nil {
			return fmt.Errorf("line %d: %w", s.line, err)
		}
		if s.stay {
			return nil
		}
		if s.mark == "" {
			break
		}
		if err := p.typeKeys(s, timeout); err != nil {
			return err
		}
	}
	return p.expectEnd(timeout)
}

// typeKeys types the keys of a step and reads their echo.
func (p *Player) typeKeys(s step, timeout time.Duration) error {
	if _, err := io.WriteString(p.conn, s.keys); err != nil {
		return fmt.Errorf("line %d: type %s: %w", s.line, s.mark, err)
	}
	if err := p.expect(s.echo, timeout); err != nil {
		return fmt.Errorf("line %d: echo of %s: %w", s.line, s.mark, err)
	}
	return nil
}

// expect reads output that must match want.
func (p *Player) expect(want string, timeout time.Duration) error {
	m := newMatcher(want)
	var got strings.Builder
	for !m.done() {
		c, err := p.next(timeout)
		if err != nil {
			return p.mismatch(got.String(), want, err)
		}
		if !m.step(c) {
			return p.mismatch(got.String()+string(c)+p.unused(), want, nil)
		}
		got.WriteByte(c)
	}
	p.received.WriteString(got.String())
	return nil
}

// expectEnd waits for the end of the session.
func (p *Player) expectEnd(timeout time.Duration) error {
	c, err := p.next(timeout)
	switch {
	case err == nil:
		return p.mismatch(string(c)+p.unused(), "", nil)
	case errors.Is(err, io.EOF):
		return nil
	}
	return p.mismatch("", "the end of the session", err)
}

var errTimeout = errors.New("no more output within the timeout")

// next returns the next byte, or errTimeout if none arrives in time.
func (p *Player) next(timeout time.Duration) (byte, error) {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	stop := func() bool { return false }
	defer func() { stop() }()
	for waiting := false; ; {
		p.mu.Lock()
		if len(p.text) > 0 {
			c := p.text[0]
			p.text = p.text[1:]
			p.mu.Unlock()
			return c, nil
		}
		err := p.err
		p.mu.Unlock()
		if err != nil {
			return 0, err
		}
		if !waiting {
			waiting = true
			stop = clock.System().AfterFunc(timeout, func() { cancel(errTimeout) })
		}
		select {
		case <-p.changed:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}

// unused returns the output that has been received and not used yet.
func (p *Player) unused() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return string(p.text)
}

// mismatch returns an error that shows the end of the conversation so far.
func (p *Player) mismatch(got, want string, err error) error {
	before := p.received.String()
	text := fmt.Sprintf("after %q:\n got %q\nwant %q", before[max(0, len(before)-60):], got, want)
	if err != nil {
		return fmt.Errorf("%s: %w", text, err)
	}
	return errors.New(text)
}
