package entropy

import (
	crand "crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"sync"
)

// A Source makes streams of chance. The zero value is System's.
type Source struct {
	seeded bool
	seed   uint64
}

// System returns a source that cannot be foretold.
func System() Source { return Source{} }

// Seeded returns a source whose streams depend on seed and their names only.
func Seeded(seed uint64) Source { return Source{seeded: true, seed: seed} }

// Stream returns the stream called name. The same name gives the same numbers
// anew. A stream is safe for concurrent use.
func (s Source) Stream(name string) *Stream {
	var key [32]byte
	if s.seeded {
		b := binary.BigEndian.AppendUint64(nil, s.seed)
		key = sha256.Sum256(append(b, name...))
	} else if _, err := crand.Read(key[:]); err != nil {
		panic(err) // crypto/rand documents that it never fails
	}
	c := rand.NewChaCha8(key)
	return &Stream{chacha: c, r: rand.New(c)}
}

// A Stream is a sequence of chance. It is an io.Reader and a rand.Source.
type Stream struct {
	mu     sync.Mutex
	chacha *rand.ChaCha8
	r      *rand.Rand
}

var (
	_ io.Reader   = (*Stream)(nil)
	_ rand.Source = (*Stream)(nil)
)

// Read fills p; it never fails.
func (s *Stream) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.chacha.Read(p)
}

// Uint64 returns 64 bits.
func (s *Stream) Uint64() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.chacha.Uint64()
}

// IntN returns a number from 0 up to, and without, n, which must be positive.
func (s *Stream) IntN(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.r.IntN(n)
}

// Float64 returns a number from 0 up to, and without, 1.
func (s *Stream) Float64() float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.r.Float64()
}
