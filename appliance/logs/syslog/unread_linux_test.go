package syslog_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
)

// A resettingServer is a process of this machine that reads a number of bytes from its first
// connection, stops reading, and resets it when told. Further connections it reads to their end.
type resettingServer struct {
	t        *testing.T
	listener net.Listener
	stopped  chan struct{} // closed when it has stopped reading the first connection
	reset    chan struct{} // closed by the test
	first    chan int      // how many numbered records it has read as a whole before the reset
	next     chan int      // the number of the first record after the reset
}

func newResettingServer(t *testing.T, limit int64) *resettingServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &resettingServer{t, l, make(chan struct{}), make(chan struct{}), make(chan int, 1),
		make(chan int, 1)}
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-done })
	go func() {
		defer close(done)
		r.serveFirst(limit)
		r.serveNext()
	}()
	return r
}

func (r *resettingServer) port() int { return r.listener.Addr().(*net.TCPAddr).Port }

func (r *resettingServer) serveFirst(limit int64) {
	c, err := r.listener.Accept()
	if err != nil {
		r.t.Error(err)
		return
	}
	text, err := io.ReadAll(io.LimitReader(c, limit))
	if err != nil {
		r.t.Error(err)
	}
	close(r.stopped)
	<-r.reset
	_ = c.(*net.TCPConn).SetLinger(0)
	c.Close()
	whole := string(text[:strings.LastIndexByte(string(text), '\n')+1])
	r.first <- strings.Count(whole, "number ")
}

func (r *resettingServer) serveNext() {
	c, err := r.listener.Accept()
	if err != nil {
		return // the test has failed
	}
	defer c.Close()
	lines := bufio.NewReader(c)
	for sent := false; ; {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		if i := strings.Index(line, "number "); i >= 0 && !sent {
			var n int
			if _, err := fmt.Sscanf(line[i:], "number %d", &n); err != nil {
				r.t.Error(err)
			}
			r.next <- n
			sent = true
		}
	}
}

// The bound of records that a real server on this machine has not read is never below what is lost
// when it resets the connection, wherever it stops reading. Once the door has looked at the server's
// socket, the bound is exact to a few KiB.
func TestUnreadRecordsOfAServerThatResets(t *testing.T) {
	for _, limit := range []int64{300, 10_000, 100_000, 1_000_000} {
		for _, atOnce := range []bool{false, true} {
			t.Run(fmt.Sprintf("after %d, at once %v", limit, atOnce), func(t *testing.T) {
				testUnreadRecords(t, limit, atOnce)
			})
		}
	}
}

// testUnreadRecords lets the server reset the connection after so many bytes: at once, or when no
// more is acknowledged.
func testUnreadRecords(t *testing.T, limit int64, atOnce bool) {
	r := newResettingServer(t, limit)
	h := newOutsideHarness(t, r.port())
	h.settings.Buffer, h.options.Dir = 100<<20, t.TempDir()
	h.start()
	if atOnce {
		close(r.reset)
	}
	for i := range 20_000 {
		h.push("number %d %s", i, strings.Repeat("x", 100))
	}
	<-r.stopped
	if !atOnce {
		before := -1
		h.eventually("no more is acknowledged", func() bool {
			same := h.Stats().Sent == before
			before = h.Stats().Sent
			return same
		})
		close(r.reset)
	}
	lost := -<-r.first + <-r.next
	s := h.Stats()
	t.Logf("lost %d; not read at most %d, in doubt %d", lost, s.LastUnread, s.LastInDoubt)
	if lost > s.LastUnread || s.LastUnread > s.LastInDoubt {
		t.Errorf("%d records are lost, the bounds are %d and %d", lost, s.LastUnread, s.LastInDoubt)
	}
	if s.LastInDoubt < 2 {
		return // nothing is said of the last one
	}
	want := fmt.Sprintf("; the server had not read the last %d of them", s.LastUnread)
	if events := strings.Join(h.eventTexts(), "\n"); !strings.Contains(events, want) {
		t.Errorf("events %q, want %q", events, want)
	}
}
