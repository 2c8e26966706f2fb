package networktest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network"
)

func conversation(t *testing.T, f Fixture) {
	converse(t, f.Net, f.Peer, f.Addr, f.PeerAddr)
	converse(t, f.Peer, f.Net, f.PeerAddr, f.Addr)
}

func conversation6(t *testing.T, f Fixture) {
	if !f.Addr6.IsValid() {
		t.Skip("no IPv6")
	}
	converse(t, f.Net, f.Peer, f.Addr6, f.PeerAddr6)
	converse(t, f.Peer, f.Net, f.PeerAddr6, f.Addr6)
}

func converse(t *testing.T, from, to network.Network, fromAddr, toAddr netip.Addr) {
	t.Helper()
	near, far := connect(t, from, to, toAddr)
	sendText(t, near, far, "question")
	sendText(t, far, near, "answer")
	if a := addrPort(near.LocalAddr()); a.Addr() != fromAddr || a != addrPort(far.RemoteAddr()) {
		t.Errorf("dialed from %v, accepted from %v, want address %v", a, far.RemoteAddr(), fromAddr)
	}
	if a := addrPort(near.RemoteAddr()); a.Addr() != toAddr || a != addrPort(far.LocalAddr()) {
		t.Errorf("dialed %v, accepted at %v, want address %v", a, far.LocalAddr(), toAddr)
	}
	if n, err := near.Read(nil); n != 0 || err != nil {
		t.Errorf("Read into an empty buffer: %d, %v", n, err)
	}
}

func manyConversations(t *testing.T, f Fixture) {
	l := listen(t, f.Peer, network.ListenConfig{Addr: netip.AddrPortFrom(f.PeerAddr, 0), Backlog: 50})
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { // an echo server
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			c, err := f.Net.Dial(withTimeout(t), network.DialConfig{Remote: addrPort(l.Addr())})
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			sent := bytes.Repeat([]byte(fmt.Sprintf("conversation %d ", i)), 5000)
			go func() {
				_, _ = c.Write(sent)
				_ = c.CloseWrite()
			}()
			if got, err := io.ReadAll(c); !bytes.Equal(got, sent) {
				t.Errorf("conversation %d: received %d bytes that differ from the %d sent (%v)",
					i, len(got), len(sent), err)
			}
		})
	}
	all.Wait()
}

func refused(t *testing.T, f Fixture) {
	_, err := f.Net.Dial(withTimeout(t), network.DialConfig{Remote: netip.AddrPortFrom(f.PeerAddr, 9)})
	wantError(t, err, syscall.ECONNREFUSED)
}

func reset(t *testing.T, f Fixture) {
	near, far := connect(t, f.Net, f.Peer, f.PeerAddr)
	sendText(t, near, far, "before")
	far.Abort()
	_, err := near.Read(make([]byte, 1))
	wantError(t, err, syscall.ECONNRESET)
	_, err = near.Write([]byte("after"))
	wantError(t, err, syscall.EPIPE, syscall.ECONNRESET)
	if near.RemoteAddr() == nil || addrPort(near.RemoteAddr()).Addr() != f.PeerAddr {
		t.Errorf("the remote address after a reset is %v", near.RemoteAddr())
	}
	if _, err := far.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("reading an aborted connection: %v", err)
	}
}

func halfClose(t *testing.T, f Fixture) {
	near, far := connect(t, f.Net, f.Peer, f.PeerAddr)
	if err := near.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if n, err := far.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("reading a half closed connection: %d, %v", n, err)
	}
	sendText(t, far, near, "still here")
	_, err := near.Write([]byte("no more"))
	wantError(t, err, syscall.EPIPE)
	if err := far.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if n, err := near.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("reading a closed connection: %d, %v", n, err)
	}
}

func closeSendsWrittenData(t *testing.T, f Fixture) {
	near, far := connect(t, f.Net, f.Peer, f.PeerAddr)
	sent := bytes.Repeat([]byte("all of it "), 2000)
	if _, err := near.Write(sent); err != nil {
		t.Fatal(err)
	}
	if err := near.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(far); !bytes.Equal(got, sent) {
		t.Errorf("%d of %d bytes arrived (%v)", len(got), len(sent), err)
	}
}

// acknowledged writes to a peer that does not read: its TCP acknowledges what its receive
// buffer holds. A reset does not change the number of acknowledged bytes.
func acknowledged(t *testing.T, f Fixture) {
	near, far := connect(t, f.Net, f.Peer, f.PeerAddr)
	if n := near.Acknowledged(); n != 0 {
		t.Errorf("%d bytes are acknowledged before any are written", n)
	}
	for i := range int64(100) {
		if _, err := near.Write([]byte("0123456789")); err != nil {
			t.Fatal(err)
		}
		if err := near.AwaitAcknowledged(withTimeout(t), 10*i+10); err != nil {
			t.Fatalf("%d of %d bytes: %v", near.Acknowledged(), 10*i+10, err)
		}
	}
	ended, cancel := context.WithCancelCause(t.Context())
	cancel(io.ErrNoProgress)
	if err := near.AwaitAcknowledged(ended, 1001); err != io.ErrNoProgress {
		t.Errorf("waiting for more bytes than were written: %v", err)
	}

	written := int64(1000)
	_ = near.SetWriteDeadline(clock.System().Now().Add(100 * time.Millisecond))
	for {
		n, err := near.Write(make([]byte, 64<<10))
		written += int64(n)
		if err != nil {
			break
		}
	}
	if n := near.Acknowledged(); n <= 1000 || n >= written {
		t.Errorf("%d of %d bytes are acknowledged by a peer that does not read", n, written)
	}
	far.Abort()
	if _, err := near.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatal(err)
	}
	before := near.Acknowledged()
	near.Abort()
	if n := near.Acknowledged(); n != before || n >= written {
		t.Errorf("after Abort %d of %d bytes are acknowledged, before it %d", n, written, before)
	}

	// The FIN of a closed connection does not count as an acknowledged byte.
	near, far = connect(t, f.Net, f.Peer, f.PeerAddr)
	sendText(t, near, far, "all of it")
	if err := near.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(far); err != nil {
		t.Fatal(err)
	}
	if err := far.CloseWrite(); err != nil { // its FIN acknowledges everything before
		t.Fatal(err)
	}
	if _, err := io.ReadAll(near); err != nil {
		t.Fatal(err)
	}
	if n := near.Acknowledged(); n != 9 {
		t.Errorf("%d bytes of 9 are acknowledged", n)
	}
}

func lingerZero(t *testing.T, f Fixture) {
	near, far := connect(t, f.Net, f.Peer, f.PeerAddr)
	if err := near.SetLinger(0); err != nil {
		t.Fatal(err)
	}
	if err := near.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := far.Read(make([]byte, 1))
	wantError(t, err, syscall.ECONNRESET)
}

func deadlines(t *testing.T, f Fixture) {
	near, far := connect(t, f.Net, f.Peer, f.PeerAddr)
	soon := func() time.Time { return clock.System().Now().Add(5 * time.Millisecond) }
	late := func() time.Time { return clock.System().Now().Add(testTimeout) }

	_ = near.SetReadDeadline(soon())
	_, err := near.Read(make([]byte, 1))
	wantError(t, err, os.ErrDeadlineExceeded)
	_ = near.SetReadDeadline(late())
	sendText(t, far, near, "after a deadline")

	_ = near.SetReadDeadline(clock.System().Now().Add(-time.Second))
	_, err = near.Read(make([]byte, 1))
	wantError(t, err, os.ErrDeadlineExceeded)
	_ = near.SetReadDeadline(time.Time{})

	_ = near.SetWriteDeadline(soon())
	block := make([]byte, 1<<20)
	for err = nil; err == nil; {
		_, err = near.Write(block) // the peer does not read: the buffers fill
	}
	wantError(t, err, os.ErrDeadlineExceeded)

	// A deadline also applies to a Read that is already blocked.
	done := make(chan error)
	go func() {
		_, err := near.Read(make([]byte, 1))
		done <- err
	}()
	_ = near.SetReadDeadline(soon())
	wantError(t, <-done, os.ErrDeadlineExceeded)
}

func closeUnblocksCalls(t *testing.T, f Fixture) {
	near, _ := connect(t, f.Net, f.Peer, f.PeerAddr)
	l := listen(t, f.Net, network.ListenConfig{Addr: netip.AddrPortFrom(f.Addr, 0)})
	p, err := f.Net.ListenPacket(withTimeout(t), network.DialConfig{
		Local: netip.AddrPortFrom(f.Addr, 0),
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	call := func(f func() error) { done <- f() }
	go call(func() error { _, err := near.Read(make([]byte, 1)); return err })
	go call(func() error { _, err := l.Accept(); return err })
	go call(func() error { _, _, err := p.ReadFrom(make([]byte, 1)); return err })
	for _, c := range []io.Closer{near, l, p} {
		if err := c.Close(); err != nil {
			t.Errorf("close %T: %v", c, err)
		}
	}
	for range 3 {
		wantError(t, <-done, net.ErrClosed)
	}
	for _, c := range []io.Closer{near, l, p} {
		wantError(t, c.Close(), net.ErrClosed)
	}
	_, err = near.Write([]byte("x"))
	wantError(t, err, net.ErrClosed)
	wantError(t, near.SetDeadline(time.Time{}), net.ErrClosed)
}

func dialContext(t *testing.T, f Fixture) {
	cause := errors.New("cause")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	_, err := f.Net.Dial(ctx, network.DialConfig{Remote: netip.AddrPortFrom(f.PeerAddr, 9)})
	wantError(t, err, cause)
	_, err = f.Net.Listen(ctx, network.ListenConfig{Addr: netip.AddrPortFrom(f.Addr, 0)})
	wantError(t, err, cause)

	ctx, cancel = context.WithCancelCause(t.Context())
	done := make(chan error)
	go func() {
		_, err := f.Net.Dial(ctx, network.DialConfig{Remote: netip.AddrPortFrom(f.Missing, 9)})
		done <- err
	}()
	eventually(t, "a connection is being opened", func() bool {
		rows, err := f.Net.Sockets()
		supported(t, err)
		for _, s := range rows {
			if s.State == "SYN_SENT" && s.Remote.Addr() == f.Missing {
				return true
			}
		}
		return false
	})
	cancel(cause)
	wantError(t, <-done, cause)
}

func dialMissingHost(t *testing.T, f Fixture) {
	_, err := f.Net.Dial(withTimeout(t), network.DialConfig{Remote: netip.AddrPortFrom(f.Missing, 9)})
	wantError(t, err, syscall.EHOSTUNREACH)
}

func dialFrom(t *testing.T, f Fixture) {
	l := listen(t, f.Peer, network.ListenConfig{Addr: netip.AddrPortFrom(f.PeerAddr, 0)})
	from := netip.AddrPortFrom(f.Addr, 23456)
	c, err := f.Net.Dial(withTimeout(t), network.DialConfig{Local: from, Remote: addrPort(l.Addr())})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := addrPort(c.LocalAddr()); got != from {
		t.Errorf("dialed from %v, want %v", got, from)
	}
	_, err = f.Net.Dial(withTimeout(t), network.DialConfig{Local: from, Remote: addrPort(l.Addr())})
	wantError(t, err, syscall.EADDRINUSE)
	_, err = f.Net.Dial(withTimeout(t), network.DialConfig{
		Local: netip.AddrPortFrom(f.Missing, 0), Remote: addrPort(l.Addr()),
	})
	wantError(t, err, syscall.EADDRNOTAVAIL)

	c, err = f.Net.Dial(withTimeout(t), network.DialConfig{
		Interface: f.Interface, Remote: addrPort(l.Addr()),
	})
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func listenErrors(t *testing.T, f Fixture) {
	l := listen(t, f.Net, network.ListenConfig{Addr: netip.AddrPortFrom(f.Addr, 0)})
	_, err := f.Net.Listen(withTimeout(t), network.ListenConfig{Addr: addrPort(l.Addr())})
	wantError(t, err, syscall.EADDRINUSE)
	_, err = f.Net.Listen(withTimeout(t), network.ListenConfig{
		Addr: netip.AddrPortFrom(f.Missing, 2525),
	})
	wantError(t, err, syscall.EADDRNOTAVAIL)

	all := listen(t, f.Net, network.ListenConfig{Addr: netip.AddrPortFrom(netip.IPv4Unspecified(), 0)})
	c, err := f.Peer.Dial(withTimeout(t), network.DialConfig{
		Remote: netip.AddrPortFrom(f.Addr, addrPort(all.Addr()).Port()),
	})
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func relisten(t *testing.T, f Fixture) {
	at := netip.AddrPortFrom(f.Addr, 2525)
	for range 3 {
		l := listen(t, f.Net, network.ListenConfig{Addr: at})
		c, err := f.Peer.Dial(withTimeout(t), network.DialConfig{Remote: at})
		if err != nil {
			t.Fatal(err)
		}
		s, err := l.AcceptConn()
		if err != nil {
			t.Fatal(err)
		}
		// The side that closes first is left in TIME_WAIT.
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		_, _ = io.ReadAll(c)
		_ = c.Close()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		_, err = f.Peer.Dial(withTimeout(t), network.DialConfig{Remote: at})
		wantError(t, err, syscall.ECONNREFUSED)
	}
}

// backlog fills a listener's queue. Connections beyond it are not refused, but time out.
func backlog(t *testing.T, f Fixture) {
	const n = 3
	l := listen(t, f.Net, network.ListenConfig{Addr: netip.AddrPortFrom(f.Addr, 0), Backlog: n})
	dial := func(timeout time.Duration) (network.Conn, error) {
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		defer cancel()
		return f.Peer.Dial(ctx, network.DialConfig{Remote: addrPort(l.Addr())})
	}
	// waiting returns the number of connections in the queue.
	_, unsupported := f.Net.Sockets()
	waiting := func() (qlen, limit int) {
		rows, err := f.Net.Sockets()
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range rows {
			if s.State == "LISTEN" && s.Local == addrPort(l.Addr()) {
				return s.QLen, s.MaxQLen
			}
		}
		return 0, 0
	}
	var open []network.Conn
	for patience := 200 * time.Millisecond; ; {
		c, err := dial(patience)
		if err != nil {
			wantError(t, err, context.DeadlineExceeded)
			if len(open) >= n || patience > testTimeout {
				break
			}
			patience *= 4 // the queue is not full, so the machine is busy
			continue
		}
		if open = append(open, c); len(open) > 2*n {
			t.Fatalf("%d connections with a backlog of %d", len(open), n)
		}
		if unsupported != nil {
			continue
		}
		// A client's connection is open before the server's end is in the queue. The queue
		// holds what it may hold only if the next client comes after that.
		eventually(t, "the connection is in the queue", func() bool {
			qlen, _ := waiting()
			return qlen >= len(open)
		})
	}
	if len(open) < n {
		t.Fatalf("%d connections with a backlog of %d", len(open), n)
	}
	supported(t, unsupported)
	if qlen, limit := waiting(); qlen < n || limit != n {
		t.Errorf("%d connections wait, and the limit is %d: want at least %d and %[3]d", qlen, limit, n)
	}
	for range open {
		c, err := l.AcceptConn()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	c, err := f.Peer.Dial(withTimeout(t), network.DialConfig{Remote: addrPort(l.Addr())})
	if err != nil {
		t.Fatalf("with an empty queue: %v", err)
	}
	c.Close()
}

// loopback connects to the network's own addresses.
func loopback(t *testing.T, f Fixture) {
	for _, a := range []netip.Addr{netip.MustParseAddr("127.0.0.1"), f.Addr} {
		near, far := connect(t, f.Net, f.Net, a)
		sendText(t, near, far, "to myself")
	}
}
