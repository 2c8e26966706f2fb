package door

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/clock"
)

// What a process of this machine has not read from a connection is known at the other end.
func TestUnreadByPeer(t *testing.T) {
	for _, network := range []string{"127.0.0.1:0", "[::1]:0"} {
		l, err := net.Listen("tcp", network)
		if err != nil {
			t.Logf("%s: %v", network, err)
			continue
		}
		defer l.Close()
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		peer, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer peer.Close()
		if _, err := c.Write(make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		want := func(want int) {
			t.Helper()
			var n int
			var err error
			for range 1000 {
				if n, err = unreadByPeer(c.(*net.TCPConn)); n == want && err == nil {
					return
				}
				_ = clock.System().Sleep(t.Context(), 5*time.Millisecond)
			}
			t.Fatalf("%s: %d bytes are unread, %v; want %d", network, n, err, want)
		}
		want(1000)
		if _, err := io.ReadFull(peer, make([]byte, 400)); err != nil {
			t.Fatal(err)
		}
		want(600)
		_ = peer.(*net.TCPConn).SetLinger(0)
		peer.Close()
		if n, err := unreadByPeer(c.(*net.TCPConn)); err == nil { // the listener is still there
			t.Errorf("%s: %d bytes are unread after the peer has reset the connection", network, n)
		}
	}
}
