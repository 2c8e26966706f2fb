package peers

import (
	"bufio"
	"context"
	"fmt"
	"net/netip"
	"path"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network"
)

// FTPKind is the type of FTP servers in a topology.
const FTPKind = "ftpd"

var _ = register(Kind{
	Name: FTPKind, Title: "an FTP server",
	Port: 21,
	Options: withRefusalOptions(map[string]func(string) error{
		"user":      nil,
		"password":  nil,
		"directory": checkDirectory,
		"epsv":      checkSwitch,
	}),
	New: func(c Config) Peer {
		s := &FTPServer{stream: stream{config: c}, uploads: uploadsOf(c)}
		s.serve = s.serveConn
		return s
	},
})

const (
	// ftpIdle is how long an FTPServer waits for a command, and for more data of a file.
	ftpIdle = 5 * time.Minute
	// ftpAccept is how long an FTPServer waits for a data connection.
	ftpAccept = 30 * time.Second
)

// checkDirectory reports an error unless s is an absolute path.
func checkDirectory(s string) error {
	if !path.IsAbs(s) {
		return fmt.Errorf("%q, expected a directory such as /logs", s)
	}
	return nil
}

// An FTPServer accepts files (RFC 959, 2428; passive mode only) and stores them. If the
// options user and password are given, only that user with that password can log in. If the
// option directory is given, no other directory exists. With "epsv: off" the server does not
// know the commands of RFC 2428.
type FTPServer struct {
	stream
	uploads
	connCtx     context.Context // of its connections
	cancelConns context.CancelFunc
}

// Start listens on the host's addresses.
func (s *FTPServer) Start(ctx context.Context) error {
	s.connCtx, s.cancelConns = context.WithCancel(context.Background())
	err := s.stream.Start(ctx)
	if err != nil {
		s.cancelConns()
	}
	return err
}

// Stop resets the connections and waits for their goroutines.
func (s *FTPServer) Stop() {
	if s.cancelConns != nil {
		s.cancelConns()
	}
	s.stream.Stop()
}

// An ftpSession is a control connection.
type ftpSession struct {
	*FTPServer
	conn     network.Conn
	user     string
	loggedIn bool
	dir      string // the current directory
	data     network.Listener
}

// serveConn answers commands until QUIT or the end of the connection.
func (s *FTPServer) serveConn(c network.Conn) {
	f := &ftpSession{FTPServer: s, conn: c, dir: "/"}
	defer f.closeData()
	f.reply(220, "FTP server ready.")
	for lines := bufio.NewReaderSize(c, 4096); ; {
		_ = c.SetDeadline(clock.System().Now().Add(ftpIdle))
		line, err := lines.ReadSlice('\n')
		if err != nil {
			return // also if a line is too long
		}
		word, arg, _ := strings.Cut(strings.TrimRight(string(line), "\r\n"), " ")
		if !f.handle(strings.ToUpper(word), arg) {
			return
		}
	}
}

// reply sends a reply. If that fails, the next read fails too.
func (f *ftpSession) reply(code int, text string) {
	_, _ = fmt.Fprintf(f.conn, "%d %s\r\n", code, text)
}

// handle executes a command. It reports whether the connection stays open.
func (f *ftpSession) handle(word, arg string) bool {
	switch word {
	case "USER":
		f.user, f.loggedIn = arg, false
		f.reply(331, "Password required.")
	case "PASS":
		f.logIn(arg)
	case "QUIT":
		f.reply(221, "Goodbye.")
		return false
	case "NOOP":
		f.reply(200, "OK.")
	default:
		if !f.loggedIn {
			f.reply(530, "Please log in.")
			break
		}
		f.handleLoggedIn(word, arg)
	}
	return true
}

func (f *ftpSession) logIn(password string) {
	user, want := f.config.Options["user"], f.config.Options["password"]
	if f.refuse("login") || user != "" && f.user != user || want != "" && password != want {
		f.reply(530, "Login incorrect.")
		return
	}
	f.loggedIn = true
	f.reply(230, "Logged in.")
}

// handleLoggedIn executes a command of a client that has logged in.
func (f *ftpSession) handleLoggedIn(word, arg string) {
	switch word {
	case "SYST":
		f.reply(215, "UNIX Type: L8")
	case "FEAT":
		_, _ = fmt.Fprint(f.conn, "211-Features:\r\n EPSV\r\n UTF8\r\n211 End\r\n")
	case "TYPE", "MODE", "STRU", "OPTS":
		f.reply(200, "OK.")
	case "PWD":
		f.reply(257, fmt.Sprintf("%q is the current directory.", f.dir))
	case "CWD":
		if dir := f.absolute(arg); !f.exists(dir) {
			f.reply(550, arg+": No such directory.")
		} else {
			f.dir = dir
			f.reply(250, "OK.")
		}
	case "PASV", "EPSV":
		f.listenData(word)
	case "STOR":
		f.store(f.absolute(arg))
	default:
		f.reply(502, "Command not implemented.")
	}
}

func (f *ftpSession) absolute(name string) string {
	if !path.IsAbs(name) {
		name = path.Join(f.dir, name)
	}
	return path.Clean(name)
}

func (f *ftpSession) exists(dir string) bool {
	only := f.config.Options["directory"]
	return only == "" || dir == "/" || dir == path.Clean(only)
}

// listenData opens a port for the next data connection, on the address to which the client
// has connected.
func (f *ftpSession) listenData(word string) {
	f.closeData()
	local, err := netip.ParseAddrPort(f.conn.LocalAddr().String())
	if err != nil || word == "EPSV" && f.config.Options["epsv"] != "" &&
		!isOn(f.config.Options["epsv"]) || word == "PASV" && !local.Addr().Unmap().Is4() {
		f.reply(502, "Command not implemented.")
		return
	}
	f.data, err = f.config.Transport.Listen(f.connCtx, network.ListenConfig{
		Addr: netip.AddrPortFrom(local.Addr(), 0), Backlog: 1, Owner: f.config.Name,
	})
	if err != nil {
		f.data = nil
		f.reply(425, "Can't open a data connection.")
		return
	}
	at, _ := netip.ParseAddrPort(f.data.Addr().String())
	if word == "EPSV" {
		f.reply(229, fmt.Sprintf("Entering Extended Passive Mode (|||%d|)", at.Port()))
		return
	}
	a := local.Addr().Unmap().As4()
	f.reply(227, fmt.Sprintf("Entering Passive Mode (%d,%d,%d,%d,%d,%d)", a[0], a[1], a[2], a[3],
		at.Port()>>8, at.Port()&0xff))
}

func (f *ftpSession) closeData() {
	if f.data != nil {
		f.data.Close()
		f.data = nil
	}
}

// A partReader is a data connection on which each Read waits at most ftpIdle.
type partReader struct{ network.Conn }

func (r partReader) Read(b []byte) (int, error) {
	_ = r.SetReadDeadline(clock.System().Now().Add(ftpIdle))
	return r.Conn.Read(b)
}

// store receives a file over the data connection that the client opens.
func (f *ftpSession) store(name string) {
	defer f.closeData()
	switch {
	case f.refuse("upload") || !f.exists(path.Dir(name)):
		f.reply(553, path.Base(name)+": Permission denied.")
		return
	case f.data == nil:
		f.reply(425, "Use PASV or EPSV first.")
		return
	}
	wait, done := context.WithTimeout(f.connCtx, ftpAccept)
	defer done()
	l := f.data
	stop := context.AfterFunc(wait, func() { l.Close() })
	c, err := l.AcceptConn()
	stop()
	if err != nil {
		f.reply(425, "Can't open a data connection.")
		return
	}
	defer c.Close()
	defer context.AfterFunc(f.connCtx, c.Abort)()
	f.reply(150, "Go ahead.")
	client, _ := netip.ParseAddrPort(f.conn.RemoteAddr().String())
	whole, err := f.receive(
		Upload{Time: f.config.Clock.Now(), Client: client, User: f.user, Name: name}, partReader{c}, -1)
	switch {
	case err != nil:
		f.reply(426, "The data connection broke.")
	case !whole:
		f.reply(552, "No space left on device.")
	default:
		f.reply(226, "Transfer complete.")
	}
}
