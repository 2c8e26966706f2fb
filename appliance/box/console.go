package box

import (
	"context"
	"io"

	"github.com/esasim/esasim/commands"
	"github.com/esasim/esasim/shell"
)

// Console serves the serial console on in and out, login after login and boot after
// boot, until in ends, ctx ends, or the box has stopped. size tells the size of the
// terminal; nil means that there is none. A read of in that is under way when Console
// returns goes on until it gives something.
func (b *Box) Console(ctx context.Context, in io.Reader, out io.Writer, size func() (columns, rows int)) error {
	line := newLine(in)
	for {
		s := b.current()
		port := line.plug()
		c := shell.Console{Appliance: s.appliance, Commands: commands.All(), In: port, Out: out, Size: size}
		session, end := context.WithCancelCause(ctx)
		stop := context.AfterFunc(s.life, func() { end(context.Cause(s.life)) })
		err := c.Serve(session)
		stop()
		end(nil)
		if ctx.Err() != nil || s.life.Err() == nil {
			return err // in has ended, or ctx has
		}
		if err := b.Settled(ctx); err != nil {
			return err
		}
		if b.current() != s { // it was a reboot
			continue
		}
		select {
		case <-b.done:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// A line is a reader that one port after another reads from: what is typed goes to
// the port that is plugged in, and what nobody reads is lost with its port.
type line struct{ chunks chan []byte }

// newLine reads in on a goroutine that ends with in.
func newLine(in io.Reader) *line {
	l := &line{make(chan []byte)}
	go func() {
		defer close(l.chunks)
		for {
			b := make([]byte, 1024)
			n, err := in.Read(b)
			if n > 0 {
				l.chunks <- b[:n]
			}
			if err != nil {
				return
			}
		}
	}()
	return l
}

func (l *line) plug() *port { return &port{line: l, pulled: make(chan struct{})} }

type port struct {
	line   *line
	pulled chan struct{}
	rest   []byte
}

// Read returns io.EOF when the line has ended, and io.ErrClosedPipe once the port is
// pulled.
func (p *port) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		select {
		case chunk, ok := <-p.line.chunks:
			if !ok {
				return 0, io.EOF
			}
			p.rest = chunk
		case <-p.pulled:
			return 0, io.ErrClosedPipe
		}
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

func (p *port) Close() error {
	close(p.pulled)
	return nil
}
