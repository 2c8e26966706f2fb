package queue

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
)

// An FS is the file system that a queue is kept on. It is a seam for tests: the machine's file
// system is used unless Options.FS is set. Names are paths as in package os. Its methods are safe
// for concurrent use.
type FS interface {
	// MkdirAll makes a directory and missing parents.
	MkdirAll(dir string) error
	// List returns the regular files in a directory.
	List(dir string) ([]FileInfo, error)
	// Create opens a new or emptied file for reading and writing.
	Create(name string) (File, error)
	// Open opens an existing file for reading and writing.
	Open(name string) (File, error)
	// Remove removes a file.
	Remove(name string) error
	// SyncDir returns when all earlier creations and removals of files in the directory are
	// durable.
	SyncDir(dir string) error
}

// A FileInfo is the name of a file, without its directory, and its length in bytes.
type FileInfo struct {
	Name string
	Size int64
}

// A File is an open file of an FS. Its methods are safe for concurrent use.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Truncate sets the length.
	Truncate(size int64) error
	// Sync returns when all earlier writes to the file are durable.
	Sync() error
}

// diskFS is the machine's file system.
type diskFS struct{}

func (diskFS) MkdirAll(dir string) error { return os.MkdirAll(dir, 0o700) }
func (diskFS) Remove(name string) error  { return os.Remove(name) }

func (diskFS) List(dir string) ([]FileInfo, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var files []FileInfo
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		files = append(files, FileInfo{e.Name(), info.Size()})
	}
	return files, nil
}

func (diskFS) Create(name string) (File, error) {
	return noNil(os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600))
}

// Open opens a file for reading only if it cannot be written: the queue is to be recovered from a
// disk on which nothing can be changed, too.
func (diskFS) Open(name string) (File, error) {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		f, err = os.Open(name)
	}
	return noNil(f, err)
}

// noNil returns a File that is nil if f is.
func noNil(f *os.File, err error) (File, error) {
	if err != nil {
		return nil, err
	}
	return f, nil
}

// isFull reports whether err says that the disk, or the user's share of it, is full.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || isFullHere(err)
}

// A directory is the queue's directory.
type directory struct {
	fs     FS
	path   string
	parent atomic.Bool // the directory's own entry is durable
}

func (d *directory) join(name string) string { return filepath.Join(d.path, name) }

// create creates a file and, before the first one, the directory.
func (d *directory) create(path string) (File, error) {
	f, err := d.fs.Create(path)
	if errors.Is(err, os.ErrNotExist) {
		if err = d.fs.MkdirAll(d.path); err == nil {
			f, err = d.fs.Create(path)
		}
	}
	return f, err
}

// sync makes the entries of the directory durable, and at first its own entry in its parent.
func (d *directory) sync() error {
	if !d.parent.Load() {
		if err := d.fs.SyncDir(filepath.Dir(d.path)); err != nil {
			return err
		}
		d.parent.Store(true)
	}
	return d.fs.SyncDir(d.path)
}
