package transfer_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/files"
	"github.com/esasim/esasim/transfer"
)

// A talk is a control connection that a test types on.
type talk struct {
	t    testing.TB
	conn net.Conn
	in   *bufio.Reader
}

// connect opens a control connection from an address of the loopback network and
// reads the greeting.
func connect(t testing.TB, f *ftpServer, from string) *talk {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := d.Dial("tcp", f.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	k := &talk{t, conn, bufio.NewReader(conn)}
	k.expect("220 example.com FTP server ready.")
	return k
}

// login is connect, and admin's login.
func login(t testing.TB, f *ftpServer) *talk {
	t.Helper()
	k := connect(t, f, "127.0.0.1")
	k.say("USER admin", "331")
	k.say("PASS ironport", "230")
	return k
}

// reply reads a reply, of one line or several.
func (k *talk) reply() string {
	k.t.Helper()
	k.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	var all strings.Builder
	for {
		line, err := k.in.ReadString('\n')
		if err != nil {
			return strings.TrimSpace(all.String() + err.Error())
		}
		if !strings.HasSuffix(line, "\r\n") {
			k.t.Errorf("a line ends without CR: %q", line)
		}
		all.WriteString(strings.ReplaceAll(line, "\r\n", "\n"))
		if len(line) > 3 && line[3] == ' ' && line[0] != ' ' {
			return strings.TrimSuffix(all.String(), "\n")
		}
	}
}

// expect reads a reply that begins with want.
func (k *talk) expect(want string) string {
	k.t.Helper()
	got := k.reply()
	if !strings.HasPrefix(got, want) {
		k.t.Errorf("got %q, want %q", got, want)
	}
	return got
}

func (k *talk) say(command, want string) string {
	k.t.Helper()
	if _, err := io.WriteString(k.conn, command+"\r\n"); err != nil {
		k.t.Errorf("%s: %v", command, err)
	}
	got := k.reply()
	if !strings.HasPrefix(got, want) {
		k.t.Errorf("%s: got %q, want %q", command, got, want)
	}
	return got
}

// passive opens a data connection.
func (k *talk) passive() net.Conn {
	k.t.Helper()
	var port int
	got := k.say("EPSV", "229")
	if _, err := fmt.Sscanf(got, "229 Entering Extended Passive Mode (|||%d|)", &port); err != nil {
		k.t.Fatalf("%q: %v", got, err)
	}
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(func() { conn.Close() })
	return conn
}

// fetch runs a command that sends something over a data connection.
func (k *talk) fetch(command string) string {
	k.t.Helper()
	conn := k.passive()
	k.say(command, "150")
	b, err := io.ReadAll(conn)
	if err != nil {
		k.t.Errorf("%s: %v", command, err)
	}
	conn.Close()
	k.expect("226")
	return string(b)
}

// store runs a command that takes something over a data connection.
func (k *talk) store(command, data, want string) {
	k.t.Helper()
	conn := k.passive()
	k.say(command, "150")
	if _, err := io.WriteString(conn, data); err != nil {
		k.t.Errorf("%s: %v", command, err)
	}
	conn.Close()
	k.expect(want)
}

// Commands and replies, one session for each line. "..." before a command keeps the
// session of the line above.
func TestFTPReplies(t *testing.T) {
	f := startFTP(t, newStore(t, 1000), nil)
	for _, script := range []string{
		"PWD = 257 \"/data/pub\" is the current directory.",
		"CWD /configuration = 250; PWD = 257 \"/data/pub/configuration\"; CDUP = 250; PWD = 257 \"/data/pub\"; CWD = 250; CWD ~ = 250",
		"CWD none = 550 none: No such file or directory.; CWD diagnostic/a.cap = 550; PWD = 257 \"/data/pub\"",
		"CWD /var/log = 250; PWD = 257 \"/var/log\"; CWD mail_logs = 250; SIZE mail.current = 550; TYPE I = 200; SIZE mail.current = 213 19",
		"CWD ../../../../.. = 250; PWD = 257 \"/\"; CWD /etc = 550",
		"XPWD = 257; XCWD /diagnostic = 250; XCUP = 250; XMKD configuration/x = 257 \"/data/pub/configuration/x\" directory created.; XRMD configuration/x = 250",
		`MKD configuration/a"b = 257 "/data/pub/configuration/a""b"; RMD configuration/a"b = 250; MKD x = 550 x: Permission denied.; MKD configuration = 550 configuration: File exists.`,
		"RMD configuration = 550; RMD configuration/none = 550; PWD = 257 \"/data/pub\"", // a failing RMD leaves the directory
		"MKD = 501; CWD  none = 550; DELE none = 550; DELE diagnostic = 550",
		"RNTO x = 503; RNFR none = 550; RNTO x = 503; RNFR configuration/old.xml = 350; RNTO configuration/new.xml = 250; RNTO configuration/x = 503; RNFR configuration/new.xml = 350; RNTO configuration/old.xml = 250",
		"RNFR captures/a.cap = 350; RNTO configuration/x = 550",
		"TYPE A = 200; TYPE A N = 200; TYPE I = 200; TYPE L 8 = 200; TYPE E = 504; TYPE = 501; MODE S = 200; MODE B = 504; STRU F = 200; STRU R = 504",
		"SYST = 215 UNIX Type: L8; NOOP = 200; ACCT x = 202; ALLO 10 = 200; ALLO 10000 = 552; ALLO x = 501; SITE HELP = 214; SITE CHMOD 644 x = 202; SITE EXEC id = 504",
		"HELP = 214-The following; HELP retr = 214; HELP xyzzy = 502; FEAT = 211-Extensions supported:; OPTS UTF8 ON = 200; OPTS UTF8 OFF = 504; OPTS XYZ = 501",
		"AUTH TLS = 502; PBSZ 0 = 502; PROT P = 502; LPRT 4,4,127,0,0,1,2,1,1 = 502; REIN = 502; XYZZY = 500",
		"TYPE I = 200; SIZE captures/a.cap = 213 9; SIZE captures = 550; SIZE none = 550; MDTM none = 550; MDTM captures/a.cap = 213 2",
		"TYPE I = 200; REST 5 = 350; REST -1 = 501; REST x = 501; TYPE A = 200; REST 5 = 501; REST 0 = 350",
		"MFMT 20150625085003 configuration/old.xml = 213 Modify=20150625085003; configuration/old.xml",
		"MDTM configuration/old.xml = 213 20150625085003; MFMT 2015 x = 501; MFMT 20150625085003 captures/a.cap = 550",
		"RETR captures/a.cap = 425; STOR configuration/old.xml = 425; APPE configuration/old.xml = 425; LIST = 425; NLST = 425; MLSD = 425", // and nothing was touched
		"RETR none = 550; STOR captures/x = 550 captures/x: Permission denied.; STOR configuration = 550; STOR configuration/none/x = 550; NLST *.none = 550; LIST none = 550; MLSD none = 550; MLSD captures/a.cap = 501",
		"PORT 1,2 = 501; PORT 127,0,0,1,256,1 = 501; PORT 127,0,0,1,0,0 = 501; PORT 127,0,0,1,3,255 = 500; PORT 127,0,0,2,9,9 = 500; PORT 10,0,0,1,9,9 = 500; PORT 127,0,0,1,9,9 = 200",
		"EPRT |1 = 501; EPRT |1|127.0.0.1 = 501; EPRT |1|127.0.0.1|80| = 500; EPRT |1|127.0.0.2|2000| = 500; EPRT |3|x|1| = 522; EPRT |2|::1|2000| = 522; EPRT |1|127.0.0.1|2000| = 200; EPRT = 501",
		"EPSV 2 = 522; EPSV 1 = 229; EPSV ALL = 200; PASV = 501; PORT 127,0,0,1,9,9 = 501; EPRT |1|127.0.0.1|2000| = 501; EPSV = 229",
		"PASV = 227 Entering Passive Mode (127,0,0,1,; ABOR = 226; RETR captures/a.cap = 425",
		"USER other = 530; PASS x = 503; STAT = 211-FTP server status:; QUIT = 221",
		"STAT captures/a.cap = 213-Status of captures/a.cap:; MLST captures/a.cap = 250-Begin; MLST none = 550",
	} {
		k := login(t, f)
		for step := range strings.SplitSeq(script, "; ") {
			if command, want, ok := strings.Cut(step, " = "); ok {
				k.say(command, want)
			}
		}
		k.conn.Close()
	}
}

func TestFTPBeforeLogin(t *testing.T) {
	f := startFTP(t, newStore(t, 0), nil)
	k := connect(t, f, "127.0.0.1")
	for command, want := range map[string]string{
		"PWD": "530", "LIST": "530", "PASV": "530", "RETR captures/a.cap": "530", "STOR x": "530", "PASS x": "503", "PORT 1,2": "530",
		"USER": "501", "NOOP": "200", "FEAT": "211", "SYST": "215", "HELP": "214",
	} {
		k.say(command, want)
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
	k := login(t, f)
	const (
		a     = "-rw-r--r--   1 admin    config              9 Jun 25 08:50 "
		blank = "-rw-r--r--   1 admin    config             15 Jun 25 09:50 "
		aFact = "type=file;size=9;modify=20150625085003;perm=dr; "
		bFact = "type=file;size=15;modify=20150625095003;perm=dr; "
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
		"NLST -R /var":         "log\n\nlog:\ndiagnostic\nmail_logs\n\nlog/diagnostic:\na.cap\nwith blank.cap\n\nlog/mail_logs:\nmail.current\n",
		"MLSD /captures":       aFact + "a.cap\n" + bFact + "with blank.cap\n",
	} {
		got := k.fetch(command)
		if strings.Count(got, "\n") != strings.Count(got, "\r\n") {
			t.Errorf("%s: a line ends without CR", command)
		}
		if diff := cmp.Diff(want, strings.ReplaceAll(got, "\r\n", "\n")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", command, diff)
		}
	}
	for command, want := range map[string]string{
		"MLST captures/a.cap":     "250-Begin\n " + aFact + "/data/pub/captures/a.cap\n250 End",
		"STAT -l captures/a.cap":  "213-Status of -l captures/a.cap:\n " + a + "captures/a.cap\n213 End of status.",
		"FEAT":                    "211-Extensions supported:\n EPRT\n EPSV\n MDTM\n MFMT\n MLST type*;size*;modify*;perm*;\n REST STREAM\n SIZE\n TVFS\n UTF8\n211 End",
		"OPTS MLST size;Type;foo": "200 MLST OPTS type;size;",
	} {
		if diff := cmp.Diff(want, k.say(command, "")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", command, diff)
		}
	}
	k.say("MLST captures/a.cap", "250-Begin\n type=file;size=9; /data/pub/captures/a.cap\n250 End")
	k.say("FEAT", "211-Extensions supported:\n EPRT\n EPSV\n MDTM\n MFMT\n MLST type*;size*;modify;perm;\n")
}

func TestFTPText(t *testing.T) {
	s := newStore(t, 0)
	k := login(t, startFTP(t, s, nil)) // ASCII is the type to begin with
	if got := k.fetch("RETR /mail_logs/mail.current"); got != "a log\r\nof two lines\r\n" {
		t.Errorf("on the wire: %q", got)
	}
	k.store("STOR configuration/text", "one\r\ntwo\rthree\r\r\nfour\r", "226")
	if got := content(t, s, "data/pub/configuration/text"); got != "one\ntwo\rthree\r\nfour\r" {
		t.Errorf("stored: %q", got)
	}
	if got := k.fetch("RETR configuration/text"); got != "one\r\ntwo\rthree\r\r\nfour\r" {
		t.Errorf("back again: %q", got)
	}
	k.say("TYPE I", "200")
	if got := k.fetch("RETR configuration/text"); got != "one\ntwo\rthree\r\nfour\r" {
		t.Errorf("as it is: %q", got)
	}
}

func TestFTPResume(t *testing.T) {
	s := newStore(t, 0)
	k := login(t, startFTP(t, s, nil))
	k.say("TYPE I", "200")
	k.say("REST 2", "350")
	if got := k.fetch("RETR captures/a.cap"); got != "capture" {
		t.Errorf("from the second byte: %q", got)
	}
	if got := k.fetch("RETR captures/a.cap"); got != "a capture" {
		t.Errorf("an offset holds for one transfer, but then came %q", got)
	}
	k.say("REST 9", "350")
	if got := k.fetch("RETR captures/a.cap"); got != "" {
		t.Errorf("from the end: %q", got)
	}
	k.say("REST 10", "350")
	k.say("RETR captures/a.cap", "554")

	k.store("STOR configuration/up", "0123456789", "226")
	k.say("REST 4", "350")
	k.store("STOR configuration/up", "abc", "226")
	if got := content(t, s, "data/pub/configuration/up"); got != "0123abc" {
		t.Errorf("after a resumed upload: %q", got)
	}
	k.store("APPE configuration/up", "XYZ", "226")
	k.store("APPE configuration/new", "AAA", "226")
	if got := content(t, s, "data/pub/configuration/up") + content(t, s, "data/pub/configuration/new"); got != "0123abcXYZAAA" {
		t.Errorf("after APPE: %q", got)
	}
	k.say("REST 100", "350")
	k.say("STOR configuration/up", "554")

	k.say("CWD configuration", "250")
	k.store("STOU up", "one", "226")
	k.store("STOU up", "two", "226")
	if got := content(t, s, "data/pub/configuration/up.2"); got != "two" {
		t.Errorf("after STOU: %q", got)
	}
}

func TestFTPActive(t *testing.T) {
	s := newStore(t, 0)
	f := startFTP(t, s, func(o *transfer.FTPOptions) { o.DataTimeout = 10 * time.Second })
	k := login(t, f)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	port := ln.Addr().(*net.TCPAddr).Port
	for _, command := range []string{
		fmt.Sprintf("PORT 127,0,0,1,%d,%d", port>>8, port&255),
		fmt.Sprintf("EPRT |1|127.0.0.1|%d|", port),
	} {
		k.say(command, "200")
		if _, err := io.WriteString(k.conn, "RETR captures/a.cap\r\n"); err != nil {
			t.Fatal(err)
		}
		conn, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(conn)
		conn.Close()
		if string(b) != "a capture" {
			t.Errorf("%s: %q", command, b)
		}
		k.expect("150")
		k.expect("226")
	}
	if d := f.net.dialed[0]; d.Local.Addr() != netip.MustParseAddr("127.0.0.1") || d.Owner != "ftpd.main" || d.User != "root" {
		t.Errorf("dialled as %+v", d)
	}
	ln.Close()
	k.say(fmt.Sprintf("EPRT |1|127.0.0.1|%d|", port), "200")
	k.say("RETR captures/a.cap", "150")
	k.expect("425")
	k.say("NOOP", "200")
}

// A passive port is for the client that asked for it.
func TestFTPTheft(t *testing.T) {
	f := startFTP(t, newStore(t, 0), nil)
	k := login(t, f)
	var port int
	if _, err := fmt.Sscanf(k.say("EPSV", "229"), "229 Entering Extended Passive Mode (|||%d|)", &port); err != nil {
		t.Fatal(err)
	}
	at := fmt.Sprintf("127.0.0.1:%d", port)
	thief := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP("127.0.0.3")}}
	stolen, err := thief.Dial("tcp", at)
	if err != nil {
		t.Skip("only one loopback address here:", err)
	}
	defer stolen.Close()
	k.say("RETR captures/a.cap", "150")
	if b, _ := io.ReadAll(stolen); len(b) != 0 {
		t.Errorf("stolen: %q", b)
	}
	own, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	if b, err := io.ReadAll(own); string(b) != "a capture" {
		t.Errorf("its owner got %q, %v", b, err)
	}
	k.expect("226")
}

// However often a client asks, it has one passive port; and none once it is gone.
func TestFTPPassivePorts(t *testing.T) {
	f := startFTP(t, newStore(t, 0), func(o *transfer.FTPOptions) { o.PassiveLow, o.PassiveHigh = 18121, 18122 })
	k := login(t, f)
	seen := map[int]bool{}
	for range 150 {
		var h [4]int
		var hi, lo int
		if _, err := fmt.Sscanf(k.say("PASV", "227"), "227 Entering Passive Mode (%d,%d,%d,%d,%d,%d).", &h[0], &h[1], &h[2], &h[3], &hi, &lo); err != nil {
			t.Fatal(err)
		}
		seen[hi<<8|lo] = true
	}
	if len(seen) != 2 || !seen[18121] || !seen[18122] {
		t.Errorf("ports %v, want 18121 and 18122", seen)
	}
	if n := f.net.listeners(); n != 1 {
		t.Errorf("%d passive ports are open", n)
	}
	if c := f.net.listen[0]; c.Owner != "ftpd.main" || c.User != "root" || c.Addr.Addr() != netip.MustParseAddr("127.0.0.1") {
		t.Errorf("listened as %+v", c)
	}
	k.say("QUIT", "221")
	if _, err := k.in.ReadByte(); err != io.EOF {
		t.Errorf("after QUIT: %v", err)
	}
}

// bigFile gives a store a file that no socket buffer swallows.
func bigFile(t *testing.T, s *files.Store) {
	t.Helper()
	f, err := s.Create("data/pub/diagnostic/big.cap")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(256<<20), f.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestFTPAbort(t *testing.T) {
	for name, abort := range map[string]string{
		"plain":                     "ABOR\r\n",
		"telnet's way":              "\xff\xf4\xff\xf2ABOR\r\n",
		"with the urgent byte lost": "\xff\xf4\xffABOR\r\n",
		"in small letters":          "abor\r\n",
		"behind a subnegotiation":   "\xff\xfa\x18\x00xyz\xff\xf0\xff\xfb\x01ABOR\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t, 0)
			bigFile(t, s)
			k := login(t, startFTP(t, s, nil))
			k.say("TYPE I", "200")
			conn := k.passive()
			k.say("RETR captures/big.cap", "150")
			if _, err := io.ReadFull(conn, make([]byte, 1000)); err != nil { // and then it stalls
				t.Fatal(err)
			}
			if _, err := io.WriteString(k.conn, abort); err != nil {
				t.Fatal(err)
			}
			k.expect("426")
			k.expect("226")
			k.say("PWD", "257")
			if got := k.fetch("RETR captures/a.cap"); got != "a capture" {
				t.Errorf("the next transfer: %q", got)
			}
		})
	}
}

// A client that leaves takes its stalled transfers along.
func TestFTPClientGoesAwayDuringATransfer(t *testing.T) {
	s := newStore(t, 0)
	bigFile(t, s)
	ended := make(chan string, 2)
	f := startFTP(t, s, func(o *transfer.FTPOptions) {
		o.LoggedIn = func(user string, _ netip.Addr) func() { return func() { ended <- user } }
	})
	k := login(t, f)
	k.passive()
	k.say("RETR captures/big.cap", "150")
	k.conn.Close()
	<-ended
	k = login(t, f)
	k.passive()
	k.say("STOR configuration/up", "150")
	k.conn.Close()
	<-ended
}

func TestFTPUploadBreaksOff(t *testing.T) {
	s := newStore(t, 0)
	k := login(t, startFTP(t, s, nil))
	k.say("TYPE I", "200")
	conn := k.passive()
	k.say("STOR configuration/half", "150")
	if _, err := io.WriteString(conn, "half of it"); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	k.expect("226") // FTP cannot tell half a file from a whole one
	conn = k.passive()
	k.say("STOR configuration/old.xml", "150")
	if _, err := io.WriteString(conn, "new"); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	conn.Close() // a reset
	k.expect("426")
}

func TestFTPFullDisk(t *testing.T) {
	s := newStore(t, 100)
	k := login(t, startFTP(t, s, nil))
	k.say("TYPE I", "200")
	k.store("STOR configuration/old.xml", strings.Repeat("x", 100), "552")
	if got := content(t, s, "data/pub/configuration/old.xml"); got != "precious" {
		t.Errorf("the old file holds %q", got)
	}
}

func TestFTPIdle(t *testing.T) {
	clk := clock.NewFake(time.Date(2015, 6, 25, 0, 0, 0, 0, time.UTC))
	s := newStore(t, 0)
	bigFile(t, s)
	f := startFTP(t, s, func(o *transfer.FTPOptions) { o.Clock = clk })
	k := login(t, f)
	conn := k.passive()
	k.say("RETR captures/big.cap", "150")
	clk.Advance(10 * time.Minute) // a transfer is not idle
	if n, err := io.Copy(io.Discard, conn); n != 256<<20 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	k.expect("226")
	k.say("NOOP", "200")
	advanceUntilReply(t, clk, k, "421 Timeout (300 seconds): closing control connection.")
}

// advanceUntilReply moves the clock on until the session, which may not have begun
// to wait yet, says want.
func advanceUntilReply(t *testing.T, clk *clock.Fake, k *talk, want string) {
	t.Helper()
	got := make(chan string)
	go func() { got <- k.reply() }()
	for {
		select {
		case reply := <-got:
			if reply != want {
				t.Errorf("got %q", reply)
			}
			return
		default:
			clk.Advance(time.Minute)
		}
	}
}

func TestFTPLimits(t *testing.T) {
	f := startFTP(t, newStore(t, 0), func(o *transfer.FTPOptions) { o.MaxSessions, o.MaxPerAddr = 3, 2 })
	first := login(t, f)
	login(t, f)
	refused := func(from, want string) {
		t.Helper()
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		conn, err := d.Dial("tcp", f.addr)
		if err != nil {
			t.Skip("only one loopback address here:", err)
		}
		defer conn.Close()
		if b, _ := io.ReadAll(conn); string(b) != want {
			t.Errorf("from %s: %q", from, b)
		}
	}
	refused("127.0.0.1", "421 Too many connections from your address.\r\n")
	connect(t, f, "127.0.0.2")
	refused("127.0.0.3", "421 Too many connections, try again later.\r\n")

	if _, err := first.conn.Write([]byte("NOOP" + strings.Repeat("x", 5000))); err != nil {
		t.Fatal(err)
	}
	first.expect("421 Command line too long.")
}

// A guard that counts, and blocks at the second failure.
type guard struct {
	mu                sync.Mutex
	failed, succeeded int
}

func (g *guard) Admit(netip.Addr) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.failed < 2
}

func (g *guard) Failed(netip.Addr) (time.Duration, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.failed++
	return time.Second, g.failed == 2
}

func (g *guard) Succeeded(netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.succeeded++
}

func TestFTPLogins(t *testing.T) {
	clk := clock.NewFake(time.Date(2015, 6, 25, 0, 0, 0, 0, time.UTC))
	g := &guard{}
	f := startFTP(t, newStore(t, 0), func(o *transfer.FTPOptions) { o.Guard, o.Clock = g, clk })
	k := login(t, f)
	k.say("RETR /captures/a.cap", "425")
	k.say("QUIT", "221")
	k = connect(t, f, "127.0.0.1")
	before := clk.Now()
	k.say("USER admin", "331")
	k.say("PASS wrong", "530")
	k.say("PASS wrong", "503")
	k.say("USER admin", "331")
	k.say("PASS ", "530")
	k.expect("421 Too many failed logins.") // the guard has blocked the address
	if passed := clk.Now().Sub(before); passed != 2*time.Second || g.succeeded != 1 {
		t.Errorf("answers were held back for %v, %d logins succeeded", passed, g.succeeded)
	}
	conn, err := net.Dial("tcp", f.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if b, _ := io.ReadAll(conn); !strings.HasPrefix(string(b), "421 ") {
		t.Errorf("a blocked address is greeted with %q", b)
	}
}

func TestFTPTriesOfOneSession(t *testing.T) {
	k := connect(t, startFTP(t, newStore(t, 0), nil), "127.0.0.1")
	for range 3 {
		k.say("USER admin", "331")
		k.say("PASS wrong", "530")
	}
	k.expect("421 Too many failed logins.")
}

func TestFTPLog(t *testing.T) {
	f := startFTP(t, newStore(t, 0), nil)
	k := login(t, f)
	k.fetch("RETR captures/a.cap")
	k.store("STOR configuration/up", "12345", "226")
	k.say("DELE configuration/up", "250")
	k.say("QUIT", "221")
	if err := f.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"ID:1 Connection from 127.0.0.1 on 127.0.0.1",
		"ID:1 User admin login SUCCESS",
		"ID:1 Download captures/a.cap 9 bytes",
		"ID:1 Upload configuration/up 5 bytes",
		"ID:1 Delete configuration/up",
		"ID:1 User admin logout",
	}
	if diff := cmp.Diff(want, f.log); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

func TestFTPStop(t *testing.T) {
	s := newStore(t, 0)
	bigFile(t, s)
	f := startFTP(t, s, func(o *transfer.FTPOptions) {
		o.Reason = func(context.Context) string { return "The system is going down." }
	})
	idle, busy := login(t, f), login(t, f)
	conn := busy.passive()
	busy.say("RETR captures/big.cap", "150")
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if err := f.Stop(context.Background()); err != nil {
		t.Error(err)
	}
	idle.expect("421 The system is going down.")
	busy.expect("426")
	busy.expect("421 The system is going down.")
	if _, err := net.Dial("tcp", f.addr); err == nil {
		t.Error("the port is still open")
	}
	if err := f.Stop(context.Background()); err != nil {
		t.Errorf("a second Stop: %v", err)
	}
}

func TestFTPStopWithoutStart(t *testing.T) {
	if err := transfer.NewFTPServer(transfer.FTPOptions{}).Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

// Commands that come while another is carried out wait their turn.
func TestFTPPipelined(t *testing.T) {
	k := login(t, startFTP(t, newStore(t, 0), nil))
	if _, err := io.WriteString(k.conn, strings.Repeat("NOOP\r\n", 20_000)+"PWD\r\n"); err != nil {
		t.Fatal(err)
	}
	for range 20_000 {
		k.expect("200")
	}
	k.expect("257")
}

func TestFTPBeyondTwoGiB(t *testing.T) {
	s := newStore(t, 0)
	f, err := s.Create("data/pub/diagnostic/huge.cap")
	if err != nil {
		t.Fatal(err)
	}
	const size = 2<<30 + 5
	_, err = f.WriteAt([]byte("tail"), size-4)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	k := login(t, startFTP(t, s, nil))
	k.say("TYPE I", "200")
	k.say("SIZE captures/huge.cap", "213 2147483653")
	k.say("REST 2147483649", "350")
	if got := k.fetch("RETR captures/huge.cap"); got != "tail" {
		t.Errorf("got %q", got)
	}
}
