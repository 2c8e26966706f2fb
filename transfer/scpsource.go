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

// sendAll sends the paths of the command line.
func (s *scpSession) sendAll() error {
	if ok, err := s.readAnswer(); err != nil || !ok {
		return errors.Join(err, errSessionEnded)
	}
	for _, arg := range s.Paths {
		names := []string{s.fullPath(arg.Text)}
		if arg.Glob {
			found, err := s.area.Glob(s.fullPath(arg.Pattern))
			if err == nil && len(found) == 0 {
				err = fs.ErrNotExist
			}
			if err != nil {
				if err := s.sendWarning(arg.Text, err); err != nil {
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

// send sends a file or a directory. If it cannot be read, send warns the client and skips it.
func (s *scpSession) send(name string, depth int) error {
	fi, err := s.area.Stat(name)
	switch {
	case err != nil:
		return s.sendWarning(name, err)
	case baseName(name) != sanitize(baseName(name)):
		return s.sendWarning(name, fs.ErrInvalid)
	case !fi.IsDir():
		return s.sendFile(name)
	case !s.Recursive || depth > maxSCPDepth:
		return s.sendMessage(scp.Warning, name+": not a regular file")
	}
	return s.sendDir(name, fi, depth)
}

// header sends the modification time, if the client has asked for it, and the header line.
func (s *scpSession) header(fi fs.FileInfo, line string) (ok bool, err error) {
	if s.Times {
		t := fi.ModTime().Unix()
		if _, err := fmt.Fprintf(s.out, "T%d 0 %d 0\n", t, t); err != nil {
			return false, err
		}
		if ok, err := s.readAnswer(); err != nil || !ok {
			return false, err
		}
	}
	s.verbosef("Sending file modes: %s", line)
	if _, err := io.WriteString(s.out, line+"\n"); err != nil {
		return false, err
	}
	return s.readAnswer()
}

// sendDir sends a directory and its files.
func (s *scpSession) sendDir(name string, fi fs.FileInfo, depth int) error {
	list, err := s.area.ReadDir(name)
	if err != nil {
		return s.sendWarning(name, err)
	}
	ok, err := s.header(fi, fmt.Sprintf("D%04o 0 %s", fi.Mode().Perm(), baseName(name)))
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
	_, err = s.readAnswer()
	return err
}

// sendFile sends a file.
func (s *scpSession) sendFile(name string) error {
	f, err := s.area.Open(name)
	if err != nil {
		return s.sendWarning(name, err)
	}
	defer f.Close()
	fi, err := f.Stat() // the size at the time of opening, even if the file grows
	if err != nil {
		return s.sendWarning(name, err)
	}
	ok, err := s.header(fi, fmt.Sprintf("C%04o %d %s", fi.Mode().Perm(), fi.Size(), baseName(name)))
	if err != nil || !ok {
		return err
	}
	readErr, err := s.sendBytes(f, fi.Size())
	if err != nil {
		return err
	}
	if readErr != nil {
		err = s.sendWarning(name, readErr)
	} else {
		s.logf("Download %s %d bytes", sanitize(name), fi.Size())
		s.done(Transferred{false, name, fi.Size()})
		err = s.sendOK()
	}
	if err != nil {
		return err
	}
	_, err = s.readAnswer()
	return err
}

// sendBytes sends size bytes of f. If f cannot be read to that size, it sends zeros for the rest,
// because the client expects size bytes, and returns the error as readErr.
func (s *scpSession) sendBytes(f *files.File, size int64) (readErr, err error) {
	if size > bulkLeast {
		defer beginBulk(s.out, &err)()
	}
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
