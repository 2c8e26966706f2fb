package transfer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	ftp "goftp.io/server/v2"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/files"
)

const (
	maxFTPLine    = 4 << 10
	maxReadAhead  = 64 << 10 // commands that wait while another is carried out
	replyDeadline = 30 * time.Second
)

// An ftpConn is a control connection, and the session on it. To the library it is
// the net.Conn that it serves: Read gives it whole lines without telnet codes, and
// ends the session when it has been idle for too long.
//
// A goroutine of its own (pump) reads ahead, so that ABOR and the client's going
// away are noticed while a transfer runs.
type ftpConn struct {
	net.Conn
	s             *FTPServer
	id            uint64
	remote, local netip.AddrPort
	session       ftpSession

	ctx       context.Context // ends with the session
	cancelCtx context.CancelFunc
	closed    chan struct{} // the library is done with the connection
	closeOnce sync.Once

	mu       sync.Mutex
	cond     *sync.Cond
	lines    bytes.Buffer // whole lines
	err      error        // why no more lines will come
	farewell string       // what the client is told about it
	cancel   func()       // breaks off the transfer that is running
	aborted  bool         // by ABOR
}

// An ftpSession is what a session remembers from command to command. It belongs to
// the session's goroutine.
type ftpSession struct {
	area       *files.Area // nil: not logged in
	user       string
	asked      string // USER's argument
	tries      int
	logout     func()
	dir        string
	ascii      bool
	rest       int64
	renameFrom string
	facts      []string // of MLST and MLSD
	data       *dataPort
	epsvOnly   bool
}

func newFTPConn(s *FTPServer, conn net.Conn, id uint64, remote, local netip.AddrPort) *ftpConn {
	c := &ftpConn{Conn: conn, s: s, id: id, remote: remote, local: local, closed: make(chan struct{})}
	c.ctx, c.cancelCtx = context.WithCancel(context.Background())
	c.cond = sync.NewCond(&c.mu)
	c.session = ftpSession{dir: files.Home, ascii: true, facts: mlsxFacts}
	return c
}

// log writes a line of the appliance's FTP log.
func (c *ftpConn) logf(format string, args ...any) {
	c.s.o.Log(fmt.Sprintf("ID:%d ", c.id) + fmt.Sprintf(format, args...))
}

// serve runs the session to its end.
func (c *ftpConn) serve() {
	c.logf("Connection from %v on %v", c.remote.Addr(), c.local.Addr())
	greeting := "FTP server ready."
	if c.s.o.Hostname != nil {
		greeting = c.s.o.Hostname() + " " + greeting
	}
	// A server of the library for each session: its greeting is fixed, its log has
	// one name for all sessions, and its Serve returns when our listener says so.
	server, err := ftp.NewServer(&ftp.Options{
		Commands:       c.commands(),
		Auth:           ftpAuth{c},
		Perm:           ftp.NewSimplePerm(files.Owner, files.Group),
		WelcomeMessage: greeting,
		Logger:         ftpLogger{c},
	})
	if err != nil {
		c.s.o.Logger.Error("ftp: new session", "cause", err)
		c.Conn.Close()
		return
	}
	c.banner()
	var pump sync.WaitGroup
	pump.Go(c.pump)
	_ = server.Serve(&oneConn{c: c}) // always says that the listener was closed
	pump.Wait()
	c.setData(nil)
	if c.session.logout != nil {
		c.session.logout()
	}
	if c.session.area != nil {
		c.logf("User %s logout", c.session.user)
	}
}

// banner sends what stands before the greeting, as the first lines of the same reply
// (RFC 959, section 4.2).
func (c *ftpConn) banner() {
	if c.s.o.Banner == nil {
		return
	}
	text := c.s.o.Banner()
	if text == "" {
		return
	}
	var b strings.Builder
	for line := range strings.SplitSeq(text, "\n") {
		fmt.Fprintf(&b, "220-%s\r\n", line)
	}
	_, _ = c.Write([]byte(b.String())) // Write ends the session when it fails
}

// oneConn is a listener that has one connection to give, and no more once the
// library is done with it.
type oneConn struct {
	c    *ftpConn
	done bool
}

func (l *oneConn) Accept() (net.Conn, error) {
	if !l.done {
		l.done = true
		return l.c, nil
	}
	<-l.c.closed
	return nil, net.ErrClosed
}

func (l *oneConn) Close() error   { return nil }
func (l *oneConn) Addr() net.Addr { return l.c.LocalAddr() }

// ftpLogger passes on what the library says when a command has panicked. Passwords
// are in the rest.
type ftpLogger struct{ c *ftpConn }

func (ftpLogger) Print(string, any)                   {}
func (ftpLogger) PrintCommand(string, string, string) {}
func (ftpLogger) PrintResponse(string, int, string)   {}
func (l ftpLogger) Printf(_, format string, v ...any) {
	if strings.Contains(format, "crashed") {
		l.c.s.o.Logger.Error("ftp: " + fmt.Sprintf(format, v...))
	}
}

// Read gives the library the next line. It is the only place where idle time
// counts.
func (c *ftpConn) Read(p []byte) (int, error) {
	stop := func() bool { return false }
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lines.Len() == 0 && c.err == nil {
		stop = c.s.o.Clock.AfterFunc(c.s.o.IdleTimeout, func() {
			c.end(fmt.Sprintf("Timeout (%d seconds): closing control connection.", int(c.s.o.IdleTimeout.Seconds())))
		})
	}
	for c.lines.Len() == 0 && c.err == nil {
		c.cond.Wait()
	}
	stop()
	if c.lines.Len() > 0 {
		n, _ := c.lines.Read(p)
		c.cond.Broadcast()
		return n, nil
	}
	if c.farewell != "" {
		text := c.farewell
		c.farewell = ""
		c.mu.Unlock()
		c.reply(421, text)
		c.mu.Lock()
	}
	return 0, io.EOF
}

// Write sends replies, and gives up a client that does not take them.
func (c *ftpConn) Write(p []byte) (int, error) {
	if err := c.Conn.SetWriteDeadline(clock.System().Now().Add(replyDeadline)); err != nil {
		return 0, err
	}
	n, err := c.Conn.Write(p)
	if err != nil {
		c.hangUp(err, "")
	}
	return n, err
}

// Close is called by the library when the session is over.
func (c *ftpConn) Close() error {
	c.hangUp(net.ErrClosed, "")
	err := c.Conn.Close()
	c.closeOnce.Do(func() { close(c.closed) })
	return err
}

var errEnded = errors.New("transfer: session ended")

// end ends the session at its next command and tells the client why. A transfer is
// broken off.
func (c *ftpConn) end(farewell string) { c.hangUp(errEnded, farewell) }

func (c *ftpConn) hangUp(err error, farewell string) {
	c.cancelCtx()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err, c.farewell = err, farewell
	}
	if errors.Is(err, errEnded) {
		c.lines.Reset()
	}
	if c.cancel != nil {
		c.cancel()
	}
	c.cond.Broadcast()
}

// pump reads the connection until it ends.
func (c *ftpConn) pump() {
	var telnet telnetFilter
	var line []byte
	buf := make([]byte, 1<<10)
	for {
		n, err := c.Conn.Read(buf)
		for _, b := range telnet.filter(buf[:n]) {
			line = append(line, b)
			if b != '\n' {
				continue
			}
			if !c.enqueue(line) {
				return
			}
			line = line[:0]
		}
		switch {
		case len(line) > maxFTPLine:
			c.end("Command line too long.")
			return
		case err != nil:
			c.hangUp(err, "")
			return
		}
	}
}

// enqueue hands a line to the session. It waits while too many are there, and
// reports false when the session is over.
func (c *ftpConn) enqueue(line []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cancel != nil && bytes.EqualFold(bytes.TrimSpace(line), []byte("ABOR")) {
		c.aborted = true
		c.cancel()
	}
	for c.err == nil && c.lines.Len() > maxReadAhead {
		c.cond.Wait()
	}
	if c.err != nil {
		return false
	}
	c.lines.Write(line)
	c.cond.Broadcast()
	return true
}

// begin notes how the transfer that starts now is broken off. A nil cancel says
// that it is over.
func (c *ftpConn) begin(cancel func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cancel = cancel
	if cancel != nil && (c.aborted || c.err != nil) {
		cancel()
	}
}

// finish ends what begin began and reports whether the client has aborted it.
func (c *ftpConn) finish() (aborted bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	aborted, c.cancel, c.aborted = c.aborted, nil, false
	return aborted
}

// reply sends a reply. With more than one line it is RFC 959's multi-line form;
// lines in between begin with a blank, so that none looks like the last.
func (c *ftpConn) reply(code int, first string, more ...string) {
	var b strings.Builder
	if len(more) == 0 {
		fmt.Fprintf(&b, "%d %s\r\n", code, first)
	} else {
		fmt.Fprintf(&b, "%d-%s\r\n", code, first)
		for _, l := range more[:len(more)-1] {
			fmt.Fprintf(&b, " %s\r\n", l)
		}
		fmt.Fprintf(&b, "%d %s\r\n", code, more[len(more)-1])
	}
	_, _ = c.Write([]byte(b.String())) // Write ends the session when it fails
}

// A telnetFilter takes telnet's commands (RFC 854) out of a control connection.
type telnetFilter struct{ state byte }

const (
	telnetSE, telnetSB     = 240, 250
	telnetWill, telnetDont = 251, 254
	telnetIAC              = 255

	telnetData, telnetCommand, telnetOption, telnetSub, telnetSubCommand = 0, 1, 2, 3, 4
)

// filter returns what is not telnet's, in the same array.
func (t *telnetFilter) filter(p []byte) []byte {
	out := p[:0]
	for _, b := range p {
		switch t.state {
		case telnetData:
			if b == telnetIAC {
				t.state = telnetCommand
				continue
			}
			out = append(out, b)
		case telnetCommand:
			t.state = telnetData
			switch {
			case b == telnetSB:
				t.state = telnetSub
			case b >= telnetWill && b <= telnetDont:
				t.state = telnetOption
			case b == telnetIAC || b < telnetSE:
				// An escaped 255; or the command itself was urgent data, which
				// the system below has taken out, and b is text.
				out = append(out, b)
			}
		case telnetOption:
			t.state = telnetData
		case telnetSub:
			if b == telnetIAC {
				t.state = telnetSubCommand
			}
		case telnetSubCommand:
			t.state = telnetSub
			if b == telnetSE {
				t.state = telnetData
			}
		}
	}
	return out
}
