package files

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"sync/atomic"
	"time"
)

// A disk is the directory of a store, which is made when the first file or directory is created in
// it: a process may start many appliances of which nobody ever uses one. Until then, nothing
// exists in it. The directory is opened for each call and closed after it, so an idle store holds
// no descriptor; opening it takes a few microseconds. Its methods are those of os.Root and are safe
// for concurrent use.
type disk struct {
	dir    string
	closed atomic.Bool
}

// exists reports whether there is a directory.
func (d *disk) exists() (bool, error) {
	root, err := d.open("open", ".", false)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return false, err
	}
	return true, root.Close()
}

// open returns the directory, which the caller must close. If it does not exist, it is made if that
// is asked for. op and name are those of the error.
func (d *disk) open(op, name string, makeIt bool) (*os.Root, error) {
	if d.closed.Load() {
		return nil, &fs.PathError{Op: op, Path: name, Err: os.ErrClosed}
	}
	root, err := os.OpenRoot(d.dir)
	if makeIt && errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(d.dir, 0o700); err == nil {
			root, err = os.OpenRoot(d.dir)
		}
	}
	if err != nil {
		return nil, pathError(op, name, err)
	}
	return root, nil
}

// use calls f with the directory.
func (d *disk) use(op, name string, makeIt bool, f func(*os.Root) error) error {
	root, err := d.open(op, name, makeIt)
	if err != nil {
		return err
	}
	defer root.Close()
	return f(root)
}

// Close makes all later calls fail. Open files stay usable.
func (d *disk) Close() error {
	d.closed.Store(true)
	return nil
}

// Walk calls walk for all files and directories below dir, which must exist.
func (d *disk) Walk(dir string, walk fs.WalkDirFunc) error {
	return d.use("open", dir, false, func(root *os.Root) error {
		return fs.WalkDir(root.FS(), dir, walk)
	})
}

func (d *disk) Stat(name string) (fi fs.FileInfo, err error) {
	err = d.use("stat", name, false, func(root *os.Root) error {
		fi, err = root.Stat(name)
		return err
	})
	return fi, err
}

func (d *disk) Lstat(name string) (fi fs.FileInfo, err error) {
	err = d.use("lstat", name, false, func(root *os.Root) error {
		fi, err = root.Lstat(name)
		return err
	})
	return fi, err
}

func (d *disk) Open(name string) (*os.File, error) { return d.OpenFile(name, os.O_RDONLY, 0) }

func (d *disk) OpenFile(name string, flag int, perm fs.FileMode) (f *os.File, err error) {
	err = d.use("open", name, flag&os.O_CREATE != 0, func(root *os.Root) error {
		f, err = root.OpenFile(name, flag, perm)
		return err
	})
	return f, err
}

// create creates a file that must not exist. If makeParent is set, its directory is made if necessary.
// The directory is walked to once, and not again for each step.
func (d *disk) create(name string, flag int, perm fs.FileMode, makeParent bool) (f *os.File, err error) {
	err = d.use("open", name, true, func(root *os.Root) error {
		parent, err := directory(root, path.Dir(name), makeParent)
		if err != nil {
			return err
		}
		if parent != root {
			defer parent.Close()
		}
		f, err = parent.OpenFile(path.Base(name), flag, perm)
		return err
	})
	return f, err
}

// directory opens a directory of root, which the caller must close unless it is root. If makeIt is
// set, it is made if necessary, and the ones above it.
func directory(root *os.Root, name string, makeIt bool) (*os.Root, error) {
	if name == "." {
		return root, nil
	}
	dir, err := root.OpenRoot(name)
	if !makeIt || !errors.Is(err, fs.ErrNotExist) {
		return dir, err
	}
	above, err := directory(root, path.Dir(name), true)
	if err != nil {
		return nil, err
	}
	if above != root {
		defer above.Close()
	}
	if err := above.Mkdir(path.Base(name), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return above.OpenRoot(path.Base(name))
}

func (d *disk) OpenRoot(name string) (dir *os.Root, err error) {
	err = d.use("open", name, false, func(root *os.Root) error {
		dir, err = root.OpenRoot(name)
		return err
	})
	return dir, err
}

func (d *disk) Mkdir(name string, perm fs.FileMode) error {
	return d.use("mkdir", name, true, func(root *os.Root) error { return root.Mkdir(name, perm) })
}

func (d *disk) MkdirAll(name string, perm fs.FileMode) error {
	return d.use("mkdir", name, true, func(root *os.Root) error { return root.MkdirAll(name, perm) })
}

func (d *disk) Rename(from, to string) error {
	return d.use("rename", from, false, func(root *os.Root) error { return root.Rename(from, to) })
}

func (d *disk) Remove(name string) error {
	return d.use("remove", name, false, func(root *os.Root) error { return root.Remove(name) })
}

func (d *disk) RemoveAll(name string) error {
	err := d.use("remove", name, false, func(root *os.Root) error { return root.RemoveAll(name) })
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (d *disk) Chtimes(name string, atime, mtime time.Time) error {
	return d.use("chtimes", name, false, func(root *os.Root) error {
		return root.Chtimes(name, atime, mtime)
	})
}
