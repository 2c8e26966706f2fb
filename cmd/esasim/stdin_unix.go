//go:build unix

package main

import (
	"errors"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// maxSelect is the number of descriptors that select(2) can name.
const maxSelect = 1024

// A closableInput reads a file so that Close makes a blocked Read return. Closing the file
// would not: a read of a terminal is a system call that goes on until there is input. Nor
// is the file made non-blocking, which would make it so for the shell and all other
// processes that share it. So Read asks select(2) for input before it reads; macOS has no
// poll(2) for terminals.
type closableInput struct {
	file *os.File

	closing sync.Once
	wake    *os.File   // write end of a pipe; closing it ends select
	mu      sync.Mutex // held while a Read is blocked
	woken   *os.File   // the read end; nil: closed
}

// newClosableInput returns a reader of f. Closing it does not close f.
func newClosableInput(f *os.File) (io.ReadCloser, error) {
	woken, wake, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	if max(f.Fd(), woken.Fd()) >= maxSelect {
		return nil, errors.Join(errors.New("too many open files for a console"), wake.Close(), woken.Close())
	}
	return &closableInput{file: f, wake: wake, woken: woken}, nil
}

// Read reads the file. Once i is closed, it returns os.ErrClosed.
func (i *closableInput) Read(b []byte) (int, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.woken == nil {
		return 0, os.ErrClosed
	}
	in, woken := int(i.file.Fd()), int(i.woken.Fd())
	for {
		var set unix.FdSet
		set.Set(in)
		set.Set(woken)
		_, err := unix.Select(max(in, woken)+1, &set, nil, nil, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return 0, os.NewSyscallError("select", err)
		case set.IsSet(woken):
			return 0, os.ErrClosed
		default:
			return i.file.Read(b)
		}
	}
}

// Close makes a blocked Read return.
func (i *closableInput) Close() error {
	i.closing.Do(func() {
		i.wake.Close()
		i.mu.Lock()
		defer i.mu.Unlock()
		i.woken.Close()
		i.woken = nil
	})
	return nil
}
