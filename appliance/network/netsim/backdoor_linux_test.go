package netsim_test

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/esasim/esasim/appliance/clock"
)

// The back door holds at most 16 KiB that the appliance's TCP considers acknowledged and that
// the real server has not received. If the server dies, that much is lost in addition.
//
// Rarely, a server's kernel drops segments that fit the window which it has announced, because
// its buffer is full. Such data has been sent and is not the door's, so the test starts again.
func TestBackDoorBuffersAtMost16KiB(t *testing.T) {
	for range 10 {
		before := droppedSegments(t)
		held, acknowledged := fillBackDoor(t, func() bool { return droppedSegments(t) > before })
		if held <= 16<<10 {
			return
		}
		t.Logf("the door holds %d of %d bytes", held, acknowledged)
		if droppedSegments(t) == before {
			t.Fatal("no segment was dropped: the door holds too much")
		}
	}
	t.Fatal("the kernel dropped segments in each attempt")
}

// fillBackDoor sends data to a real server that reads nothing, until no more is accepted. It
// returns the number of acknowledged bytes that do not arrive at the server, and the number of
// all acknowledged bytes. It gives up early if stop reports true.
func fillBackDoor(t *testing.T, stop func() bool) (held, acknowledged int64) {
	t.Helper()
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
		acknowledged = c.Acknowledged()
		held = acknowledged - int64(unread(t, server.(*net.TCPConn)))
		if held <= 16<<10 || stop() || clock.System().Sleep(ctx, time.Millisecond) != nil {
			return held, acknowledged
		}
	}
}

// droppedSegments returns how many segments this machine's TCP has dropped because a receive
// buffer was full.
func droppedSegments(t *testing.T) (n int) {
	t.Helper()
	text, err := os.ReadFile("/proc/net/netstat")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	for i := 1; i < len(lines); i += 2 { // a line of names, and a line of values
		names, values := strings.Fields(lines[i-1]), strings.Fields(lines[i])
		for j, name := range names {
			if name == "TCPRcvQDrop" || name == "RcvPruned" {
				v, err := strconv.Atoi(values[j])
				if err != nil {
					t.Fatal(err)
				}
				n += v
			}
		}
	}
	return n
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
