package shell_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"

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
