package transfer

import (
	"bytes"
	"cmp"
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
	maxReadAhead  = 64 << 10 // commands that wait while another one runs
	replyDeadline = 30 * time.Second
)

// An ftpConn is a control connection and its session. It is the net.Conn that the library serves:
// its Read returns whole lines without Telnet commands, and ends the session if it has been idle
// for too long.
//
// A separate goroutine (readLoop) reads ahead, so that ABOR and the end of the connection are
// noticed while a transfer runs.
type ftpConn struct {
	net.Conn
	server        *FTPServer
	id            uint64
	remote, local netip.AddrPort
	session       ftpSession

	ctx       context.Context // ends with the session
	cancelCtx context.CancelFunc
	closed    chan struct{} // closed when the library has closed the connection
	displaced bool          // does not count for the limits any more; guarded by server.mu
	closeOnce sync.Once

	mu             sync.Mutex
	cond           *sync.Cond
	lines          bytes.Buffer // complete lines
	err            error        // why the session ends; nil while it runs
	closingReply   string       // the text of the last reply, 421; "" for none
	stopLoginTimer func() bool  // nil before the start and after the login
	isLoggedIn     bool         // the session has logged in or ended
	abortTransfer  func()       // aborts the running transfer; nil if there is none
	aborted        bool         // the client has sent ABOR
}

// An ftpSession is the state of a session. It belongs to the session's goroutine.
type ftpSession struct {
	area          *files.Area // nil before the login
	user          string
	pendingUser   string // the argument of USER, until PASS
	failedLogins  int
	logout        func()
	done          func(Transferred) // may be nil
	dir           string
	ascii         bool
	restartOffset int64
	renameFrom    string
	facts         []string // that MLST and MLSD show
	dataPort      *dataPort
	epsvOnly      bool
}

func newFTPConn(s *FTPServer, conn net.Conn, id uint64, remote, local netip.AddrPort) *ftpConn {
	c := &ftpConn{
		Conn: conn, server: s, id: id, remote: remote, local: local, closed: make(chan struct{}),
	}
	c.ctx, c.cancelCtx = context.WithCancel(context.Background())
	c.cond = sync.NewCond(&c.mu)
	c.session = ftpSession{dir: files.Home, ascii: true, facts: mlsxFacts}
	return c
}

// logf writes a line to the appliance's FTP log.
func (c *ftpConn) logf(format string, args ...any) {
	c.server.options.Log(fmt.Sprintf("ID:%d ", c.id) + fmt.Sprintf(format, args...))
}

// serve runs the session to its end.
func (c *ftpConn) serve() {
	c.logf("Connection from %v on %v", c.remote.Addr(), c.local.Addr())
	defer c.startLoginTimer()()
	// Each session has a server of the library of its own: a server's greeting is fixed, its log
	// does not distinguish sessions, and its Serve returns when our listener is closed.
	server, err := ftp.NewServer(&ftp.Options{
		Commands:       c.commands(),
		Auth:           ftpAuth{c},
		Perm:           ftp.NewSimplePerm(files.Owner, files.Group),
		WelcomeMessage: c.greeting(),
		Logger:         ftpLogger{c},
	})
	if err != nil {
		c.server.options.Logger.Error("ftp: new session", "cause", err)
		c.Conn.Close()
		return
	}
	c.banner()
	var pump sync.WaitGroup
	pump.Go(c.readLoop)
	_ = server.Serve(&connListener{c: c}) // always returns an error, because the listener is closed
	pump.Wait()
	c.setDataPort(nil)
	if c.session.logout != nil {
		c.session.logout()
	}
	if c.session.area != nil {
		c.logf("User %s logout", c.session.user)
	}
}

// greeting returns the text of the first reply. It has the form by which scanners recognize the
// product: nmap's service probes have
//
//	^220 ([-.+\w]+) Cisco IronPort FTP server \(V([-.\w]+)\) ready\r\n
func (c *ftpConn) greeting() string {
	text := "Cisco IronPort FTP server (V" + cmp.Or(c.server.options.Version, "0") + ") ready"
	if c.server.options.Hostname != nil {
		text = c.server.options.Hostname() + " " + text
	}
	return text
}

// startLoginTimer starts the timer that ends the session if nobody logs in. The caller must call
// stop when the session has ended.
func (c *ftpConn) startLoginTimer() (stop func()) {
	timeout := c.server.options.LoginTimeout
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopLoginTimer = clock.RealTime(c.server.options.Clock).AfterFunc(timeout, func() {
		if c.loggedIn() {
			return
		}
		c.logf("No login within %d seconds", int(timeout.Seconds()))
		c.endWithReply(fmt.Sprintf("Login timeout (%d seconds): closing control connection.",
			int(timeout.Seconds())))
	})
	return c.setLoggedIn
}

// setLoggedIn stops the login timer.
func (c *ftpConn) setLoggedIn() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopLoginTimer != nil {
		c.stopLoginTimer()
		c.stopLoginTimer = nil
	}
	c.isLoggedIn = true
}

// loggedIn reports whether the session has logged in or ended.
func (c *ftpConn) loggedIn() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.isLoggedIn
}

// banner sends the text before the greeting. It is the first part of the same reply (RFC 959,
// section 4.2).
func (c *ftpConn) banner() {
	if c.server.options.Banner == nil {
		return
	}
	text := c.server.options.Banner()
	if text == "" {
		return
	}
	var b strings.Builder
	for line := range strings.SplitSeq(text, "\n") {
		fmt.Fprintf(&b, "220-%s\r\n", line)
	}
	_, _ = c.Write([]byte(b.String())) // if it fails, Write ends the session
}

// A connListener is a listener for one connection. Its second Accept returns an error when the
// library has closed the connection.
type connListener struct {
	c    *ftpConn
	done bool
}

func (l *connListener) Accept() (net.Conn, error) {
	if !l.done {
		l.done = true
		return l.c, nil
	}
	<-l.c.closed
	return nil, net.ErrClosed
}

func (l *connListener) Close() error   { return nil }
func (l *connListener) Addr() net.Addr { return l.c.LocalAddr() }

// ftpLogger is the library's logger. It logs only that a command has panicked: other messages
// contain passwords.
type ftpLogger struct{ c *ftpConn }

func (ftpLogger) Print(string, any)                   {}
func (ftpLogger) PrintCommand(string, string, string) {}
func (ftpLogger) PrintResponse(string, int, string)   {}
func (l ftpLogger) Printf(_, format string, v ...any) {
	if strings.Contains(format, "crashed") {
		l.c.server.options.Logger.Error("ftp: " + fmt.Sprintf(format, v...))
	}
}

// Read returns the next line to the library. Only here does the idle timeout apply.
func (c *ftpConn) Read(p []byte) (int, error) {
	stop := func() bool { return false }
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lines.Len() == 0 && c.err == nil {
		stop = clock.RealTime(c.server.options.Clock).AfterFunc(c.server.options.IdleTimeout, func() {
			c.endWithReply(fmt.Sprintf("Timeout (%d seconds): closing control connection.",
				int(c.server.options.IdleTimeout.Seconds())))
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
	if c.closingReply != "" {
		text := c.closingReply
		c.closingReply = ""
		c.mu.Unlock()
		c.reply(421, text)
		c.mu.Lock()
	}
	return 0, io.EOF
}

// Write sends replies. If the client does not receive them in time, Write ends the session.
func (c *ftpConn) Write(p []byte) (int, error) {
	if err := c.Conn.SetWriteDeadline(clock.System().Now().Add(replyDeadline)); err != nil {
		return 0, err
	}
	n, err := c.Conn.Write(p)
	if err != nil {
		c.endSession(err, "")
	}
	return n, err
}

// Close is called by the library when the session has ended.
func (c *ftpConn) Close() error {
	c.endSession(net.ErrClosed, "")
	err := c.Conn.Close()
	c.closeOnce.Do(func() { close(c.closed) })
	return err
}

var errEndedByServer = errors.New("transfer: session ended")

// endWithReply ends the session before its next command, with text as the last reply. It aborts a
// running transfer.
func (c *ftpConn) endWithReply(text string) { c.endSession(errEndedByServer, text) }

// endSession ends the session because of err. Only the first call sets the error and the last
// reply.
func (c *ftpConn) endSession(err error, closingReply string) {
	c.cancelCtx()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err, c.closingReply = err, closingReply
	}
	if errors.Is(err, errEndedByServer) {
		c.lines.Reset()
	}
	if c.abortTransfer != nil {
		c.abortTransfer()
	}
	c.cond.Broadcast()
}

// readLoop reads the connection until it ends.
func (c *ftpConn) readLoop() {
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
			c.endWithReply("Command line too long.")
			return
		case err != nil:
			c.endSession(err, "")
			return
		}
	}
}

// enqueue passes a line to the session. It blocks while too many lines are waiting, and reports
// false if the session has ended.
func (c *ftpConn) enqueue(line []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.abortTransfer != nil && bytes.EqualFold(bytes.TrimSpace(line), []byte("ABOR")) {
		c.aborted = true
		c.abortTransfer()
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

// beginTransfer sets the function that aborts the transfer. If the transfer has been aborted
// already, it calls abort.
func (c *ftpConn) beginTransfer(abort func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.abortTransfer = abort
	if c.aborted || c.err != nil {
		abort()
	}
}

// endTransfer is called when the transfer has ended. It reports whether the client has aborted it.
func (c *ftpConn) endTransfer() (aborted bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	aborted, c.abortTransfer, c.aborted = c.aborted, nil, false
	return aborted
}

// reply sends a reply. If it has more than one line, it has the multi-line form of RFC 959; its
// inner lines begin with a blank, so that none can be mistaken for the last.
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
	_, _ = c.Write([]byte(b.String())) // if it fails, Write ends the session
}

// A telnetFilter removes Telnet commands (RFC 854) from a control connection.
type telnetFilter struct{ state byte }

const (
	telnetSE, telnetSB     = 240, 250
	telnetWill, telnetDont = 251, 254
	telnetIAC              = 255

	telnetData, telnetCommand, telnetOption, telnetSub, telnetSubCommand = 0, 1, 2, 3, 4
)

// filter returns p without Telnet commands, in the same array.
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
				// An escaped 255. Or the command was urgent data, which the operating system
				// has removed, and b is text.
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
