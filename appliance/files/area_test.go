package files_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/appliance/files"
)

// area returns an Area with a capture, a log and a saved configuration.
func area(t *testing.T) (*files.Store, *files.Area) {
	t.Helper()
	s := open(t, t.TempDir(), 1000)
	if err := s.Alias("var/log/mail_logs", "data/pub/mail_logs"); err != nil {
		t.Fatal(err)
	}
	write(t, s, "data/pub/diagnostic/a.cap", "capture")
	write(t, s, "data/pub/mail_logs/mail_logs.current", "log")
	write(t, s, "data/pub/configuration/a.xml", "config")
	return s, s.Area("admin")
}

func TestAreaPath(t *testing.T) {
	_, a := area(t)
	for _, tc := range []struct{ cwd, path, want string }{
		{files.Home, "", "/data/pub"},
		{files.Home, "diagnostic/x", "/data/pub/diagnostic/x"},
		{files.Home, "../..", "/"},
		{files.Home, "../../../../etc/passwd", "/data/pub/etc/passwd"},
		{files.Home, "/configuration/x.xml", "/data/pub/configuration/x.xml"},
		{files.Home, "/data/pub/./a//b/", "/data/pub/a/b"},
		{files.Home, "/var/log/mail_logs", "/var/log/mail_logs"},
		{"/", "captures", "/data/pub/captures"},
		{"/", "/", "/"},
	} {
		if got := a.Path(tc.cwd, tc.path); got != tc.want {
			t.Errorf("in %s, %q is %q, want %q", tc.cwd, tc.path, got, tc.want)
		}
	}
}

func TestReadDirListsEachFileOnce(t *testing.T) {
	_, a := area(t)
	for dir, want := range map[string]string{
		"/":              "data/ var/",
		"/data/pub":      "configuration/ diagnostic/ mail_logs/",
		"/var/log":       "diagnostic/ mail_logs/",
		"/captures":      "a.cap",
		"/var/log/../..": "data/ var/",
	} {
		list, err := a.ReadDir(dir)
		if err != nil {
			t.Errorf("%s: %v", dir, err)
		}
		var got []string
		for _, fi := range list {
			name := fi.Name()
			if fi.IsDir() {
				name += "/"
			}
			got = append(got, name)
		}
		if got := strings.Join(got, " "); got != want {
			t.Errorf("%s lists %s, want %s", dir, got, want)
		}
	}
}

func TestGlob(t *testing.T) {
	_, a := area(t)
	for pattern, want := range map[string][]string{
		"/data/pub/*/a.*":          {"/data/pub/configuration/a.xml", "/data/pub/diagnostic/a.cap"},
		"/captures/*.cap":          {"/data/pub/captures/a.cap"},
		"/var/log/mail_*/*current": {"/var/log/mail_logs/mail_logs.current"},
		"/data/pub/none*":          nil,
	} {
		got, err := a.Glob(pattern)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s (-want +got):\n%s %v", pattern, diff, err)
		}
	}
	if _, err := a.Glob("/data/pub/["); err == nil {
		t.Error("a malformed pattern is accepted")
	}
}

// TestPermissions checks what users may change.
func TestPermissions(t *testing.T) {
	type action func(a *files.Area) error
	open := func(p string, flag int) action {
		return func(a *files.Area) error {
			f, err := a.OpenFile(p, flag)
			if err == nil {
				err = f.Close()
			}
			return err
		}
	}
	create := func(p string) action { return open(p, os.O_WRONLY|os.O_CREATE|os.O_TRUNC) }
	remove := func(p string) action { return func(a *files.Area) error { return a.Remove(p) } }
	removeDir := func(p string) action { return func(a *files.Area) error { return a.RemoveDir(p) } }
	mkdir := func(p string) action { return func(a *files.Area) error { return a.Mkdir(p) } }
	rename := func(from, to string) action {
		return func(a *files.Area) error { return a.Rename(from, to, false) }
	}
	truncate := func(p string, size int64) action {
		return func(a *files.Area) error { return a.Truncate(p, size) }
	}
	for name, tc := range map[string]struct {
		do   action
		want error
	}{
		"read a log":                  {open("/var/log/mail_logs/mail_logs.current", os.O_RDONLY), nil},
		"remove a capture":            {remove("/data/pub/captures/a.cap"), nil},
		"remove a log by its alias":   {remove("/var/log/mail_logs/mail_logs.current"), nil},
		"remove a configuration":      {remove("/configuration/a.xml"), nil},
		"remove directory as file":    {remove("/configuration"), syscall.EISDIR},
		"remove permanent directory":  {removeDir("/configuration"), fs.ErrPermission},
		"remove file as directory":    {removeDir("/configuration/a.xml"), syscall.ENOTDIR},
		"write a configuration":       {create("/configuration/b.xml"), nil},
		"write into Home":             {create("/b.xml"), fs.ErrPermission},
		"write a capture":             {create("/diagnostic/b.cap"), fs.ErrPermission},
		"overwrite a log":             {create("/var/log/mail_logs/mail_logs.current"), fs.ErrPermission},
		"write below no directory":    {create("/configuration/none/b.xml"), fs.ErrNotExist},
		"write a malformed name":      {create("/configuration/a\nb"), fs.ErrPermission},
		"replace configuration/":      {create("/configuration"), fs.ErrPermission},
		"make a directory":            {mkdir("/configuration/sub"), nil},
		"make an existing directory":  {mkdir("/configuration"), fs.ErrExist},
		"make a directory elsewhere":  {mkdir("/x"), fs.ErrPermission},
		"rename":                      {rename("/configuration/a.xml", "/configuration/b"), nil},
		"rename to another directory": {rename("/configuration/a.xml", "/x"), fs.ErrPermission},
		"rename a capture":            {rename("/captures/a.cap", "/configuration/b"), fs.ErrPermission},
		"rename a missing file":       {rename("/configuration/no", "/configuration/b"), fs.ErrNotExist},
		"truncate a capture":          {truncate("/captures/a.cap", 0), fs.ErrPermission},
		"extend beyond the quota":     {truncate("/configuration/a.xml", 1<<40), files.ErrQuota},
		"truncate a missing file":     {truncate("/configuration/none", 0), fs.ErrNotExist},
		"open directory as file":      {open("/configuration", os.O_RDONLY), syscall.EISDIR},
		"open a missing file":         {open("/configuration/none", os.O_WRONLY), fs.ErrNotExist},
		"set the time of a capture": {func(a *files.Area) error {
			return a.Chtimes("/captures/a.cap", noon)
		}, fs.ErrPermission},
		"list a file": {func(a *files.Area) error {
			_, err := a.ReadDir("/captures/a.cap")
			return err
		}, syscall.ENOTDIR},
		"describe the directory of temporary files": {func(a *files.Area) error {
			_, err := a.Stat("/tmp")
			return err
		}, fs.ErrNotExist},
	} {
		t.Run(name, func(t *testing.T) {
			_, a := area(t)
			if err := tc.do(a); !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
}

func TestFileBeingWrittenCannotBeRemoved(t *testing.T) {
	s, a := area(t)
	f, err := s.Append("data/pub/diagnostic/a.cap")
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Remove("/captures/a.cap"); !errors.Is(err, files.ErrBusy) {
		t.Errorf("while it is being written: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := a.Remove("/captures/a.cap"); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// The current file of a log is protected even while it is not open.
func TestCurrentLogFileCannotBeRemoved(t *testing.T) {
	s, a := area(t)
	write(t, s, "data/pub/mail_logs/mail_logs.@20150625T085003.c", "a line\n")
	write(t, s, "data/pub/mail_logs/mail_logs.@20150624T085003.s", "a line\n")
	if err := a.Remove("/mail_logs/mail_logs.@20150625T085003.c"); !errors.Is(err, files.ErrBusy) {
		t.Errorf("the current file: %v", err)
	}
	if err := a.Remove("/mail_logs/mail_logs.@20150624T085003.s"); err != nil {
		t.Errorf("a saved file: %v", err)
	}
}

func TestRenameReplacesOnRequestOnly(t *testing.T) {
	s, a := area(t)
	write(t, s, "data/pub/configuration/b.xml", "b")
	err := a.Rename("/configuration/b.xml", "/configuration/a.xml", false)
	if !errors.Is(err, fs.ErrExist) {
		t.Errorf("got %v, want %v", err, fs.ErrExist)
	}
	if err := a.Rename("/configuration/b.xml", "/configuration/a.xml", true); err != nil {
		t.Error(err)
	}
	if got := read(t, s, "data/pub/configuration/a.xml"); got != "b" {
		t.Errorf("the file contains %q", got)
	}
}

func TestInterruptedUploadKeepsReceivedData(t *testing.T) {
	s, a := area(t)
	f, err := a.OpenFile("/configuration/a.xml", os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("half")); err != nil {
		t.Fatal(err)
	}
	if fi, _ := a.Stat("/configuration/a.xml"); fi.Size() != 4 {
		t.Errorf("during the upload the size is %d, want 4", fi.Size())
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if got := read(t, s, "data/pub/configuration/a.xml"); got != "half" {
		t.Errorf("the file contains %q", got)
	}
}

func TestMayTransfer(t *testing.T) {
	for role, want := range map[string]bool{
		"Administrator": true, "Operator": true, "Read-Only Operator": false, "Guest": false, "": false,
	} {
		if got := files.MayTransfer(role); got != want {
			t.Errorf("%s: %v", role, got)
		}
	}
}

func TestFilesOfConfigurationThatTheUserMayNotRead(t *testing.T) {
	s := open(t, t.TempDir(), 0)
	for _, name := range []string{"configuration/secret", "configuration/open", "diagnostic/secret"} {
		if err := s.WriteFile("data/pub/"+name, []byte(path.Base(name))); err != nil {
			t.Fatal(err)
		}
	}
	a := s.Area("kim").WithLimits(files.Limits{MayRead: func(content io.Reader) bool {
		b, err := io.ReadAll(content)
		return err == nil && string(b) != "secret"
	}})
	for name, want := range map[string]bool{
		"/configuration/open": true, "/diagnostic/secret": true, "/configuration/secret": false,
		"/data/pub/configuration/../configuration/secret": false,
	} {
		for _, flag := range []int{os.O_RDONLY, os.O_RDWR} {
			if flag == os.O_RDWR && name == "/diagnostic/secret" {
				continue // no user may write to it
			}
			f, err := a.OpenFile(name, flag)
			if (err == nil) != want || err != nil && !errors.Is(err, fs.ErrPermission) {
				t.Errorf("open %s with %d: %v", name, flag, err)
			}
			if err == nil {
				f.Close()
			}
		}
	}
	if err := a.Rename("/configuration/secret", "/configuration/new", false); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Open("/configuration/new"); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("after it was renamed: %v", err)
	}
	if err := a.Rename("/configuration/new", "/diagnostic/new", false); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("moved elsewhere: %v", err)
	}
	f, err := a.OpenFile("/configuration/new", os.O_WRONLY|os.O_TRUNC)
	if err != nil {
		t.Fatal("replacing the file: ", err)
	}
	f.Close()
}

func TestAreaWhoseUserMayNoLongerUseIt(t *testing.T) {
	s := open(t, t.TempDir(), 0)
	allowed := true
	a := s.Area("admin").WithLimits(files.Limits{Check: func() error {
		if allowed {
			return nil
		}
		return errors.New("locked")
	}})
	const name = "/configuration/x"
	f, err := a.OpenFile(name, os.O_RDWR|os.O_CREATE)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write([]byte("text")); err != nil {
		t.Fatal(err)
	}
	allowed = false
	for what, op := range map[string]func() error{
		"read":     func() error { _, err := f.ReadAt(make([]byte, 1), 0); return err },
		"write":    func() error { _, err := f.Write([]byte("more")); return err },
		"open":     func() error { _, err := a.Open(name); return err },
		"stat":     func() error { _, err := a.Stat(name); return err },
		"list":     func() error { _, err := a.ReadDir("/configuration"); return err },
		"rename":   func() error { return a.Rename(name, "/configuration/y", false) },
		"truncate": func() error { return a.Truncate(name, 0) },
		"chtimes":  func() error { return a.Chtimes(name, time.Unix(0, 0)) },
		"mkdir":    func() error { return a.Mkdir("/configuration/d") },
		"rmdir":    func() error { return a.RemoveDir("/configuration") },
		"remove":   func() error { return a.Remove(name) },
	} {
		if err := op(); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
