package files

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
	"time"
)

// Home is where users land.
const Home = "/" + Pub

// Owner and Group are what listings show of every file.
const (
	Owner = "admin"
	Group = "config"
)

// MayTransfer reports whether a role, by the name that AsyncOS gives it, may use
// SFTP, SCP and FTP at all.
func MayTransfer(role string) bool { return role == "Administrator" || role == "Operator" }

// An Area is a Store as one logged-in user sees it. Paths are absolute and
// slash-separated; one whose first element is neither "data" nor "var" is looked
// up below Home. Any ".." has been dealt with by cleaning: no path leads out.
//
// A user may read everything, remove files below Home (captures and logs) that
// nobody is writing and no log goes on with, and write below Home/configuration only; everything else is
// fs.ErrPermission. Errors are *fs.PathError with the path as the user sees it.
type Area struct {
	store *Store
	user  string
}

// Area returns the store as user sees it.
func (s *Store) Area(user string) *Area { return &Area{s, user} }

// User is whose area it is.
func (a *Area) User() string { return a.user }

// Usage is the store's.
func (a *Area) Usage() (used, quota int64) { return a.store.Usage() }

// Path returns the full path of p, which a user typed while in directory cwd. It
// does not look whether there is such a file.
func (a *Area) Path(cwd, p string) string {
	if !strings.HasPrefix(p, "/") {
		p = cwd + "/" + p
	}
	p = path.Clean("/" + p)
	switch first, _, _ := strings.Cut(p[1:], "/"); first {
	case "", "data", "var":
		return p
	}
	return Home + p
}

// name is the store's name of a path.
func (a *Area) name(p string) string {
	if p = a.Path("/", p)[1:]; p != "" {
		return p
	}
	return "."
}

// tell makes err the user's: with the path that the user knows.
func userError(op, p string, err error) error { return pathError(op, p, err) }

// lock locks the store and returns the store's own name of a path; the caller
// unlocks, also after an error.
func (a *Area) lock(op, p string) (string, error) {
	real, err := a.store.lock(op, a.name(p))
	return real, userError(op, p, err)
}

// Stat tells of a file or directory.
func (a *Area) Stat(p string) (fs.FileInfo, error) {
	fi, err := a.store.Stat(a.name(p))
	if err != nil {
		return nil, userError("stat", p, err)
	}
	return fi, nil
}

// ReadDir lists a directory, sorted by name. An alias is a directory like any
// other; one that stands beside its target is left out, so that a client that
// walks down the tree does not come twice to the same files.
func (a *Area) ReadDir(p string) ([]fs.FileInfo, error) {
	real, err := a.lock("readdir", p)
	defer a.store.mu.Unlock()
	if err != nil {
		return nil, err
	}
	list, err := a.store.list(real)
	if err != nil {
		return nil, userError("readdir", p, err)
	}
	var shown []fs.FileInfo
	for _, fi := range list {
		if real == "." && fi.name != "data" && fi.name != "var" {
			continue
		}
		full := path.Join(real, fi.name)
		if target, ok := a.store.aliases[full]; ok {
			of, err := a.store.stat(full, target)
			if err != nil || of.IsDir() && path.Dir(target) == real {
				continue
			}
			fi = of
		}
		shown = append(shown, fi)
	}
	return shown, nil
}

// Glob returns the paths that match pattern, a full path with the patterns of
// path.Match, sorted. No match is no error; a bad pattern is path.ErrBadPattern.
func (a *Area) Glob(pattern string) ([]string, error) {
	names, err := fs.Glob(areaFS{a}, a.name(pattern))
	if err != nil {
		return nil, err
	}
	for i, n := range names {
		names[i] = "/" + n
	}
	return names, nil
}

// FS returns the area as a read-only file system, as the page serves it. Its root
// is "/".
func (a *Area) FS() fs.FS { return areaFS{a} }

type areaFS struct{ a *Area }

func (v areaFS) Open(name string) (fs.File, error)     { return v.a.store.Open(name) }
func (v areaFS) Stat(name string) (fs.FileInfo, error) { return v.a.store.Stat(name) }
func (v areaFS) ReadDir(name string) ([]fs.DirEntry, error) {
	list, err := v.a.ReadDir("/" + name)
	if err != nil {
		return nil, err
	}
	entries := make([]fs.DirEntry, len(list))
	for i, fi := range list {
		entries[i] = fs.FileInfoToDirEntry(fi)
	}
	return entries, nil
}

// Open opens a file for reading.
func (a *Area) Open(p string) (*File, error) { return a.OpenFile(p, os.O_RDONLY) }

// OpenFile opens a file; flag is made of os's O_ constants. With O_TRUNC, what the
// file held is put back if the new content finds no room (see Store.Overwrite);
// an upload that breaks off leaves what has arrived, so that it can be resumed.
func (a *Area) OpenFile(p string, flag int) (*File, error) {
	real, err := a.lock("open", p)
	defer a.store.mu.Unlock()
	if err != nil {
		return nil, err
	}
	var f *File
	const change = os.O_WRONLY | os.O_RDWR | os.O_CREATE | os.O_TRUNC | os.O_APPEND
	switch {
	case flag&change != 0 && !userMayWrite(real):
		err = fs.ErrPermission
	case flag&(os.O_TRUNC|os.O_EXCL) == os.O_TRUNC:
		f, err = a.store.overwrite(real, flag)
	default:
		f, err = a.store.open(real, flag)
	}
	if err != nil {
		return nil, userError("open", p, err)
	}
	f.name = p
	return f, nil
}

// Writable reports whether the user may write to a path, and rename and remove
// what is there.
func (a *Area) Writable(p string) bool { return a.mayWrite(a.name(p)) }

func (a *Area) mayWrite(name string) bool {
	a.store.mu.Lock()
	defer a.store.mu.Unlock()
	return userMayWrite(a.store.resolve(name))
}

// writable takes a resolved name. Control characters would break listings.
func userMayWrite(real string) bool {
	rest, ok := below(real, Configuration)
	return ok && rest != "" && !strings.ContainsFunc(rest, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// Remove removes a file.
func (a *Area) Remove(p string) error {
	real, err := a.lock("remove", p)
	defer a.store.mu.Unlock()
	if err != nil {
		return err
	}
	fi, err := a.store.stat(real, real)
	switch {
	case err != nil:
		return userError("remove", p, err)
	case fi.IsDir():
		return userError("remove", p, syscall.EISDIR)
	case userMayWrite(real):
	case a.store.nodes[real] != nil, isCurrentLog(real):
		return userError("remove", p, ErrBusy)
	default:
		if _, ok := below(real, Pub); !ok {
			return userError("remove", p, fs.ErrPermission)
		}
	}
	return userError("remove", p, a.store.remove(real))
}

// isCurrent reports whether a file is the one that a log goes on with. Between two lines
// nobody has it open (logs.md 1.3: only files that are saved are deleted).
func isCurrentLog(real string) bool {
	base := path.Base(real)
	return strings.Contains(base, ".@") && strings.HasSuffix(base, ".c")
}

// RemoveDir removes an empty directory.
func (a *Area) RemoveDir(p string) error {
	real, err := a.lock("rmdir", p)
	defer a.store.mu.Unlock()
	if err != nil {
		return err
	}
	fi, err := a.store.stat(real, real)
	switch {
	case err != nil:
		return userError("rmdir", p, err)
	case !fi.IsDir():
		return userError("rmdir", p, syscall.ENOTDIR)
	case !userMayWrite(real):
		return userError("rmdir", p, fs.ErrPermission)
	}
	return userError("rmdir", p, a.store.remove(real))
}

// Mkdir makes a directory.
func (a *Area) Mkdir(p string) error {
	name := a.name(p)
	if _, err := a.store.Stat(name); err == nil {
		return userError("mkdir", p, fs.ErrExist)
	}
	if !a.mayWrite(name) {
		return userError("mkdir", p, fs.ErrPermission)
	}
	return userError("mkdir", p, a.store.Mkdir(name))
}

// Rename gives a file or directory another name. A file that has that name already
// is replaced if replace is true, else the error is fs.ErrExist.
func (a *Area) Rename(from, to string, replace bool) error {
	real, err := a.lock("rename", from)
	defer a.store.mu.Unlock()
	if err != nil {
		return err
	}
	target := a.store.resolve(a.name(to))
	if _, err := a.store.stat(real, real); err != nil {
		return userError("rename", from, err)
	}
	if !userMayWrite(real) || !userMayWrite(target) {
		return userError("rename", from, fs.ErrPermission)
	}
	_, err = a.store.stat(target, target)
	switch {
	case real == target:
		return nil
	case err == nil && !replace:
		return userError("rename", to, fs.ErrExist)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return userError("rename", to, err)
	}
	return userError("rename", from, a.store.rename(real, target))
}

// Chtimes sets a file's time.
func (a *Area) Chtimes(p string, mtime time.Time) error {
	name := a.name(p)
	if !a.mayWrite(name) {
		return userError("chtimes", p, fs.ErrPermission)
	}
	return userError("chtimes", p, a.store.Chtimes(name, mtime))
}

// Truncate sets a file's length; what is added costs quota.
func (a *Area) Truncate(p string, size int64) error {
	name := a.name(p)
	if !a.mayWrite(name) {
		return userError("truncate", p, fs.ErrPermission)
	}
	return userError("truncate", p, a.store.Truncate(name, size))
}
