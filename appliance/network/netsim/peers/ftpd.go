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

var _ = register(Kind{
	Name: "ftpd",
	Port: 21,
	Options: refusals(map[string]func(string) error{
		"user":      nil,
		"password":  nil,
		"directory": checkDirectory,
		"epsv":      checkSwitch,
	}),
	New: func(c Config) Peer {
		s := &FTPServer{stream: stream{config: c}, uploads: uploadsOf(c)}
		s.serve = s.converse
		return s
	},
})

const (
	// ftpIdle is how long an FTPServer waits for a command, and for each part of a file.
	ftpIdle = 5 * time.Minute
	// ftpAccept is how long it waits for a data connection.
	ftpAccept = 30 * time.Second
)

// checkDirectory wants an absolute path.
func checkDirectory(s string) error {
	if !path.IsAbs(s) {
		return fmt.Errorf("%q, expected a directory such as /logs", s)
	}
	return nil
}

// An FTPServer takes files (RFC 959, 2428; passive mode only) and keeps them. With the
// option user only that user may log in, with password only so. With directory no other
// directory exists. With epsv off it speaks as servers did before RFC 2428.
type FTPServer struct {
	stream
	uploads
	life context.Context // of its connections
	end  context.CancelFunc
}

// Start listens on the host's addresses.
func (s *FTPServer) Start(ctx context.Context) error {
	s.life, s.end = context.WithCancel(context.Background())
	err := s.stream.Start(ctx)
	if err != nil {
		s.end()
	}
	return err
}

// Stop cuts the connections and waits for their goroutines.
func (s *FTPServer) Stop() {
	if s.end != nil {
		s.end()
	}
	s.stream.Stop()
}

// An ftpSession is a control connection.
type ftpSession struct {
	*FTPServer
	conn network.Conn
	user string
	in   bool   // logged in
	dir  string // the current one
	data network.Listener
}

// converse answers commands until QUIT or the end of the connection.
func (s *FTPServer) converse(c network.Conn) {
	f := &ftpSession{FTPServer: s, conn: c, dir: "/"}
	defer f.closeData()
	f.say(220, "FTP server ready.")
	for lines := bufio.NewReaderSize(c, 4096); ; {
		_ = c.SetDeadline(clock.System().Now().Add(ftpIdle))
		line, err := lines.ReadSlice('\n')
		if err != nil {
			return // also where a line is too long
		}
		word, arg, _ := strings.Cut(strings.TrimRight(string(line), "\r\n"), " ")
		if !f.obey(strings.ToUpper(word), arg) {
			return
		}
	}
}

// say sends a reply. Where that fails, the next read does too.
func (f *ftpSession) say(code int, text string) {
	_, _ = fmt.Fprintf(f.conn, "%d %s\r\n", code, text)
}

// obey carries out a command; false: the connection ends.
func (f *ftpSession) obey(word, arg string) bool {
	switch word {
	case "USER":
		f.user, f.in = arg, false
		f.say(331, "Password required.")
	case "PASS":
		f.logIn(arg)
	case "QUIT":
		f.say(221, "Goodbye.")
		return false
	case "NOOP":
		f.say(200, "OK.")
	default:
		if !f.in {
			f.say(530, "Please log in.")
			break
		}
		f.obeyUser(word, arg)
	}
	return true
}

func (f *ftpSession) logIn(password string) {
	user, want := f.config.Options["user"], f.config.Options["password"]
	if f.refuses("login") || user != "" && f.user != user || want != "" && password != want {
		f.say(530, "Login incorrect.")
		return
	}
	f.in = true
	f.say(230, "Logged in.")
}

// obeyUser carries out a command of somebody who has logged in.
func (f *ftpSession) obeyUser(word, arg string) {
	switch word {
	case "SYST":
		f.say(215, "UNIX Type: L8")
	case "FEAT":
		_, _ = fmt.Fprint(f.conn, "211-Features:\r\n EPSV\r\n UTF8\r\n211 End\r\n")
	case "TYPE", "MODE", "STRU", "OPTS":
		f.say(200, "OK.")
	case "PWD":
		f.say(257, fmt.Sprintf("%q is the current directory.", f.dir))
	case "CWD":
		if dir := f.full(arg); !f.exists(dir) {
			f.say(550, arg+": No such directory.")
		} else {
			f.dir = dir
			f.say(250, "OK.")
		}
	case "PASV", "EPSV":
		f.listenData(word)
	case "STOR":
		f.store(f.full(arg))
	default:
		f.say(502, "Command not implemented.")
	}
}

func (f *ftpSession) full(name string) string {
	if !path.IsAbs(name) {
		name = path.Join(f.dir, name)
	}
	return path.Clean(name)
}

func (f *ftpSession) exists(dir string) bool {
	only := f.config.Options["directory"]
	return only == "" || dir == "/" || dir == path.Clean(only)
}

// listenData opens a port for the next data connection on the address that the client
// reached.
func (f *ftpSession) listenData(word string) {
	f.closeData()
	local, err := netip.ParseAddrPort(f.conn.LocalAddr().String())
	if err != nil || word == "EPSV" && f.config.Options["epsv"] != "" && !on(f.config.Options["epsv"]) || word == "PASV" && !local.Addr().Unmap().Is4() {
		f.say(502, "Command not implemented.")
		return
	}
	f.data, err = f.config.Transport.Listen(f.life, network.ListenConfig{Addr: netip.AddrPortFrom(local.Addr(), 0), Backlog: 1, Owner: f.config.Name})
	if err != nil {
		f.data = nil
		f.say(425, "Can't open a data connection.")
		return
	}
	at, _ := netip.ParseAddrPort(f.data.Addr().String())
	if word == "EPSV" {
		f.say(229, fmt.Sprintf("Entering Extended Passive Mode (|||%d|)", at.Port()))
		return
	}
	a := local.Addr().Unmap().As4()
	f.say(227, fmt.Sprintf("Entering Passive Mode (%d,%d,%d,%d,%d,%d)", a[0], a[1], a[2], a[3], at.Port()>>8, at.Port()&0xff))
}

func (f *ftpSession) closeData() {
	if f.data != nil {
		f.data.Close()
		f.data = nil
	}
}

// A partReader waits ftpIdle for each part of a file.
type partReader struct{ network.Conn }

func (r partReader) Read(b []byte) (int, error) {
	_ = r.SetReadDeadline(clock.System().Now().Add(ftpIdle))
	return r.Conn.Read(b)
}

// store takes a file over the data connection that the client opens.
func (f *ftpSession) store(name string) {
	defer f.closeData()
	switch {
	case f.refuses("upload") || !f.exists(path.Dir(name)):
		f.say(553, path.Base(name)+": Permission denied.")
		return
	case f.data == nil:
		f.say(425, "Use PASV or EPSV first.")
		return
	}
	wait, done := context.WithTimeout(f.life, ftpAccept)
	defer done()
	l := f.data
	stop := context.AfterFunc(wait, func() { l.Close() })
	c, err := l.AcceptConn()
	stop()
	if err != nil {
		f.say(425, "Can't open a data connection.")
		return
	}
	defer c.Close()
	defer context.AfterFunc(f.life, c.Abort)()
	f.say(150, "Go ahead.")
	client, _ := netip.ParseAddrPort(f.conn.RemoteAddr().String())
	whole, err := f.receive(Upload{Time: f.config.Clock.Now(), Client: client, User: f.user, Name: name}, partReader{c}, -1)
	switch {
	case err != nil:
		f.say(426, "The data connection broke.")
	case !whole:
		f.say(552, "No space left on device.")
	default:
		f.say(226, "Transfer complete.")
	}
}
