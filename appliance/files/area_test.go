package files_test

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/appliance/files"
)

// An area with a capture, a log and a saved configuration.
func area(t *testing.T) (*files.Store, *files.Area) {
	t.Helper()
	s := open(t, t.TempDir(), 1000)
	if err := s.Alias("var/log/mail_logs", "data/pub/mail_logs"); err != nil {
		t.Fatal(err)
	}
	write(t, s, "data/pub/diagnostic/a.cap", "capture")
	write(t, s, "data/pub/mail_logs/mail.current", "log")
	write(t, s, "data/pub/configuration/a.xml", "config")
	return s, s.Area("admin")
}

func TestPaths(t *testing.T) {
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

func TestUserSeesEachFileOnceBelowADirectory(t *testing.T) {
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
		"/var/log/mail_*/*current": {"/var/log/mail_logs/mail.current"},
		"/data/pub/none*":          nil,
	} {
		got, err := a.Glob(pattern)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s (-want +got):\n%s %v", pattern, diff, err)
		}
	}
	if _, err := a.Glob("/data/pub/["); err == nil {
		t.Error("a bad pattern is accepted")
	}
}

// What a user may change, and what not.
func TestPolicy(t *testing.T) {
	create := func(p string) func(*files.Area) error {
		return func(a *files.Area) error {
			f, err := a.OpenFile(p, os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
			if err == nil {
				err = f.Close()
			}
			return err
		}
	}
	for name, tc := range map[string]struct {
		do   func(a *files.Area) error
		want error
	}{
		"read a log":                      {func(a *files.Area) error { _, err := a.Open("/var/log/mail_logs/mail.current"); return err }, nil},
		"remove a capture":                {func(a *files.Area) error { return a.Remove("/data/pub/captures/a.cap") }, nil},
		"remove a log by its second name": {func(a *files.Area) error { return a.Remove("/var/log/mail_logs/mail.current") }, nil},
		"remove a configuration":          {func(a *files.Area) error { return a.Remove("/configuration/a.xml") }, nil},
		"remove a directory as a file":    {func(a *files.Area) error { return a.Remove("/configuration") }, syscall.EISDIR},
		"remove a standing directory":     {func(a *files.Area) error { return a.RemoveDir("/configuration") }, fs.ErrPermission},
		"remove a file as a directory":    {func(a *files.Area) error { return a.RemoveDir("/configuration/a.xml") }, syscall.ENOTDIR},
		"write a configuration":           {create("/configuration/b.xml"), nil},
		"write into the start directory":  {create("/b.xml"), fs.ErrPermission},
		"write a capture":                 {create("/diagnostic/b.cap"), fs.ErrPermission},
		"overwrite a log":                 {create("/var/log/mail_logs/mail.current"), fs.ErrPermission},
		"write where there is no dir":     {create("/configuration/none/b.xml"), fs.ErrNotExist},
		"a name that breaks listings":     {create("/configuration/a\nb"), fs.ErrPermission},
		"replace configuration/ itself":   {create("/configuration"), fs.ErrPermission},
		"make a directory":                {func(a *files.Area) error { return a.Mkdir("/configuration/sub") }, nil},
		"make one that exists":            {func(a *files.Area) error { return a.Mkdir("/configuration") }, fs.ErrExist},
		"make one elsewhere":              {func(a *files.Area) error { return a.Mkdir("/x") }, fs.ErrPermission},
		"rename":                          {func(a *files.Area) error { return a.Rename("/configuration/a.xml", "/configuration/b", false) }, nil},
		"rename out of configuration/":    {func(a *files.Area) error { return a.Rename("/configuration/a.xml", "/x", false) }, fs.ErrPermission},
		"rename a capture":                {func(a *files.Area) error { return a.Rename("/captures/a.cap", "/configuration/b", false) }, fs.ErrPermission},
		"rename what is not there":        {func(a *files.Area) error { return a.Rename("/configuration/no", "/configuration/b", false) }, fs.ErrNotExist},
		"set the length of a capture":     {func(a *files.Area) error { return a.Truncate("/captures/a.cap", 0) }, fs.ErrPermission},
		"set the time of a capture":       {func(a *files.Area) error { return a.Chtimes("/captures/a.cap", noon) }, fs.ErrPermission},
		"set a length beyond the quota":   {func(a *files.Area) error { return a.Truncate("/configuration/a.xml", 1<<40) }, files.ErrQuota},
		"open a directory as a file":      {func(a *files.Area) error { _, err := a.Open("/configuration"); return err }, syscall.EISDIR},
		"list a file":                     {func(a *files.Area) error { _, err := a.ReadDir("/captures/a.cap"); return err }, syscall.ENOTDIR},
		"look at what holds unfinished":   {func(a *files.Area) error { _, err := a.Stat("/tmp"); return err }, fs.ErrNotExist},
		"truncate what is not there":      {func(a *files.Area) error { return a.Truncate("/configuration/none", 0) }, fs.ErrNotExist},
		"open without create what is gone": {func(a *files.Area) error {
			_, err := a.OpenFile("/configuration/none", os.O_WRONLY|os.O_TRUNC)
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

func TestFileThatTheApplianceWritesIsNotRemoved(t *testing.T) {
	s, a := area(t)
	f, err := s.Append("data/pub/diagnostic/a.cap")
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Remove("/captures/a.cap"); !errors.Is(err, files.ErrBusy) {
		t.Errorf("while it is written: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := a.Remove("/captures/a.cap"); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// A log goes on with its current file also while nobody has it open.
func TestTheCurrentFileOfALogIsNotRemoved(t *testing.T) {
	s, a := area(t)
	write(t, s, "data/pub/mail_logs/mail.@20150625T085003.c", "a line\n")
	write(t, s, "data/pub/mail_logs/mail.@20150624T085003.s", "a line\n")
	if err := a.Remove("/mail_logs/mail.@20150625T085003.c"); !errors.Is(err, files.ErrBusy) {
		t.Errorf("the current one: %v", err)
	}
	if err := a.Remove("/mail_logs/mail.@20150624T085003.s"); err != nil {
		t.Errorf("a saved one: %v", err)
	}
}

func TestRenameReplacesOnlyWhenAsked(t *testing.T) {
	s, a := area(t)
	write(t, s, "data/pub/configuration/b.xml", "b")
	if err := a.Rename("/configuration/b.xml", "/configuration/a.xml", false); !errors.Is(err, fs.ErrExist) {
		t.Errorf("got %v", err)
	}
	if err := a.Rename("/configuration/b.xml", "/configuration/a.xml", true); err != nil {
		t.Error(err)
	}
	if got := read(t, s, "data/pub/configuration/a.xml"); got != "b" {
		t.Errorf("holds %q", got)
	}
}

func TestBrokenUploadLeavesWhatHasArrived(t *testing.T) {
	s, a := area(t)
	f, err := a.OpenFile("/configuration/a.xml", os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("half")); err != nil {
		t.Fatal(err)
	}
	if fi, _ := a.Stat("/configuration/a.xml"); fi.Size() != 4 {
		t.Errorf("while it comes in, %d bytes are shown", fi.Size())
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if got := read(t, s, "data/pub/configuration/a.xml"); got != "half" {
		t.Errorf("holds %q", got)
	}
}

func TestMayTransfer(t *testing.T) {
	for role, want := range map[string]bool{"Administrator": true, "Operator": true, "Read-Only Operator": false, "Guest": false, "": false} {
		if got := files.MayTransfer(role); got != want {
			t.Errorf("%s: %v", role, got)
		}
	}
}
