package files

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"io/fs"
	"os"
	"slices"
	"sync"
)

// Bounds of the digests that a store remembers. The oldest is computed if there are more, or if
// more bytes would have to be read.
const (
	maxDigests     = 16
	maxDigestBytes = 1 << 30
)

// A Digest is the SHA-256 hash of the first bytes of a file as they were when Area.Digest was
// called. It is computed when it is first used, before the file changes, or when the store is
// closed: a hash that nobody looks at costs nothing. The zero Digest is that of a file which cannot
// be read. A Digest is safe for concurrent use.
type Digest struct{ d *digest }

// String returns the hash in hexadecimal digits. It blocks while it reads the file. It returns ""
// if the file could not be read, or another program has changed it meanwhile.
func (d Digest) String() string {
	if d.d == nil {
		return ""
	}
	return d.d.text()
}

// MarshalText returns String.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// A digest is a Digest that may have to be computed.
type digest struct {
	name string // resolved; the file has it until the digest is computed
	size int64
	info fs.FileInfo // of the file

	mu   sync.Mutex // held while the digest is computed
	root *disk      // nil once the digest has been computed
	sum  string
}

// text returns the digest, and computes it the first time. The caller does not hold Store.mu.
func (d *digest) text() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.root != nil {
		d.sum = d.compute()
		d.root = nil
	}
	return d.sum
}

func (d *digest) compute() string {
	f, err := d.root.Open(d.name)
	if err != nil {
		return ""
	}
	defer f.Close()
	if fi, err := f.Stat(); err != nil || !d.isOf(fi) {
		return ""
	}
	return hashOf(f, d.size)
}

// isOf reports whether fi describes the same file with the same content, as far as programs are
// concerned that change files past the store.
func (d *digest) isOf(fi fs.FileInfo) bool {
	return os.SameFile(d.info, fi) && d.info.Size() == fi.Size() &&
		d.info.ModTime().Equal(fi.ModTime())
}

// hashOf returns the hash of the first size bytes of r, "" if there are fewer.
func hashOf(r io.Reader, size int64) string {
	h := sha256.New()
	if n, err := io.Copy(h, io.LimitReader(r, size)); err != nil || n != size {
		return ""
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Digest returns the digest of the first size bytes of a file. If the file is being written, it is
// computed at once.
func (a *Area) Digest(p string, size int64) Digest {
	real, err := a.lock("open", p)
	if err != nil || a.store.nodes[real] != nil {
		a.store.mu.Unlock()
		return a.digestNow(p, size, err)
	}
	defer a.store.mu.Unlock()
	return Digest{a.store.digest(real, size)}
}

// digestNow computes the digest of a file, unless err is not nil.
func (a *Area) digestNow(p string, size int64, err error) Digest {
	if err != nil {
		return Digest{}
	}
	f, err := a.Open(p)
	if err != nil {
		return Digest{}
	}
	defer f.Close()
	return Digest{&digest{sum: hashOf(f, size)}}
}

// digest returns the digest of a file by its resolved name, nil if it cannot be read. The caller
// holds mu, which digest releases for a while if it has to compute others.
func (s *Store) digest(real string, size int64) *digest {
	fi, err := s.root.Stat(real)
	if err != nil || !fi.Mode().IsRegular() || fi.Size() < size {
		return nil
	}
	for _, d := range s.digests {
		if d.name == real && d.size == size && d.isOf(fi) {
			return d
		}
	}
	d := &digest{name: real, size: size, info: fi, root: s.root}
	s.digests = append(s.digests, d)
	for len(s.digests) > maxDigests || len(s.digests) > 0 && s.digestBytes() > maxDigestBytes {
		s.settle(s.digests[0])
	}
	return d
}

// digestBytes returns the number of bytes that must be read for all digests. The caller holds mu.
func (s *Store) digestBytes() (n int64) {
	for _, d := range s.digests {
		n += d.size
	}
	return n
}

// settle computes a digest and forgets it. The caller holds mu, which settle releases meanwhile. A
// digest is forgotten only then: until it has been computed, no caller changes the file.
func (s *Store) settle(d *digest) {
	s.mu.Unlock()
	d.text()
	s.mu.Lock()
	s.digests = slices.DeleteFunc(s.digests, func(x *digest) bool { return x == d })
}

// settleBelow settles the digests of a file, or of those in a directory. It reports whether there
// were any: if so, mu was released. The caller holds mu.
func (s *Store) settleBelow(real string) (released bool) {
	for i := 0; i < len(s.digests); i++ {
		if _, ok := below(s.digests[i].name, real); ok {
			s.settle(s.digests[i])
			released, i = true, -1
		}
	}
	return released
}

// lockToChange is lock for a caller that changes or removes a file of that name, or of others. It
// settles their digests.
func (s *Store) lockToChange(op, name string, others ...string) (string, error) {
	real, err := s.lock(op, name)
	for err == nil {
		released := s.settleBelow(real)
		for _, other := range others {
			released = s.settleBelow(s.resolve(other)) || released
		}
		if !released {
			break
		}
		real = s.resolve(name)
	}
	return real, err
}

// settleAll settles all digests.
func (s *Store) settleAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.digests) > 0 {
		s.settle(s.digests[0])
	}
}
