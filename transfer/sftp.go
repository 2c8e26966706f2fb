package transfer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/pkg/sftp"

	"github.com/esasim/esasim/appliance/files"
)

// SFTPOptions are what ServeSFTP can be told. The zero value is usable.
type SFTPOptions struct {
	MaxHandles int // open files and directories; 0 means 256
	// Log is told what becomes of files, as the FTP daemon's log has it; nil discards. It
	// must not block.
	Log    func(text string)
	Logger *slog.Logger // for whoever runs the program; nil discards
}

// ServeSFTP speaks SFTP on ch until the client closes its side, which is a nil
// error. When ctx ends it closes ch and returns ctx's cause; otherwise closing ch
// is the caller's, after it has sent ExitStatus of the error.
func ServeSFTP(ctx context.Context, ch io.ReadWriteCloser, area *files.Area, o SFTPOptions) error {
	s := &sftpSession{
		area: area,
		max:  cmp.Or(o.MaxHandles, 256),
		tell: teller(o.Log),
		log:  logger(o.Logger),
	}
	server := sftp.NewRequestServer(ch, sftp.Handlers{FileGet: s, FilePut: s, FileCmd: s, FileList: s},
		sftp.WithStartDirectory(files.Home))
	defer context.AfterFunc(ctx, func() { ch.Close() })()
	err := server.Serve()
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err == nil || errors.Is(err, io.EOF):
		return nil
	}
	return fmt.Errorf("sftp: %w", err)
}

// ExitStatus is what an SSH server tells the client after ServeSFTP.
func ExitStatus(err error) int {
	if err != nil {
		return 1
	}
	return 0
}

// teller is what a Log is told by.
func teller(log func(text string)) func(format string, args ...any) {
	if log == nil {
		return func(string, ...any) {}
	}
	return func(format string, args ...any) { log(fmt.Sprintf(format, args...)) }
}

func logger(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l
}

// An sftpSession answers the requests of one channel. The library calls it from
// several goroutines.
type sftpSession struct {
	area *files.Area
	max  int
	tell func(format string, args ...any)
	log  *slog.Logger

	mu   sync.Mutex
	open int
}

// finish turns the error of a handler into what the library can tell the client,
// and a panic into an error.
func (s *sftpSession) finish(err *error) {
	if p := recover(); p != nil {
		s.log.Error("panic in sftp", "value", p, "stack", string(debug.Stack()))
		*err = sftp.ErrSSHFxFailure
		return
	}
	*err = sftpError(*err)
}

func sftpError(err error) error {
	switch {
	case err == nil, err == io.EOF, errors.Is(err, sftp.ErrSSHFxBadMessage), errors.Is(err, sftp.ErrSSHFxOpUnsupported):
		return err
	case errors.Is(err, fs.ErrNotExist):
		return sftp.ErrSSHFxNoSuchFile
	case errors.Is(err, fs.ErrPermission), errors.Is(err, files.ErrBusy): // clients show no other words
		return sftp.ErrSSHFxPermissionDenied
	}
	return errors.New(reason(err))
}

// acquire counts a handle.
func (s *sftpSession) acquire() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open >= s.max {
		return errTooManyOpen
	}
	s.open++
	return nil
}

func (s *sftpSession) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open--
}

// Fileread opens a file for reading.
func (s *sftpSession) Fileread(r *sftp.Request) (_ io.ReaderAt, err error) {
	defer s.finish(&err)
	return s.openFile(r.Filepath, os.O_RDONLY)
}

// Filewrite opens a file for writing.
func (s *sftpSession) Filewrite(r *sftp.Request) (_ io.WriterAt, err error) {
	defer s.finish(&err)
	return s.openFile(r.Filepath, openFlags(r))
}

// OpenFile opens a file for both.
func (s *sftpSession) OpenFile(r *sftp.Request) (_ sftp.WriterAtReaderAt, err error) {
	defer s.finish(&err)
	return s.openFile(r.Filepath, openFlags(r))
}

func openFlags(r *sftp.Request) int {
	p := r.Pflags()
	flag := os.O_WRONLY
	if p.Read {
		flag = os.O_RDWR
	}
	for _, f := range []struct {
		set  bool
		flag int
	}{{p.Append, os.O_APPEND}, {p.Creat, os.O_CREATE}, {p.Trunc, os.O_TRUNC}, {p.Excl, os.O_EXCL}} {
		if f.set {
			flag |= f.flag
		}
	}
	return flag
}

func (s *sftpSession) openFile(path string, flag int) (*sftpFile, error) {
	if err := s.acquire(); err != nil {
		return nil, err
	}
	f, err := s.area.OpenFile(path, flag)
	if err != nil {
		s.release()
		return nil, err
	}
	return &sftpFile{s: s, file: f, path: path, write: flag != os.O_RDONLY}, nil
}

// An sftpFile is a handle.
type sftpFile struct {
	s     *sftpSession
	file  *files.File
	path  string
	write bool
	bytes atomic.Int64
}

func (h *sftpFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := h.file.ReadAt(p, off)
	h.bytes.Add(int64(n))
	return n, sftpError(err)
}

func (h *sftpFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := h.file.WriteAt(p, off)
	h.bytes.Add(int64(n))
	return n, sftpError(err)
}

func (h *sftpFile) Close() error {
	h.s.release()
	err := h.file.Close()
	what := "Download"
	if h.write {
		what = "Upload"
	}
	h.s.tell("%s %s %d bytes", what, printable(h.path), h.bytes.Load())
	return sftpError(err)
}

// Filecmd does what needs no handle.
func (s *sftpSession) Filecmd(r *sftp.Request) (err error) {
	defer s.finish(&err)
	switch r.Method {
	case "Setstat":
		return s.setstat(r)
	case "Rename":
		return s.rename(r, false)
	case "Remove":
		if err := s.area.Remove(r.Filepath); err != nil {
			return err
		}
		s.tell("Delete %s", printable(r.Filepath))
		return nil
	case "Rmdir":
		return s.area.RemoveDir(r.Filepath)
	case "Mkdir":
		return s.area.Mkdir(r.Filepath)
	}
	return sftp.ErrSSHFxOpUnsupported // links: the area has none
}

// PosixRename is a rename that replaces its target.
func (s *sftpSession) PosixRename(r *sftp.Request) (err error) {
	defer s.finish(&err)
	return s.rename(r, true)
}

func (s *sftpSession) rename(r *sftp.Request, replace bool) error {
	if err := s.area.Rename(r.Filepath, r.Target, replace); err != nil {
		return err
	}
	s.tell("Rename %s to %s", printable(r.Filepath), printable(r.Target))
	return nil
}

// setstat sets length and time. Owners and permissions are the appliance's own:
// a client that sets them, as put does, is told that it has.
func (s *sftpSession) setstat(r *sftp.Request) error {
	if !s.area.Writable(r.Filepath) {
		return fs.ErrPermission
	}
	attrs, flags := r.Attributes(), r.AttrFlags()
	if attrs == nil { // the attributes were cut short
		return sftp.ErrSSHFxBadMessage
	}
	if _, err := s.area.Stat(r.Filepath); err != nil {
		return err
	}
	if flags.Size {
		size := int64(attrs.Size)
		if size < 0 {
			return syscall.EFBIG
		}
		if err := s.area.Truncate(r.Filepath, size); err != nil {
			return err
		}
	}
	if flags.Acmodtime {
		return s.area.Chtimes(r.Filepath, attrs.ModTime())
	}
	return nil
}

// StatVFS answers df.
func (s *sftpSession) StatVFS(*sftp.Request) (_ *sftp.StatVFS, err error) {
	defer s.finish(&err)
	const block = 4096
	used, quota := s.area.Usage()
	if quota == 0 {
		quota = used + 1<<40 // no limit of ours; df wants a number
	}
	total, free := uint64(quota)/block, uint64(max(quota-used, 0))/block
	return &sftp.StatVFS{
		Bsize: block, Frsize: block, Blocks: total, Bfree: free, Bavail: free,
		Files: total, Ffree: free, Favail: free, Namemax: 255,
	}, nil
}

// Filelist lists a directory or tells of one file.
func (s *sftpSession) Filelist(r *sftp.Request) (_ sftp.ListerAt, err error) {
	defer s.finish(&err)
	switch r.Method {
	case "List":
		if err := s.acquire(); err != nil {
			return nil, err
		}
		list, err := s.area.ReadDir(r.Filepath)
		if err != nil {
			s.release()
			return nil, err
		}
		return &sftpList{s: s, list: list}, nil
	case "Stat":
		fi, err := s.area.Stat(r.Filepath)
		return &sftpList{list: []fs.FileInfo{fi}}, err
	}
	return nil, sftp.ErrSSHFxOpUnsupported
}

// RealPath makes a path absolute. There are no links that it could follow.
func (s *sftpSession) RealPath(p string) (_ string, err error) {
	defer s.finish(&err)
	return s.area.Path(files.Home, p), nil
}

// LookupUserName is the owner that ls -l shows.
func (s *sftpSession) LookupUserName(string) string { return files.Owner }

// LookupGroupName is the group that ls -l shows.
func (s *sftpSession) LookupGroupName(string) string { return files.Group }

// An sftpList is a listing, made when the directory was opened.
type sftpList struct {
	s    *sftpSession // nil: not counted
	list []fs.FileInfo
}

func (l *sftpList) ListAt(to []fs.FileInfo, off int64) (int, error) {
	if off < 0 || off >= int64(len(l.list)) {
		return 0, io.EOF
	}
	n := copy(to, l.list[off:])
	if n < len(to) {
		return n, io.EOF
	}
	return n, nil
}

func (l *sftpList) Close() error {
	if l.s != nil {
		l.s.release()
	}
	return nil
}
