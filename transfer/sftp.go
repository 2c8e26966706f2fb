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

// SFTPOptions are the options of ServeSFTP. The zero value is usable.
type SFTPOptions struct {
	MaxHandles int // the largest number of open files and directories; 0 means 256
	// Log writes a line about a transferred, renamed or deleted file, in the form of the FTP
	// daemon's log; nil discards it. It must not block.
	Log func(text string)
	// Done is called after each transfer; nil: nobody wants it.
	Done   func(Transferred)
	Logger *slog.Logger // the program's log; nil discards
}

// ServeSFTP serves SFTP on ch until the client closes its side, and then returns nil. If ctx ends,
// it closes ch and returns ctx's cause. Otherwise the caller must send ExitStatus of the error and
// close ch.
func ServeSFTP(ctx context.Context, ch io.ReadWriteCloser, area *files.Area, o SFTPOptions) error {
	s := &sftpSession{
		area:       area,
		maxHandles: cmp.Or(o.MaxHandles, 256),
		logf:       logFunc(o.Log),
		done:       doneFunc(o.Done),
		logger:     loggerOrDiscard(o.Logger),
	}
	stream := newSFTPStream(ch, s)
	defer stream.reads.endBulk() //nolint:errcheck // the session has ended
	server := sftp.NewRequestServer(stream,
		sftp.Handlers{FileGet: s, FilePut: s, FileCmd: s, FileList: s},
		sftp.WithStartDirectory(files.Home), sftp.WithRSMaxTxPacket(maxSFTPData))
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

// ExitStatus returns the exit status to send to the client after ServeSFTP has returned err.
func ExitStatus(err error) int {
	if err != nil {
		return 1
	}
	return 0
}

// logFunc returns a function that formats a line for log, which may be nil.
func logFunc(log func(text string)) func(format string, args ...any) {
	if log == nil {
		return func(string, ...any) {}
	}
	return func(format string, args ...any) { log(fmt.Sprintf(format, args...)) }
}

// loggerOrDiscard returns l, or a logger that discards everything if l is nil.
func loggerOrDiscard(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l
}

// An sftpSession handles the requests of one channel. The library calls it from several goroutines.
type sftpSession struct {
	area       *files.Area
	maxHandles int
	logf       func(format string, args ...any)
	done       func(Transferred)
	logger     *slog.Logger

	lastRead  atomic.Pointer[sftpFile] // the file that was read last; see sftpStream.learn
	appending atomic.Int32             // open files to whose ends all data goes

	mu          sync.Mutex
	openHandles int
}

// translateError is deferred by handlers. It replaces the error by one that the library can send to
// the client, and a panic by an error.
func (s *sftpSession) translateError(err *error) {
	if p := recover(); p != nil {
		s.logger.Error("panic in sftp", "value", p, "stack", string(debug.Stack()))
		*err = sftp.ErrSSHFxFailure
		return
	}
	*err = toSFTPError(*err)
}

// toSFTPError returns the error that the library sends to the client for err.
func toSFTPError(err error) error {
	switch {
	case err == nil, err == io.EOF,
		errors.Is(err, sftp.ErrSSHFxBadMessage), errors.Is(err, sftp.ErrSSHFxOpUnsupported):
		return err
	case errors.Is(err, fs.ErrNotExist):
		return sftp.ErrSSHFxNoSuchFile
	case errors.Is(err, fs.ErrPermission),
		errors.Is(err, files.ErrBusy): // clients have no other text for it
		return sftp.ErrSSHFxPermissionDenied
	}
	return errors.New(reasonText(err))
}

// acquire counts a new handle, unless there are too many.
func (s *sftpSession) acquire() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.openHandles >= s.maxHandles {
		return errTooManyOpen
	}
	s.openHandles++
	return nil
}

func (s *sftpSession) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.openHandles--
}

// Fileread opens a file for reading.
func (s *sftpSession) Fileread(r *sftp.Request) (_ io.ReaderAt, err error) {
	defer s.translateError(&err)
	return s.openFile(r.Filepath, os.O_RDONLY)
}

// Filewrite opens a file for writing.
func (s *sftpSession) Filewrite(r *sftp.Request) (_ io.WriterAt, err error) {
	defer s.translateError(&err)
	return s.openFile(r.Filepath, openFlags(r))
}

// OpenFile opens a file for reading and writing.
func (s *sftpSession) OpenFile(r *sftp.Request) (_ sftp.WriterAtReaderAt, err error) {
	defer s.translateError(&err)
	return s.openFile(r.Filepath, openFlags(r))
}

// openFlags returns the flags of os.OpenFile for a request.
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
	if flag&os.O_APPEND != 0 {
		s.appending.Add(1)
	}
	return &sftpFile{
		s: s, file: f, path: path, write: flag != os.O_RDONLY, appends: flag&os.O_APPEND != 0,
	}, nil
}

// An sftpFile is an open file.
type sftpFile struct {
	s       *sftpSession
	file    *files.File
	path    string
	write   bool
	appends bool
	bytes   atomic.Int64
	done    coverage // what was read, or written if write is set
}

func (h *sftpFile) ReadAt(p []byte, off int64) (int, error) {
	h.s.lastRead.Store(h)
	n, err := h.file.ReadAt(p, off)
	h.bytes.Add(int64(n))
	if !h.write {
		h.done.add(off, n)
	}
	return n, toSFTPError(err)
}

func (h *sftpFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := h.file.WriteAt(p, off)
	h.bytes.Add(int64(n))
	h.done.add(off, n)
	return n, toSFTPError(err)
}

func (h *sftpFile) Close() error {
	h.s.release()
	size, whole := h.transferred()
	err := h.file.Close()
	if h.appends {
		h.s.appending.Add(-1)
	}
	direction := "Download"
	if h.write {
		direction = "Upload"
	}
	h.s.logf("%s %s %d bytes", direction, sanitize(h.path), h.bytes.Load())
	if whole {
		h.s.done(Transferred{h.write, h.path, size})
	}
	return toSFTPError(err)
}

// transferred returns the number of bytes that were transferred. It reports false if they are not
// the first bytes of the file, or for an upload, all of it: the client has resumed a transfer or
// changed a part of the file. It also reports false if the client has read nothing of a file that
// has content, as OpenSSH's reget does if it has all of it already.
func (h *sftpFile) transferred() (size int64, whole bool) {
	size, whole = h.done.prefix()
	if !whole || !h.write && size > 0 {
		return size, whole
	}
	fi, err := h.file.Stat()
	return size, err == nil && !h.appends && fi.Size() == size
}

// Filecmd executes commands that need no open file.
func (s *sftpSession) Filecmd(r *sftp.Request) (err error) {
	defer s.translateError(&err)
	switch r.Method {
	case "Setstat":
		return s.setstat(r)
	case "Rename":
		return s.rename(r, false)
	case "Remove":
		if err := s.area.Remove(r.Filepath); err != nil {
			return err
		}
		s.logf("Delete %s", sanitize(r.Filepath))
		return nil
	case "Rmdir":
		return s.area.RemoveDir(r.Filepath)
	case "Mkdir":
		return s.area.Mkdir(r.Filepath)
	}
	return sftp.ErrSSHFxOpUnsupported // includes links, which a files.Area does not have
}

// PosixRename renames a file and replaces an existing one.
func (s *sftpSession) PosixRename(r *sftp.Request) (err error) {
	defer s.translateError(&err)
	return s.rename(r, true)
}

func (s *sftpSession) rename(r *sftp.Request, replace bool) error {
	if err := s.area.Rename(r.Filepath, r.Target, replace); err != nil {
		return err
	}
	s.logf("Rename %s to %s", sanitize(r.Filepath), sanitize(r.Target))
	return nil
}

// setstat sets the size and the modification time. It ignores the owner and the permissions, which
// clients cannot change, and reports success, because the command put of clients sets them.
func (s *sftpSession) setstat(r *sftp.Request) error {
	if !s.area.Writable(r.Filepath) {
		return fs.ErrPermission
	}
	attrs, flags := r.Attributes(), r.AttrFlags()
	if attrs == nil { // the packet is too short
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

// StatVFS returns the free space, for df.
func (s *sftpSession) StatVFS(*sftp.Request) (_ *sftp.StatVFS, err error) {
	defer s.translateError(&err)
	const block = 4096
	used, quota := s.area.Usage()
	if quota == 0 {
		quota = used + 1<<40 // there is no quota, but df needs a number
	}
	total, free := uint64(quota)/block, uint64(max(quota-used, 0))/block
	return &sftp.StatVFS{
		Bsize: block, Frsize: block, Blocks: total, Bfree: free, Bavail: free,
		Files: total, Ffree: free, Favail: free, Namemax: 255,
	}, nil
}

// Filelist lists a directory or returns the attributes of one file.
func (s *sftpSession) Filelist(r *sftp.Request) (_ sftp.ListerAt, err error) {
	defer s.translateError(&err)
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

// RealPath returns the absolute path. There are no links to resolve.
func (s *sftpSession) RealPath(p string) (_ string, err error) {
	defer s.translateError(&err)
	return s.area.Path(files.Home, p), nil
}

// LookupUserName returns the owner that ls -l shows.
func (s *sftpSession) LookupUserName(string) string { return files.Owner }

// LookupGroupName returns the group that ls -l shows.
func (s *sftpSession) LookupGroupName(string) string { return files.Group }

// An sftpList is a listing of a directory at the time when it was opened, or one file.
type sftpList struct {
	s    *sftpSession // nil if the list does not count as a handle
	list []fs.FileInfo
}

func (l *sftpList) ListAt(to []fs.FileInfo, off int64) (int, error) {
	if off < 0 || off >= int64(len(l.list)) {
		return 0, io.EOF
	}
	n := 0
	for ; n < len(to) && int(off)+n < len(l.list); n++ {
		to[n] = sftpFileInfo{l.list[int(off)+n]}
	}
	if n < len(to) {
		return n, io.EOF
	}
	return n, nil
}

// An sftpFileInfo adds the numbers of owner and group to the attributes of a file.
type sftpFileInfo struct{ fs.FileInfo }

func (sftpFileInfo) Uid() uint32 { return files.OwnerID } //nolint:revive,staticcheck // the library's name
func (sftpFileInfo) Gid() uint32 { return files.GroupID } //nolint:revive,staticcheck // the library's name

func (l *sftpList) Close() error {
	if l.s != nil {
		l.s.release()
	}
	return nil
}
