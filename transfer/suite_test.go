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

// A client is what the three protocols have in common.
type client interface {
	get(name string) ([]byte, error)
	put(name string, data []byte) error
	// names lists a directory; errors.ErrUnsupported where the protocol cannot.
	names(dir string) ([]string, error)
	remove(name string) error
}

// newStore is a file area with a capture, a log and a configuration in it.
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
		"data/pub/diagnostic/a.cap":           "a capture",
		"data/pub/diagnostic/with blank.cap":  "another capture",
		"data/pub/mail_logs/mail.current":     "a log\nof two lines\n",
		"data/pub/configuration/old.xml":      "precious",
		"data/pub/configuration/it's [1].xml": "quotes",
	} {
		if err := s.WriteFile(name, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func content(t testing.TB, s *files.Store, name string) string {
	t.Helper()
	b, err := fs.ReadFile(s, name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// protocols run a test with a client of each.
func protocols(t *testing.T, quota int64, test func(t *testing.T, s *files.Store, c client)) {
	for name, connect := range map[string]func(t testing.TB, s *files.Store) client{
		"sftp": func(t testing.TB, s *files.Store) client { return sftpClient{dialSFTP(t, s)} },
		"scp":  func(t testing.TB, s *files.Store) client { return scpClient{t, s} },
		"ftp":  func(t testing.TB, s *files.Store) client { return ftpClient{dialFTP(t, startFTP(t, s, nil))} },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t, quota)
			test(t, s, connect(t, s))
		})
	}
}

type sftpClient struct{ *sftp.Client }

// dialSFTP connects a client to a session of its own.
func dialSFTP(t testing.TB, s *files.Store) *sftp.Client {
	t.Helper()
	near, far := net.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- transfer.ServeSFTP(context.Background(), far, s.Area("admin"), transfer.SFTPOptions{})
		far.Close()
	}()
	c, err := sftp.NewClientPipe(near, near)
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

func (c sftpClient) names(dir string) ([]string, error) {
	list, err := c.ReadDir(dir)
	var names []string
	for _, fi := range list {
		names = append(names, fi.Name())
	}
	return names, err
}

func (c sftpClient) remove(name string) error { return c.Remove(name) }

// An scpClient is OpenSSH's scp -O, as far as we need it.
type scpClient struct {
	t testing.TB
	s *files.Store
}

// scp runs the far side of a command line against near and returns its exit status.
func scp(t testing.TB, s *files.Store, line string, near func(net.Conn)) int {
	t.Helper()
	if !transfer.IsSCP(line) {
		t.Errorf("not taken for scp: %s", line)
	}
	here, there := net.Pipe()
	status := make(chan int, 1)
	go func() {
		status <- transfer.ServeSCP(context.Background(), line, there, s.Area("admin"), transfer.SCPOptions{})
		there.Close()
	}()
	near(here)
	here.Close()
	return <-status
}

// quote quotes a name for the far side's shell.
func quote(name string) string { return "'" + strings.ReplaceAll(name, "'", `'\''`) + "'" }

func (c scpClient) get(name string) ([]byte, error) {
	var got scpTree
	status := scp(c.t, c.s, "scp -f "+quote(name), func(conn net.Conn) { got = receiveSCP(conn) })
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
	status := scp(c.t, c.s, "scp -t "+quote(name), func(conn net.Conn) {
		err = sendSCP(conn, fmt.Sprintf("C0644 %d %s\n", len(data), path.Base(name)), data)
	})
	if err == nil && status != 0 {
		err = fmt.Errorf("exit status %d", status)
	}
	return err
}

func (c scpClient) names(string) ([]string, error) { return nil, errors.ErrUnsupported }
func (c scpClient) remove(string) error            { return errors.ErrUnsupported }

type ftpClient struct{ *ftp.ServerConn }

// startFTP starts a server on a free port; change may change its options.
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
		Verify: func(user, passphrase string, _ netip.Addr) (*files.Area, error) {
			if user != "admin" || passphrase != "ironport" {
				return nil, errors.New("denied")
			}
			return s.Area(user), nil
		},
		Hostname: func() string { return "example.com" },
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
			t.Errorf("%d passive ports are left open", left)
		}
	})
	return f
}

type ftpServer struct {
	*transfer.FTPServer
	net  *loopback
	addr string
	mu   sync.Mutex
	log  []string
}

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

func (c ftpClient) put(name string, data []byte) error { return c.Stor(name, bytes.NewReader(data)) }
func (c ftpClient) remove(name string) error           { return c.Delete(name) }

func (c ftpClient) names(dir string) ([]string, error) {
	list, err := c.List(dir)
	var names []string
	for _, e := range list {
		names = append(names, e.Name)
	}
	slices.Sort(names)
	return names, err
}

func TestGet(t *testing.T) {
	protocols(t, 0, func(t *testing.T, s *files.Store, c client) {
		for name, want := range map[string]string{
			"diagnostic/a.cap":                                    "a capture", // relative to /data/pub
			"/data/pub/diagnostic/with blank.cap":                 "another capture",
			"/captures/a.cap":                                     "a capture",
			"/var/log/diagnostic/a.cap":                           "a capture",
			"/var/log/mail_logs/mail.current":                     "a log\nof two lines\n",
			"/configuration/old.xml":                              "precious",
			"/configuration/it's [1].xml":                         "quotes",
			"../../data/pub/../pub/mail_logs/../diagnostic/a.cap": "a capture",
		} {
			got, err := c.get(name)
			if err != nil || string(got) != want {
				t.Errorf("%s: %q, %v", name, got, err)
			}
		}
		for _, name := range []string{"none.cap", "/etc/passwd", "../../../../../../../../etc/passwd", "diagnostic", "/", "/tmp"} {
			if got, err := c.get(name); err == nil {
				t.Errorf("%s gives %q", name, got)
			}
		}
	})
}

func TestPut(t *testing.T) {
	protocols(t, 0, func(t *testing.T, s *files.Store, c client) {
		big := bytes.Repeat([]byte("0123456789abcdef"), 40_000)
		for name, data := range map[string][]byte{
			"/configuration/new.xml":         []byte("new"),
			"configuration/old.xml":          []byte("longer than before"),
			"/configuration/empty":           {},
			"/configuration/big":             big,
			"/configuration/a blank's *.xml": []byte("odd name"),
			"/data/pub/configuration/ümlaut": []byte("unicode"),
		} {
			if err := c.put(name, data); err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			at := "data/pub/configuration/" + path.Base(name)
			if got := content(t, s, at); got != string(data) {
				t.Errorf("%s holds %d bytes, want %d", name, len(got), len(data))
			}
		}
		for _, name := range []string{"/new", "/diagnostic/new.cap", "/captures/a.cap", "/var/log/mail_logs/x", "/configuration/none/x", "/configuration/../../x", "/configuration/a\x01b"} {
			if err := c.put(name, []byte("x")); err == nil {
				t.Errorf("%s was written", name)
			}
		}
		if got := content(t, s, "data/pub/diagnostic/a.cap"); got != "a capture" {
			t.Errorf("the capture holds %q", got)
		}
	})
}

// The disk fills: the client is told, and what was there stays.
func TestPutWithoutRoom(t *testing.T) {
	protocols(t, 2000, func(t *testing.T, s *files.Store, c client) {
		before, _ := s.Usage()
		if err := c.put("/configuration/old.xml", make([]byte, 3000)); err == nil {
			t.Error("3000 bytes found room in 2000")
		}
		if got := content(t, s, "data/pub/configuration/old.xml"); got != "precious" {
			t.Errorf("the old file holds %q", got)
		}
		if after, _ := s.Usage(); after != before {
			t.Errorf("%d bytes used before, %d after", before, after)
		}
		if err := c.put("/configuration/old.xml", make([]byte, 500)); err != nil {
			t.Errorf("500 bytes: %v", err)
		}
	})
}

func TestNames(t *testing.T) {
	protocols(t, 0, func(t *testing.T, _ *files.Store, c client) {
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
			got, err := c.names(dir)
			if errors.Is(err, errors.ErrUnsupported) {
				t.Skip("scp has no listings")
			}
			if err != nil || strings.Join(got, " ") != want {
				t.Errorf("%s: %v, %v", dir, got, err)
			}
		}
	})
}

func TestRemove(t *testing.T) {
	protocols(t, 0, func(t *testing.T, s *files.Store, c client) {
		if err := c.remove("none"); errors.Is(err, errors.ErrUnsupported) {
			t.Skip("scp cannot remove")
		} else if err == nil {
			t.Error("what is not there was removed")
		}
		for _, name := range []string{"/captures/a.cap", "/var/log/mail_logs/mail.current", "/configuration/old.xml"} {
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

// A capture that runs while it is fetched: the transfer ends, and with whole
// records.
func TestGetOfAFileThatGrows(t *testing.T) {
	protocols(t, 0, func(t *testing.T, s *files.Store, c client) {
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
		w.SetVisibleSize(99_000)
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			for n := int64(100_000); ; n += 1000 {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := w.Write(record); err != nil {
					return
				}
				w.SetVisibleSize(n)
			}
		}()
		got, err := c.get("/captures/live.cap")
		close(stop)
		<-stopped
		if err != nil || len(got) < 99_000 || len(got)%1000 != 0 {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	})
}

func TestManyTransfersAtOnce(t *testing.T) {
	want := bytes.Repeat([]byte("packet! "), 100_000)
	s := newStore(t, 0)
	if err := s.WriteFile("data/pub/diagnostic/big.cap", want); err != nil {
		t.Fatal(err)
	}
	server := startFTP(t, s, nil)
	var wg sync.WaitGroup
	for i := range 24 {
		c := []client{sftpClient{dialSFTP(t, s)}, scpClient{t, s}, ftpClient{dialFTP(t, server)}}[i%3]
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
