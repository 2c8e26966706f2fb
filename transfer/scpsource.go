package transfer

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"github.com/esasim/esasim/appliance/files"
	"github.com/esasim/esasim/appliance/scp"
)

// sendAll sends what the command line names.
func (s *scpSession) sendAll() error {
	if ok, err := s.answer(); err != nil || !ok {
		return errors.Join(err, errGiveUp)
	}
	for _, w := range s.Paths {
		names := []string{s.full(w.Text)}
		if w.Glob {
			found, err := s.area.Glob(s.full(w.Pattern))
			if err == nil && len(found) == 0 {
				err = fs.ErrNotExist
			}
			if err != nil {
				if err := s.warn(w.Text, err); err != nil {
					return err
				}
				continue
			}
			names = found
		}
		for _, name := range names {
			if err := s.send(name, 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// send sends a file or a directory. What cannot be read is told and left out.
func (s *scpSession) send(name string, depth int) error {
	fi, err := s.area.Stat(name)
	switch {
	case err != nil:
		return s.warn(name, err)
	case base(name) != printable(base(name)):
		return s.warn(name, fs.ErrInvalid)
	case !fi.IsDir():
		return s.sendFile(name)
	case !s.Recursive || depth > maxSCPDepth:
		return s.say(scp.Warning, name+": not a regular file")
	}
	return s.sendDir(name, fi, depth)
}

// header sends a file's time, if it was asked for, and its line.
func (s *scpSession) header(fi fs.FileInfo, line string) (ok bool, err error) {
	if s.Times {
		t := fi.ModTime().Unix()
		if _, err := fmt.Fprintf(s.out, "T%d 0 %d 0\n", t, t); err != nil {
			return false, err
		}
		if ok, err := s.answer(); err != nil || !ok {
			return false, err
		}
	}
	s.verbosef("Sending file modes: %s", line)
	if _, err := io.WriteString(s.out, line+"\n"); err != nil {
		return false, err
	}
	return s.answer()
}

func (s *scpSession) sendDir(name string, fi fs.FileInfo, depth int) error {
	list, err := s.area.ReadDir(name)
	if err != nil {
		return s.warn(name, err)
	}
	ok, err := s.header(fi, fmt.Sprintf("D%04o 0 %s", fi.Mode().Perm(), base(name)))
	if err != nil || !ok {
		return err
	}
	for _, e := range list {
		if err := s.send(path.Join(name, e.Name()), depth+1); err != nil {
			return err
		}
	}
	if _, err := io.WriteString(s.out, "E\n"); err != nil {
		return err
	}
	_, err = s.answer()
	return err
}

func (s *scpSession) sendFile(name string) error {
	f, err := s.area.Open(name)
	if err != nil {
		return s.warn(name, err)
	}
	defer f.Close()
	fi, err := f.Stat() // as long as it was when it was opened
	if err != nil {
		return s.warn(name, err)
	}
	ok, err := s.header(fi, fmt.Sprintf("C%04o %d %s", fi.Mode().Perm(), fi.Size(), base(name)))
	if err != nil || !ok {
		return err
	}
	readErr, err := s.sendBytes(f, fi.Size())
	if err != nil {
		return err
	}
	if readErr != nil {
		err = s.warn(name, readErr)
	} else {
		s.tell("Download %s %d bytes", printable(name), fi.Size())
		err = s.ack()
	}
	if err != nil {
		return err
	}
	_, err = s.answer()
	return err
}

// sendBytes sends size bytes of f. When f turns out to be shorter the rest is
// zeros, because the other side counts on size, and readErr says why.
func (s *scpSession) sendBytes(f *files.File, size int64) (readErr, err error) {
	buf := make([]byte, min(256<<10, max(size, 1)))
	for size > 0 {
		n := int(min(size, int64(len(buf))))
		if readErr == nil {
			if got, err := io.ReadFull(f, buf[:n]); err != nil {
				readErr = err
				clear(buf[got:])
			}
		} else {
			clear(buf[:n])
		}
		if _, err := s.out.Write(buf[:n]); err != nil {
			return readErr, err
		}
		size -= int64(n)
	}
	return readErr, nil
}
