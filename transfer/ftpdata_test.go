package transfer_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/files"
	"github.com/esasim/esasim/transfer"
)

func TestFTPActive(t *testing.T) {
	s := newStore(t, 0)
	f := startFTP(t, s, func(o *transfer.FTPOptions) { o.DataTimeout = time.Minute })
	c := connectAndLogin(t, f)
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
		c.command(command, "200")
		if _, err := io.WriteString(c.conn, "RETR captures/a.cap\r\n"); err != nil {
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
		c.expect("150")
		c.expect("226")
	}
	local := netip.MustParseAddr("127.0.0.1")
	if d := f.net.dialed[0]; d.Local.Addr() != local || d.Owner != "ftpd.main" || d.User != "root" {
		t.Errorf("dialed with %+v", d)
	}
	ln.Close()
	c.command(fmt.Sprintf("EPRT |1|127.0.0.1|%d|", port), "200")
	c.command("RETR captures/a.cap", "150")
	c.expect("425")
	c.command("NOOP", "200")
}

// Each reply is a segment of its own: 150 before the data, 226 after the client has closed the data
// connection, even if there is little or no data.
func TestFTPRepliesAroundData(t *testing.T) {
	s := newStore(t, 0)
	if err := s.WriteFile("data/pub/configuration/empty", nil); err != nil {
		t.Fatal(err)
	}
	f := startFTP(t, s, func(o *transfer.FTPOptions) { o.CloseTimeout = time.Hour })
	c := connectAndLogin(t, f)
	segment := func() string {
		t.Helper()
		b := make([]byte, 4096)
		n, err := c.conn.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
	for _, command := range []string{
		"RETR captures/a.cap", "RETR configuration/empty", "LIST", "NLST", "MLSD", "LIST none*",
		"MLSD configuration",
	} {
		data := c.passive()
		if _, err := io.WriteString(c.conn, command+"\r\n"); err != nil {
			t.Fatal(err)
		}
		if command == "LIST none*" {
			c.expect("550")
			continue
		}
		if _, err := io.Copy(io.Discard, data); err != nil {
			t.Fatal(err)
		}
		if got := segment(); !strings.HasPrefix(got, "150 ") || strings.Count(got, "\n") != 1 {
			t.Errorf("%s: before the connection is closed: %q", command, got)
		}
		data.Close()
		if got := segment(); got != "226 Transfer complete.\r\n" {
			t.Errorf("%s: afterwards: %q", command, got)
		}
	}
}

// A client may close the data connection after reply 226 only.
func TestFTPClientThatClosesLate(t *testing.T) {
	f := startFTP(t, newStore(t, 0), func(o *transfer.FTPOptions) {
		o.CloseTimeout = time.Millisecond
	})
	c := connectAndLogin(t, f)
	data := c.passive()
	c.command("RETR captures/a.cap", "150")
	c.expect("226")
	if b, err := io.ReadAll(data); string(b) != "a capture" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
}

// A client that resets the data connection may not have received everything.
func TestFTPClientThatResets(t *testing.T) {
	f := startFTP(t, newStore(t, 0), func(o *transfer.FTPOptions) { o.CloseTimeout = time.Hour })
	c := connectAndLogin(t, f)
	data := c.passive()
	c.command("RETR captures/a.cap", "150")
	if err := errors.Join(data.(*net.TCPConn).SetLinger(0), data.Close()); err != nil {
		t.Fatal(err)
	}
	c.expect("426")
	c.command("NOOP", "200")
}

func TestFTPPassivePortRejectsOtherAddresses(t *testing.T) {
	f := startFTP(t, newStore(t, 0), nil)
	c := connectAndLogin(t, f)
	var port int
	const format = "229 Entering Extended Passive Mode (|||%d|)"
	if _, err := fmt.Sscanf(c.command("EPSV", "229"), format, &port); err != nil {
		t.Fatal(err)
	}
	at := fmt.Sprintf("127.0.0.1:%d", port)
	other := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP("127.0.0.3")}}
	second, err := other.Dial("tcp", at)
	if err != nil {
		t.Skip("this system has one loopback address only:", err)
	}
	defer second.Close()
	c.command("RETR captures/a.cap", "150")
	if b, _ := io.ReadAll(second); len(b) != 0 {
		t.Errorf("the other address received %q", b)
	}
	own, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	if b, err := io.ReadAll(own); string(b) != "a capture" {
		t.Errorf("the client received %q, %v", b, err)
	}
	c.expect("226")
}

// A session has one passive port at most, and none after it has ended.
func TestFTPPassivePorts(t *testing.T) {
	f := startFTP(t, newStore(t, 0), func(o *transfer.FTPOptions) {
		o.PassiveLow, o.PassiveHigh = 18121, 18122
	})
	c := connectAndLogin(t, f)
	seen := map[int]bool{}
	for range 150 {
		var hi, lo int
		const format = "227 Entering Passive Mode (127,0,0,1,%d,%d)."
		if _, err := fmt.Sscanf(c.command("PASV", "227"), format, &hi, &lo); err != nil {
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
	local := netip.MustParseAddr("127.0.0.1")
	if c := f.net.listen[0]; c.Owner != "ftpd.main" || c.User != "root" || c.Addr.Addr() != local {
		t.Errorf("listened with %+v", c)
	}
	c.command("QUIT", "221")
	if _, err := c.in.ReadByte(); err != io.EOF {
		t.Errorf("after QUIT: %v", err)
	}
}

// addBigFile adds a file that is larger than any socket buffer.
func addBigFile(t *testing.T, s *files.Store) {
	t.Helper()
	f, err := s.Create("data/pub/diagnostic/big.cap")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(32<<20), f.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestFTPAbortDuringTransfer(t *testing.T) {
	for name, abort := range map[string]string{
		"plain":                     "ABOR\r\n",
		"with Telnet commands":      "\xff\xf4\xff\xf2ABOR\r\n",
		"with the urgent byte lost": "\xff\xf4\xffABOR\r\n",
		"in lower case":             "abor\r\n",
		"after a subnegotiation":    "\xff\xfa\x18\x00xyz\xff\xf0\xff\xfb\x01ABOR\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t, 0)
			addBigFile(t, s)
			c := connectAndLogin(t, startFTP(t, s, nil))
			c.command("TYPE I", "200")
			conn := c.passive()
			c.command("RETR captures/big.cap", "150")
			if _, err := io.ReadFull(conn, make([]byte, 1000)); err != nil { // the rest is not read
				t.Fatal(err)
			}
			if _, err := io.WriteString(c.conn, abort); err != nil {
				t.Fatal(err)
			}
			c.expect("426")
			c.expect("226")
			c.command("PWD", "257")
			if got := c.fetch("RETR captures/a.cap"); got != "a capture" {
				t.Errorf("the next transfer: %q", got)
			}
		})
	}
}

// The end of the control connection ends a transfer that makes no progress.
func TestFTPTransferEndsWithItsClient(t *testing.T) {
	s := newStore(t, 0)
	addBigFile(t, s)
	ended := make(chan bool, 2)
	f := startFTP(t, s, func(o *transfer.FTPOptions) {
		o.Verify = func(user, _ string, _ netip.Addr) (transfer.FTPLogin, error) {
			return transfer.FTPLogin{
				Area:  s.Area(user),
				Begin: func(func(string)) func() { return func() { ended <- true } },
			}, nil
		}
	})
	c := connectAndLogin(t, f)
	c.passive()
	c.command("RETR captures/big.cap", "150")
	c.conn.Close()
	<-ended
	c = connectAndLogin(t, f)
	c.passive()
	c.command("STOR configuration/up", "150")
	c.conn.Close()
	<-ended
}

func TestFTPInterruptedUpload(t *testing.T) {
	s := newStore(t, 0)
	c := connectAndLogin(t, startFTP(t, s, nil))
	c.command("TYPE I", "200")
	conn := c.passive()
	c.command("STOR configuration/half", "150")
	if _, err := io.WriteString(conn, "half of it"); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	c.expect("226") // FTP cannot detect that the file is incomplete
	conn = c.passive()
	c.command("STOR configuration/old.xml", "150")
	if _, err := io.WriteString(conn, "new"); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	conn.Close() // resets the connection
	c.expect("426")
}

func TestFTPFullDisk(t *testing.T) {
	s := newStore(t, 100)
	c := connectAndLogin(t, startFTP(t, s, nil))
	c.command("TYPE I", "200")
	c.store("STOR configuration/old.xml", strings.Repeat("x", 100), "552")
	if got := readFile(t, s, "data/pub/configuration/old.xml"); got != "precious" {
		t.Errorf("the old file has been changed to %q", got)
	}
}

func TestFTPFileOver2GiB(t *testing.T) {
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
	c := connectAndLogin(t, startFTP(t, s, nil))
	c.command("TYPE I", "200")
	c.command("SIZE captures/huge.cap", "213 2147483653")
	c.command("REST 2147483649", "350")
	if got := c.fetch("RETR captures/huge.cap"); got != "tail" {
		t.Errorf("got %q", got)
	}
}
