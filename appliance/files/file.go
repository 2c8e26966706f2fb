package files

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A node is the state of a file that is open for writing, shared by its writers.
type node struct {
	name    string // resolved; guarded by Store.mu, as are writers and removed
	writers int
	removed bool
	moves   atomic.Uint32 // how often the file was renamed, or removed

	mu          sync.Mutex // held during each write, so that size is exact
	size        int64
	time        time.Time
	timeChanged bool // time differs from the disk's
}

// sizeAndTime returns the size and the time of the file.
func (n *node) sizeAndTime() (int64, time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.size, n.time
}

func (n *node) setTime(t time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.time, n.timeChanged = t, true
}

// A File is an open file. Its methods are safe for concurrent use. Methods that change the
// position (Read, Write, Seek) exclude each other.
type File struct {
	s          *Store
	f          *os.File
	name       string
	moves      uint32       // of node, when the file was opened
	node       *node        // nil if opened for reading
	readEnd    int64        // readers get io.EOF here; -1: at the end of the file
	appendOnly bool         // every write goes to the end of the file
	check      func() error // if not nil, and it returns an error, reads and writes do so, too

	inPlace    *inPlace    // nil unless opened by openInPlace
	backup     string      // temporary file with the content before Overwrite; guarded by Store.mu
	outOfSpace atomic.Bool // a write has failed for lack of space

	mu     sync.Mutex
	pos    int64
	closed bool // guarded by Store.mu
}

// Open opens a file or a directory for reading.
func (s *Store) Open(name string) (fs.File, error) {
	fi, err := s.Stat(name)
	if err != nil {
		var pe *fs.PathError
		errors.As(err, &pe)
		return nil, &fs.PathError{Op: "open", Path: name, Err: pe.Err}
	}
	if fi.IsDir() {
		return &dir{s: s, name: name, info: fi}, nil
	}
	return s.OpenFile(name, os.O_RDONLY)
}

// Create creates a file, or truncates an existing one, for writing. The file can be read while
// it is written. WriteFile and Overwrite keep the former content until the new one is
// complete.
func (s *Store) Create(name string) (*File, error) {
	return s.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
}

// Append opens a file so that every write goes to its end. It creates the file if necessary.
func (s *Store) Append(name string) (*File, error) {
	return s.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND)
}

// changeFlags are the flags with which a file is opened that may be changed.
const changeFlags = os.O_WRONLY | os.O_RDWR | os.O_CREATE | os.O_TRUNC | os.O_APPEND

// OpenFile opens a file as os.OpenFile does; flag consists of the O_ constants of package os.
// For a directory the error is syscall.EISDIR.
func (s *Store) OpenFile(name string, flag int) (*File, error) {
	lock := s.lock
	if flag&changeFlags != 0 {
		lock = func(op, name string) (string, error) { return s.lockToChange(op, name) }
	}
	real, err := lock("open", name)
	defer s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	f, err := s.open(real, flag)
	if err != nil {
		return nil, pathError("open", name, err)
	}
	f.name = name
	return f, nil
}

// open opens a file by its resolved name. The caller holds mu.
func (s *Store) open(real string, flag int) (*File, error) {
	if f := s.create(real, flag); f != nil {
		return s.written(f, real, flag, info{time: s.clk.Now()}, true)
	}
	fi, err := s.stat(real, real)
	created := false
	switch {
	case err == nil && fi.IsDir():
		return nil, syscall.EISDIR
	case err == nil && flag&os.O_EXCL != 0:
		return nil, fs.ErrExist
	case errors.Is(err, fs.ErrNotExist) && flag&os.O_CREATE != 0:
		if err := checkNewName(real); err != nil {
			return nil, err
		}
		if err := s.makeParent(real); err != nil {
			return nil, err
		}
		fi, created = info{time: s.clk.Now()}, true
	case err != nil:
		return nil, err
	}
	if flag&(os.O_WRONLY|os.O_RDWR) == 0 {
		return s.openRead(real, fi)
	}
	if l, err := s.root.Lstat(real); err == nil && !l.Mode().IsRegular() {
		return nil, fs.ErrPermission // a link: the quota would count its target twice
	}
	f, err := s.root.OpenFile(real, diskFlags(flag), 0o600)
	if err != nil {
		return nil, err
	}
	return s.written(f, real, flag, fi, created)
}

// create creates a file that must not exist. It returns nil if the flags do not ask for that or it
// does not succeed; then open, which takes more system calls, succeeds or says what is wrong.
func (s *Store) create(real string, flag int) *os.File {
	const exclusive = os.O_CREATE | os.O_EXCL
	if flag&exclusive != exclusive || flag&(os.O_WRONLY|os.O_RDWR) == 0 || s.dirs[real] || checkNewName(real) != nil {
		return nil
	}
	f, err := s.root.create(real, diskFlags(flag), 0o600, s.dirs[path.Dir(real)])
	if err != nil {
		return nil
	}
	return f
}

// diskFlags returns the flags of OpenFile without those that are not for the file on disk.
func diskFlags(flag int) int { return flag &^ (os.O_APPEND | os.O_TRUNC) }

// written returns a file that was opened for writing. created says that it is a new one.
func (s *Store) written(f *os.File, real string, flag int, fi info, created bool) (*File, error) {
	if created {
		s.files.Add(1)
	}
	n := s.nodes[real]
	if n == nil {
		n = &node{name: real, size: fi.size, time: fi.time, timeChanged: created}
		s.nodes[real] = n
	}
	n.writers++
	file := &File{s: s, f: f, name: real, moves: n.moves.Load(), node: n, readEnd: -1,
		appendOnly: flag&os.O_APPEND != 0}
	if flag&os.O_TRUNC != 0 {
		if err := file.truncate(0); err != nil {
			return nil, errors.Join(err, file.close())
		}
	}
	return file, nil
}

func (s *Store) openRead(real string, fi info) (*File, error) {
	f, err := s.root.Open(real)
	if err != nil {
		return nil, err
	}
	file := &File{s: s, f: f, readEnd: -1}
	if s.nodes[real] != nil {
		file.readEnd = fi.size
	}
	return file, nil
}

// Overwrite is like Create, but if a write fails for lack of space, Close restores the former
// content, and if the process is killed before Close, the next Open does. Until Close, the quota
// counts both.
func (s *Store) Overwrite(name string) (*File, error) {
	real, err := s.lockToChange("open", name)
	defer s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	f, err := s.overwrite(real, os.O_WRONLY|os.O_CREATE)
	if err != nil {
		return nil, pathError("open", name, err)
	}
	f.name = name
	return f, nil
}

// overwrite is Overwrite by a resolved name. The caller holds mu.
func (s *Store) overwrite(real string, flag int) (*File, error) {
	flag |= os.O_TRUNC
	fi, err := s.root.Lstat(real)
	if err != nil || !fi.Mode().IsRegular() || fi.Size() == 0 || s.nodes[real] != nil {
		return s.open(real, flag) // nothing to keep, or open for writing
	}
	backup, err := s.backupName(real)
	if err != nil {
		return nil, err
	}
	if err := s.root.Rename(real, backup); err != nil {
		return nil, err
	}
	f, err := s.open(real, flag|os.O_CREATE)
	if err != nil {
		return nil, errors.Join(err, s.root.Rename(backup, real), s.removeBackup(backup))
	}
	f.backup = backup
	return f, nil
}

// tempName returns a new name for a temporary file. The caller holds mu.
func (s *Store) tempName() (string, error) {
	s.temps++
	return path.Join(tmpDir, strconv.FormatUint(s.temps, 10)), s.root.MkdirAll(tmpDir, 0o700)
}

// WriteFile replaces the content of a file. Either all of data is written or the file is
// unchanged, even if the machine crashes.
func (s *Store) WriteFile(name string, data []byte) error {
	_, err := s.lock("write", name)
	if err != nil {
		s.mu.Unlock()
		return err
	}
	var f *File
	tmp, err := s.tempName()
	if err == nil {
		f, err = s.open(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL)
	}
	s.mu.Unlock()
	if err != nil {
		return pathError("write", name, err)
	}
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())

	real, _ := s.lockToChange("write", name) // the name was valid before
	defer s.mu.Unlock()
	if err == nil {
		err = s.rename(tmp, real)
	}
	if err != nil {
		_ = s.remove(tmp) // the caller needs the first error
	}
	return pathError("write", name, err)
}

// Name returns the name by which the file was opened.
func (f *File) Name() string { return f.name }

// Moved reports whether the file, which was opened for writing, was removed or renamed since then
// by way of the Store. It does not wait for other operations.
func (f *File) Moved() bool { return f.node.moves.Load() != f.moves }

// Stat describes the file. Its size is the length that can be read through f.
func (f *File) Stat() (fs.FileInfo, error) {
	i := info{name: path.Base(f.name), mode: 0o644}
	if n := f.node; n != nil {
		n.mu.Lock()
		defer n.mu.Unlock()
		i.size, i.time = n.size, f.s.local(n.time)
		return i, nil
	}
	fi, err := f.f.Stat()
	if err != nil {
		return nil, pathError("stat", f.name, err)
	}
	i.size, i.time = fi.Size(), f.s.local(fi.ModTime())
	if f.readEnd >= 0 {
		i.size = f.readEnd
	}
	return i, nil
}

// ReadAt implements io.ReaderAt.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	if f.check != nil {
		if err := f.check(); err != nil {
			return 0, pathError("read", f.name, err)
		}
	}
	if f.readEnd >= 0 && off+int64(len(p)) > f.readEnd {
		if off >= f.readEnd {
			return 0, io.EOF
		}
		n, err := f.f.ReadAt(p[:f.readEnd-off], off)
		if err == nil {
			err = io.EOF
		}
		return n, f.readError(err)
	}
	n, err := f.f.ReadAt(p, off)
	return n, f.readError(err)
}

func (f *File) readError(err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return pathError("read", f.name, err)
}

// Read implements io.Reader.
func (f *File) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.ReadAt(p, f.pos)
	f.pos += int64(n)
	if n > 0 && err == io.EOF {
		err = nil
	}
	return n, err
}

// Seek implements io.Seeker.
func (f *File) Seek(offset int64, whence int) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch whence {
	case io.SeekCurrent:
		offset += f.pos
	case io.SeekEnd:
		fi, err := f.Stat()
		if err != nil {
			return 0, err
		}
		offset += fi.Size()
	}
	if offset < 0 {
		return 0, pathError("seek", f.name, fs.ErrInvalid)
	}
	f.pos = offset
	return offset, nil
}

// Write implements io.Writer. If p exceeds the quota, nothing is written and the error is
// ErrQuota.
func (f *File) Write(p []byte) (int, error) {
	f.mu.Lock()
	n, end, err := f.write(p, f.pos)
	f.pos = end
	f.mu.Unlock()
	return n, f.writeError("write", err)
}

// WriteAt implements io.WriterAt, with the errors of Write. It ignores off if the file was
// opened to append.
func (f *File) WriteAt(p []byte, off int64) (int, error) {
	n, _, err := f.write(p, off)
	return n, f.writeError("write", err)
}

// write writes p at off, or at the end of the file, and returns the position after the written
// bytes.
func (f *File) write(p []byte, off int64) (n int, end int64, err error) {
	if f.node == nil || off < 0 {
		return 0, off, fs.ErrInvalid
	}
	if f.check != nil {
		if err := f.check(); err != nil {
			return 0, off, err
		}
	}
	if p := f.inPlace; p != nil && off < p.size {
		if err := p.keep(f); err != nil {
			return 0, off, err
		}
	}
	return f.node.write(f.s, f.f, p, off, f.appendOnly)
}

// writeError returns err as a *fs.PathError and reports a full area. The caller holds no lock,
// because the function of OnFull may write to the same file.
func (f *File) writeError(op string, err error) error {
	if errors.Is(err, syscall.ENOSPC) {
		f.outOfSpace.Store(true)
		f.s.notifyFull()
	}
	return pathError(op, f.name, err)
}

// write writes p to f and reserves quota for the growth of the file. It returns the number of
// written bytes and the position after them.
func (n *node) write(s *Store, f *os.File, p []byte, off int64, atEnd bool) (int, int64, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if atEnd {
		off = n.size
	}
	if len(p) == 0 {
		return 0, off, nil
	}
	grow := max(0, off+int64(len(p))-n.size)
	if !s.reserve(grow) {
		return 0, off, ErrQuota
	}
	k, err := f.WriteAt(p, off)
	end := off + int64(k)
	if grew := max(0, end-n.size); k > 0 {
		n.size += grew
		s.release(grow - grew)
	} else {
		s.release(grow)
	}
	if err != nil && grow > 0 {
		_ = f.Truncate(n.size) // more bytes may have been written than WriteAt reports
	}
	n.time, n.timeChanged = s.clk.Now(), true
	return k, end, err
}

// Truncate sets the file's length. An extension consists of zeros and counts towards the quota.
func (f *File) Truncate(size int64) error {
	if f.node == nil || size < 0 {
		return pathError("truncate", f.name, fs.ErrInvalid)
	}
	if p := f.inPlace; p != nil && size < p.size {
		if err := p.keep(f); err != nil {
			return f.writeError("truncate", err)
		}
	}
	return f.writeError("truncate", f.truncate(size))
}

func (f *File) truncate(size int64) error {
	n := f.node
	n.mu.Lock()
	defer n.mu.Unlock()
	grow := size - n.size
	if grow > 0 && !f.s.reserve(grow) {
		return ErrQuota
	}
	if err := f.f.Truncate(size); err != nil {
		f.s.release(max(grow, 0))
		return err
	}
	f.s.release(max(-grow, 0))
	n.size = size
	n.time, n.timeChanged = f.s.clk.Now(), true
	return nil
}

// Chtimes sets the file's modification time.
func (f *File) Chtimes(t time.Time) error {
	if f.node == nil {
		return pathError("chtimes", f.name, fs.ErrInvalid)
	}
	f.node.setTime(t)
	return nil
}

// Sync flushes written data to disk.
func (f *File) Sync() error { return pathError("sync", f.name, f.f.Sync()) }

// Close closes the file.
func (f *File) Close() error {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	if f.closed {
		return pathError("close", f.name, fs.ErrClosed)
	}
	return pathError("close", f.name, f.close())
}

// close closes the file. The caller holds Store.mu.
func (f *File) close() error {
	f.closed = true
	err := f.f.Close()
	n := f.node
	if n == nil {
		return err
	}
	if f.backup != "" {
		err = errors.Join(err, f.finishOverwrite())
	}
	if n.writers--; n.writers > 0 {
		return err
	}
	if n.removed {
		f.s.release(n.size)
		return err
	}
	delete(f.s.nodes, n.name)
	if n.timeChanged { // a wrong time is not reported as a failure to write
		_ = f.s.root.Chtimes(n.name, time.Time{}, n.time)
	}
	return err
}

// finishOverwrite removes the content before Overwrite, or restores it if a write has failed for
// lack of space. The caller holds Store.mu.
func (f *File) finishOverwrite() error {
	s, n := f.s, f.node
	if !f.outOfSpace.Load() || n.removed {
		return errors.Join(s.remove(f.backup), s.removeBackup(f.backup))
	}
	if err := s.root.Rename(f.backup, n.name); err != nil {
		return err
	}
	s.files.Add(-1) // the incomplete file
	delete(s.nodes, n.name)
	n.removed = true
	n.moves.Add(1)
	return s.removeBackup(f.backup)
}

// A dir is a directory that was opened as a file.
type dir struct {
	s    *Store
	name string
	info fs.FileInfo
	rest []fs.DirEntry // nil until ReadDir is called
}

func (d *dir) Stat() (fs.FileInfo, error) { return d.info, nil }
func (d *dir) Close() error               { return nil }
func (d *dir) Read([]byte) (int, error)   { return 0, pathError("read", d.name, syscall.EISDIR) }

// ReadDir implements fs.ReadDirFile.
func (d *dir) ReadDir(n int) ([]fs.DirEntry, error) {
	if d.rest == nil {
		list, err := d.s.ReadDir(d.name)
		if err != nil {
			return nil, err
		}
		d.rest = list[:len(list):len(list)]
		if d.rest == nil {
			d.rest = []fs.DirEntry{}
		}
	}
	if n <= 0 {
		list := d.rest
		d.rest = d.rest[len(d.rest):]
		return list, nil
	}
	if len(d.rest) == 0 {
		return nil, io.EOF
	}
	n = min(n, len(d.rest))
	list := d.rest[:n]
	d.rest = d.rest[n:]
	return list, nil
}
