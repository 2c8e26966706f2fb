package transfer

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"
	"time"

	"github.com/esasim/esasim/appliance/scp"
)

// receiveAll receives what the client sends. The command line has one path.
func (s *scpSession) receiveAll() error {
	target := s.fullPath(s.Paths[0].Text)
	fi, err := s.area.Stat(target)
	isDir := err == nil && fi.IsDir()
	if s.Directory && !isDir {
		if err == nil {
			err = syscall.ENOTDIR
		}
		return s.sendFatal(s.Paths[0].Text + ": " + reasonText(err))
	}
	if err := s.sendOK(); err != nil {
		return err
	}
	return s.receive(target, isDir, 0)
}

// receive receives files until the directory ends, or the session at depth 0.
func (s *scpSession) receive(target string, isDir bool, depth int) error {
	var mtime time.Time // of the next file
	for {
		line, err := s.readLine()
		if err == io.EOF && depth == 0 {
			return nil
		}
		if err != nil {
			return err
		}
		kind := byte(0)
		if line != "" {
			kind = line[0]
		}
		s.verbosef("Sink: %s", line)
		switch kind {
		case scp.Warning:
			s.failed = true
		case scp.Fatal:
			return errSessionEnded
		case 'E':
			if depth == 0 {
				return s.sendFatal("protocol error: unexpected <newline>")
			}
			return s.sendOK()
		case 'T':
			if mtime, err = scp.ParseTimes(line); err != nil {
				return s.sendFatal("protocol error: " + err.Error())
			}
			if err := s.sendOK(); err != nil {
				return err
			}
		case 'C', 'D':
			h, err := scp.ParseHeader(line)
			if err != nil {
				return s.sendFatal("protocol error: " + err.Error())
			}
			name := target
			if isDir {
				name = path.Join(target, h.Name)
			}
			if h.Dir {
				err = s.receiveDir(name, mtime, depth)
			} else {
				err = s.receiveFile(name, h.Size, mtime)
			}
			if err != nil {
				return err
			}
			mtime = time.Time{}
		default:
			return s.sendFatal("protocol error: expected control record")
		}
	}
}

// receiveDir creates a directory and receives its files.
func (s *scpSession) receiveDir(name string, mtime time.Time, depth int) error {
	switch {
	case !s.Recursive:
		return s.sendFatal("received directory without -r")
	case depth > maxSCPDepth:
		return s.sendFatal("directories are nested too deeply")
	}
	fi, err := s.area.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = s.area.Mkdir(name)
	case err == nil && !fi.IsDir():
		err = syscall.ENOTDIR
	}
	if err != nil {
		return s.sendWarning(name, err)
	}
	if err := s.sendOK(); err != nil {
		return err
	}
	if err := s.receive(name, true, depth+1); err != nil {
		return err
	}
	if !mtime.IsZero() && s.area.Writable(name) {
		if err := s.area.Chtimes(name, mtime); err != nil {
			return s.sendWarning(name, err)
		}
	}
	return nil
}

// receiveFile receives size bytes. If they cannot be stored, it reads them nevertheless, because
// the client sends all of them without waiting for an answer.
func (s *scpSession) receiveFile(name string, size int64, mtime time.Time) error {
	f, err := s.area.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return s.sendWarning(name, err)
	}
	if err := s.sendOK(); err != nil {
		return errors.Join(err, f.Close())
	}
	w := &stickyWriter{w: f}
	_, err = io.CopyBuffer(w, io.LimitReader(s.in, size), make([]byte, min(64<<10, max(size, 1))))
	if err == nil && w.received < size {
		err = io.ErrUnexpectedEOF
	}
	if err == nil {
		_, err = s.readAnswer() // says whether the client could read the whole file
	}
	if !mtime.IsZero() {
		w.setErr(f.Chtimes(mtime))
	}
	w.setErr(f.Close())
	if err != nil {
		return fmt.Errorf("receive %s: %w", name, err)
	}
	if w.err != nil {
		return s.sendWarning(name, w.err)
	}
	s.logf("Upload %s %d bytes", sanitize(name), size)
	s.done(Transferred{true, name, size})
	return s.sendOK()
}

// A stickyWriter keeps the first error of w and discards all data after it.
type stickyWriter struct {
	w        io.Writer
	received int64
	err      error
}

func (w *stickyWriter) Write(p []byte) (int, error) {
	w.received += int64(len(p))
	if w.err == nil {
		_, err := w.w.Write(p)
		w.setErr(err)
	}
	return len(p), nil
}

func (w *stickyWriter) setErr(err error) {
	if w.err == nil {
		w.err = err
	}
}
