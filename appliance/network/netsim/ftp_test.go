package netsim_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"github.com/jlaffaye/ftp"

	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim"
)

// An ftpd is a minimal FTP server for the NAT helper. It sends "data" for RETR, and delivers
// the contents of STOR to stored and each command line to commands.
type ftpd struct {
	t        *testing.T
	net      network.Network
	commands chan string
	stored   chan string
}

func serveFTP(t *testing.T, w *netsim.World) *ftpd {
	d := &ftpd{t: t, net: w.Network(), commands: make(chan string, 100), stored: make(chan string, 1)}
	serve(t, w, "10.0.202.7:21", d.session)
	return d
}

func (d *ftpd) session(c network.Conn) {
	defer c.Close()
	data := func() (network.Conn, error) { return nil, errors.New("no port") }
	transfer := func(use func(network.Conn)) {
		fmt.Fprint(c, "150 Here it comes.\r\n")
		x, err := data()
		if err != nil {
			fmt.Fprint(c, "425 Cannot open a data connection.\r\n")
			return
		}
		use(x)
		x.Close()
		fmt.Fprint(c, "226 Done.\r\n")
	}
	active := func(to netip.AddrPort) {
		if to.Addr() != realAddr(c.RemoteAddr()).Addr() {
			fmt.Fprint(c, "500 Not your address.\r\n")
			return
		}
		data = func() (network.Conn, error) {
			return d.net.Dial(d.t.Context(), network.DialConfig{Remote: to})
		}
		fmt.Fprint(c, "200 PORT command successful.\r\n")
	}
	passive := func() uint16 {
		l, err := d.net.Listen(d.t.Context(), network.ListenConfig{Addr: netip.AddrPortFrom(realAddr(c.LocalAddr()).Addr(), 0)})
		if err != nil {
			d.t.Error(err)
			return 0
		}
		data = func() (network.Conn, error) {
			defer l.Close()
			return l.AcceptConn()
		}
		return realAddr(l.Addr()).Port()
	}
	fmt.Fprint(c, "220 Ready.\r\n")
	for in := bufio.NewScanner(c); in.Scan(); {
		d.commands <- in.Text()
		word, arg, _ := strings.Cut(in.Text(), " ")
		switch strings.ToUpper(word) {
		case "USER":
			fmt.Fprint(c, "331 Password?\r\n")
		case "PASS":
			fmt.Fprint(c, "230 Welcome.\r\n")
		case "FEAT":
			fmt.Fprint(c, "211-Features\r\n EPSV\r\n211 End\r\n")
		case "TYPE", "OPTS":
			fmt.Fprint(c, "200 Done.\r\n")
		case "PASV":
			p := passive()
			fmt.Fprintf(c, "227 Entering Passive Mode (10,0,202,7,%d,%d).\r\n", p>>8, p&0xff)
		case "EPSV":
			fmt.Fprintf(c, "229 Entering Extended Passive Mode (|||%d|).\r\n", passive())
		case "PORT":
			var h [4]byte
			var hi, lo uint16
			fmt.Sscanf(arg, "%d,%d,%d,%d,%d,%d", &h[0], &h[1], &h[2], &h[3], &hi, &lo)
			active(netip.AddrPortFrom(netip.AddrFrom4(h), hi<<8|lo))
		case "EPRT":
			f := append(strings.Split(arg, "|"), "", "", "", "")
			to, _ := netip.ParseAddrPort(net.JoinHostPort(f[2], f[3]))
			active(to)
		case "RETR":
			transfer(func(x network.Conn) { io.WriteString(x, "data") })
		case "STOR":
			transfer(func(x network.Conn) {
				b, _ := io.ReadAll(x)
				d.stored <- string(b)
			})
		case "QUIT":
			fmt.Fprint(c, "221 Bye.\r\n")
			return
		default:
			fmt.Fprint(c, "502 Not implemented.\r\n")
		}
	}
}

func realAddr(a net.Addr) netip.AddrPort { return a.(*net.TCPAddr).AddrPort() }

func TestPassiveFTPThroughDoor(t *testing.T) {
	for _, extended := range []bool{true, false} {
		t.Run(fmt.Sprint("EPSV ", extended), func(t *testing.T) {
			w := start(t, fixture(t, "lab"))
			d := serveFTP(t, w)
			c, err := ftp.Dial(w.DoorAddrs()["ftp"].String(), ftp.DialWithTimeout(testTimeout), ftp.DialWithDisabledEPSV(!extended))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Quit()
			if err := c.Login("admin", "ironport"); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				r, err := c.Retr("x.cap")
				if err != nil {
					t.Fatal(err)
				}
				if b, err := io.ReadAll(r); err != nil || string(b) != "data" {
					t.Errorf("RETR brings %q, %v", b, err)
				}
				r.Close()
			}
			if err := c.Stor("x.xml", strings.NewReader("up")); err != nil {
				t.Fatal(err)
			}
			if got := <-d.stored; got != "up" {
				t.Errorf("STOR brought %q", got)
			}
		})
	}
}

// An ftpClient is a control connection on which a test sends single commands.
type ftpClient struct {
	t *testing.T
	net.Conn
	lines *bufio.Scanner
}

func dialFTP(t *testing.T, w *netsim.World) *ftpClient {
	c := &ftpClient{t: t, Conn: dialDoor(t, w, "ftp")}
	c.lines = bufio.NewScanner(c)
	c.expect("220 ")
	return c
}

func (c *ftpClient) expect(prefix string) string {
	c.t.Helper()
	if !c.lines.Scan() || !strings.HasPrefix(c.lines.Text(), prefix) {
		c.t.Fatalf("got %q (%v), want %q...", c.lines.Text(), c.lines.Err(), prefix)
	}
	return c.lines.Text()
}

func (c *ftpClient) send(line string) { io.WriteString(c, line+"\r\n") }

func TestActiveFTPThroughDoor(t *testing.T) {
	for _, command := range []string{"PORT", "eprt"} {
		t.Run(command, func(t *testing.T) {
			w := start(t, fixture(t, "lab"))
			d := serveFTP(t, w)
			c := dialFTP(t, w)
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			port := realAddr(l.Addr()).Port()
			line := fmt.Sprintf("PORT 127,0,0,1,%d,%d", port>>8, port&0xff)
			if command == "eprt" {
				line = fmt.Sprintf("eprt |1|127.0.0.1|%d|", port)
			}
			c.send(line)
			c.expect("200 ")
			if received := <-d.commands; !strings.Contains(received, "10,0,201,4,") && !strings.Contains(received, "|10.0.201.4|") {
				t.Errorf("ftpd received %q, want the simulated client's address", received)
			}
			c.send("RETR x.cap")
			c.expect("150 ")
			l.(*net.TCPListener).SetDeadline(deadline())
			data, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			if b, err := io.ReadAll(data); err != nil || string(b) != "data" {
				t.Errorf("RETR brings %q, %v", b, err)
			}
			c.expect("226 ")
		})
	}
}

func TestForeignPORTPassesUnchanged(t *testing.T) {
	w := start(t, fixture(t, "lab"))
	d := serveFTP(t, w)
	c := dialFTP(t, w)
	for _, line := range []string{
		"PORT 10,0,201,5,200,10",  // another host
		"PORT 127,0,0,1,0,25",     // a service's port
		"EPRT |2|::1|5000|",       // another address of the client's machine
		"PORT 1,2",                // malformed
		"EPRT",                    // malformed
		"SITE PORT 127,0,0,1,9,9", // another command
	} {
		c.send(line)
		if received := <-d.commands; received != line {
			t.Errorf("%q was changed to %q", line, received)
		}
		c.expect("50")
	}
}

func TestPassivePortRejectsOtherClients(t *testing.T) {
	w := start(t, fixture(t, "lab"))
	serveFTP(t, w)
	c := dialFTP(t, w)
	c.send("EPSV")
	reply := c.expect("229 ")
	var port int
	fmt.Sscanf(reply[strings.Index(reply, "("):], "(|||%d|)", &port)
	at := fmt.Sprintf("127.0.0.1:%d", port)
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	if other, err := dialer.Dial("tcp", at); err == nil {
		other.SetDeadline(deadline())
		if _, err := other.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("another client reads %v, want a reset", err)
		}
		other.Close()
	} else {
		t.Logf("this machine has no address 127.0.0.2: %v", err)
	}
	own, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	c.send("RETR x.cap")
	c.expect("150 ")
	if b, err := io.ReadAll(own); err != nil || string(b) != "data" {
		t.Errorf("RETR brings %q, %v", b, err)
	}
	c.expect("226 ")
	if again, err := net.Dial("tcp", at); err == nil {
		again.Close()
		t.Error("a passive port is open after its data connection")
	}
}

func TestPassivePortsAndPublicAddress(t *testing.T) {
	lab := fixture(t, "lab")
	for i := range lab.Doors.In {
		if lab.Doors.In[i].Service == "ftp" {
			lab.Doors.In[i].PassivePorts = "47000-47010"
			lab.Doors.In[i].PublicAddress = addr("198.51.100.9")
		}
	}
	w := start(t, lab)
	serveFTP(t, w)
	c := dialFTP(t, w)
	c.send("PASV")
	reply := c.expect("227 ")
	var hi, lo int
	if _, err := fmt.Sscanf(reply, "227 Entering Passive Mode (198,51,100,9,%d,%d).", &hi, &lo); err != nil {
		t.Fatalf("%q: %v", reply, err)
	}
	if port := hi<<8 | lo; port < 47000 || port > 47010 {
		t.Errorf("port %d, want one of 47000-47010", port)
	}
}

// Clients send ABOR after a telnet sequence whose mark is urgent data.
func TestUrgentDataKeepsItsPlace(t *testing.T) {
	w := start(t, fixture(t, "lab"))
	d := serveFTP(t, w)
	c := dialFTP(t, w)
	io.WriteString(c, "\xff\xf4") // IAC IP
	if err := sendUrgent(c.Conn.(*net.TCPConn), []byte("\xff")); err != nil {
		t.Skipf("this system cannot send urgent data: %v", err)
	}
	io.WriteString(c, "\xf2ABOR\r\n")
	if got, want := <-d.commands, "\xff\xf4\xff\xf2ABOR"; got != want {
		t.Errorf("ftpd received %q, want %q", got, want)
	}
	c.expect("502 ")
}
