package queue_test

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"

	"github.com/esasim/esasim/appliance/mta/queue"
)

// errPower is returned by all operations after the power has failed.
var errPower = errors.New("the power has failed")

// A fakeFS is a file system in memory that knows what is durable: the content of a file that was
// synced, and the entries of a directory that was synced.
type fakeFS struct {
	mu      sync.Mutex
	dir     string // the only directory that holds files
	exists  bool
	live    map[string]*node
	durable map[string]*node
	made    bool // the directory's own entry is durable
	ops     int  // operations that change something
	cutAt   int  // the operation at which the power fails; 0 means never
	dead    bool
	syncs   int // of files
	dirs    int // syncs of directories
	written int64
	reads   int
	// fail, if not nil, decides whether an operation fails. A sync that fails forgets what it
	// should have written, although readers still see it, as Linux does.
	fail func(op, name string, n int) error
	// onSync, if not nil, is called without the lock.
	onSync func(name string)
}

// A node is the content of a file.
type node struct {
	data    []byte
	synced  []byte
	pending []change // since the last sync
}

// A change is a write, or with nil data a change of the length to off.
type change struct {
	off  int64
	data []byte
}

func newFakeFS(dir string) *fakeFS {
	return &fakeFS{dir: dir, live: map[string]*node{}, durable: map[string]*node{}}
}

// do counts an operation and returns its error. The caller holds mu.
func (f *fakeFS) do(op, name string, n int) error {
	if f.dead {
		return errPower
	}
	f.ops++
	if f.ops == f.cutAt {
		f.dead = true
	}
	if f.dead {
		return errPower
	}
	if f.fail != nil {
		return f.fail(op, filepath.Base(name), n)
	}
	return nil
}

func (f *fakeFS) MkdirAll(dir string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if dir != f.dir {
		return fs.ErrInvalid
	}
	err := f.do("mkdir", dir, 0)
	f.exists = f.exists || err == nil
	return err
}

func (f *fakeFS) List(dir string) (list []queue.FileInfo, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.exists {
		return nil, fs.ErrNotExist
	}
	for name, n := range f.live {
		list = append(list, queue.FileInfo{Name: name, Size: int64(len(n.data))})
	}
	return list, nil
}

func (f *fakeFS) Create(name string) (queue.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.do("create", name, 0); err != nil {
		return nil, err
	}
	if !f.exists {
		return nil, fs.ErrNotExist
	}
	name = filepath.Base(name)
	n := f.live[name]
	if n == nil {
		n = &node{}
		f.live[name] = n
	}
	n.apply(change{0, nil})
	return &fakeFile{f, name, n}, nil
}

func (f *fakeFS) Open(name string) (queue.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dead {
		return nil, errPower
	}
	n := f.live[filepath.Base(name)]
	if n == nil {
		return nil, fs.ErrNotExist
	}
	return &fakeFile{f, filepath.Base(name), n}, nil
}

func (f *fakeFS) Remove(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.do("remove", name, 0); err != nil {
		return err
	}
	if f.live[filepath.Base(name)] == nil {
		return fs.ErrNotExist
	}
	delete(f.live, filepath.Base(name))
	return nil
}

func (f *fakeFS) SyncDir(dir string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.do("syncdir", dir, 0); err != nil {
		return err
	}
	f.dirs++
	switch dir {
	case f.dir:
		f.durable = maps.Clone(f.live)
	case filepath.Dir(f.dir):
		f.made = true
	}
	return nil
}

type fakeFile struct {
	fs   *fakeFS
	name string
	node *node
}

func (f *fakeFile) ReadAt(p []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	f.fs.reads++
	if f.fs.dead {
		return 0, errPower
	}
	return bytes.NewReader(f.node.data).ReadAt(p, off)
}

func (f *fakeFile) WriteAt(p []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.fs.dead {
		return 0, errPower
	}
	n := len(p)
	err := f.fs.do("write", f.name, n)
	if err != nil {
		n /= 2 // a part has been written
	}
	f.node.apply(change{off, bytes.Clone(p[:n])})
	f.fs.written += int64(n)
	return n, err
}

func (f *fakeFile) Truncate(size int64) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.do("truncate", f.name, 0); err != nil {
		return err
	}
	f.node.apply(change{size, nil})
	return nil
}

func (f *fakeFile) Sync() error {
	if f.fs.onSync != nil {
		f.fs.onSync(f.name)
	}
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.do("sync", f.name, 0); err != nil {
		if err != errPower {
			f.node.pending = nil // fsyncgate
		}
		return err
	}
	f.fs.syncs++
	for _, c := range f.node.pending {
		f.node.synced = c.to(f.node.synced)
	}
	f.node.pending = nil
	return nil
}

func (f *fakeFile) Close() error { return nil }

// apply makes a change that is not durable yet.
func (n *node) apply(c change) {
	n.data = c.to(n.data)
	n.pending = append(n.pending, c)
}

// to returns a content to which the change was made. Gaps become zeros.
func (c change) to(b []byte) []byte {
	if c.data == nil {
		if int64(len(b)) > c.off {
			return slices.Clone(b[:c.off])
		}
		return append(b, make([]byte, c.off-int64(len(b)))...)
	}
	if end := c.off + int64(len(c.data)); int64(len(b)) < end {
		b = append(b, make([]byte, end-int64(len(b)))...)
	}
	copy(b[c.off:], c.data)
	return b
}

// The outcomes of a loss of power.
const (
	onlySynced = iota // what was not synced is lost
	everything        // all that was written has reached the disk by chance
	anything          // parts of what was not synced have reached the disk, in any order
	numOutcomes
)

// afterPowerLoss returns the file system as the next process finds it.
func (f *fakeFS) afterPowerLoss(outcome int, random *rand.Rand) *fakeFS {
	f.mu.Lock()
	defer f.mu.Unlock()
	g := newFakeFS(f.dir)
	g.made = f.made
	g.exists = f.made || outcome == everything || outcome == anything && f.exists
	names := map[string]bool{}
	for _, entries := range []map[string]*node{f.live, f.durable} {
		for name := range entries {
			names[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		n := f.durable[name]
		if outcome == everything || outcome == anything && random.IntN(2) == 0 {
			n = f.live[name]
		}
		if n == nil || !g.exists {
			continue
		}
		data := slices.Clone(n.synced)
		switch outcome {
		case everything:
			data = slices.Clone(n.data)
		case anything:
			data = n.partly(data, random)
		}
		g.live[name] = &node{data: data, synced: slices.Clone(data)}
	}
	g.durable = maps.Clone(g.live)
	return g
}

// partly makes some of the pending changes, some of them in part.
func (n *node) partly(data []byte, random *rand.Rand) []byte {
	for _, c := range n.pending {
		switch {
		case random.IntN(3) == 0:
		case c.data != nil && random.IntN(3) == 0: // a torn write
			data = change{c.off, c.data[:random.IntN(len(c.data)+1)]}.to(data)
		case c.data != nil && random.IntN(3) == 0: // the length is there, the blocks are not
			data = change{c.off, make([]byte, len(c.data))}.to(data)
		case c.data != nil && random.IntN(2) == 0: // that of some blocks
			part := slices.Clone(c.data)
			const size = 128 // smaller than real ones, like the messages here
			for block := range slices.Chunk(part, size) {
				if random.IntN(4) == 0 {
					clear(block)
				}
			}
			data = change{c.off, part}.to(data)
		default:
			data = c.to(data)
		}
	}
	return data
}

func (f *fakeFS) isDead() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dead
}

// content returns the files.
func (f *fakeFS) content() map[string][]byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	files := map[string][]byte{}
	for name, n := range f.live {
		files[name] = bytes.Clone(n.data)
	}
	return files
}

// withFiles returns a file system with files, all of which are durable.
func withFiles(dir string, files map[string][]byte) *fakeFS {
	f := newFakeFS(dir)
	f.made, f.exists = true, true
	for name, data := range files {
		f.live[name] = &node{data: bytes.Clone(data), synced: bytes.Clone(data)}
	}
	f.durable = maps.Clone(f.live)
	return f
}
