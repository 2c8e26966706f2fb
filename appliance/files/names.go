package files

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"
)

// An info is the store's fs.FileInfo. It shows neither owner nor permissions of the machine's
// file.
type info struct {
	name string
	size int64
	mode fs.FileMode
	time time.Time
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.size }
func (i info) Mode() fs.FileMode  { return i.mode }
func (i info) ModTime() time.Time { return i.time }
func (i info) IsDir() bool        { return i.mode.IsDir() }
func (i info) Sys() any           { return nil }

func (s *Store) dirInfo(name string) info {
	return info{path.Base(name), 0, fs.ModeDir | 0o755, s.local(s.opened)}
}

func (s *Store) linkInfo(name string) info {
	return info{path.Base(name), 0, fs.ModeSymlink | 0o777, s.local(s.opened)}
}

// infoOf returns fi as users see it, with the base name of name. real is the resolved name. The
// caller holds mu.
func (s *Store) infoOf(name, real string, fi fs.FileInfo) info {
	i := info{path.Base(name), fi.Size(), 0o644, fi.ModTime()}
	if fi.IsDir() {
		i.size, i.mode = 0, fs.ModeDir|0o755
	} else if n := s.nodes[real]; n != nil {
		i.size, i.time = n.sizeAndTime()
	}
	i.time = s.local(i.time)
	return i
}

// stat describes the file of the resolved name real, or a permanent directory. The caller holds
// mu.
func (s *Store) stat(name, real string) (info, error) {
	fi, err := s.root.Stat(real)
	switch {
	case err == nil && (fi.IsDir() || fi.Mode().IsRegular()):
		return s.infoOf(name, real, fi), nil
	case err == nil:
		return info{}, fs.ErrPermission // a device or a pipe is not part of the area
	case s.dirs[real] && errors.Is(err, fs.ErrNotExist):
		return s.dirInfo(name), nil
	}
	return info{}, err
}

// Stat describes a file or directory. It follows aliases.
func (s *Store) Stat(name string) (fs.FileInfo, error) {
	real, err := s.lock("stat", name)
	defer s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	i, err := s.stat(name, real)
	if err != nil {
		return nil, pathError("stat", name, err)
	}
	return i, nil
}

// Lstat is like Stat, but describes an alias as a symbolic link.
func (s *Store) Lstat(name string) (fs.FileInfo, error) {
	if _, ok := s.aliasOf(name); ok {
		return s.linkInfo(name), nil
	}
	return s.Stat(name)
}

// ReadLink returns the target of an alias, relative to the directory that contains the alias.
func (s *Store) ReadLink(name string) (string, error) {
	target, ok := s.aliasOf(name)
	if !ok {
		return "", pathError("readlink", name, fs.ErrInvalid)
	}
	up := strings.Count(name, "/")
	return strings.Repeat("../", up) + target, nil
}

// aliasOf reports whether the last element of name is an alias, and returns its target.
func (s *Store) aliasOf(name string) (target string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	target, ok = s.aliases[path.Join(s.resolve(path.Dir(name)), path.Base(name))]
	return target, ok
}

// ReadDir lists a directory, sorted by name: files, directories, and aliases as symbolic links.
// Hidden files are left out.
func (s *Store) ReadDir(name string) ([]fs.DirEntry, error) {
	real, err := s.lock("readdir", name)
	defer s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	list, err := s.list(real)
	if err != nil {
		return nil, pathError("readdir", name, err)
	}
	entries := make([]fs.DirEntry, len(list))
	for i, fi := range list {
		entries[i] = fs.FileInfoToDirEntry(fi)
	}
	return entries, nil
}

// list lists the directory of the resolved name real. The caller holds mu.
func (s *Store) list(real string) ([]info, error) {
	found := map[string]info{}
	for _, name := range s.permanentNames(real) {
		full := path.Join(real, name)
		if _, ok := s.aliases[full]; ok {
			found[name] = s.linkInfo(full)
		} else {
			found[name] = s.dirInfo(full)
		}
	}
	onDisk, err := s.readDisk(real)
	if err != nil && !(s.dirs[real] && errors.Is(err, fs.ErrNotExist)) {
		return nil, err
	}
	for _, fi := range onDisk {
		full := path.Join(real, fi.Name())
		_, alias := s.aliases[full]
		if alias || full == tmpDir || !fi.IsDir() && !fi.Mode().IsRegular() {
			continue
		}
		found[fi.Name()] = s.infoOf(full, full, fi)
	}
	list := make([]info, 0, len(found))
	for _, name := range slices.Sorted(maps.Keys(found)) {
		list = append(list, found[name])
	}
	return list, nil
}

// StoredNames returns the names in a directory that are on disk, of any kind, in no particular order.
// A directory that is not on disk has none.
func (s *Store) StoredNames(name string) ([]string, error) {
	real, err := s.lock("readdir", name)
	defer s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	list, err := s.readDisk(real)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, pathError("readdir", name, err)
	}
	names := make([]string, len(list))
	for i, fi := range list {
		names[i] = fi.Name()
	}
	return names, nil
}

func (s *Store) readDisk(real string) ([]fs.FileInfo, error) {
	fi, err := s.root.Stat(real) // before Open, which would block on a pipe
	if err != nil {
		return nil, err
	}
	if !fi.IsDir() {
		return nil, syscall.ENOTDIR
	}
	d, err := s.root.Open(real)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Readdir(-1)
}

// Glob returns the names that match pattern, as fs.Glob does.
func (s *Store) Glob(pattern string) ([]string, error) {
	return fs.Glob(struct{ fs.ReadDirFS }{s}, pattern) // hides this method, which fs.Glob would call
}

// Mkdir makes a directory.
func (s *Store) Mkdir(name string) error {
	real, err := s.lock("mkdir", name)
	defer s.mu.Unlock()
	if err != nil {
		return err
	}
	if s.dirs[real] {
		return pathError("mkdir", name, fs.ErrExist)
	}
	if err := checkNewName(real); err != nil {
		return pathError("mkdir", name, err)
	}
	if err := s.makeParent(real); err != nil {
		return pathError("mkdir", name, err)
	}
	if err := s.root.Mkdir(real, 0o700); err != nil {
		return pathError("mkdir", name, err)
	}
	s.files.Add(1)
	return nil
}

// makeParent makes the directory of a file on disk, if it is a permanent directory. The caller
// holds mu.
func (s *Store) makeParent(real string) error {
	dir := path.Dir(real)
	if !s.dirs[dir] || dir == "." {
		return nil
	}
	return s.root.MkdirAll(dir, 0o700)
}

// Remove removes a file or an empty directory. An open file stays usable until it is closed.
func (s *Store) Remove(name string) error {
	real, err := s.lockToChange("remove", name)
	defer s.mu.Unlock()
	if err != nil {
		return err
	}
	return pathError("remove", name, s.remove(real))
}

// remove is Remove by a resolved name. The caller holds mu.
func (s *Store) remove(real string) error {
	fi, err := s.root.Lstat(real)
	if err != nil {
		return err
	}
	if err := s.root.Remove(real); err != nil {
		return err
	}
	s.forget(real, fi)
	return nil
}

// forget updates the state after a file has lost its name. The caller holds mu.
func (s *Store) forget(real string, fi fs.FileInfo) {
	s.files.Add(-1)
	s.fullReported.Store(false)
	if n := s.nodes[real]; n != nil {
		delete(s.nodes, real)
		n.removed = true // counts until its last writer closes it
		n.moves.Add(1)
	} else if fi.Mode().IsRegular() {
		s.release(fi.Size())
	}
}

// Rename renames a file or a directory. An existing file of the new name is replaced, an
// existing directory is not.
func (s *Store) Rename(from, to string) error {
	realFrom, err := s.lockToChange("rename", from, to)
	defer s.mu.Unlock()
	if err != nil {
		return err
	}
	if !validName(to) {
		return pathError("rename", to, fs.ErrInvalid)
	}
	realTo := s.resolve(to)
	switch {
	case realTo == realFrom:
		return nil
	case s.dirs[realFrom]:
		return pathError("rename", from, fs.ErrPermission)
	case s.dirs[realTo]:
		return pathError("rename", to, fs.ErrExist)
	}
	return pathError("rename", from, s.rename(realFrom, realTo))
}

// rename is Rename by resolved names. The caller holds mu.
func (s *Store) rename(from, to string) error {
	if err := s.checkRename(from, to); err != nil {
		return err
	}
	if err := s.makeParent(to); err != nil {
		return err
	}
	old, oldErr := s.root.Lstat(to)
	if oldErr == nil && old.IsDir() {
		return fs.ErrExist
	}
	if err := s.root.Rename(from, to); err != nil {
		return err
	}
	if oldErr == nil {
		s.forget(to, old)
	}
	// Move the state of the file, or of the files below the directory, to the new name.
	for _, name := range slices.Collect(maps.Keys(s.nodes)) {
		if rest, ok := below(name, from); ok {
			n := s.nodes[name]
			delete(s.nodes, name)
			n.name = to + rest
			n.moves.Add(1)
			s.nodes[n.name] = n
		}
	}
	return nil
}

// checkRename returns an error if a file, or one below a directory, would get a name that
// checkNewName does not accept. The caller holds mu.
func (s *Store) checkRename(from, to string) error {
	err := checkNewName(to)
	fi, statErr := s.root.Lstat(from)
	if err != nil || statErr != nil || !fi.IsDir() {
		return err // rename reports that from does not exist
	}
	dir, err := s.root.OpenRoot(from)
	if err != nil {
		return err
	}
	var tooLong error
	err = walk(dir, func(name string, _ fs.FileInfo) {
		if tooLong == nil {
			tooLong = checkNewName(path.Join(to, name))
		}
	})
	return errors.Join(tooLong, err)
}

// below reports whether name is dir or below it, and returns the rest of name after dir.
func below(name, dir string) (rest string, ok bool) {
	rest, ok = strings.CutPrefix(name, dir)
	return rest, ok && (rest == "" || rest[0] == '/')
}

// Chtimes sets a file's modification time.
func (s *Store) Chtimes(name string, mtime time.Time) error {
	real, err := s.lockToChange("chtimes", name)
	defer s.mu.Unlock()
	if err != nil {
		return err
	}
	if n := s.nodes[real]; n != nil {
		n.setTime(mtime)
	}
	return pathError("chtimes", name, s.root.Chtimes(real, time.Time{}, mtime))
}

// Truncate sets a file's length. An extension consists of zeros and counts towards the quota.
func (s *Store) Truncate(name string, size int64) error {
	f, err := s.OpenFile(name, os.O_WRONLY)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(size), f.Close())
}
