package entropy

import (
	crand "crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"sync"
)

// A Source creates streams of random numbers. The zero value is the same as System().
type Source struct {
	seeded bool
	seed   uint64
}

// System returns a source whose streams are unpredictable.
func System() Source { return Source{} }

// Seeded returns a source whose streams depend on seed and on their names only.
func Seeded(seed uint64) Source { return Source{seeded: true, seed: seed} }

// Stream returns the stream called name, from its beginning. If the source is seeded, every call
// with the same name returns a stream with the same numbers.
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

// A Stream is a sequence of random numbers. It is safe for concurrent use.
type Stream struct {
	mu     sync.Mutex
	chacha *rand.ChaCha8
	r      *rand.Rand
}

var (
	_ io.Reader   = (*Stream)(nil)
	_ rand.Source = (*Stream)(nil)
)

// Read fills p with random bytes. It never fails.
func (s *Stream) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.chacha.Read(p)
}

// Uint64 returns a random 64-bit number.
func (s *Stream) Uint64() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.chacha.Uint64()
}

// IntN returns a random number in [0,n). It panics if n is not positive.
func (s *Stream) IntN(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.r.IntN(n)
}

// Float64 returns a random number in [0,1).
func (s *Stream) Float64() float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.r.Float64()
}
