package box

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/esasim/esasim/commands"
	"github.com/esasim/esasim/shell"
)

// Console serves the serial console on in and out, login after login and boot after boot,
// until in ends, ctx ends, or the box has stopped. size returns the size of the terminal;
// nil means that in and out are not a terminal.
//
// Console closes in and waits for the goroutine that reads it. Close must therefore make a
// blocked Read return, as it does for network connections and pipes.
func (b *Box) Console(
	ctx context.Context, in io.ReadCloser, out io.Writer, size func() (columns, rows int),
) error {
	line := readLine(in)
	defer line.close()
	for {
		cable, over, err := b.awaitConsole(ctx)
		if over || err != nil {
			return err
		}
		s := b.current()
		c := shell.Console{
			Appliance: s.appliance, Commands: commands.All(),
			In: line.attach(), Out: out, Size: size,
		}
		session, end := context.WithCancelCause(ctx)
		stop := context.AfterFunc(s.ctx, func() { end(context.Cause(s.ctx)) })
		unplug := context.AfterFunc(cable.ctx, func() { end(context.Cause(cable.ctx)) })
		err = c.Serve(session)
		stop()
		unplug()
		end(nil)
		if ctx.Err() != nil || s.ctx.Err() == nil && cable.ctx.Err() == nil {
			return err // in has ended, or ctx has
		}
		if err := b.awaitNext(ctx, s); err != nil {
			return err
		}
	}
}

// awaitNext waits until s is not stopping any more: until another instance runs, the box is switched
// off, or it has stopped. If s runs, it returns at once.
func (b *Box) awaitNext(ctx context.Context, s *instance) error {
	if s.ctx.Err() == nil {
		return nil
	}
	if err := b.WaitSettled(ctx); err != nil && !errors.Is(err, ErrOff) {
		return err
	}
	if b.current() != s || b.off() != nil {
		return nil
	}
	select {
	case <-b.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// A serialLine reads its input on one goroutine and hands it to one console after another,
// since a read that is blocked when the appliance reboots must not take the next console's
// input. Input that a console has not read when it is closed is lost.
type serialLine struct {
	in      io.Closer
	chunks  chan []byte   // closed when the input has ended
	closed  chan struct{} // closed when chunks has no receiver any more
	reading sync.WaitGroup
}

// readLine begins to read in.
func readLine(in io.ReadCloser) *serialLine {
	l := &serialLine{in: in, chunks: make(chan []byte), closed: make(chan struct{})}
	l.reading.Go(func() {
		defer close(l.chunks)
		for {
			b := make([]byte, 1024)
			n, err := in.Read(b)
			if n > 0 {
				select {
				case l.chunks <- b[:n]:
				case <-l.closed:
					return
				}
			}
			if err != nil {
				return
			}
		}
	})
	return l
}

// close closes the input and waits for the goroutine that reads it. It is called once.
func (l *serialLine) close() {
	close(l.closed)
	l.in.Close() //nolint:errcheck // nothing was written
	l.reading.Wait()
}

// attach returns a reader of the input that follows.
func (l *serialLine) attach() io.ReadCloser {
	return &lineReader{line: l, closed: make(chan struct{})}
}

// A lineReader reads a serialLine on behalf of one console.
type lineReader struct {
	line   *serialLine
	closed chan struct{}
	rest   []byte
}

// Read returns io.EOF when the input has ended, and io.ErrClosedPipe once r is closed.
func (r *lineReader) Read(b []byte) (int, error) {
	if len(r.rest) == 0 {
		select {
		case chunk, ok := <-r.line.chunks:
			if !ok {
				return 0, io.EOF
			}
			r.rest = chunk
		case <-r.closed:
			return 0, io.ErrClosedPipe
		}
	}
	n := copy(b, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// Close makes a blocked Read return. It is called once.
func (r *lineReader) Close() error {
	close(r.closed)
	return nil
}
