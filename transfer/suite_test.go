package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jlaffaye/ftp"
	"github.com/pkg/sftp"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/files"
	"github.com/esasim/esasim/transfer"
)

// A client is a client of any of the three protocols.
type client interface {
	get(name string) ([]byte, error)
	put(name string, data []byte) error
	// list returns the sorted names in a directory, or errors.ErrUnsupported.
	list(dir string) ([]string, error)
	remove(name string) error
}

// newStore returns a file area that contains captures, a log and configurations.
func newStore(t testing.TB, quota int64) *files.Store {
	t.Helper()
	s, err := files.Open(t.TempDir(), quota, clock.System())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.Alias("var/log/mail_logs", "data/pub/mail_logs"); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"data/pub/diagnostic/a.cap":            "a capture",
		"data/pub/diagnostic/with blank.cap":   "another capture",
		"data/pub/mail_logs/mail_logs.current": "a log\nof two lines\n",
		"data/pub/configuration/old.xml":       "precious",
		"data/pub/configuration/it's [1].xml":  "quotes",
	} {
		if err := s.WriteFile(name, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// readFile returns the content of a file.
func readFile(t testing.TB, s *files.Store, name string) string {
	t.Helper()
	b, err := fs.ReadFile(s, name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// testProtocols runs a test with a client of each protocol.
func testProtocols(t *testing.T, quota int64, test func(t *testing.T, s *files.Store, c client)) {
	for name, connect := range map[string]func(t testing.TB, s *files.Store) client{
		"sftp": func(t testing.TB, s *files.Store) client { return sftpClient{dialSFTP(t, s)} },
		"scp":  func(t testing.TB, s *files.Store) client { return scpClient{t, s} },
		"ftp": func(t testing.TB, s *files.Store) client {
			return ftpClient{dialFTP(t, startFTP(t, s, nil))}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t, quota)
			test(t, s, connect(t, s))
		})
	}
}

type sftpClient struct{ *sftp.Client }

// dialSFTP starts a session and connects a client to it.
func dialSFTP(t testing.TB, s *files.Store) *sftp.Client {
	t.Helper()
	conn, done := serveSFTP(s, transfer.SFTPOptions{})
	c, err := sftp.NewClientPipe(conn, conn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		if err := <-done; err != nil && !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("sftp session: %v", err)
		}
	})
	return c
}

// serveSFTP starts a session. conn is the client's end of its channel, and done receives the result
// of ServeSFTP.
func serveSFTP(s *files.Store, o transfer.SFTPOptions) (conn net.Conn, done <-chan error) {
	client, server := net.Pipe()
	result := make(chan error, 1)
	go func() {
		result <- transfer.ServeSFTP(context.Background(), server, s.Area("admin"), o)
		server.Close()
	}()
	return client, result
}

func (c sftpClient) get(name string) ([]byte, error) {
	f, err := c.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var b bytes.Buffer
	_, err = f.WriteTo(&b)
	return b.Bytes(), err
}

func (c sftpClient) put(name string, data []byte) error {
	f, err := c.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

func (c sftpClient) list(dir string) ([]string, error) {
	list, err := c.ReadDir(dir)
	var names []string
	for _, fi := range list {
		names = append(names, fi.Name())
	}
	return names, err
}

func (c sftpClient) remove(name string) error { return c.Remove(name) }

// An scpClient implements the parts of OpenSSH's scp -O that the tests need.
type scpClient struct {
	t testing.TB
	s *files.Store
}

// runSCP runs a command line, whose other end is client, and returns the exit status.
func runSCP(t testing.TB, s *files.Store, line string, client func(net.Conn)) (exitStatus int) {
	t.Helper()
	if !transfer.IsSCP(line) {
		t.Errorf("IsSCP is false for %s", line)
	}
	conn, server := net.Pipe()
	status := make(chan int, 1)
	go func() {
		area := s.Area("admin")
		status <- transfer.ServeSCP(context.Background(), line, server, area, transfer.SCPOptions{})
		server.Close()
	}()
	client(conn)
	conn.Close()
	return <-status
}

// quote quotes a name for the shell that the command line is meant for.
func quote(name string) string { return "'" + strings.ReplaceAll(name, "'", `'\''`) + "'" }

func (c scpClient) get(name string) ([]byte, error) {
	var got scpTree
	receive := func(conn net.Conn) { got = receiveSCP(conn) }
	status := runSCP(c.t, c.s, "scp -f "+quote(name), receive)
	if got.err == nil && status != 0 {
		got.err = fmt.Errorf("exit status %d", status)
	}
	for _, data := range got.files {
		return data, got.err
	}
	return nil, got.err
}

func (c scpClient) put(name string, data []byte) error {
	var err error
	status := runSCP(c.t, c.s, "scp -t "+quote(name), func(conn net.Conn) {
		err = sendSCP(conn, fmt.Sprintf("C0644 %d %s\n", len(data), path.Base(name)), data)
	})
	if err == nil && status != 0 {
		err = fmt.Errorf("exit status %d", status)
	}
	return err
}

func (c scpClient) list(string) ([]string, error) { return nil, errors.ErrUnsupported }
func (c scpClient) remove(string) error           { return errors.ErrUnsupported }

type ftpClient struct{ *ftp.ServerConn }

// startFTP starts a server on a free port. change may change its options.
func startFTP(t testing.TB, s *files.Store, change func(*transfer.FTPOptions)) *ftpServer {
	t.Helper()
	n := newLoopback()
	f := &ftpServer{net: n}
	o := transfer.FTPOptions{
		Net: n,
		Listen: func(ctx context.Context) (net.Listener, error) {
			ln, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
			if err == nil {
				f.addr = ln.Addr().String()
			}
			return ln, err
		},
		Verify: func(user, passphrase string, _ netip.Addr) (transfer.FTPLogin, error) {
			if user != "admin" || passphrase != "ironport" {
				return transfer.FTPLogin{}, errors.New("denied")
			}
			return transfer.FTPLogin{Area: s.Area(user)}, nil
		},
		Hostname: func() string { return "example.com" },
		Version:  "14.0.0-698",
		Log: func(text string) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.log = append(f.log, text)
		},
	}
	if change != nil {
		change(&o)
	}
	f.FTPServer = transfer.NewFTPServer(o)
	if err := f.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		if left := n.listeners(); left != 0 {
			t.Errorf("%d passive ports are still open after Stop", left)
		}
	})
	return f
}

// An ftpServer is a server with what tests need to know of it.
type ftpServer struct {
	*transfer.FTPServer
	net  *loopback
	addr string
	mu   sync.Mutex
	log  []string
}

// dialFTP connects a client and logs in.
func dialFTP(t testing.TB, f *ftpServer) *ftp.ServerConn {
	t.Helper()
	c, err := ftp.Dial(f.addr)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Login("admin", "ironport"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Quit() })
	return c
}

func (c ftpClient) get(name string) ([]byte, error) {
	r, err := c.Retr(name)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(r)
	return b, errors.Join(err, r.Close())
}

func (c ftpClient) put(name string, data []byte) error {
	return c.Stor(name, bytes.NewReader(data))
}

func (c ftpClient) remove(name string) error { return c.Delete(name) }

func (c ftpClient) list(dir string) ([]string, error) {
	list, err := c.List(dir)
	var names []string
	for _, e := range list {
		names = append(names, e.Name)
	}
	slices.Sort(names)
	return names, err
}

func TestGet(t *testing.T) {
	testProtocols(t, 0, func(t *testing.T, s *files.Store, c client) {
		for name, want := range map[string]string{
			"diagnostic/a.cap":                                    "a capture", // relative to /data/pub
			"/data/pub/diagnostic/with blank.cap":                 "another capture",
			"/captures/a.cap":                                     "a capture",
			"/var/log/diagnostic/a.cap":                           "a capture",
			"/var/log/mail_logs/mail_logs.current":                "a log\nof two lines\n",
			"/configuration/old.xml":                              "precious",
			"/configuration/it's [1].xml":                         "quotes",
			"../../data/pub/../pub/mail_logs/../diagnostic/a.cap": "a capture",
		} {
			got, err := c.get(name)
			if err != nil || string(got) != want {
				t.Errorf("%s: %q, %v", name, got, err)
			}
		}
		for _, name := range []string{
			"none.cap", "/etc/passwd", "../../../../../../../../etc/passwd", "diagnostic", "/", "/tmp",
		} {
			if got, err := c.get(name); err == nil {
				t.Errorf("%s: got %q, want an error", name, got)
			}
		}
	})
}

func TestPut(t *testing.T) {
	testProtocols(t, 0, func(t *testing.T, s *files.Store, c client) {
		big := bytes.Repeat([]byte("0123456789abcdef"), 40_000)
		for name, data := range map[string][]byte{
			"/configuration/new.xml":         []byte("new"),
			"configuration/old.xml":          []byte("longer than before"),
			"/configuration/empty":           {},
			"/configuration/big":             big,
			"/configuration/a blank's *.xml": []byte("special characters"),
			"/data/pub/configuration/ümlaut": []byte("unicode"),
		} {
			if err := c.put(name, data); err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			at := "data/pub/configuration/" + path.Base(name)
			if got := readFile(t, s, at); got != string(data) {
				t.Errorf("%s has %d bytes, want %d", name, len(got), len(data))
			}
		}
		for _, name := range []string{
			"/new", "/diagnostic/new.cap", "/captures/a.cap", "/var/log/mail_logs/x",
			"/configuration/none/x", "/configuration/../../x", "/configuration/a\x01b",
		} {
			if err := c.put(name, []byte("x")); err == nil {
				t.Errorf("%s was written", name)
			}
		}
		if got := readFile(t, s, "data/pub/diagnostic/a.cap"); got != "a capture" {
			t.Errorf("the capture has been changed to %q", got)
		}
	})
}

// If the disk is full, the client gets an error, and the existing file remains.
func TestPutOnFullDisk(t *testing.T) {
	testProtocols(t, 2000, func(t *testing.T, s *files.Store, c client) {
		before, _ := s.Usage()
		if err := c.put("/configuration/old.xml", make([]byte, 3000)); err == nil {
			t.Error("3000 bytes were stored with a quota of 2000")
		}
		if got := readFile(t, s, "data/pub/configuration/old.xml"); got != "precious" {
			t.Errorf("the old file has been changed to %q", got)
		}
		if after, _ := s.Usage(); after != before {
			t.Errorf("%d bytes used before, %d after", before, after)
		}
		if err := c.put("/configuration/old.xml", make([]byte, 500)); err != nil {
			t.Errorf("500 bytes: %v", err)
		}
	})
}

func TestList(t *testing.T) {
	testProtocols(t, 0, func(t *testing.T, _ *files.Store, c client) {
		for dir, want := range map[string]string{
			"":            "configuration diagnostic mail_logs",
			"/":           "data var",
			"/var/log":    "diagnostic mail_logs",
			"diagnostic":  "a.cap with blank.cap",
			"/captures/.": "a.cap with blank.cap",
		} {
			if dir == "" {
				dir = "."
			}
			got, err := c.list(dir)
			if errors.Is(err, errors.ErrUnsupported) {
				t.Skip("scp cannot list directories")
			}
			if err != nil || strings.Join(got, " ") != want {
				t.Errorf("%s: %v, %v", dir, got, err)
			}
		}
	})
}

func TestRemove(t *testing.T) {
	testProtocols(t, 0, func(t *testing.T, s *files.Store, c client) {
		if err := c.remove("none"); errors.Is(err, errors.ErrUnsupported) {
			t.Skip("scp cannot remove")
		} else if err == nil {
			t.Error("a file that does not exist was removed")
		}
		for _, name := range []string{
			"/captures/a.cap", "/var/log/mail_logs/mail_logs.current", "/configuration/old.xml",
		} {
			if err := c.remove(name); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		f, err := s.Append("data/pub/diagnostic/with blank.cap")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for _, name := range []string{"/captures/with blank.cap", "/configuration", "/"} {
			if err := c.remove(name); err == nil {
				t.Errorf("%s was removed", name)
			}
		}
	})
}

// The transfer of the file of a running capture ends, and ends after a complete write.
func TestGetOfGrowingFile(t *testing.T) {
	testProtocols(t, 0, func(t *testing.T, s *files.Store, c client) {
		w, err := s.Create("data/pub/diagnostic/live.cap")
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		record := bytes.Repeat([]byte("r"), 1000)
		for range 100 {
			if _, err := w.Write(record); err != nil {
				t.Fatal(err)
			}
		}
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := w.Write(record); err != nil {
					return
				}
			}
		}()
		got, err := c.get("/captures/live.cap")
		close(stop)
		<-stopped
		if err != nil || len(got) < 100_000 || len(got)%1000 != 0 {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	})
}

func TestConcurrentTransfers(t *testing.T) {
	want := bytes.Repeat([]byte("packet! "), 100_000)
	s := newStore(t, 0)
	if err := s.WriteFile("data/pub/diagnostic/big.cap", want); err != nil {
		t.Fatal(err)
	}
	server := startFTP(t, s, nil)
	var wg sync.WaitGroup
	for i := range 24 {
		var c client
		switch i % 3 {
		case 0:
			c = sftpClient{dialSFTP(t, s)}
		case 1:
			c = scpClient{t, s}
		case 2:
			c = ftpClient{dialFTP(t, server)}
		}
		wg.Go(func() {
			if got, err := c.get("/captures/big.cap"); err != nil || !bytes.Equal(got, want) {
				t.Errorf("get %d: %d bytes, %v", i, len(got), err)
			}
			name := fmt.Sprintf("/configuration/up%d", i)
			if err := c.put(name, want); err != nil {
				t.Errorf("put %d: %v", i, err)
			}
			if got, err := c.get(name); err != nil || !bytes.Equal(got, want) {
				t.Errorf("get %d back: %d bytes, %v", i, len(got), err)
			}
		})
	}
	wg.Wait()
}

// logged returns the lines of the server's log that contain text, without the session's number.
func (f *ftpServer) logged(text string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var lines []string
	for _, line := range f.log {
		if strings.Contains(line, text) {
			lines = append(lines, line)
		}
	}
	return lines
}
