//go:build unix

package door

import (
	"bytes"
	"io"
	"net"
	"testing"

	"github.com/esasim/esasim/appliance/network/netsim/vnet"
)

// A source is a simulated connection that has data at once, and then its end.
type source struct {
	half
	data  *bytes.Reader
	watch func()
	reset bool
}

func (s *source) Watch(f func()) {
	s.watch = f
	f()
}

func (s *source) TryRead(b []byte) (int, error) {
	if s.data == nil {
		return 0, vnet.ErrWouldBlock
	}
	return s.data.Read(b)
}

func (s *source) Read(b []byte) (int, error) { return s.data.Read(b) }

func (s *source) Close() error { return nil }

func (s *source) SetLinger(sec int) error {
	s.reset = sec == 0
	return nil
}

// socketPair returns both ends of a real connection.
func socketPair(t *testing.T) (a, b *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	d, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); d.Close() })
	return c.(*net.TCPConn), d.(*net.TCPConn)
}

func TestPullContinuesOnAGoroutineWhileTheSocketIsFull(t *testing.T) {
	outside, client := socketPair(t)
	data := make([]byte, 32<<20) // more than the kernel buffers
	for i := range data {
		data[i] = byte(i * i >> 8)
	}
	src := &source{}
	x := new(splicer).newPull(&splice{a: outside, b: src}, nil)
	x.start() // returns, although nobody reads
	src.data = bytes.NewReader(data)
	src.watch()
	if x.state.Load() == pullIdle {
		t.Error("nothing is left to write, although nobody reads")
	}
	if got, err := io.ReadAll(client); err != nil || !bytes.Equal(got, data) {
		t.Errorf("the client got %d bytes and %v, want %d", len(got), err, len(data))
	}
	x.wait()
}

func TestPullResetsTheServiceIfTheClientHasGone(t *testing.T) {
	outside, client := socketPair(t)
	src := &source{data: bytes.NewReader(make([]byte, 1<<20))}
	client.Close()
	outside.Close()
	x := new(splicer).newPull(&splice{a: outside, b: src}, nil)
	x.start()
	x.wait()
	if !src.reset {
		t.Error("the service's side was not reset")
	}
}
