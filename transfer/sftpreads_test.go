package transfer

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/pkg/sftp"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/files"
)

// A bulkChannel is a channel that is told about bulk data.
type bulkChannel struct {
	net.Conn
	t      *testing.T
	bulks  atomic.Int32 // calls of BeginBulk without their EndBulk
	begun  atomic.Int32 // calls of BeginBulk
	inBulk atomic.Int64 // bytes written in bulk
}

func (c *bulkChannel) BeginBulk() { c.begun.Add(1); c.bulks.Add(1) }

func (c *bulkChannel) EndBulk() error { c.bulks.Add(-1); return nil }

func (c *bulkChannel) Read(p []byte) (int, error) {
	if c.bulks.Load() != 0 {
		c.t.Error("the client is awaited while data waits for more data")
	}
	return c.Conn.Read(p)
}

func (c *bulkChannel) Write(p []byte) (int, error) {
	if c.bulks.Load() > 0 {
		c.inBulk.Add(int64(len(p)))
	}
	return c.Conn.Write(p)
}

// serveReads starts a session on a file area with files of these contents in the directory of
// configurations.
func serveReads(t *testing.T, contents map[string][]byte) (ch *bulkChannel, client net.Conn) {
	s, err := files.Open(t.TempDir(), 0, clock.System())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	for name, data := range contents {
		if err := s.WriteFile(files.Configuration+"/"+name, data); err != nil {
			t.Fatal(err)
		}
	}
	client, server := net.Pipe()
	ch = &bulkChannel{Conn: server, t: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		ServeSFTP(context.Background(), ch, s.Area("admin"), SFTPOptions{}) //nolint:errcheck // the client sees it
		server.Close()
	}()
	t.Cleanup(func() {
		client.Close()
		<-done
		if n := ch.bulks.Load(); n != 0 {
			t.Errorf("%d times bulk data was begun and not ended", n)
		}
	})
	return ch, client
}

// TestSFTPReads: whatever is read of several files that are open at the same time, in any order and
// beyond their ends, is what the files contain.
func TestSFTPReads(t *testing.T) {
	contents := map[string][]byte{"empty": {}, "short": []byte("short"), "long": nil, "other": nil}
	for i := range 300 << 10 {
		contents["long"] = append(contents["long"], byte(i), byte(i>>8))
		contents["other"] = append(contents["other"], byte(i>>8), ^byte(i))
	}
	ch, conn := serveReads(t, contents)
	c, err := sftp.NewClientPipe(conn, conn)
	if err != nil {
		t.Fatal(err)
	}
	open := map[string]*sftp.File{}
	for name := range contents {
		flag := os.O_RDONLY
		if name == "other" {
			flag = os.O_RDWR
		}
		if open[name], err = c.OpenFile("/configuration/"+name, flag); err != nil {
			t.Fatal(err)
		}
	}
	for _, off := range []int64{0, 3, 70_000, 600_000, 1 << 20, 2, 599_000} {
		for name, f := range open {
			got := make([]byte, 100_000)
			n, err := f.ReadAt(got, off)
			want := contents[name][min(off, int64(len(contents[name]))):]
			if len(want) < len(got) {
				if err != io.EOF || !bytes.Equal(got[:n], want) {
					t.Errorf("%s from %d: %d bytes, %v; want %d bytes and EOF", name, off, n, err, len(want))
				}
				continue
			}
			if err != nil || !bytes.Equal(got, want[:len(got)]) {
				t.Errorf("%s from %d: other data, or %v", name, off, err)
			}
		}
	}
	if ch.inBulk.Load() < 700_000 {
		t.Errorf("%d bytes were sent as bulk data", ch.inBulk.Load())
	}
	if _, err := open["other"].WriteAt([]byte("changed"), 5); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 7)
	if _, err := open["other"].ReadAt(got, 5); err != nil || string(got) != "changed" {
		t.Errorf("after a write: %q, %v", got, err)
	}
	for name, f := range open {
		if err := f.Close(); err != nil {
			t.Error(name, err)
		}
		if _, err := f.ReadAt(got, 0); err == nil {
			t.Errorf("%s can be read after it was closed", name)
		}
	}
}

// TestSFTPReadsKeepTheOrder: a client that sends many requests at once receives the answers in the
// order of the requests, whether the library or the stream answers. Bulk data is begun once for all
// of them.
func TestSFTPReadsKeepTheOrder(t *testing.T) {
	text := bytes.Repeat([]byte("0123456789abcdef"), 100)
	ch, conn := serveReads(t, map[string][]byte{"a": text})
	send := func(requests ...[]byte) {
		go conn.Write(slices.Concat(requests...)) //nolint:errcheck // the client awaits the answers
	}
	receive := func() (kind byte, body []byte) {
		t.Helper()
		head := make([]byte, 5)
		if _, err := io.ReadFull(conn, head); err != nil {
			t.Fatal(err)
		}
		body = make([]byte, binary.BigEndian.Uint32(head)-1)
		if _, err := io.ReadFull(conn, body); err != nil {
			t.Fatal(err)
		}
		return head[4], body
	}
	send(sftpPacket(1, 3))
	receive()
	open := appendString(nil, "/configuration/a")
	send(sftpPacket(3, 1, append(open, 0, 0, 0, 1, 0, 0, 0, 0)...))
	_, body := receive()
	handle := string(body[8:])
	read := func(id uint32, off uint64, n uint32) []byte {
		b := binary.BigEndian.AppendUint64(appendString(nil, handle), off)
		return sftpPacket(sftpRead, id, binary.BigEndian.AppendUint32(b, n)...)
	}
	var want []string
	var requests [][]byte
	add := func(kind byte, id uint32, request []byte) {
		want, requests = append(want, fmt.Sprint(kind, " ", id)), append(requests, request)
	}
	for id := range uint32(20) {
		add(sftpData, id, read(id, uint64(id)*16, 20))
	}
	add(sftpStatus, 20, read(20, uint64(len(text)), 20)) // at the end
	add(sftpStatus, 21, sftpPacket(sftpRead, 21, append(appendString(nil, "none"), make([]byte, 12)...)...))
	add(sftpStatus, 22, sftpPacket(sftpClose, 22, appendString(nil, handle)...))
	add(sftpStatus, 23, read(23, 0, 20)) // it is closed
	send(requests...)
	for i, x := range want {
		kind, body := receive()
		if got := fmt.Sprint(kind, " ", binary.BigEndian.Uint32(body)); got != x {
			t.Fatalf("answer %d is %s, want %s", i, got, x)
		}
		if kind == sftpData && string(body[8:]) != string(text[i*16:i*16+20]) {
			t.Errorf("answer %d has the data %q", i, body[8:])
		}
	}
	if n := ch.begun.Load(); n != 1 {
		t.Errorf("bulk data was begun %d times, want once", n)
	}
}

// TestSFTPReadsOfTheRightFile: a handle is that of its file, whatever a client has asked for with its
// number before there was such a handle.
func TestSFTPReadsOfTheRightFile(t *testing.T) {
	_, conn := serveReads(t, map[string][]byte{"a": []byte("text a"), "b": []byte("text b")})
	answer := func(request []byte) (kind byte, body []byte) {
		t.Helper()
		go conn.Write(request) //nolint:errcheck // the answer is awaited
		head := make([]byte, 5)
		_, err := io.ReadFull(conn, head)
		if err == nil {
			body = make([]byte, binary.BigEndian.Uint32(head)-1)
			_, err = io.ReadFull(conn, body)
		}
		if err != nil {
			t.Fatal(err)
		}
		return head[4], body
	}
	open := func(name, want string) {
		t.Helper()
		b := append(appendString(nil, "/configuration/"+name), 0, 0, 0, 1, 0, 0, 0, 0)
		if _, body := answer(sftpPacket(3, 1, b...)); string(body[8:]) != want {
			t.Fatalf("the handle of %s is %q", name, body)
		}
	}
	from := func(handle string, more ...byte) []byte { // from its beginning
		return append(append(appendString(nil, handle), make([]byte, 8)...), more...)
	}
	answer(sftpPacket(1, 3))
	open("a", "1")
	if kind, _ := answer(sftpPacket(sftpRead, 2, from("2", 0, 0, 0, 6)...)); kind != sftpStatus {
		t.Errorf("a handle that there is not can be read: %d", kind)
	}
	open("b", "2")
	const write = 6 // with a handle for reading, the library reads
	answer(sftpPacket(write, 3, from("1", 0, 0, 0, 1, 'x')...))
	for range 3 {
		_, body := answer(sftpPacket(sftpRead, 4, from("2", 0, 0, 0, 6)...))
		if got := string(body[8:]); got != "text b" {
			t.Errorf("read %q", got)
		}
	}
}

// TestSFTPReadsForgetClosedFiles: nothing is kept of a file that was closed, however long the
// request was, and the library gets the whole request.
func TestSFTPReadsForgetClosedFiles(t *testing.T) {
	for _, more := range []int{0, 1, maxReadRequest, 5000} {
		request := sftpPacket(sftpClose, 1, append([]byte{0, 0, 0, 1, '7'}, make([]byte, more)...)...)
		s := newSFTPStream(&recordedChannel{Reader: bytes.NewReader(request)}, &sftpSession{})
		s.reads.files, s.reads.buf = map[string]*sftpFile{"7": {}}, make([]byte, 1)
		if got, err := io.ReadAll(s); !bytes.Equal(got, request) || err != nil {
			t.Errorf("%d bytes more: the library got %d of %d bytes, %v", more, len(got), len(request), err)
		}
		if len(s.reads.files) > 0 || s.reads.buf != nil {
			t.Errorf("%d bytes more: %v is kept", more, s.reads.files)
		}
	}
}
