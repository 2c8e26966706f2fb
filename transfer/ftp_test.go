package transfer_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/transfer"
)

// A controlConn is the client's end of a control connection.
type controlConn struct {
	t    testing.TB
	conn net.Conn
	in   *bufio.Reader
}

// connect opens a control connection from an address of the loopback network, and reads the
// greeting.
func connect(t testing.TB, f *ftpServer, from string) *controlConn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := d.Dial("tcp", f.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c := &controlConn{t, conn, bufio.NewReader(conn)}
	c.expect("220 example.com Cisco IronPort FTP server (V14.0.0-698) ready")
	return c
}

// connectAndLogin opens a control connection and logs in as admin.
func connectAndLogin(t testing.TB, f *ftpServer) *controlConn {
	t.Helper()
	c := connect(t, f, "127.0.0.1")
	c.command("USER admin", "331")
	c.command("PASS ironport", "230")
	return c
}

// reply reads a reply of one or more lines.
func (c *controlConn) reply() string {
	c.t.Helper()
	c.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	var all strings.Builder
	for {
		line, err := c.in.ReadString('\n')
		if err != nil {
			return strings.TrimSpace(all.String() + err.Error())
		}
		if !strings.HasSuffix(line, "\r\n") {
			c.t.Errorf("a line ends without CR: %q", line)
		}
		all.WriteString(strings.ReplaceAll(line, "\r\n", "\n"))
		if len(line) > 3 && line[3] == ' ' && line[0] != ' ' {
			return strings.TrimSuffix(all.String(), "\n")
		}
	}
}

// expect reads a reply that must begin with want.
func (c *controlConn) expect(want string) string {
	c.t.Helper()
	got := c.reply()
	if !strings.HasPrefix(got, want) {
		c.t.Errorf("got %q, want %q", got, want)
	}
	return got
}

// command sends a command and reads a reply that must begin with want.
func (c *controlConn) command(command, want string) string {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, command+"\r\n"); err != nil {
		c.t.Errorf("%s: %v", command, err)
	}
	got := c.reply()
	if !strings.HasPrefix(got, want) {
		c.t.Errorf("%s: got %q, want %q", command, got, want)
	}
	return got
}

// passive opens a passive data connection.
func (c *controlConn) passive() net.Conn {
	c.t.Helper()
	var port int
	got := c.command("EPSV", "229")
	if _, err := fmt.Sscanf(got, "229 Entering Extended Passive Mode (|||%d|)", &port); err != nil {
		c.t.Fatalf("%q: %v", got, err)
	}
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { conn.Close() })
	return conn
}

// fetch sends a command and returns what it sends over a data connection.
func (c *controlConn) fetch(command string) string {
	c.t.Helper()
	conn := c.passive()
	c.command(command, "150")
	b, err := io.ReadAll(conn)
	if err != nil {
		c.t.Errorf("%s: %v", command, err)
	}
	conn.Close()
	c.expect("226")
	return string(b)
}

// store sends a command and then data over a data connection. The final reply must begin with want.
func (c *controlConn) store(command, data, want string) {
	c.t.Helper()
	conn := c.passive()
	c.command(command, "150")
	if _, err := io.WriteString(conn, data); err != nil {
		c.t.Errorf("%s: %v", command, err)
	}
	conn.Close()
	c.expect(want)
}

// ftpSessions has the commands of sessions and the beginnings of their replies. A blank line
// separates two sessions, each of which begins after the login.
const ftpSessions = `
PWD = 257 "/data/pub" is the current directory.

CWD /configuration = 250
PWD = 257 "/data/pub/configuration"
CDUP = 250
PWD = 257 "/data/pub"
CWD = 250
CWD ~ = 250

CWD none = 550 none: No such file or directory.
CWD diagnostic/a.cap = 550
PWD = 257 "/data/pub"

CWD /var/log = 250
PWD = 257 "/var/log"
CWD mail_logs = 250
SIZE mail_logs.current = 550
TYPE I = 200
SIZE mail_logs.current = 213 19

CWD ../../../../.. = 250
PWD = 257 "/"
CWD /etc = 550

XPWD = 257
XCWD /diagnostic = 250
XCUP = 250
XMKD configuration/x = 257 "/data/pub/configuration/x" directory created.
XRMD configuration/x = 250

MKD configuration/a"b = 257 "/data/pub/configuration/a""b"
RMD configuration/a"b = 250
MKD x = 550 x: Permission denied.
MKD configuration = 550 configuration: File exists.

RMD configuration = 550
RMD configuration/none = 550
PWD = 257 "/data/pub"

MKD = 501
CWD  none = 550
DELE none = 550
DELE diagnostic = 550

RNTO x = 503
RNFR none = 550
RNTO x = 503
RNFR configuration/old.xml = 350
RNTO configuration/new.xml = 250
RNTO configuration/x = 503
RNFR configuration/new.xml = 350
RNTO configuration/old.xml = 250

RNFR captures/a.cap = 350
RNTO configuration/x = 550

TYPE A = 200
TYPE A N = 200
TYPE I = 200
TYPE L 8 = 200
TYPE E = 504
TYPE = 501
MODE S = 200
MODE B = 504
STRU F = 200
STRU R = 504

SYST = 215 UNIX Type: L8
NOOP = 200
ACCT x = 202
ALLO 10 = 200
ALLO 10000 = 552
ALLO x = 501
SITE HELP = 214
SITE CHMOD 644 x = 202
SITE EXEC id = 504

HELP = 214-The following
HELP retr = 214
HELP xyzzy = 502
FEAT = 211-Extensions supported:
OPTS UTF8 ON = 200
OPTS UTF8 OFF = 504
OPTS XYZ = 501

AUTH TLS = 502
PBSZ 0 = 502
PROT P = 502
LPRT 4,4,127,0,0,1,2,1,1 = 502
REIN = 502
XYZZY = 500

TYPE I = 200
SIZE captures/a.cap = 213 9
SIZE captures = 550
SIZE none = 550
MDTM none = 550
MDTM captures/a.cap = 213 2

TYPE I = 200
REST 5 = 350
REST -1 = 501
REST x = 501
TYPE A = 200
REST 5 = 501
REST 0 = 350

MFMT 20150625085003 configuration/old.xml = 213 Modify=20150625085003; configuration/old.xml

MDTM configuration/old.xml = 213 20150625085003
MFMT 2015 x = 501
MFMT 20150625085003 captures/a.cap = 550

RETR captures/a.cap = 425
STOR configuration/old.xml = 425
APPE configuration/old.xml = 425
LIST = 425
NLST = 425
MLSD = 425

RETR none = 550
STOR captures/x = 550 captures/x: Permission denied.
STOR configuration = 550
STOR configuration/none/x = 550
NLST *.none = 550
LIST none = 550
MLSD none = 550
MLSD captures/a.cap = 501

PORT 1,2 = 501
PORT 127,0,0,1,256,1 = 501
PORT 127,0,0,1,0,0 = 501
PORT 127,0,0,1,3,255 = 500
PORT 127,0,0,2,9,9 = 500
PORT 10,0,0,1,9,9 = 500
PORT 127,0,0,1,9,9 = 200

EPRT |1 = 501
EPRT |1|127.0.0.1 = 501
EPRT |1|127.0.0.1|80| = 500
EPRT |1|127.0.0.2|2000| = 500
EPRT |3|x|1| = 522
EPRT |2|::1|2000| = 522
EPRT |1|127.0.0.1|2000| = 200
EPRT = 501

EPSV 2 = 522
EPSV 1 = 229
EPSV ALL = 200
PASV = 501
PORT 127,0,0,1,9,9 = 501
EPRT |1|127.0.0.1|2000| = 501
EPSV = 229

PASV = 227 Entering Passive Mode (127,0,0,1,
ABOR = 226
RETR captures/a.cap = 425

USER other = 530
PASS x = 503
STAT = 211-FTP server status:
QUIT = 221

STAT captures/a.cap = 213-Status of captures/a.cap:
MLST captures/a.cap = 250-Begin
MLST none = 550
`

func TestFTPReplies(t *testing.T) {
	f := startFTP(t, newStore(t, 1000), nil)
	for session := range strings.SplitSeq(ftpSessions, "\n\n") {
		c := connectAndLogin(t, f)
		for line := range strings.Lines(session) {
			command, want, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " = ")
			if ok { // else the line is blank
				c.command(command, want)
			}
		}
		c.conn.Close()
	}
}

func TestFTPBeforeLogin(t *testing.T) {
	f := startFTP(t, newStore(t, 0), nil)
	c := connect(t, f, "127.0.0.1")
	for command, want := range map[string]string{
		"PWD": "530", "LIST": "530", "PASV": "530", "RETR captures/a.cap": "530", "STOR x": "530",
		"PASS x": "503", "PORT 1,2": "530",
		"USER": "501", "NOOP": "200", "FEAT": "211", "SYST": "215", "HELP": "214",
	} {
		c.command(command, want)
	}
}

func TestFTPListings(t *testing.T) {
	s := newStore(t, 0)
	stamp := time.Date(2015, 6, 25, 8, 50, 3, 0, time.UTC)
	for _, name := range []string{"data/pub/diagnostic/a.cap", "data/pub/diagnostic/with blank.cap"} {
		if err := s.Chtimes(name, stamp); err != nil {
			t.Fatal(err)
		}
		stamp = stamp.Add(time.Hour)
	}
	s.SetZone(func() *time.Location { return time.UTC })
	f := startFTP(t, s, func(o *transfer.FTPOptions) { o.Clock = clock.NewFake(stamp) })
	c := connectAndLogin(t, f)
	const (
		a     = "-rw-r--r--   1 admin    config              9 Jun 25 08:50 "
		blank = "-rw-r--r--   1 admin    config             15 Jun 25 09:50 "
		unix  = "UNIX.mode=0644;UNIX.owner=admin;UNIX.group=config; "
		aFact = "type=file;size=9;modify=20150625085003;perm=dr;" + unix
		bFact = "type=file;size=15;modify=20150625095003;perm=dr;" + unix

		extensions = "211-Extensions supported:\n EPRT\n EPSV\n MDTM\n MFMT\n"
	)
	for command, want := range map[string]string{
		"LIST captures":        a + "a.cap\n" + blank + "with blank.cap\n",
		"LIST -la captures":    a + "a.cap\n" + blank + "with blank.cap\n",
		"LIST -lt captures":    blank + "with blank.cap\n" + a + "a.cap\n",
		"LIST -ltr captures":   a + "a.cap\n" + blank + "with blank.cap\n",
		"LIST -S captures":     blank + "with blank.cap\n" + a + "a.cap\n",
		"LIST captures/a.cap":  a + "captures/a.cap\n",
		"LIST captures/w*":     blank + "captures/with blank.cap\n",
		"NLST":                 "configuration\ndiagnostic\nmail_logs\n",
		"NLST captures":        "a.cap\nwith blank.cap\n",
		"NLST captures/*.cap":  "captures/a.cap\ncaptures/with blank.cap\n",
		"NLST */a.cap":         "/data/pub/diagnostic/a.cap\n",
		"NLST captures/a.cap":  "captures/a.cap\n",
		"NLST -l captures/a.*": a + "captures/a.cap\n",
		"NLST -R /var": "log\n\nlog:\ndiagnostic\nmail_logs\n\n" +
			"log/diagnostic:\na.cap\nwith blank.cap\n\nlog/mail_logs:\nmail_logs.current\n",
		"MLSD /captures": aFact + "a.cap\n" + bFact + "with blank.cap\n",
	} {
		got := c.fetch(command)
		if strings.Count(got, "\n") != strings.Count(got, "\r\n") {
			t.Errorf("%s: a line ends without CR", command)
		}
		if diff := cmp.Diff(want, strings.ReplaceAll(got, "\r\n", "\n")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", command, diff)
		}
	}
	for command, want := range map[string]string{
		"MLST captures/a.cap": "250-Begin\n " + aFact + "/data/pub/captures/a.cap\n250 End",
		"STAT -l captures/a.cap": "213-Status of -l captures/a.cap:\n " + a + "captures/a.cap\n" +
			"213 End of status.",
		"FEAT": extensions + " MLST type*;size*;modify*;perm*;UNIX.mode*;UNIX.owner*;UNIX.group*;\n" +
			" REST STREAM\n SIZE\n TVFS\n UTF8\n211 End",
	} {
		if diff := cmp.Diff(want, c.command(command, "")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", command, diff)
		}
	}
	c.command("OPTS MLST size;Type;foo", "200 MLST OPTS type;size;")
	c.command("MLST captures/a.cap", "250-Begin\n type=file;size=9; /data/pub/captures/a.cap\n250 End")
	c.command("FEAT", extensions+
		" MLST type*;size*;modify;perm;UNIX.mode;UNIX.owner;UNIX.group;\n")
	c.command("OPTS MLST unix.mode", "200 MLST OPTS UNIX.mode;")
	c.command("MLST captures", "250-Begin\n UNIX.mode=0755; /data/pub/captures\n250 End")
}

func TestFTPASCIIType(t *testing.T) {
	s := newStore(t, 0)
	c := connectAndLogin(t, startFTP(t, s, nil)) // the initial type is ASCII
	if got := c.fetch("RETR /mail_logs/mail_logs.current"); got != "a log\r\nof two lines\r\n" {
		t.Errorf("sent as %q", got)
	}
	c.store("STOR configuration/text", "one\r\ntwo\rthree\r\r\nfour\r", "226")
	if got := readFile(t, s, "data/pub/configuration/text"); got != "one\ntwo\rthree\r\nfour\r" {
		t.Errorf("stored as %q", got)
	}
	if got := c.fetch("RETR configuration/text"); got != "one\r\ntwo\rthree\r\r\nfour\r" {
		t.Errorf("sent back as %q", got)
	}
	c.command("TYPE I", "200")
	if got := c.fetch("RETR configuration/text"); got != "one\ntwo\rthree\r\nfour\r" {
		t.Errorf("sent with TYPE I as %q", got)
	}
}

func TestFTPResume(t *testing.T) {
	s := newStore(t, 0)
	c := connectAndLogin(t, startFTP(t, s, nil))
	c.command("TYPE I", "200")
	c.command("REST 2", "350")
	if got := c.fetch("RETR captures/a.cap"); got != "capture" {
		t.Errorf("from offset 2: %q", got)
	}
	if got := c.fetch("RETR captures/a.cap"); got != "a capture" {
		t.Errorf("the offset was used for a second transfer: %q", got)
	}
	c.command("REST 9", "350")
	if got := c.fetch("RETR captures/a.cap"); got != "" {
		t.Errorf("from the end: %q", got)
	}
	c.command("REST 10", "350")
	c.command("RETR captures/a.cap", "554")

	c.store("STOR configuration/up", "0123456789", "226")
	c.command("REST 4", "350")
	c.store("STOR configuration/up", "abc", "226")
	if got := readFile(t, s, "data/pub/configuration/up"); got != "0123abc" {
		t.Errorf("after a resumed upload: %q", got)
	}
	c.store("APPE configuration/up", "XYZ", "226")
	c.store("APPE configuration/new", "AAA", "226")
	for name, want := range map[string]string{"up": "0123abcXYZ", "new": "AAA"} {
		if got := readFile(t, s, "data/pub/configuration/"+name); got != want {
			t.Errorf("%s after APPE: %q", name, got)
		}
	}
	c.command("REST 100", "350")
	c.command("STOR configuration/up", "554")

	c.command("CWD configuration", "250")
	c.store("STOU up", "one", "226")
	c.store("STOU up", "two", "226")
	if got := readFile(t, s, "data/pub/configuration/up.2"); got != "two" {
		t.Errorf("after STOU: %q", got)
	}
}
