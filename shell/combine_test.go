package shell_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync/atomic"
	"testing"

	gossh "golang.org/x/crypto/ssh"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/shell"
)

// A countingListener counts the calls of Write of the connections that it accepts.
type countingListener struct {
	net.Listener
	writes atomic.Int32
}

func (l *countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return &countingConn{c, l}, err
}

type countingConn struct {
	net.Conn
	listener *countingListener
}

func (c *countingConn) Write(b []byte) (int, error) {
	c.listener.writes.Add(1)
	return c.Conn.Write(b)
}

// A login needs nine segments: version; key exchange: proposal, answer with the new keys; login:
// service, method "none" refused, accepted; channel, terminal, shell with the first prompt.
// A logout needs one more than the output: exit status and end of the channel.
func TestPacketsAreCombined(t *testing.T) {
	app, _ := newAppliance(t)
	listener := &countingListener{}
	s := startServer(t, app, func(s *shell.Server) {
		s.SetConnClock(clock.NewFake(epoch)) // on which no packet waits too long
		s.Listen = func(context.Context) (net.Listener, error) {
			var err error
			listener.Listener, err = net.Listen("tcp", "127.0.0.1:0")
			return listener, err
		}
	}, exitCommand)
	sh := openShell(t, dial(t, s), 80, 24)
	sh.readUntil(prompt)
	if n := listener.writes.Load(); n > 9 {
		t.Errorf("the server has written %d times until the first prompt, want 9", n)
	}
	before := listener.writes.Load()
	sh.typeKeys("exit\r")
	if err := sh.Wait(); err != nil {
		t.Error(err)
	}
	if n := listener.writes.Load() - before; n > 2 {
		t.Errorf("the server has written %d times at the logout, want 2", n)
	}
}

// The library writes the first 4096 bytes of a packet separately.
func TestLongPacketsAreOneWrite(t *testing.T) {
	app, _ := newAppliance(t)
	listener := &countingListener{}
	const packet = 20000
	s := startServer(t, app, func(s *shell.Server) {
		s.SetConnClock(clock.NewFake(epoch)) // on which no packet waits too long
		s.Listen = func(context.Context) (net.Listener, error) {
			var err error
			listener.Listener, err = net.Listen("tcp", "127.0.0.1:0")
			return listener, err
		}
		s.Subsystems = map[string]func(context.Context, shell.Channel){
			"data": func(_ context.Context, ch shell.Channel) {
				for buf := make([]byte, packet); ; {
					if _, err := io.ReadFull(ch, buf[:1]); err != nil {
						return
					}
					ch.Write(buf) //nolint:errcheck // the client finds that data is missing
				}
			},
		}
	})
	in, out := startSubsystem(t, dial(t, s), "data")
	before := listener.writes.Load()
	for range 3 {
		if _, err := in.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(io.Discard, out, packet); err != nil {
			t.Fatal(err)
		}
	}
	if n := listener.writes.Load() - before; n != 3 {
		t.Errorf("the server has written %d times for 3 packets", n)
	}
}

// The library's Write of 4096 bytes may be the end of a packet, to which nothing follows.
func TestPacketsOfTheLibrarysBufferAreSent(t *testing.T) {
	app, _ := newAppliance(t)
	s := startServer(t, app, func(s *shell.Server) {
		s.Subsystems = map[string]func(context.Context, shell.Channel){
			"echo": func(_ context.Context, ch shell.Channel) {
				for buf := make([]byte, 8192); ; {
					n, err := ch.Read(buf)
					if err != nil {
						return
					}
					ch.Write(buf[:n]) //nolint:errcheck // the client finds that data is missing
				}
			},
		}
	})
	config := clientConfig("admin", "ironport")
	config.Ciphers, config.MACs = []string{"aes128-ctr"}, []string{"hmac-sha2-256"}
	c, err := gossh.Dial("tcp", s.Addr().String(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	in, out := startSubsystem(t, c, "echo")
	// Length, padding, type, channel and length of the data are 14 bytes; the MAC has 32.
	for n := 4096 - 32 - 14 - 24; n < 4096-32; n++ {
		data := bytes.Repeat([]byte{byte(n)}, n)
		if _, err := in.Write(data); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, n)
		if _, err := io.ReadFull(out, got); err != nil || !bytes.Equal(got, data) {
			t.Fatalf("%d bytes came back changed: %v", n, err)
		}
	}
}

// startSubsystem returns the input and the output of a subsystem.
func startSubsystem(t *testing.T, c *gossh.Client, name string) (io.Writer, io.Reader) {
	t.Helper()
	session, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	in, _ := session.StdinPipe() // fails for a session that runs
	out, _ := session.StdoutPipe()
	if err := session.RequestSubsystem(name); err != nil {
		t.Fatal(err)
	}
	return in, out
}

// A bulkWriter is the side of a channel that sends much data.
type bulkWriter interface {
	io.Writer
	BeginBulk()
	EndBulk() error
}

// startBulk starts a server with the subsystem "bulk", which calls f for each byte that it receives,
// and opens the subsystem.
func startBulk(
	t *testing.T, c clock.Clock, f func(b byte, w bulkWriter),
) (in io.Writer, out io.Reader, listener *countingListener) {
	app, _ := newAppliance(t)
	listener = &countingListener{}
	s := startServer(t, app, func(s *shell.Server) {
		s.SetConnClock(c)
		s.Listen = func(context.Context) (net.Listener, error) {
			var err error
			listener.Listener, err = net.Listen("tcp", "127.0.0.1:0")
			return listener, err
		}
		s.Subsystems = map[string]func(context.Context, shell.Channel){
			"bulk": func(_ context.Context, ch shell.Channel) {
				for b := make([]byte, 1); ; {
					if _, err := io.ReadFull(ch, b); err != nil {
						return
					}
					f(b[0], ch.(bulkWriter))
				}
			},
		}
	})
	in, out = startSubsystem(t, dial(t, s), "bulk")
	return in, out, listener
}

// Packets of bulk data are sent in large pieces, in their order, and the rest with EndBulk.
func TestBulkIsSentInLargePieces(t *testing.T) {
	const packet, packets = 32 << 10, 17
	in, out, listener := startBulk(t, clock.NewFake(epoch), func(b byte, w bulkWriter) {
		w.BeginBulk()
		w.BeginBulk() // as by another channel
		for i := range packets {
			w.Write(bytes.Repeat([]byte{b + byte(i)}, packet)) //nolint:errcheck // the client finds that
		}
		w.EndBulk() //nolint:errcheck // likewise
		w.EndBulk() //nolint:errcheck // likewise
	})
	for round := range 3 {
		before := listener.writes.Load()
		in.Write([]byte{byte(round)}) //nolint:errcheck // the read fails as well
		got := make([]byte, packet*packets)
		if _, err := io.ReadFull(out, got); err != nil {
			t.Fatal(err)
		}
		for i, b := range got {
			if want := byte(round + i/packet); b != want {
				t.Fatalf("byte %d is %d, want %d", i, b, want)
			}
		}
		if n := listener.writes.Load() - before; n != 5 {
			t.Errorf("the server has written %d times for %d packets of 32 KiB, want 5", n, packets)
		}
	}
}

// Bulk data that is no whole piece is sent after a moment: more may only follow when the client has
// received it.
func TestBulkDoesNotWaitForMore(t *testing.T) {
	in, out, _ := startBulk(t, clock.System(), func(b byte, w bulkWriter) {
		switch b {
		case 'a':
			w.BeginBulk()
			w.Write([]byte("first")) //nolint:errcheck // the client finds that it is missing
		case 'b':
			w.Write([]byte("second")) //nolint:errcheck // likewise
		}
	})
	for _, x := range []struct{ key, want string }{{"a", "first"}, {"b", "second"}} {
		in.Write([]byte(x.key)) //nolint:errcheck // the read fails as well
		got := make([]byte, len(x.want))
		if _, err := io.ReadFull(out, got); err != nil || string(got) != x.want {
			t.Errorf("received %q, %v; want %q", got, err, x.want)
		}
	}
}
