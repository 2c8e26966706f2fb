package netsim_test

import (
	"fmt"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/esasim/esasim/appliance/clock"
)

// The back door holds at most 16 KiB that the appliance's TCP considers acknowledged and that
// the real server has not received. If the server dies, that much is lost in addition.
func TestBackDoorBuffersAtMost16KiB(t *testing.T) {
	real, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer real.Close()
	w := start(t, backDoorTopology(t, fmt.Sprintf("\n    - {address: 203.0.113.30, port: 514, to: 127.0.0.1, to_port: %d}",
		real.Addr().(*net.TCPAddr).Port)))
	c := mustDial(t, w, "203.0.113.30:514")
	server, err := real.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	// The server reads nothing. Write until no more data is accepted or acknowledged.
	chunk := make([]byte, 10_000)
	for before := int64(-1); before != c.Acknowledged(); {
		before = c.Acknowledged()
		c.SetWriteDeadline(clock.System().Now().Add(300 * time.Millisecond))
		for err = nil; err == nil; {
			_, err = c.Write(chunk)
		}
	}
	// Data in flight on the machine's loopback arrives sooner or later; data that the door holds
	// does not.
	for ctx := within(t, testTimeout); ; {
		acknowledged := c.Acknowledged()
		held := acknowledged - int64(unread(t, server.(*net.TCPConn)))
		if held <= 16<<10 {
			t.Logf("the door holds %d of %d bytes", held, acknowledged)
			return
		}
		if clock.System().Sleep(ctx, time.Millisecond) != nil {
			t.Fatalf("the door holds %d of %d bytes", held, acknowledged)
		}
	}
}

// unread returns the number of bytes that the machine's TCP has received and the server has not
// read.
func unread(t *testing.T, c *net.TCPConn) int {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	if err := raw.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.SIOCINQ) }); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return n
}
