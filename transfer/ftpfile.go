package transfer

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path"
	"strconv"
	"strings"
	"syscall"

	"github.com/esasim/esasim/appliance/files"
)

const ftpBuffer = 128 << 10

func (c *ftpConn) restart(arg string) {
	n, err := strconv.ParseInt(arg, 10, 64)
	switch {
	case err != nil || n < 0:
		c.reply(501, "Invalid offset.")
	case c.session.ascii && n > 0:
		c.reply(501, "Transfers cannot be resumed in ASCII mode.")
	default:
		c.session.restartOffset = n
		c.reply(350, fmt.Sprintf("Restarting at %d.", n))
	}
}

// takeRestartOffset returns the offset that REST has set, and resets it to 0.
func (c *ftpConn) takeRestartOffset() int64 {
	n := c.session.restartOffset
	c.session.restartOffset = 0
	return n
}

// typeName returns the name of the transfer type for replies.
func (c *ftpConn) typeName() string {
	if c.session.ascii {
		return "ASCII"
	}
	return "BINARY"
}

func (c *ftpConn) retr(arg string) {
	off := c.takeRestartOffset()
	f, err := c.session.area.Open(c.path(arg))
	if err != nil {
		c.replyError(arg, err)
		return
	}
	defer f.Close()
	fi, err := f.Stat()
	switch {
	case err != nil:
		c.replyError(arg, err)
		return
	case off > fi.Size():
		c.reply(554, "Restart offset is beyond the end of the file.")
		return
	case c.session.dataPort == nil:
		c.replyNoDataPort()
		return
	}
	if _, err := f.Seek(off, io.SeekStart); err != nil {
		c.replyError(arg, err)
		return
	}
	var sent int64
	opening := fmt.Sprintf("Opening %s mode data connection for %s (%d bytes).",
		c.typeName(), sanitize(arg), fi.Size()-off)
	ok := c.transfer(opening, toClient, func(conn *timeoutConn) (err error) {
		sent, err = c.send(conn, f, fi.Size()-off)
		return err
	})
	if ok {
		c.logf("Download %s %d bytes", sanitize(arg), sent)
		c.transferred(off == 0, Transferred{false, c.path(arg), sent})
	}
}

// send sends the rest of f, which has size bytes or more. It returns the number of bytes of f that
// have been sent.
func (c *ftpConn) send(conn *timeoutConn, f *files.File, size int64) (int64, error) {
	if !c.session.ascii && conn.canSendRange() {
		return conn.sendRest(f)
	}
	var to io.Writer = conn
	if c.session.ascii {
		to = &crlfWriter{w: conn}
	}
	buf := make([]byte, min(ftpBuffer, size+1))
	return io.CopyBuffer(plainWriter{to}, plainReader{f}, buf)
}

func (c *ftpConn) stor(arg string) {
	off := c.takeRestartOffset()
	if off == 0 {
		c.store(arg, c.path(arg), os.O_TRUNC, 0)
		return
	}
	fi, err := c.statFile(arg)
	switch {
	case err != nil:
		c.replyError(arg, err)
	case off > fi.Size():
		c.reply(554, "Restart offset is beyond the end of the file.")
	default:
		c.store(arg, c.path(arg), 0, off)
	}
}

func (c *ftpConn) appe(arg string) {
	c.takeRestartOffset()
	c.store(arg, c.path(arg), os.O_APPEND, 0)
}

// stou stores a file under a new name (RFC 1123, 4.1.2.9).
func (c *ftpConn) stou(arg string) {
	c.takeRestartOffset()
	if arg == "" {
		arg = "ftp"
	}
	for n := range 1000 {
		name := arg
		if n > 0 {
			name = fmt.Sprintf("%s.%d", arg, n)
		}
		if _, err := c.session.area.Stat(c.path(name)); errors.Is(err, fs.ErrNotExist) {
			c.store(name, c.path(name), os.O_EXCL, 0)
			return
		}
	}
	c.replyError(arg, fs.ErrExist)
}

// store receives a file. It does not change the file before the data connection is open. flag is
// added to the flags with which the file is opened.
func (c *ftpConn) store(arg, full string, flag int, off int64) {
	switch err := c.checkStorable(full); {
	case err != nil:
		c.replyError(arg, err)
		return
	case c.session.dataPort == nil:
		c.replyNoDataPort()
		return
	}
	opening := "Ok to send data."
	if flag&os.O_EXCL != 0 {
		opening = "FILE: " + sanitize(arg)
	}
	var got int64
	ok := c.transfer(opening, fromClient, func(conn *timeoutConn) error {
		f, err := c.session.area.OpenFile(full, os.O_WRONLY|os.O_CREATE|flag)
		if err != nil {
			return err
		}
		if _, err = f.Seek(off, io.SeekStart); err == nil {
			got, err = c.receive(f, conn)
		}
		if err == nil && flag&os.O_APPEND == 0 {
			err = f.Truncate(off + got)
		}
		return errors.Join(err, f.Close())
	})
	if ok {
		c.logf("Upload %s %d bytes", sanitize(arg), got)
		c.transferred(off == 0 && flag&os.O_APPEND == 0, Transferred{true, full, got})
	}
}

// transferred tells that a file was transferred, whole or in part.
func (c *ftpConn) transferred(whole bool, t Transferred) {
	if whole && !c.session.ascii && c.session.done != nil {
		c.session.done(t)
	}
}

// checkStorable returns an error if it is known in advance that a file cannot be stored.
func (c *ftpConn) checkStorable(full string) error {
	if !c.session.area.Writable(full) {
		return fs.ErrPermission
	}
	if fi, err := c.session.area.Stat(full); err == nil && fi.IsDir() {
		return syscall.EISDIR
	}
	_, err := c.session.area.ReadDir(path.Dir(full))
	return err
}

// receive copies from the data connection to f. It returns the number of bytes written to f.
func (c *ftpConn) receive(f *files.File, conn net.Conn) (int64, error) {
	if !c.session.ascii {
		return io.CopyBuffer(plainWriter{f}, plainReader{conn}, make([]byte, ftpBuffer))
	}
	w := &lfWriter{w: f}
	_, err := io.CopyBuffer(w, plainReader{conn}, make([]byte, ftpBuffer))
	if err == nil {
		err = w.flush()
	}
	return w.written, err
}

// plainReader and plainWriter hide other methods, because of which io.CopyBuffer would not use its
// buffer.
type (
	plainReader struct{ io.Reader }
	plainWriter struct{ io.Writer }
)

// allo replies whether there is room for a file.
func (c *ftpConn) allo(arg string) {
	size, _, _ := strings.Cut(arg, " ")
	n, err := strconv.ParseInt(size, 10, 64)
	used, quota := c.session.area.Usage()
	switch {
	case err != nil || n < 0:
		c.reply(501, "Syntax error in parameters.")
	case quota > 0 && n > quota-used:
		c.reply(552, "No space left on device.")
	default:
		c.reply(200, "ALLO command successful.")
	}
}

// A crlfWriter writes each line feed as carriage return and line feed, the line end that RFC 959
// requires for text.
type crlfWriter struct {
	w   io.Writer
	buf []byte
}

func (c *crlfWriter) Write(p []byte) (int, error) {
	c.buf = c.buf[:0]
	for _, b := range p {
		if b == '\n' {
			c.buf = append(c.buf, '\r')
		}
		c.buf = append(c.buf, b)
	}
	if _, err := c.w.Write(c.buf); err != nil {
		return 0, err
	}
	return len(p), nil
}

// An lfWriter is the inverse of crlfWriter: it removes the carriage return before each line feed.
type lfWriter struct {
	w         io.Writer
	written   int64
	pendingCR bool // a carriage return has been received and not written yet
	buf       []byte
}

func (l *lfWriter) Write(p []byte) (int, error) {
	l.buf = l.buf[:0]
	for _, b := range p {
		if l.pendingCR && b != '\n' {
			l.buf = append(l.buf, '\r')
		}
		if l.pendingCR = b == '\r'; !l.pendingCR {
			l.buf = append(l.buf, b)
		}
	}
	n, err := l.w.Write(l.buf)
	l.written += int64(n)
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

func (l *lfWriter) flush() error {
	if !l.pendingCR {
		return nil
	}
	l.pendingCR = false
	n, err := l.w.Write([]byte{'\r'})
	l.written += int64(n)
	return err
}
