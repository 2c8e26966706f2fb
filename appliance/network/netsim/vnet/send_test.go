package vnet_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/network"
)

// A failingReader fails from an offset on.
type failingReader struct {
	r   io.ReaderAt
	end int64
	err error
}

func (f failingReader) ReadAt(b []byte, off int64) (int, error) {
	if off+int64(len(b)) > f.end {
		return 0, f.err
	}
	return f.r.ReadAt(b, off)
}

func TestSendRange(t *testing.T) {
	content := strings.Repeat("0123456789abcdef", 64<<10) // more than the buffers take
	failed := errors.New("failed")
	for _, test := range []struct {
		name   string
		r      io.ReaderAt
		off, n int64
		want   string
		err    error
	}{
		{"all", strings.NewReader(content), 0, int64(len(content)), content, nil},
		{"a part", strings.NewReader(content), 5, 100_001, content[5:100_006], nil},
		{"nothing", strings.NewReader(content), 5, 0, "", nil},
		{"more than there is", strings.NewReader(content[:70_000]), 3, 100_000, content[3:70_000], io.EOF},
		{"behind the end", strings.NewReader("abc"), 3, 10, "", io.EOF},
		{"reading fails", failingReader{strings.NewReader(content), 0, failed}, 0, 10, "", failed},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newPair(t, false)
			client, server := p.connect(t, p.a, p.b, addrB)
			received := make(chan []byte)
			go func() {
				all, _ := io.ReadAll(client)
				received <- all
			}()
			n, err := server.(network.RangeSender).SendRange(test.r, test.off, test.n)
			if n != int64(len(test.want)) || !errors.Is(err, test.err) {
				t.Errorf("SendRange = %d, %v; want %d, %v", n, err, len(test.want), test.err)
			}
			server.Close()
			if got := <-received; !bytes.Equal(got, []byte(test.want)) {
				t.Errorf("received %d bytes, want the %d bytes that were sent", len(got), len(test.want))
			}
		})
	}
}

func TestSendRangeEndsAtDeadlineAndClose(t *testing.T) {
	content := strings.NewReader(strings.Repeat("x", 1<<20)) // nobody reads it
	p := newPair(t, false)
	_, server := p.connect(t, p.a, p.b, addrB)
	server.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
	_, err := server.(network.RangeSender).SendRange(content, 0, 1<<20)
	var op *net.OpError
	if !errors.As(err, &op) || !op.Timeout() {
		t.Errorf("after the deadline: %v", err)
	}
	server.Close()
	if _, err = server.(network.RangeSender).SendRange(content, 0, 1); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}
