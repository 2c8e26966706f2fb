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
	if err := errors.Join(f.Truncate(32<<20), f.Close()); err != nil {
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
		o.OnLogin = func(user string, _ netip.Addr) func() { return func() { ended <- user } }
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
