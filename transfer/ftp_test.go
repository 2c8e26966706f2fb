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
		"MLST captures/a.cap":    "250-Begin\n " + aFact + "/data/pub/captures/a.cap\n250 End",
		"STAT -l captures/a.cap": "213-Status of -l captures/a.cap:\n " + a + "captures/a.cap\n213 End of status.",
		"FEAT":                   "211-Extensions supported:\n EPRT\n EPSV\n MDTM\n MFMT\n MLST type*;size*;modify*;perm*;\n REST STREAM\n SIZE\n TVFS\n UTF8\n211 End",
	} {
		if diff := cmp.Diff(want, k.say(command, "")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", command, diff)
		}
	}
	k.say("OPTS MLST size;Type;foo", "200 MLST OPTS type;size;")
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
