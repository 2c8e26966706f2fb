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
		c.session.rest = n
		c.reply(350, fmt.Sprintf("Restarting at %d.", n))
	}
}

// takeRest is the offset of the transfer that starts now.
func (c *ftpConn) takeRest() int64 {
	n := c.session.rest
	c.session.rest = 0
	return n
}

func (c *ftpConn) mode() string {
	if c.session.ascii {
		return "ASCII"
	}
	return "BINARY"
}

func (c *ftpConn) retr(arg string) {
	off := c.takeRest()
	f, err := c.session.area.Open(c.path(arg))
	if err != nil {
		c.refuse(arg, err)
		return
	}
	defer f.Close()
	fi, err := f.Stat()
	switch {
	case err != nil:
		c.refuse(arg, err)
		return
	case off > fi.Size():
		c.reply(554, "Restart offset is beyond the end of the file.")
		return
	case c.session.data == nil:
		c.noData()
		return
	}
	if _, err := f.Seek(off, io.SeekStart); err != nil {
		c.refuse(arg, err)
		return
	}
	var sent int64
	opening := fmt.Sprintf("Opening %s mode data connection for %s (%d bytes).", c.mode(), printable(arg), fi.Size()-off)
	if c.transfer(opening, func(conn net.Conn) (err error) {
		var to io.Writer = conn
		if c.session.ascii {
			to = &crlfWriter{w: conn}
		}
		sent, err = io.CopyBuffer(onlyWriter{to}, onlyReader{f}, make([]byte, min(ftpBuffer, fi.Size()-off+1)))
		return err
	}) {
		c.logf("Download %s %d bytes", printable(arg), sent)
	}
}

func (c *ftpConn) stor(arg string) {
	off := c.takeRest()
	if off == 0 {
		c.store(arg, c.path(arg), os.O_TRUNC, 0)
		return
	}
	fi, err := c.plain(arg)
	switch {
	case err != nil:
		c.refuse(arg, err)
	case off > fi.Size():
		c.reply(554, "Restart offset is beyond the end of the file.")
	default:
		c.store(arg, c.path(arg), 0, off)
	}
}

func (c *ftpConn) appe(arg string) {
	c.takeRest()
	c.store(arg, c.path(arg), os.O_APPEND, 0)
}

// stou stores under a name that is free (RFC 1123, 4.1.2.9).
func (c *ftpConn) stou(arg string) {
	c.takeRest()
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
	c.refuse(arg, fs.ErrExist)
}

// store receives a file. Nothing is touched before the data connection is open.
func (c *ftpConn) store(arg, full string, flag int, off int64) {
	switch err := c.storable(full); {
	case err != nil:
		c.refuse(arg, err)
		return
	case c.session.data == nil:
		c.noData()
		return
	}
	opening := "Ok to send data."
	if flag&os.O_EXCL != 0 {
		opening = "FILE: " + printable(arg)
	}
	var got int64
	if c.transfer(opening, func(conn net.Conn) error {
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
	}) {
		c.logf("Upload %s %d bytes", printable(arg), got)
	}
}

// storable says why a file cannot be stored, as far as that can be told before.
func (c *ftpConn) storable(full string) error {
	if !c.session.area.Writable(full) {
		return fs.ErrPermission
	}
	if fi, err := c.session.area.Stat(full); err == nil && fi.IsDir() {
		return syscall.EISDIR
	}
	_, err := c.session.area.ReadDir(path.Dir(full))
	return err
}

// receive copies from the data connection to f and returns the bytes that f got.
func (c *ftpConn) receive(f *files.File, conn net.Conn) (int64, error) {
	if !c.session.ascii {
		return io.CopyBuffer(onlyWriter{f}, onlyReader{conn}, make([]byte, ftpBuffer))
	}
	w := &lfWriter{w: f}
	_, err := io.CopyBuffer(w, onlyReader{conn}, make([]byte, ftpBuffer))
	if err == nil {
		err = w.flush()
	}
	return w.written, err
}

// onlyReader and onlyWriter hide what would make io.CopyBuffer pass over its
// buffer.
type (
	onlyReader struct{ io.Reader }
	onlyWriter struct{ io.Writer }
)

// allo answers whether there is room.
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

// A crlfWriter makes each line feed a carriage return and a line feed, as RFC 959
// wants text on the wire.
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

// An lfWriter takes the carriage return before each line feed out again.
type lfWriter struct {
	w       io.Writer
	written int64
	cr      bool // one is held back
	buf     []byte
}

func (l *lfWriter) Write(p []byte) (int, error) {
	l.buf = l.buf[:0]
	for _, b := range p {
		if l.cr && b != '\n' {
			l.buf = append(l.buf, '\r')
		}
		if l.cr = b == '\r'; !l.cr {
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
	if !l.cr {
		return nil
	}
	l.cr = false
	n, err := l.w.Write([]byte{'\r'})
	l.written += int64(n)
	return err
}
