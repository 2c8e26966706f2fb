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

// A Conn is a terminal's end of a session.
type Conn interface {
	io.ReadWriteCloser
}

// A Player holds conversations over one session, one after the other.
type Player struct {
	conn Conn
	done sync.WaitGroup

	mu    sync.Mutex
	more  chan struct{} // has room for one: there is something new
	text  []byte        // heard and not yet used
	err   error         // nothing more will come
	heard strings.Builder
}

// NewPlayer returns a player over conn, which belongs to the player from now on.
func NewPlayer(conn Conn) *Player {
	p := &Player{conn: conn, more: make(chan struct{}, 1)}
	p.done.Go(p.listen)
	return p
}

// Close ends the session.
func (p *Player) Close() error {
	err := p.conn.Close()
	p.done.Wait()
	return err
}

// listen reads until the end, and lets line ends be "\n".
func (p *Player) listen() {
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
		case p.more <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

// lineEnds takes away carriage returns. The erasure of the pager's marker, 25
// blanks between two of them, becomes a line end.
type lineEnds struct {
	erasing bool
	blanks  int
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

// SkipWelcome reads what a session begins with, up to its first prompt.
func (p *Player) SkipWelcome(patience time.Duration) error {
	var said strings.Builder
	for !strings.HasSuffix(said.String(), "> ") {
		c, err := p.next(patience)
		if err != nil {
			return p.differs(said.String(), "a prompt", err)
		}
		said.WriteByte(c)
	}
	prompt := said.String()[strings.LastIndexByte(said.String(), '\n')+1:]
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text = append([]byte(prompt), p.text...)
	return nil
}

// Play holds the conversation, in lock step. patience is how long it waits for the
// next byte; it only matters for how soon a failure is noticed.
func (p *Player) Play(conversation string, patience time.Duration) error {
	for _, s := range parse(conversation) {
		if err := p.hear(s.say, patience); err != nil {
			return fmt.Errorf("line %d: %w", s.line, err)
		}
		if s.stay {
			return nil
		}
		if s.mark == "" {
			break
		}
		if _, err := io.WriteString(p.conn, s.keys); err != nil {
			return fmt.Errorf("line %d: type %s: %w", s.line, s.mark, err)
		}
		if err := p.hear(s.echo, patience); err != nil {
			return fmt.Errorf("line %d: echo of %s: %w", s.line, s.mark, err)
		}
	}
	return p.end(patience)
}

// hear reads what must come.
func (p *Player) hear(want string, patience time.Duration) error {
	m := newMatcher(want)
	var got strings.Builder
	for !m.done() {
		c, err := p.next(patience)
		if err != nil {
			return p.differs(got.String(), want, err)
		}
		if !m.step(c) {
			return p.differs(got.String()+string(c)+p.waiting(), want, nil)
		}
		got.WriteByte(c)
	}
	p.heard.WriteString(got.String())
	return nil
}

// end waits for the end of the session.
func (p *Player) end(patience time.Duration) error {
	c, err := p.next(patience)
	switch {
	case err == nil:
		return p.differs(string(c)+p.waiting(), "", nil)
	case errors.Is(err, io.EOF):
		return nil
	}
	return p.differs("", "the end of the session", err)
}

var errPatience = errors.New("nothing more came")

// next returns the next byte.
func (p *Player) next(patience time.Duration) (byte, error) {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	stop := func() bool { return false }
	defer func() { stop() }()
	for waited := false; ; {
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
		if !waited {
			waited = true
			stop = clock.System().AfterFunc(patience, func() { cancel(errPatience) })
		}
		select {
		case <-p.more:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}

// waiting is what has come and was not used.
func (p *Player) waiting() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return string(p.text)
}

func (p *Player) differs(got, want string, err error) error {
	before := p.heard.String()
	text := fmt.Sprintf("after %q:\n got %q\nwant %q", before[max(0, len(before)-60):], got, want)
	if err != nil {
		return fmt.Errorf("%s: %w", text, err)
	}
	return errors.New(text)
}
