package queue

import (
	"io"
	"os"
	"sync"
)

// A sharedFile is a file that several readers may use, and that is removed when it is no longer
// needed and its last reader has gone. It is opened only while it has readers, so that a queue with
// many files needs few descriptors. (Windows cannot remove a file that is open.)
type sharedFile struct {
	fs   FS
	path string

	mu      sync.Mutex
	file    File // nil until the first reader needs it
	readers int
	dropped bool
}

// pin keeps the file from being removed until unpin is called.
func (s *sharedFile) pin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readers++
}

// open returns the file of a caller that has pinned it. It is closed by unpin.
func (s *sharedFile) open() (File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		f, err := s.fs.Open(s.path)
		if err != nil {
			return nil, err
		}
		s.file = f
	}
	return s.file, nil
}

func (s *sharedFile) unpin() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readers--
	return s.cleanUp()
}

// drop removes the file now or, if it has readers, later.
func (s *sharedFile) drop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropped = true
	return s.cleanUp()
}

// cleanUp closes and removes the file if nothing needs it. The caller holds mu.
func (s *sharedFile) cleanUp() error {
	if s.readers > 0 {
		return nil
	}
	if s.file != nil {
		s.file.Close() // it was only read
		s.file = nil
	}
	if s.dropped {
		return s.fs.Remove(s.path)
	}
	return nil
}

// A body reads the body of a message.
type body struct {
	*io.SectionReader
	file *sharedFile
	once sync.Once
}

// Close releases the file.
func (b *body) Close() error {
	err := os.ErrClosed
	b.once.Do(func() { err = b.file.unpin() })
	return err
}
