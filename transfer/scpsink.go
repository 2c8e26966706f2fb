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

// receiveAll takes what the other side sends into the one path of the command
// line.
func (s *scpSession) receiveAll() error {
	target := s.full(s.Paths[0].Text)
	fi, err := s.area.Stat(target)
	isDir := err == nil && fi.IsDir()
	if s.Directory && !isDir {
		if err == nil {
			err = syscall.ENOTDIR
		}
		return s.fatal(s.Paths[0].Text + ": " + reason(err))
	}
	if err := s.ack(); err != nil {
		return err
	}
	return s.receive(target, isDir, 0)
}

// receive takes files until the directory, or at depth 0 the session, ends.
func (s *scpSession) receive(target string, isDir bool, depth int) error {
	var mtime time.Time // of the file that comes next
	for {
		line, err := s.line()
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
			return errGiveUp
		case 'E':
			if depth == 0 {
				return s.fatal("protocol error: unexpected <newline>")
			}
			return s.ack()
		case 'T':
			if mtime, err = scp.ParseTimes(line); err != nil {
				return s.fatal("protocol error: " + err.Error())
			}
			if err := s.ack(); err != nil {
				return err
			}
		case 'C', 'D':
			h, err := scp.ParseHeader(line)
			if err != nil {
				return s.fatal("protocol error: " + err.Error())
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
			return s.fatal("protocol error: expected control record")
		}
	}
}

func (s *scpSession) receiveDir(name string, mtime time.Time, depth int) error {
	switch {
	case !s.Recursive:
		return s.fatal("received directory without -r")
	case depth > maxSCPDepth:
		return s.fatal("directories are nested too deeply")
	}
	fi, err := s.area.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = s.area.Mkdir(name)
	case err == nil && !fi.IsDir():
		err = syscall.ENOTDIR
	}
	if err != nil {
		return s.warn(name, err)
	}
	if err := s.ack(); err != nil {
		return err
	}
	if err := s.receive(name, true, depth+1); err != nil {
		return err
	}
	if !mtime.IsZero() && s.area.Writable(name) {
		if err := s.area.Chtimes(name, mtime); err != nil {
			return s.warn(name, err)
		}
	}
	return nil
}

// receiveFile takes size bytes. When they cannot be stored they are still read,
// because the other side does not stop to ask.
func (s *scpSession) receiveFile(name string, size int64, mtime time.Time) error {
	f, err := s.area.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return s.warn(name, err)
	}
	if err := s.ack(); err != nil {
		return errors.Join(err, f.Close())
	}
	w := &stickyWriter{w: f}
	_, err = io.CopyBuffer(w, io.LimitReader(s.in, size), make([]byte, min(64<<10, max(size, 1))))
	if err == nil && w.read < size {
		err = io.ErrUnexpectedEOF
	}
	if err == nil {
		_, err = s.answer() // whether the other side could read it all
	}
	if !mtime.IsZero() {
		w.note(f.Chtimes(mtime))
	}
	w.note(f.Close())
	if err != nil {
		return fmt.Errorf("receive %s: %w", name, err)
	}
	if w.err != nil {
		return s.warn(name, w.err)
	}
	s.tell("Upload %s %d bytes", printable(name), size)
	return s.ack()
}

// A stickyWriter remembers the first error and swallows what comes after it.
type stickyWriter struct {
	w    io.Writer
	read int64
	err  error
}

func (w *stickyWriter) Write(p []byte) (int, error) {
	w.read += int64(len(p))
	if w.err == nil {
		_, err := w.w.Write(p)
		w.note(err)
	}
	return len(p), nil
}

func (w *stickyWriter) note(err error) {
	if w.err == nil {
		w.err = err
	}
}
