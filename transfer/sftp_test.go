package transfer_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pkg/sftp"

	"github.com/esasim/esasim/transfer"
)

func TestSFTPCommands(t *testing.T) {
	s := newStore(t, 1<<20)
	c := dialSFTP(t, s)
	if dir, err := c.Getwd(); dir != "/data/pub" || err != nil {
		t.Errorf("starts in %s, %v", dir, err)
	}
	if p, err := c.RealPath("/configuration/../diagnostic"); p != "/data/pub/diagnostic" || err != nil {
		t.Errorf("real path %s, %v", p, err)
	}
	if v, err := c.StatVFS("."); err != nil || v.TotalSpace() != 1<<20 || v.FreeSpace() >= 1<<20 {
		t.Errorf("df: %+v, %v", v, err)
	}
	for what, tc := range map[string]struct {
		err  error
		want error
	}{
		"mkdir":                     {c.Mkdir("configuration/sub"), nil},
		"mkdir elsewhere":           {c.Mkdir("sub"), fs.ErrPermission},
		"rmdir":                     {c.RemoveDirectory("configuration/sub"), nil},
		"rename":                    {c.Rename("configuration/old.xml", "configuration/new.xml"), nil},
		"rename of what is gone":    {c.Rename("configuration/old.xml", "configuration/x"), fs.ErrNotExist},
		"chmod, which put does":     {c.Chmod("configuration/new.xml", 0o600), nil},
		"chmod of a capture":        {c.Chmod("captures/a.cap", 0o600), fs.ErrPermission},
		"chmod of what is not":      {c.Chmod("configuration/none", 0o600), fs.ErrNotExist},
		"truncate":                  {c.Truncate("configuration/new.xml", 3), nil},
		"truncate a capture":        {c.Truncate("captures/a.cap", 0), fs.ErrPermission},
		"remove a directory":        {c.Remove("configuration"), fs.ErrPermission},
		"set a time":                {c.Chtimes("configuration/new.xml", time.Unix(0, 0), time.Unix(1435222203, 0)), nil},
		"a symbolic link":           {c.Symlink("/etc/passwd", "configuration/evil"), sftp.ErrSSHFxOpUnsupported},
		"a hard link":               {c.Link("captures/a.cap", "configuration/evil"), sftp.ErrSSHFxOpUnsupported},
		"truncate beyond the quota": {c.Truncate("configuration/new.xml", 1<<21), errors.New("No space left on device")},
		"truncate to a nonsense":    {c.Truncate("configuration/new.xml", -1), errors.New("File too large")},
	} {
		if tc.want == nil || tc.err == nil {
			if tc.err != tc.want {
				t.Errorf("%s: %v, want %v", what, tc.err, tc.want)
			}
		} else if !errors.Is(tc.err, tc.want) && !strings.Contains(tc.err.Error(), tc.want.Error()) && !sameStatus(tc.err, tc.want) {
			t.Errorf("%s: %v, want %v", what, tc.err, tc.want)
		}
	}
	fi, err := c.Stat("configuration/new.xml")
	if err != nil || fi.Size() != 3 || fi.ModTime().Unix() != 1435222203 {
		t.Errorf("in the end: %v, %v", fi, err)
	}
}

// sameStatus compares what the client makes of a status code.
func sameStatus(err, want error) bool {
	var se *sftp.StatusError
	return errors.As(err, &se) && se.FxCode() == want
}

func TestSFTPRename(t *testing.T) {
	s := newStore(t, 0)
	c := dialSFTP(t, s)
	const from, to = "configuration/old.xml", "configuration/it's [1].xml"
	if err := c.Rename(from, to); err == nil {
		t.Error("a plain rename has replaced a file")
	}
	if err := c.PosixRename(from, to); err != nil {
		t.Error(err)
	}
	if got := content(t, s, "data/pub/"+to); got != "precious" {
		t.Errorf("holds %q", got)
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
	if _, err := a.Write([]byte("??")); err != nil { // at offset 0, as the client believes
		t.Error(err)
	}
	a.Close()
	if got := content(t, s, "data/pub/configuration/old.xml"); got != "precious!!??" {
		t.Errorf("holds %q", got)
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
		t.Error("an existing file was made anew")
	}
}

// What becomes of files over SSH is told as the FTP daemon tells it.
func TestSFTPAndSCPLog(t *testing.T) {
	s := newStore(t, 0)
	var log []string
	tell := func(text string) { log = append(log, text) }
	near, far := net.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- transfer.ServeSFTP(t.Context(), far, s.Area("admin"), transfer.SFTPOptions{Log: tell})
		far.Close()
	}()
	c, err := sftp.NewClientPipe(near, near)
	if err != nil {
		t.Fatal(err)
	}
	client := sftpClient{c}
	_, get := client.get("captures/a.cap")
	err = errors.Join(get, client.put("configuration/up", []byte("12345")), c.Rename("configuration/up", "configuration/there"), c.Remove("configuration/there"))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Remove("mail_logs/nothing"); err == nil {
		t.Error("what is not there was removed")
	}
	c.Close()
	<-done
	here, there := net.Pipe()
	status := make(chan int, 1)
	go func() {
		status <- transfer.ServeSCP(t.Context(), "scp -f captures/a.cap", there, s.Area("admin"), transfer.SCPOptions{Log: tell})
		there.Close()
	}()
	receiveSCP(here)
	here.Close()
	<-status
	want := []string{
		"Download /data/pub/captures/a.cap 9 bytes",
		"Upload /data/pub/configuration/up 5 bytes",
		"Rename /data/pub/configuration/up to /data/pub/configuration/there",
		"Delete /data/pub/configuration/there",
		"Download /data/pub/captures/a.cap 9 bytes",
	}
	if diff := cmp.Diff(want, log); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

func TestSFTPHandles(t *testing.T) {
	s := newStore(t, 0)
	near, far := net.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- transfer.ServeSFTP(t.Context(), far, s.Area("admin"), transfer.SFTPOptions{MaxHandles: 3})
		far.Close()
	}()
	c, err := sftp.NewClientPipe(near, near)
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
	if _, err := c.Open("captures/a.cap"); err == nil || !strings.Contains(err.Error(), "Too many open files") {
		t.Errorf("the fourth: %v", err)
	}
	if _, err := c.ReadDir("captures"); err == nil {
		t.Error("a directory is a handle too")
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

// What the session ends with: nil when the client is done, the cause when the
// server stops it.
func TestSFTPEnd(t *testing.T) {
	s := newStore(t, 0)
	serve := func(end func(net.Conn, context.CancelCauseFunc)) error {
		near, far := net.Pipe()
		defer far.Close()
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		done := make(chan error, 1)
		go func() { done <- transfer.ServeSFTP(ctx, far, s.Area("admin"), transfer.SFTPOptions{}) }()
		end(near, cancel)
		return <-done
	}
	if err := serve(func(c net.Conn, _ context.CancelCauseFunc) { c.Close() }); err != nil || transfer.ExitStatus(err) != 0 {
		t.Errorf("the client is done: %v", err)
	}
	down := errors.New("going down")
	if err := serve(func(_ net.Conn, cancel context.CancelCauseFunc) { cancel(down) }); !errors.Is(err, down) {
		t.Errorf("the server stops: %v", err)
	}
	if err := serve(func(c net.Conn, _ context.CancelCauseFunc) { c.Write([]byte("\xff\xff\xff\xff")) }); err == nil || transfer.ExitStatus(err) != 1 {
		t.Errorf("nonsense: %v", err)
	}
}

// SETSTAT with attributes that are cut short, which would have ended the process.
func TestSFTPShortAttributes(t *testing.T) {
	s := newStore(t, 0)
	near, far := net.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- transfer.ServeSFTP(t.Context(), far, s.Area("admin"), transfer.SFTPOptions{})
		far.Close()
	}()
	send := func(b ...byte) {
		t.Helper()
		if _, err := near.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)); err != nil {
			t.Fatal(err)
		}
	}
	receive := func() []byte {
		t.Helper()
		var length [4]byte
		if _, err := io.ReadFull(near, length[:]); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, binary.BigEndian.Uint32(length[:]))
		if _, err := io.ReadFull(near, b); err != nil {
			t.Fatal(err)
		}
		return b
	}
	send(1, 0, 0, 0, 3) // INIT
	receive()
	const name = "/configuration/old.xml"
	msg := append([]byte{9, 0, 0, 0, 7, 0, 0, 0, byte(len(name))}, name...) // SETSTAT, id 7
	send(append(msg, 0, 0, 0, 1)...)                                        // says that a size follows
	if got := receive(); got[0] != 101 || got[8] != 5 {                     // STATUS, bad message
		t.Errorf("got %v", got)
	}
	near.Close()
	<-done
}
