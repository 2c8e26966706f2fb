package files

import (
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path"
	"strings"
	"syscall"
	"time"
)

// Home is the directory in which a login starts.
const Home = "/" + Pub

// Owner and Group are the owner and the group of every file in listings.
const (
	Owner = "admin"
	Group = "config"
)

// OwnerID and GroupID are the numbers of Owner and Group, for clients that show numbers.
const (
	OwnerID = 1000
	GroupID = 1000
)

// MayTransfer reports whether accounts of a role may use SFTP, SCP and FTP. The role has the
// name that AsyncOS gives it.
func MayTransfer(role string) bool { return role == "Administrator" || role == "Operator" }

// An Area is a Store as one logged-in user sees it. Paths are absolute and slash-separated. A
// path whose first element is neither "data" nor "var" is relative to Home. Paths are cleaned,
// so ".." does not lead out of the Area.
//
// A user may read everything that the Limits permit, and may write below Home/configuration. Below
// Home, a user may also remove files (captures and logs), unless a file is being written or is the
// current file of a log. Everything else returns fs.ErrPermission. Errors are *fs.PathError with
// the path as the user sees it.
type Area struct {
	store  *Store
	user   string
	limits Limits
}

// Limits say what a user may not do. They are evaluated again for each operation.
type Limits struct {
	// Check returns an error if the user may no longer use the Area; nil means that the user
	// always may. Then every operation does nothing and returns fs.ErrPermission. So does each
	// read and write of a file that was opened before.
	Check func() error
	// MayRead reports whether the user may read a file of the directory configuration; nil
	// means that the user may read all. It is called when the file is opened.
	MayRead func(content io.Reader) bool
}

// Area returns the store as the user sees it.
func (s *Store) Area(user string) *Area { return &Area{store: s, user: user} }

// WithLimits returns the same Area for a user with these limits.
func (a *Area) WithLimits(l Limits) *Area { return &Area{store: a.store, user: a.user, limits: l} }

// permit returns fs.ErrPermission if the user may no longer use the Area.
func (a *Area) permit() error {
	if a.limits.Check == nil || a.limits.Check() == nil {
		return nil
	}
	return fs.ErrPermission
}

// User returns the name of the Area's user.
func (a *Area) User() string { return a.user }

// Usage returns the usage of the Store.
func (a *Area) Usage() (used, quota int64) { return a.store.Usage() }

// Path returns the full path of p, which a user typed in the directory cwd. The file need not
// exist.
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

// name returns the store's name of a path.
func (a *Area) name(p string) string {
	if p = a.Path("/", p)[1:]; p != "" {
		return p
	}
	return "."
}

// lock locks the store and returns the resolved name of a path. The caller must unlock the
// store, even after an error.
func (a *Area) lock(op, p string) (string, error) {
	real, err := a.store.lock(op, a.name(p))
	return a.checked(op, p, real, err)
}

// lockToChange is lock for Store.lockToChange.
func (a *Area) lockToChange(op, p string, others ...string) (string, error) {
	for i, other := range others {
		others[i] = a.name(other)
	}
	real, err := a.store.lockToChange(op, a.name(p), others...)
	return a.checked(op, p, real, err)
}

// checked returns what Store.lock has returned, or the error of permit.
func (a *Area) checked(op, p, real string, err error) (string, error) {
	if denied := a.permit(); denied != nil {
		err = denied
	}
	return real, pathError(op, p, err)
}

// Stat describes a file or directory.
func (a *Area) Stat(p string) (fs.FileInfo, error) {
	if err := a.permit(); err != nil {
		return nil, pathError("stat", p, err)
	}
	fi, err := a.store.Stat(a.name(p))
	if err != nil {
		return nil, pathError("stat", p, err)
	}
	return fi, nil
}

// ReadDir lists a directory, sorted by name. An alias is listed as a directory. It is left out
// if its target is in the same directory, so that a client that walks the tree does not visit
// the same files twice.
func (a *Area) ReadDir(p string) ([]fs.FileInfo, error) {
	real, err := a.lock("readdir", p)
	defer a.store.mu.Unlock()
	if err != nil {
		return nil, err
	}
	list, err := a.store.list(real)
	if err != nil {
		return nil, pathError("readdir", p, err)
	}
	var shown []fs.FileInfo
	for _, fi := range list {
		if real == "." && fi.name != "data" && fi.name != "var" {
			continue
		}
		full := path.Join(real, fi.name)
		if target, ok := a.store.aliases[full]; ok {
			targetInfo, err := a.store.stat(full, target)
			if err != nil || targetInfo.IsDir() && path.Dir(target) == real {
				continue
			}
			fi = targetInfo
		}
		shown = append(shown, fi)
	}
	return shown, nil
}

// Glob returns the paths that match pattern, sorted. The pattern is a full path with the syntax
// of path.Match. No match is no error; a malformed pattern is path.ErrBadPattern.
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

// FS returns the area as a read-only file system whose root is "/". The page serves it.
func (a *Area) FS() fs.FS { return areaFS{a} }

type areaFS struct{ a *Area }

func (v areaFS) Open(name string) (fs.File, error) {
	if err := v.a.permit(); err != nil {
		return nil, pathError("open", name, err)
	}
	return v.a.store.Open(name)
}
func (v areaFS) Stat(name string) (fs.FileInfo, error) { return v.a.Stat("/" + name) }
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

// OpenFile opens a file; flag consists of the O_ constants of package os. With O_TRUNC, and with
// O_CREATE but not O_APPEND, the former content is restored if the new one exceeds the quota or
// the process is killed (see Store.Overwrite). An upload that is interrupted leaves the data that
// has arrived, so that it can be resumed.
func (a *Area) OpenFile(p string, flag int) (*File, error) {
	f, real, err := a.openFile(p, flag)
	if errors.Is(err, ErrQuota) {
		a.store.notifyFull()
	}
	if err != nil {
		return nil, err
	}
	_, configuration := below(real, Configuration)
	readable := flag&os.O_WRONLY == 0 && flag&os.O_TRUNC == 0
	if !configuration || !readable || a.limits.MayRead == nil ||
		a.limits.MayRead(io.NewSectionReader(f, 0, math.MaxInt64)) {
		return f, nil
	}
	return nil, errors.Join(pathError("open", p, fs.ErrPermission), f.Close())
}

// openFile opens a file that the user may or may not be allowed to read, and returns its resolved
// name.
func (a *Area) openFile(p string, flag int) (_ *File, real string, err error) {
	if flag&changeFlags == 0 {
		real, err = a.lock("open", p)
	} else {
		real, err = a.lockToChange("open", p)
	}
	defer a.store.mu.Unlock()
	if err != nil {
		return nil, "", err
	}
	if flag&os.O_CREATE != 0 && a.store.tooManyFiles() {
		if _, err := a.store.stat(real, real); errors.Is(err, fs.ErrNotExist) {
			return nil, "", pathError("open", p, ErrQuota)
		}
	}
	var f *File
	switch {
	case flag&changeFlags != 0 && !userMayWrite(real):
		err = fs.ErrPermission
	case flag&(os.O_TRUNC|os.O_EXCL) == os.O_TRUNC:
		f, err = a.store.overwrite(real, flag)
	case flag&changeFlags == os.O_WRONLY|os.O_CREATE, flag&changeFlags == os.O_RDWR|os.O_CREATE:
		f, err = a.store.openInPlace(real, flag) // as OpenSSH's scp uploads
	default:
		f, err = a.store.open(real, flag)
	}
	if err != nil {
		return nil, "", pathError("open", p, err)
	}
	f.name, f.check = p, a.permit
	return f, real, nil
}

// Writable reports whether the user may write to a path, and rename and remove its file.
func (a *Area) Writable(p string) bool { return a.mayWrite(a.name(p)) }

func (a *Area) mayWrite(name string) bool {
	a.store.mu.Lock()
	defer a.store.mu.Unlock()
	return userMayWrite(a.store.resolve(name)) && a.permit() == nil
}

// userMayWrite is Writable for a resolved name. Names with control characters are not allowed,
// because they would break listings.
func userMayWrite(real string) bool {
	rest, ok := below(real, Configuration)
	isControl := func(r rune) bool { return r < ' ' || r == 0x7f }
	return ok && rest != "" && !strings.ContainsFunc(rest, isControl)
}

// Remove removes a file.
func (a *Area) Remove(p string) error {
	real, err := a.lockToChange("remove", p)
	defer a.store.mu.Unlock()
	if err != nil {
		return err
	}
	fi, err := a.store.stat(real, real)
	switch {
	case err != nil:
		return pathError("remove", p, err)
	case fi.IsDir():
		return pathError("remove", p, syscall.EISDIR)
	case userMayWrite(real):
	case a.store.nodes[real] != nil, isCurrentLog(real):
		return pathError("remove", p, ErrBusy)
	default:
		if _, ok := below(real, Pub); !ok {
			return pathError("remove", p, fs.ErrPermission)
		}
	}
	return pathError("remove", p, a.store.remove(real))
}

// isCurrentLog reports whether a file is the current file of a log. Such a file must not be
// removed although it may not be open between two lines (logs.md 1.3: only saved files are
// deleted).
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
		return pathError("rmdir", p, err)
	case !fi.IsDir():
		return pathError("rmdir", p, syscall.ENOTDIR)
	case !userMayWrite(real):
		return pathError("rmdir", p, fs.ErrPermission)
	}
	return pathError("rmdir", p, a.store.remove(real))
}

// Mkdir makes a directory.
func (a *Area) Mkdir(p string) error {
	name := a.name(p)
	if _, err := a.store.Stat(name); err == nil {
		return pathError("mkdir", p, fs.ErrExist)
	}
	if !a.mayWrite(name) {
		return pathError("mkdir", p, fs.ErrPermission)
	}
	if a.store.tooManyFiles() {
		a.store.notifyFull()
		return pathError("mkdir", p, ErrQuota)
	}
	return pathError("mkdir", p, a.store.Mkdir(name))
}

// Rename renames a file or directory. If a file of the new name exists, it is replaced if
// replace is true; otherwise the error is fs.ErrExist.
func (a *Area) Rename(from, to string, replace bool) error {
	real, err := a.lockToChange("rename", from, to)
	defer a.store.mu.Unlock()
	if err != nil {
		return err
	}
	target := a.store.resolve(a.name(to))
	if _, err := a.store.stat(real, real); err != nil {
		return pathError("rename", from, err)
	}
	if !userMayWrite(real) || !userMayWrite(target) {
		return pathError("rename", from, fs.ErrPermission)
	}
	_, err = a.store.stat(target, target)
	switch {
	case real == target:
		return nil
	case err == nil && !replace:
		return pathError("rename", to, fs.ErrExist)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return pathError("rename", to, err)
	}
	return pathError("rename", from, a.store.rename(real, target))
}

// Chtimes sets a file's modification time.
func (a *Area) Chtimes(p string, mtime time.Time) error {
	name := a.name(p)
	if !a.mayWrite(name) {
		return pathError("chtimes", p, fs.ErrPermission)
	}
	return pathError("chtimes", p, a.store.Chtimes(name, mtime))
}

// Truncate sets a file's length. An extension counts towards the quota.
func (a *Area) Truncate(p string, size int64) error {
	name := a.name(p)
	if !a.mayWrite(name) {
		return pathError("truncate", p, fs.ErrPermission)
	}
	return pathError("truncate", p, a.store.Truncate(name, size))
}
