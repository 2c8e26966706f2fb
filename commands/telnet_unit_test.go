package commands_test

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/appliancetest"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/shell/shelltest"
)

// remoteHost is an address in topology lab on which tests listen.
var remoteHost = netip.MustParseAddrPort("10.0.201.5:2323")

// serveOnce calls serve with the next connection to remoteHost, in its own goroutine. The
// returned function blocks until serve has returned.
func serveOnce(t *testing.T, box *appliancetest.Box, serve func(network.Conn)) (served func()) {
	t.Helper()
	l, err := box.World().Hosts().Listen(t.Context(), network.ListenConfig{Addr: remoteHost})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c, err := l.AcceptConn()
		if err != nil {
			return
		}
		defer c.Close()
		serve(c)
	}()
	t.Cleanup(func() {
		l.Close()
		<-ended
	})
	return func() { <-ended }
}

// telnetOutput runs telnet as runTelnet does and returns the output.
func telnetOutput(t *testing.T, box *appliancetest.Box, in io.Reader) string {
	t.Helper()
	var out bytes.Buffer
	runTelnet(t, box, in, &out)
	return out.String()
}

// runTelnet runs telnet in a session without a terminal, which reads its input from in.
func runTelnet(t *testing.T, box *appliancetest.Box, in io.Reader, out io.Writer) {
	t.Helper()
	c, err := shelltest.Dial(box.SSHAddr, appliancetest.User, appliancetest.Passphrase)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if status, err := c.Run("telnet 10.0.201.5 2323", in, out); status != 0 || err != nil {
		t.Errorf("status %d, %v", status, err)
	}
}

const connected = "Trying 10.0.201.5...\nConnected to 10.0.201.5.\nEscape character is '^]'.\n"

// The end of the input closes one direction only: telnet still shows the data that the remote host
// sends afterwards.
func TestTelnetHalfClosesAfterItsInput(t *testing.T) {
	box := appliancetest.Start(t)
	var sent []byte
	var owner string
	served := serveOnce(t, box, func(c network.Conn) {
		sockets, _ := box.Appliance().Net.Sockets()
		for _, s := range sockets {
			if s.Remote == remoteHost {
				owner = s.Owner
			}
		}
		sent, _ = io.ReadAll(c)
		io.WriteString(c, "221 mx\r\nno end")
	})
	got := telnetOutput(t, box, strings.NewReader("EHLO\xff\nQUIT"))
	if diff := cmp.Diff(connected+"221 mx\nno end\nConnection closed by foreign host.\n", got); diff != "" {
		t.Error(diff)
	}
	served()
	if want := "EHLO\xff\xff\r\nQUIT\r\n"; string(sent) != want {
		t.Errorf("sent %q, want %q", sent, want)
	}
	if owner != "telnet" {
		t.Errorf("the socket belongs to %q", owner)
	}
}

// telnet refuses every option and shows no byte of the negotiation (RFC 855).
func TestTelnetRefusesOptions(t *testing.T) {
	box := appliancetest.Start(t)
	var answer []byte
	served := serveOnce(t, box, func(c network.Conn) {
		for _, part := range []string{
			"\xff\xfd\x01\xff\xfb", "\x03", // DO ECHO, WILL SUPPRESS-GO-AHEAD in two parts
			"\xff\xfe\x01\xff\xfc\x03",             // DONT, WONT: nothing to say
			"\xff\xfa\x18\x01\xff\xff\xff\xf0\xff", // a subnegotiation
			"\xf9login:\x00\r", "\x00a\r", "\nb\xff", "\xffc\r\n",
		} {
			io.WriteString(c, part)
		}
		c.CloseWrite()
		answer, _ = io.ReadAll(c)
	})
	in, end := io.Pipe()
	defer end.Close()
	got := telnetOutput(t, box, in)
	if diff := cmp.Diff(connected+"login:\ra\nb\xffc\nConnection closed by foreign host.\n", got); diff != "" {
		t.Error(diff)
	}
	served()
	if want := "\xff\xfc\x01\xff\xfe\x03"; string(answer) != want {
		t.Errorf("answered %q, want %q", answer, want)
	}
}

// A reset throws away what telnet has not read yet, so QUIT is typed when the greeting is shown.
func TestConnectionResetEndsTelnet(t *testing.T) {
	box := appliancetest.Start(t)
	serveOnce(t, box, func(c network.Conn) {
		io.WriteString(c, "220 mx\r\n")
		io.ReadFull(c, make([]byte, 6))
		c.Abort()
	})
	screen := &awaitedOutput{awaited: "220 mx\n", shown: make(chan struct{})}
	in, typed := io.Pipe()
	go func() {
		<-screen.shown
		io.WriteString(typed, "QUIT\n")
		typed.Close()
	}()
	runTelnet(t, box, in, screen)
	const want = connected + "220 mx\nConnection closed by foreign host.\n"
	if got := screen.text.String(); got != want {
		t.Errorf("printed:\n%s", got)
	}
}

// An awaitedOutput keeps what is written to it and closes shown when it ends with awaited.
type awaitedOutput struct {
	text    bytes.Buffer
	awaited string
	shown   chan struct{}
}

func (a *awaitedOutput) Write(p []byte) (int, error) {
	had := bytes.HasSuffix(a.text.Bytes(), []byte(a.awaited))
	n, err := a.text.Write(p)
	if !had && bytes.HasSuffix(a.text.Bytes(), []byte(a.awaited)) {
		close(a.shown)
	}
	return n, err
}

// If the client is gone, the connection to a host that reads nothing is closed.
func TestTelnetEndsWithItsSession(t *testing.T) {
	box := appliancetest.Start(t)
	reached := make(chan struct{})
	gone := make(chan error, 1)
	serveOnce(t, box, func(c network.Conn) {
		close(reached)
		_, err := c.Read(make([]byte, 1))
		gone <- err
	})
	c, err := shelltest.Dial(box.SSHAddr, appliancetest.User, appliancetest.Passphrase)
	if err != nil {
		t.Fatal(err)
	}
	in, end := io.Pipe()
	defer end.Close()
	go func() {
		<-reached
		c.Close()
	}()
	c.Run("telnet 10.0.201.5 2323", in, io.Discard) //nolint:errcheck // it is cut off
	if err := <-gone; !errors.Is(err, io.EOF) {
		t.Errorf("the remote host got %v, want EOF", err)
	}
}

func TestTelnetConnectTimesOut(t *testing.T) {
	box := appliancetest.Start(t, appliancetest.Timeouts(appliance.Timeouts{Connect: 50 * time.Millisecond}))
	c, err := shelltest.Dial(box.SSHAddr, appliancetest.User, appliancetest.Passphrase)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var out bytes.Buffer
	status, err := c.Run("telnet 10.0.202.99 2323", nil, &out)
	want := "Trying 10.0.202.99...\ntelnet: connect to address 10.0.202.99: Operation timed out\ntelnet: Unable to connect to remote host\n"
	if status == 0 || err != nil || out.String() != want {
		t.Errorf("status %d, %v:\n%s", status, err, out.String())
	}
}
