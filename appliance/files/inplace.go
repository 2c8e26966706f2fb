package files

import (
	"errors"
	"io"
	"os"
	"sync"
)

// An inPlace keeps the former content of a file that is changed in place, from the first change of
// existing bytes until the file is closed. Appending, as a client does that resumes an upload,
// changes none.
type inPlace struct {
	size int64 // of the file when it was opened

	mu   sync.Mutex // taken before Store.mu
	done bool
	err  error
}

// openInPlace opens a file by its resolved name for an upload that overwrites existing content
// without truncating the file first. The caller holds mu.
func (s *Store) openInPlace(real string, flag int) (*File, error) {
	beingWritten := s.nodes[real] != nil
	f, err := s.open(real, flag)
	if err == nil && !beingWritten && f.node.size > 0 {
		f.inPlace = &inPlace{size: f.node.size}
	}
	return f, err
}

// keep copies the former content to a backup, which is restored like that of Overwrite. The copy is
// complete before it gets a name from which it would be restored.
func (p *inPlace) keep(f *File) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.done {
		p.done, p.err = true, p.copy(f)
	}
	return p.err
}

func (p *inPlace) copy(f *File) error {
	s := f.s
	if !s.reserve(p.size) {
		return ErrQuota
	}
	s.mu.Lock()
	tmp, err := s.tempName()
	var from *os.File
	if err == nil {
		from, err = s.root.Open(f.node.name)
	}
	s.mu.Unlock()
	if err == nil {
		err = p.copyTo(s.root, tmp, from)
	}
	if err != nil {
		s.release(p.size)
		return errors.Join(err, s.root.RemoveAll(tmp))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.closed || f.node.removed { // nothing will use the former content
		s.release(p.size)
		return s.root.Remove(tmp)
	}
	backup, err := s.backupName(f.node.name)
	if err == nil {
		err = s.root.Rename(tmp, backup)
	}
	if err != nil {
		s.release(p.size)
		return errors.Join(err, s.root.RemoveAll(tmp))
	}
	s.files.Add(1)
	f.backup = backup
	return nil
}

// copyTo copies the former content to a file of that name, and closes from.
func (p *inPlace) copyTo(root *disk, name string, from *os.File) error {
	defer from.Close()
	to, err := root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	n, err := io.Copy(to, io.LimitReader(from, p.size))
	if err == nil && n < p.size {
		err = io.ErrUnexpectedEOF
	}
	return errors.Join(err, to.Close())
}
