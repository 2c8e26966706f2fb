package commands

import (
	"context"
	"io"
	"strings"
	"syscall"
	"testing"

	"github.com/esasim/esasim/appliance/network"
)

// A resetConn is a connection that the remote host has reset after it had sent a text. The text is
// read after the local side has noticed the reset.
type resetConn struct {
	network.Conn
	noticed chan struct{} // closed by CloseWrite
	closed  chan struct{} // closed by Close
	text    io.Reader
}

func (c *resetConn) CloseWrite() error {
	close(c.noticed)
	return syscall.ECONNRESET
}

func (c *resetConn) Close() error {
	select {
	case <-c.closed:
	default:
		close(c.closed)
	}
	return nil
}

func (c *resetConn) Read(b []byte) (int, error) {
	<-c.noticed
	n, err := c.text.Read(b)
	if err != nil {
		return 0, syscall.ECONNRESET
	}
	select {
	case <-c.closed:
		return 0, io.ErrClosedPipe
	default:
		return n, nil
	}
}

// endedInput is a terminal without a further line.
type endedInput struct{ strings.Builder }

func (*endedInput) ReadLine(context.Context, byte) (string, error) { return "", io.EOF }

func (*endedInput) Prompt(context.Context, string) (string, error) { return "", io.EOF }

func (*endedInput) Secret(context.Context, string) (string, error) { return "", io.EOF }

// What a remote host has sent before it resets the connection is shown, even if the end of the input
// is what notices the reset.
func TestTelnetShowsWhatArrivedBeforeAReset(t *testing.T) {
	var screen endedInput
	s := &telnetSession{
		terminal: &screen, screenLock: make(chan struct{}, 1),
		conn: &resetConn{
			noticed: make(chan struct{}), closed: make(chan struct{}), text: strings.NewReader("220 mx\r\n"),
		},
	}
	if err := s.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := screen.String(), "220 mx\nConnection closed by foreign host.\n"; got != want {
		t.Errorf("the screen shows %q, want %q", got, want)
	}
}
