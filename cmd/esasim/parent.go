package main

import (
	"errors"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// A parent watches the process that started this one, for --with-parent. It is gone when standard
// input, if that is a pipe or a socket, has been closed, and when the process has ended. A program
// that starts the simulator therefore leaves nothing running, even if it is killed.
//
// The end of the process is noticed on Linux by a descriptor of the process, and on other Unix systems
// by asking for the parent's number from time to time. On other systems only standard input counts.
// The end of standard input alone would not do: children of the parent that have inherited the other
// end of the pipe keep it open.
type parent struct {
	gone    chan struct{} // closed when the parent is gone
	once    sync.Once
	running sync.WaitGroup
	end     []func() // what close calls
}

// watchParent begins to watch if the user wants it. With --console, which reads standard input
// itself, only the process counts.
func (s *serve) watchParent(in io.Reader) (*parent, error) {
	p := &parent{gone: make(chan struct{})}
	if !s.WithParent {
		return p, nil
	}
	// The readers of standard output and error may be gone before this process has ended.
	signal.Ignore(syscall.SIGPIPE)
	file, _ := in.(*os.File)
	watched := !s.Console && file != nil && isPipe(file)
	if watched {
		if err := p.watchInput(file); err != nil {
			return nil, err
		}
	}
	err := p.watchProcess()
	switch {
	case errors.Is(err, errors.ErrUnsupported) && watched:
		return p, nil
	case errors.Is(err, errors.ErrUnsupported):
		err = errors.New("--with-parent needs a pipe as standard input on this system")
	}
	if err != nil {
		p.close()
	}
	return p, err
}

// isPipe reports whether the end of a file means that a process has closed it.
func isPipe(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&(os.ModeNamedPipe|os.ModeSocket) != 0
}

// watchInput reads and discards a file until it ends.
func (p *parent) watchInput(f *os.File) error {
	in, err := newClosableInput(f)
	if err != nil {
		return err
	}
	p.end = append(p.end, func() { in.Close() })
	p.running.Go(func() {
		if _, err := io.Copy(io.Discard, in); !errors.Is(err, os.ErrClosed) {
			p.setGone()
		}
	})
	return nil
}

func (p *parent) setGone() { p.once.Do(func() { close(p.gone) }) }

// close ends the watching and waits for its goroutines.
func (p *parent) close() {
	for _, end := range p.end {
		end()
	}
	p.running.Wait()
}
