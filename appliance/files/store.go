package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/esasim/esasim/appliance/clock"
)

// Names of the directories that every store shows.
const (
	Pub           = "data/pub"
	Diagnostic    = "data/pub/diagnostic"    // captures
	Configuration = "data/pub/configuration" // saved configurations; the only place where users write
	Log           = "var/log"                // second names of the log directories
)

// tmpDir holds files that are not whole yet. Open empties it.
const tmpDir = "tmp"

var (
	// ErrQuota is returned by a write that does not fit. It is a syscall.ENOSPC.
	ErrQuota = fmt.Errorf("files: the file area is full: %w", syscall.ENOSPC)
	// ErrBusy is returned to a user who removes or moves a file that is being
	// written. It is a syscall.EBUSY.
	ErrBusy = fmt.Errorf("files: the file is being written: %w", syscall.EBUSY)
)

// A Store is a file area. Its methods are safe for concurrent use. Errors are
// *fs.PathError with the name as the caller gave it.
type Store struct {
	root   *os.Root
	clk    clock.Clock
	quota  int64 // 0: none
	opened time.Time

	used         atomic.Int64
	fullReported atomic.Bool // ErrQuota was returned and nothing was freed since
	onFull       atomic.Pointer[func()]
	zone         atomic.Pointer[func() *time.Location]

	mu      sync.Mutex
	nodes   map[string]*node  // files that are open for writing
	dirs    map[string]bool   // directories that are shown though not on disk yet
	aliases map[string]string // second name -> name
	hidden  map[string]bool
	temps   uint64 // temporary files made so far
}

var (
	_ fs.FS         = (*Store)(nil)
	_ fs.StatFS     = (*Store)(nil)
	_ fs.ReadDirFS  = (*Store)(nil)
	_ fs.ReadLinkFS = (*Store)(nil)
)

// Open opens the store that dir holds; it makes dir if need be, removes what a
// crash left half-written, and counts what is there. quota is in bytes; 0 means
// that only the machine's disk limits the area. A store that holds more than its
// quota opens, and takes no more.
func Open(dir string, quota int64, clk clock.Clock) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the file area: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the file area: %w", err)
	}
	s := &Store{
		root: root, clk: clk, quota: max(quota, 0), opened: clk.Now(),
		nodes:   map[string]*node{},
		dirs:    map[string]bool{".": true},
		aliases: map[string]string{},
		hidden:  map[string]bool{},
	}
	if err := s.count(); err != nil {
		root.Close()
		return nil, fmt.Errorf("count the file area: %w", err)
	}
	for _, d := range []string{Diagnostic, Configuration, Log} {
		s.showDir(d)
	}
	s.aliases[Pub+"/captures"] = Diagnostic
	s.aliases[Log+"/diagnostic"] = Diagnostic
	return s, nil
}

// count removes temporary files and adds up the others.
func (s *Store) count() error {
	if err := s.root.RemoveAll(tmpDir); err != nil {
		return err
	}
	return fs.WalkDir(s.root.FS(), ".", func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		fi, err := d.Info()
		if err == nil {
			s.used.Add(fi.Size())
		}
		return err
	})
}

// Close releases the store's hold on its directory. Open files stay usable.
func (s *Store) Close() error { return s.root.Close() }

// Usage returns the bytes that files take and the quota; 0 means none.
func (s *Store) Usage() (used, quota int64) { return s.used.Load(), s.quota }

// Reserve takes n bytes of the quota for what is kept outside the area, or gives them
// back where n is negative. Its error is ErrQuota.
func (s *Store) Reserve(n int64) error {
	if n < 0 {
		s.release(-n)
		return nil
	}
	if !s.reserve(n) {
		return ErrQuota
	}
	return nil
}

// OnFull sets what is called when a write has not found room: once, and again only
// after something was freed. f runs on the writer's goroutine, with no lock held.
func (s *Store) OnFull(f func()) { s.onFull.Store(&f) }

// SetZone sets what tells the zone in which times of files are given. Without it
// they are in that of the clock.
func (s *Store) SetZone(zone func() *time.Location) { s.zone.Store(&zone) }

func (s *Store) local(t time.Time) time.Time {
	if zone := s.zone.Load(); zone != nil {
		return t.In((*zone)())
	}
	return t.In(s.opened.Location())
}

// Show makes dir, and the directories above it, appear in listings from now on.
// It is made on disk when something is first written to it.
func (s *Store) ShowDir(dir string) error {
	if !fs.ValidPath(dir) {
		return pathError("show", dir, fs.ErrInvalid)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.showDir(s.resolve(dir))
	return nil
}

func (s *Store) showDir(dir string) {
	for ; dir != "."; dir = path.Dir(dir) {
		s.dirs[dir] = true
	}
}

// Alias makes name a second name of the directory target, which is shown from now
// on. An existing alias is replaced.
func (s *Store) Alias(name, target string) error {
	if !fs.ValidPath(name) || !fs.ValidPath(target) || name == "." || target == "." {
		return pathError("alias", name, fs.ErrInvalid)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	target = s.resolve(target)
	name = path.Join(s.resolve(path.Dir(name)), path.Base(name))
	if name == target || strings.HasPrefix(target, name+"/") || strings.HasPrefix(name, target+"/") {
		return pathError("alias", name, fs.ErrInvalid)
	}
	s.aliases[name] = target
	s.showDir(target)
	s.showDir(path.Dir(name))
	return nil
}

// Link makes name a second name of the file target, which need not be there. It lives
// as long as the store is open. In a Store's listings it is a symbolic link; an Area
// shows it as the file that it is.
func (s *Store) Link(name, target string) error {
	if !fs.ValidPath(name) || !fs.ValidPath(target) || name == "." || target == "." {
		return pathError("link", name, fs.ErrInvalid)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	target = s.resolve(target)
	name = path.Join(s.resolve(path.Dir(name)), path.Base(name))
	if name == target {
		return pathError("link", name, fs.ErrInvalid)
	}
	s.aliases[name] = target
	return nil
}

// Unalias takes a second name away. What it named stays.
func (s *Store) RemoveAlias(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.aliases, name)
}

// Hide keeps the file out of all listings, or shows it again. It can still be
// opened by its name. A file that is removed is no longer hidden.
func (s *Store) SetHidden(name string, hide bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if name = s.resolve(name); hide {
		s.hidden[name] = true
	} else {
		delete(s.hidden, name)
	}
}

// resolve replaces aliases in name. It needs mu.
func (s *Store) resolve(name string) string {
	for i := 0; i <= len(name); i++ {
		if i == len(name) || name[i] == '/' {
			if target, ok := s.aliases[name[:i]]; ok {
				name = target + name[i:] // targets are resolved already
				i = len(target)
			}
		}
	}
	return name
}

// lock locks mu and resolves a name; the caller unlocks, also after an error.
func (s *Store) lock(op, name string) (string, error) {
	s.mu.Lock()
	if !validName(name) {
		return "", pathError(op, name, fs.ErrInvalid)
	}
	return s.resolve(name), nil
}

// valid reports whether a caller may use name.
func validName(name string) bool {
	_, tmp := below(name, tmpDir)
	return fs.ValidPath(name) && !tmp
}

// pathError gives err the operation and the name that the caller knows.
func pathError(op, name string, err error) error {
	var pe *fs.PathError
	var le *os.LinkError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &pe):
		err = pe.Err
	case errors.As(err, &le):
		err = le.Err
	}
	if errors.Is(err, syscall.ENOSPC) {
		err = ErrQuota
	}
	return &fs.PathError{Op: op, Path: name, Err: err}
}

// reserve takes n bytes of the quota.
func (s *Store) reserve(n int64) bool {
	for {
		used := s.used.Load()
		if s.quota > 0 && n > 0 && n > s.quota-used {
			return false
		}
		if s.used.CompareAndSwap(used, used+n) {
			return true
		}
	}
}

// release gives n bytes back.
func (s *Store) release(n int64) {
	if n != 0 {
		s.used.Add(-n)
		s.fullReported.Store(false)
	}
}

// tellFull calls OnFull's function, once until something is freed.
func (s *Store) notifyFull() {
	if f := s.onFull.Load(); f != nil && s.fullReported.CompareAndSwap(false, true) {
		(*f)()
	}
}

// standing lists the base names of directories and aliases that dir shows in any
// case. It needs mu.
func (s *Store) permanentNames(dir string) []string {
	var names []string
	for d := range s.dirs {
		if d != "." && path.Dir(d) == dir {
			names = append(names, path.Base(d))
		}
	}
	for a := range s.aliases {
		if path.Dir(a) == dir {
			names = append(names, path.Base(a))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
