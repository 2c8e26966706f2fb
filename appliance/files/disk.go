package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// A disk is the directory of a store, which is made when the first file or directory is created in
// it: a process may start many appliances of which nobody ever uses one. Until then, nothing
// exists in it. Its methods are those of os.Root and are safe for concurrent use.
type disk struct {
	dir  string
	root atomic.Pointer[os.Root] // nil: the directory does not exist

	mu     sync.Mutex // a leaf; held while the directory is made
	closed bool
}

// openDisk opens the directory dir, which need not exist.
func openDisk(dir string) (*disk, error) {
	d := &disk{dir: dir}
	root, err := os.OpenRoot(dir)
	if err == nil {
		d.root.Store(root)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open the file area: %w", err)
	}
	return d, nil
}

// exists reports whether there is a directory.
func (d *disk) exists() bool { return d.root.Load() != nil }

// FS returns the directory as a file system. It must exist.
func (d *disk) FS() fs.FS { return d.root.Load().FS() }

// make returns the directory and makes it if it does not exist.
func (d *disk) make() (*os.Root, error) {
	if root := d.root.Load(); root != nil {
		return root, nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if root := d.root.Load(); root != nil {
		return root, nil
	}
	if d.closed {
		return nil, os.ErrClosed
	}
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the file area: %w", err)
	}
	root, err := os.OpenRoot(d.dir)
	if err != nil {
		return nil, fmt.Errorf("open the file area: %w", err)
	}
	d.root.Store(root)
	return root, nil
}

// Close closes the directory. Open files stay usable.
func (d *disk) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	if root := d.root.Load(); root != nil {
		return root.Close()
	}
	return nil
}

func missing(op, name string) error { return &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist} }

func (d *disk) Stat(name string) (fs.FileInfo, error) {
	if root := d.root.Load(); root != nil {
		return root.Stat(name)
	}
	return nil, missing("stat", name)
}

func (d *disk) Lstat(name string) (fs.FileInfo, error) {
	if root := d.root.Load(); root != nil {
		return root.Lstat(name)
	}
	return nil, missing("lstat", name)
}

func (d *disk) Open(name string) (*os.File, error) { return d.OpenFile(name, os.O_RDONLY, 0) }

func (d *disk) OpenFile(name string, flag int, perm fs.FileMode) (*os.File, error) {
	root := d.root.Load()
	if root == nil && flag&os.O_CREATE != 0 {
		var err error
		if root, err = d.make(); err != nil {
			return nil, err
		}
	}
	if root == nil {
		return nil, missing("open", name)
	}
	return root.OpenFile(name, flag, perm)
}

func (d *disk) OpenRoot(name string) (*os.Root, error) {
	if root := d.root.Load(); root != nil {
		return root.OpenRoot(name)
	}
	return nil, missing("open", name)
}

func (d *disk) Mkdir(name string, perm fs.FileMode) error {
	root, err := d.make()
	if err != nil {
		return err
	}
	return root.Mkdir(name, perm)
}

func (d *disk) MkdirAll(name string, perm fs.FileMode) error {
	root, err := d.make()
	if err != nil {
		return err
	}
	return root.MkdirAll(name, perm)
}

func (d *disk) Rename(from, to string) error {
	if root := d.root.Load(); root != nil {
		return root.Rename(from, to)
	}
	return missing("rename", from)
}

func (d *disk) Remove(name string) error {
	if root := d.root.Load(); root != nil {
		return root.Remove(name)
	}
	return missing("remove", name)
}

func (d *disk) RemoveAll(name string) error {
	if root := d.root.Load(); root != nil {
		return root.RemoveAll(name)
	}
	return nil
}

func (d *disk) Chtimes(name string, atime, mtime time.Time) error {
	if root := d.root.Load(); root != nil {
		return root.Chtimes(name, atime, mtime)
	}
	return missing("chtimes", name)
}
