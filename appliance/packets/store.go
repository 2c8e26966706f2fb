package packets

import (
	"io"
	"sync"
)

// chunkSize is the number of bytes for which a store asks at a time.
const chunkSize = 64 << 10

// A store is a file in memory that grows at its end while it is read.
type store struct {
	mu     sync.Mutex
	chunks [][]byte // all but the last one are full
	size   int64
	whole  int64 // the size up to the last whole block
}

// Write appends p.
func (s *store) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(p)
	for len(p) > 0 {
		last := len(s.chunks) - 1
		if last < 0 || len(s.chunks[last]) == chunkSize {
			s.chunks = append(s.chunks, make([]byte, 0, chunkSize))
			last++
		}
		c := s.chunks[last]
		k := min(len(p), chunkSize-len(c))
		s.chunks[last] = append(c, p[:k]...)
		p = p[k:]
	}
	s.size += int64(n)
	return n, nil
}

// commit marks the end of a whole block, and returns how much has been added since the last call.
func (s *store) commit() (added int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	added = s.size - s.whole
	s.whole = s.size
	return added
}

// length returns the size of the whole blocks.
func (s *store) length() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.whole
}

// WriteTo writes the whole blocks that there are now.
func (s *store) WriteTo(w io.Writer) (int64, error) {
	s.mu.Lock()
	left := s.whole
	chunks := append([][]byte(nil), s.chunks...) // later writes change nothing within their lengths
	s.mu.Unlock()
	var written int64
	for _, c := range chunks {
		c = c[:min(int64(len(c)), left)]
		left -= int64(len(c))
		n, err := w.Write(c)
		written += int64(n)
		if err != nil {
			return written, err
		}
	}
	return written, nil
}
