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

// Names of permanent directories.
const (
	Pub           = "data/pub"
	Diagnostic    = "data/pub/diagnostic"    // captures
	Configuration = "data/pub/configuration" // saved configurations; users may write here only
	Log           = "var/log"                // aliases of the log directories
)

// tmpDir contains files that are not complete yet, and the former content of files that are being
// overwritten (see recover.go). Open removes it.
const tmpDir = "tmp"

// Bounds of what users may create, so that the area can be listed and counted quickly.
const (
	maxElements  = 67     // of a name: 64 below Configuration, as many as SCP accepts
	maxNameBytes = 1024   // of a whole name
	maxUserFiles = 20_000 // files and directories
)

var (
	// ErrQuota is returned by a write for which there is no space. It wraps
	// syscall.ENOSPC.
	ErrQuota = fmt.Errorf("files: the file area is full: %w", syscall.ENOSPC)
	// ErrBusy is returned by Area.Remove for a file that is being written. It wraps
	// syscall.EBUSY.
	ErrBusy = fmt.Errorf("files: the file is being written: %w", syscall.EBUSY)
)

// A Store is a file area. Its methods are safe for concurrent use. Errors are *fs.PathError
// with the name that the caller used.
type Store struct {
	root   *disk
	clk    clock.Clock
	quota  int64 // 0: unlimited
	opened time.Time

	used         atomic.Int64
	files        atomic.Int64 // files and directories on disk
	fullReported atomic.Bool  // the function of OnFull was called and nothing was freed since
	onFull       atomic.Pointer[func()]
	zone         atomic.Pointer[func() *time.Location]

	mu      sync.Mutex
	nodes   map[string]*node  // files that are open for writing
	dirs    map[string]bool   // permanent directories
	aliases map[string]string // alias -> target, both resolved
	temps   uint64            // number of temporary files made so far
	digests []*digest         // the oldest first; see Area.Digest

	recovered []string // set by Open only
}

var (
	_ fs.FS         = (*Store)(nil)
	_ fs.StatFS     = (*Store)(nil)
	_ fs.ReadDirFS  = (*Store)(nil)
	_ fs.ReadLinkFS = (*Store)(nil)
)

// Open opens the store in dir. It restores files that were being overwritten when the process was
// killed, removes temporary files, and adds up the sizes of the others. quota is in bytes; 0 means
// that only the machine's disk limits the area. A store that holds more than its quota can be
// opened, but cannot grow. Recovered returns what Open has restored and what it could not do. If
// dir does not exist, it is made when the first file or directory is created.
func Open(dir string, quota int64, clk clock.Clock) (*Store, error) {
	root := &disk{dir: dir}
	exists, err := root.exists()
	if err != nil {
		return nil, fmt.Errorf("open the file area: %w", err)
	}
	s := &Store{
		root: root, clk: clk, quota: max(quota, 0), opened: clk.Now(),
		nodes:   map[string]*node{},
		dirs:    map[string]bool{".": true},
		aliases: map[string]string{},
	}
	if exists {
		s.restoreBackups()
		s.count()
	}
	for _, d := range []string{Diagnostic, Configuration, Log} {
		s.showDir(d)
	}
	s.aliases[Pub+"/captures"] = Diagnostic
	s.aliases[Pub+"/Diagnostic"] = Diagnostic // as the documents spell it
	s.aliases[Log+"/diagnostic"] = Diagnostic
	return s, nil
}

// Recovered returns what Open has restored after a crash and what it could not do, as lines for
// the program's log.
func (s *Store) Recovered() []string { return s.recovered }

// Close computes the digests that are not yet, and makes later calls fail. Open files stay usable.
func (s *Store) Close() error {
	s.settleAll()
	return s.root.Close()
}

// Usage returns the total size of the files and the quota in bytes; a quota of 0 means none.
func (s *Store) Usage() (used, quota int64) { return s.used.Load(), s.quota }

// Reserve reserves n bytes of the quota for data that is kept outside the area, or releases -n
// bytes if n is negative. Its error is ErrQuota.
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

// OnFull sets the function that is called when a write fails for lack of space. It is called
// once, and again only after space was freed. f runs on the writer's goroutine, with no lock
// held.
func (s *Store) OnFull(f func()) { s.onFull.Store(&f) }

// SetZone sets the function that returns the time zone of files' times. Without it, times are
// in the zone of the clock.
func (s *Store) SetZone(zone func() *time.Location) { s.zone.Store(&zone) }

func (s *Store) local(t time.Time) time.Time {
	if zone := s.zone.Load(); zone != nil {
		return t.In((*zone)())
	}
	return t.In(s.opened.Location())
}

// ShowDir makes dir, and the directories above it, permanent: they are listed from now on, and
// made on disk at the first write.
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

// Alias makes name an alias of the directory target, and target permanent. An existing alias of
// that name is replaced.
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

// Link makes name an alias of the file target, which need not exist. It is not kept on disk. In
// a Store's listings it is a symbolic link; an Area lists it as a file.
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

// RemoveAlias removes an alias. Its target stays.
func (s *Store) RemoveAlias(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.aliases, name)
}

// resolve replaces aliases in name by their targets. The caller holds mu.
func (s *Store) resolve(name string) string {
	for i := 0; i <= len(name); i++ {
		if i == len(name) || name[i] == '/' {
			if target, ok := s.aliases[name[:i]]; ok {
				name = target + name[i:] // targets contain no aliases
				i = len(target)
			}
		}
	}
	return name
}

// lock locks mu and resolves a name. The caller must unlock mu, even after an error.
func (s *Store) lock(op, name string) (string, error) {
	s.mu.Lock()
	if !validName(name) {
		return "", pathError(op, name, fs.ErrInvalid)
	}
	return s.resolve(name), nil
}

// validName reports whether name is valid for callers.
func validName(name string) bool {
	_, tmp := below(name, tmpDir)
	return fs.ValidPath(name) && !tmp
}

// pathError returns err with the operation and the name that the caller used.
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

// reserve reserves n bytes of the quota and reports whether there was enough.
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

// release returns n bytes to the quota.
func (s *Store) release(n int64) {
	if n != 0 {
		s.used.Add(-n)
		s.fullReported.Store(false)
	}
}

// tooManyFiles reports whether there are so many files that users must not create more. The
// appliance itself may: the number of its logs and captures has other bounds.
func (s *Store) tooManyFiles() bool { return s.files.Load() >= maxUserFiles }

// checkNewName returns an error if a file must not be created under a resolved name, because the
// name is too long or has too many elements.
func checkNewName(real string) error {
	if len(real) > maxNameBytes || strings.Count(real, "/") >= maxElements {
		return syscall.ENAMETOOLONG
	}
	return nil
}

// notifyFull calls the function of OnFull, once until space is freed.
func (s *Store) notifyFull() {
	if f := s.onFull.Load(); f != nil && s.fullReported.CompareAndSwap(false, true) {
		(*f)()
	}
}

// permanentNames returns the base names of the permanent directories and aliases in dir. The
// caller holds mu.
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
