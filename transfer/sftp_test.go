package transfer_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pkg/sftp"

	"github.com/esasim/esasim/appliance/files"
	"github.com/esasim/esasim/transfer"
)

func TestSFTPCommands(t *testing.T) {
	s := newStore(t, 1<<20)
	c := dialSFTP(t, s)
	if dir, err := c.Getwd(); dir != "/data/pub" || err != nil {
		t.Errorf("initial directory %s, %v", dir, err)
	}
	p, err := c.RealPath("/configuration/../diagnostic")
	if p != "/data/pub/diagnostic" || err != nil {
		t.Errorf("real path %s, %v", p, err)
	}
	if v, err := c.StatVFS("."); err != nil || v.TotalSpace() != 1<<20 || v.FreeSpace() >= 1<<20 {
		t.Errorf("df: %+v, %v", v, err)
	}
	mtime := time.Unix(1435222203, 0)
	noSpace, tooLarge := errors.New("No space left on device"), errors.New("File too large")
	for what, tc := range map[string]struct {
		err  error
		want error
	}{
		"mkdir":                       {c.Mkdir("configuration/sub"), nil},
		"mkdir elsewhere":             {c.Mkdir("sub"), fs.ErrPermission},
		"rmdir":                       {c.RemoveDirectory("configuration/sub"), nil},
		"rename":                      {c.Rename("configuration/old.xml", "configuration/new.xml"), nil},
		"rename a missing file":       {c.Rename("configuration/old.xml", "configuration/x"), fs.ErrNotExist},
		"chmod, as put does":          {c.Chmod("configuration/new.xml", 0o600), nil},
		"chmod a capture":             {c.Chmod("captures/a.cap", 0o600), fs.ErrPermission},
		"chmod a missing file":        {c.Chmod("configuration/none", 0o600), fs.ErrNotExist},
		"truncate":                    {c.Truncate("configuration/new.xml", 3), nil},
		"truncate a capture":          {c.Truncate("captures/a.cap", 0), fs.ErrPermission},
		"remove a directory":          {c.Remove("configuration"), fs.ErrPermission},
		"set a time":                  {c.Chtimes("configuration/new.xml", time.Unix(0, 0), mtime), nil},
		"a symbolic link":             {c.Symlink("/etc/passwd", "configuration/evil"), sftp.ErrSSHFxOpUnsupported},
		"a hard link":                 {c.Link("captures/a.cap", "configuration/evil"), sftp.ErrSSHFxOpUnsupported},
		"truncate beyond the quota":   {c.Truncate("configuration/new.xml", 1<<21), noSpace},
		"truncate to a negative size": {c.Truncate("configuration/new.xml", -1), tooLarge},
	} {
		if !sameError(tc.err, tc.want) {
			t.Errorf("%s: %v, want %v", what, tc.err, tc.want)
		}
	}
	fi, err := c.Stat("configuration/new.xml")
	if err != nil || fi.Size() != 3 || !fi.ModTime().Equal(mtime) {
		t.Errorf("after all commands: %v, %v", fi, err)
	}
}

// sameError reports whether an error of the client has the same meaning, text or status code as
// want.
func sameError(err, want error) bool {
	if err == nil || want == nil {
		return err == want
	}
	var se *sftp.StatusError
	return errors.Is(err, want) || strings.Contains(err.Error(), want.Error()) ||
		errors.As(err, &se) && se.FxCode() == want
}

// Clients show the numbers of owner and group, which belong to the names in a listing.
func TestSFTPOwner(t *testing.T) {
	c := dialSFTP(t, newStore(t, 0))
	list, err := c.ReadDir("captures")
	if err != nil || len(list) == 0 {
		t.Fatal(list, err)
	}
	one, err := c.Stat("captures/a.cap")
	if err != nil {
		t.Fatal(err)
	}
	link, err := c.Lstat("captures")
	if err != nil {
		t.Fatal(err)
	}
	for _, fi := range append(list, one, link) {
		a, ok := fi.Sys().(*sftp.FileStat)
		if !ok || a.UID != files.OwnerID || a.GID != files.GroupID {
			t.Errorf("%s: %+v", fi.Name(), fi.Sys())
		}
	}
}

func TestSFTPRename(t *testing.T) {
	s := newStore(t, 0)
	c := dialSFTP(t, s)
	const from, to = "configuration/old.xml", "configuration/it's [1].xml"
	if err := c.Rename(from, to); err == nil {
		t.Error("Rename has replaced a file")
	}
	if err := c.PosixRename(from, to); err != nil {
		t.Error(err)
	}
	if got := readFile(t, s, "data/pub/"+to); got != "precious" {
		t.Errorf("content %q", got)
	}
}

func TestSFTPResume(t *testing.T) {
	s := newStore(t, 0)
	c := dialSFTP(t, s)
	f, err := c.OpenFile("configuration/old.xml", os.O_WRONLY|os.O_CREATE)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("!!"), 8); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	a, err := c.OpenFile("configuration/old.xml", os.O_WRONLY|os.O_APPEND)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Write([]byte("??")); err != nil { // the client writes at offset 0
		t.Error(err)
	}
	a.Close()
	if got := readFile(t, s, "data/pub/configuration/old.xml"); got != "precious!!??" {
		t.Errorf("content %q", got)
	}
	rw, err := c.OpenFile("configuration/old.xml", os.O_RDWR)
	if err != nil {
		t.Fatal(err)
	}
	defer rw.Close()
	if b, err := io.ReadAll(rw); string(b) != "precious!!??" || err != nil {
		t.Errorf("read %q, %v", b, err)
	}
	if _, err := c.OpenFile("configuration/old.xml", os.O_WRONLY|os.O_CREATE|os.O_EXCL); err == nil {
		t.Error("O_EXCL has opened an existing file")
	}
}

// The lines have the form of the FTP daemon's log.
func TestSFTPAndSCPLog(t *testing.T) {
	s := newStore(t, 0)
	var log []string
	writeLog := func(text string) { log = append(log, text) }
	conn, done := serveSFTP(s, transfer.SFTPOptions{Log: writeLog})
	c, err := sftp.NewClientPipe(conn, conn)
	if err != nil {
		t.Fatal(err)
	}
	client := sftpClient{c}
	_, err = client.get("captures/a.cap")
	err = errors.Join(err,
		client.put("configuration/up", []byte("12345")),
		c.Rename("configuration/up", "configuration/renamed"),
		c.Remove("configuration/renamed"))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Remove("mail_logs/nothing"); err == nil {
		t.Error("a file that does not exist was removed")
	}
	c.Close()
	<-done
	conn, server := net.Pipe()
	status := make(chan int, 1)
	go func() {
		o := transfer.SCPOptions{Log: writeLog}
		status <- transfer.ServeSCP(t.Context(), "scp -f captures/a.cap", server, s.Area("admin"), o)
		server.Close()
	}()
	receiveSCP(conn)
	conn.Close()
	<-status
	want := []string{
		"Download /data/pub/captures/a.cap 9 bytes",
		"Upload /data/pub/configuration/up 5 bytes",
		"Rename /data/pub/configuration/up to /data/pub/configuration/renamed",
		"Delete /data/pub/configuration/renamed",
		"Download /data/pub/captures/a.cap 9 bytes",
	}
	if diff := cmp.Diff(want, log); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

func TestSFTPLimitsOpenHandles(t *testing.T) {
	s := newStore(t, 0)
	conn, done := serveSFTP(s, transfer.SFTPOptions{MaxHandles: 3})
	c, err := sftp.NewClientPipe(conn, conn)
	if err != nil {
		t.Fatal(err)
	}
	var open []*sftp.File
	for range 3 {
		f, err := c.Open("captures/a.cap")
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, f)
	}
	_, err = c.Open("captures/a.cap")
	if err == nil || !strings.Contains(err.Error(), "Too many open files") {
		t.Errorf("the fourth file: %v", err)
	}
	if _, err := c.ReadDir("captures"); err == nil {
		t.Error("a directory was not counted as a handle")
	}
	open[0].Close()
	if _, err := c.ReadDir("captures"); err != nil {
		t.Error(err)
	}
	if f, err := c.Open("captures/a.cap"); err != nil {
		t.Error(err)
	} else {
		f.Close()
	}
	c.Close()
	<-done
}

func TestServeSFTPResult(t *testing.T) {
	s := newStore(t, 0)
	// serve returns the result of a session that end ends.
	serve := func(end func(client net.Conn, cancel context.CancelCauseFunc)) error {
		client, server := net.Pipe()
		defer server.Close()
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		done := make(chan error, 1)
		go func() {
			done <- transfer.ServeSFTP(ctx, server, s.Area("admin"), transfer.SFTPOptions{})
		}()
		end(client, cancel)
		return <-done
	}
	err := serve(func(client net.Conn, _ context.CancelCauseFunc) { client.Close() })
	if err != nil || transfer.ExitStatus(err) != 0 {
		t.Errorf("the client closes: %v", err)
	}
	down := errors.New("going down")
	err = serve(func(_ net.Conn, cancel context.CancelCauseFunc) { cancel(down) })
	if !errors.Is(err, down) {
		t.Errorf("the context ends: %v", err)
	}
	err = serve(func(client net.Conn, _ context.CancelCauseFunc) {
		client.Write([]byte("\xff\xff\xff\xff"))
	})
	if err == nil || transfer.ExitStatus(err) != 1 {
		t.Errorf("an invalid packet: %v", err)
	}
}

// The library panics if a handler uses the attributes of a truncated SETSTAT. The session must
// reply with an error instead.
func TestSFTPTruncatedAttributes(t *testing.T) {
	s := newStore(t, 0)
	conn, done := serveSFTP(s, transfer.SFTPOptions{})
	send := func(b ...byte) {
		t.Helper()
		packet := append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
		if _, err := conn.Write(packet); err != nil {
			t.Fatal(err)
		}
	}
	receive := func() []byte {
		t.Helper()
		var length [4]byte
		if _, err := io.ReadFull(conn, length[:]); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, binary.BigEndian.Uint32(length[:]))
		if _, err := io.ReadFull(conn, b); err != nil {
			t.Fatal(err)
		}
		return b
	}
	send(1, 0, 0, 0, 3) // INIT
	receive()
	const name = "/configuration/old.xml"
	msg := append([]byte{9, 0, 0, 0, 7, 0, 0, 0, byte(len(name))}, name...) // SETSTAT, id 7
	send(append(msg, 0, 0, 0, 1)...)                                        // announces a size
	if got := receive(); got[0] != 101 || got[8] != 5 {                     // STATUS, bad message
		t.Errorf("got %v", got)
	}
	conn.Close()
	<-done
}

// TestSFTPAppendsInOrder: data that a client appends without awaiting the answers, as OpenSSH's reput
// does, is in the file in the order in which it was sent.
func TestSFTPAppendsInOrder(t *testing.T) {
	const n = 4000
	s := newStore(t, 0)
	conn, done := serveSFTP(s, transfer.SFTPOptions{})
	packet := func(body []byte) []byte {
		return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
	}
	const name = "/configuration/old.xml"
	open := append([]byte{3, 0, 0, 0, 1, 0, 0, 0, byte(len(name))}, name...) // OPEN to append
	requests := packet([]byte{1, 0, 0, 0, 3})                                // INIT
	requests = append(requests, packet(append(open, 0, 0, 0, 2|4, 0, 0, 0, 0))...)
	want := []byte("precious")
	for i := range uint32(n) { // WRITE with the handle of the first file, length 4
		head := []byte{6, 0, 0, 0, 2, 0, 0, 0, 1, '1', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4}
		binary.BigEndian.PutUint32(head[14:], uint32(len(want)))
		requests = append(requests, packet(binary.BigEndian.AppendUint32(head, i))...)
		want = binary.BigEndian.AppendUint32(want, i)
	}
	sent := make(chan error, 1)
	go func() {
		_, err := conn.Write(requests)
		sent <- err
	}()
	for range 2 + n { // the answers
		var length [4]byte
		if _, err := io.ReadFull(conn, length[:]); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, binary.BigEndian.Uint32(length[:]))
		if _, err := io.ReadFull(conn, b); err != nil {
			t.Fatal(err)
		}
		if b[0] == 101 && !bytes.Equal(b[5:9], make([]byte, 4)) {
			t.Fatalf("an error: %q", b)
		}
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
	conn.Close()
	<-done
	if got := readFile(t, s, "data/pub"+name); got != string(want) {
		t.Errorf("%d bytes, in another order than the %d that were sent", len(got), len(want))
	}
}

// TestSFTPTransferred: a transfer is told if the client has fetched the beginning of a file or stored
// all of it, in whatever order, and not if it has resumed.
func TestSFTPTransferred(t *testing.T) {
	const name, size = "/configuration/old.xml", 8 // "precious"
	read := func(parts ...[2]int64) func(*sftp.File) error {
		return func(f *sftp.File) error {
			for _, p := range parts {
				if _, err := f.ReadAt(make([]byte, p[1]), p[0]); err != nil && err != io.EOF {
					return err
				}
			}
			return nil
		}
	}
	write := func(parts ...[2]int64) func(*sftp.File) error {
		return func(f *sftp.File) error {
			for _, p := range parts {
				if _, err := f.WriteAt(make([]byte, p[1]), p[0]); err != nil {
					return err
				}
			}
			return nil
		}
	}
	const put = os.O_WRONLY | os.O_CREATE
	for label, x := range map[string]struct {
		flag int
		use  func(*sftp.File) error
		want int64 // -1: no transfer
	}{
		"fetched":                   {os.O_RDONLY, read([2]int64{0, 100}), size},
		"fetched in parts":          {os.O_RDONLY, read([2]int64{0, 3}, [2]int64{3, 5}, [2]int64{8, 5}), size},
		"fetched in another order":  {os.O_RDONLY, read([2]int64{4, 4}, [2]int64{2, 2}, [2]int64{0, 2}), size},
		"fetched and fetched again": {os.O_RDONLY, read([2]int64{0, 8}, [2]int64{0, 8}), size},
		"the beginning":             {os.O_RDONLY, read([2]int64{0, 3}), 3},
		"opened, and not read":      {os.O_RDONLY, read(), -1},
		"fetched with a gap":        {os.O_RDONLY, read([2]int64{0, 3}, [2]int64{4, 4}), -1},
		"fetched from an offset":    {os.O_RDONLY, read([2]int64{3, 5}), -1},
		"stored":                    {put | os.O_TRUNC, write([2]int64{0, 3}, [2]int64{3, 9}), 12},
		"stored in another order":   {put | os.O_TRUNC, write([2]int64{3, 9}, [2]int64{0, 3}), 12},
		"stored empty":              {put | os.O_TRUNC, write(), 0},
		"stored over it":            {put, write([2]int64{0, 9}), 9},
		"stored over it and cut": {put, func(f *sftp.File) error {
			return errors.Join(write([2]int64{0, 3})(f), f.Truncate(3))
		}, 3},
		"stored over a part":    {put, write([2]int64{0, 3}), -1},
		"resumed":               {put, write([2]int64{8, 4}), -1},
		"stored with a gap":     {put | os.O_TRUNC, write([2]int64{0, 3}, [2]int64{5, 3}), -1},
		"appended":              {put | os.O_APPEND, write([2]int64{0, 8}), -1},
		"stored, and read back": {os.O_RDWR | os.O_TRUNC, func(f *sftp.File) error { return errors.Join(write([2]int64{0, 9})(f), read([2]int64{5, 2})(f)) }, 9},
	} {
		t.Run(label, func(t *testing.T) {
			var got []transfer.Transferred
			conn, done := serveSFTP(newStore(t, 0), transfer.SFTPOptions{
				Done: func(x transfer.Transferred) { got = append(got, x) },
			})
			c, err := sftp.NewClientPipe(conn, conn)
			if err != nil {
				t.Fatal(err)
			}
			f, err := c.OpenFile(name, x.flag)
			if err == nil {
				err = errors.Join(x.use(f), f.Close())
			}
			if err != nil {
				t.Error(err)
			}
			c.Close()
			<-done
			var want []transfer.Transferred
			if x.want >= 0 {
				want = []transfer.Transferred{{Upload: x.flag != os.O_RDONLY, Path: name, Size: x.want}}
			}
			if !slices.Equal(got, want) {
				t.Errorf("told %+v, want %+v", got, want)
			}
		})
	}
}
