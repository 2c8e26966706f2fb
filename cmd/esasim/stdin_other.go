//go:build !unix

package main

import (
	"io"
	"os"
)

// newClosableInput returns a reader of f. Closing it does not close f.
//
// A read of a console of this system cannot be interrupted: a handle of a console is
// signaled by events that are no input, too. The reader is therefore a pipe, into which a
// goroutine copies f. Close ends the pipe; the goroutine ends with the next input or, since
// the program ends when its console does, with the process.
func newClosableInput(f *os.File) (io.ReadCloser, error) {
	r, w := io.Pipe()
	go func() {
		_, err := io.Copy(w, f)
		w.CloseWithError(err) //nolint:errcheck // never fails
	}()
	return r, nil
}
