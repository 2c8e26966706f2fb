package transfer_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/esasim/esasim/appliance/tooltest"
	"github.com/esasim/esasim/transfer"
)

// The tests in this file use FTP clients of other projects. Those for SFTP and SCP need an SSH
// server; package box tests them.

// runProgram runs a program in dir and returns its output and its exit status.
func runProgram(t *testing.T, dir, name string, args ...string) (stdout string, status int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+dir, "LC_ALL=C")
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if stderr.Len() > 0 {
		t.Logf("%s %s: %s", name, strings.Join(args, " "), stderr.String())
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

// writeLocal writes a file of the client.
func writeLocal(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// readLocal reads a file of the client.
func readLocal(t *testing.T, dir, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Error(err)
	}
	return string(b)
}

func TestCurl(t *testing.T) {
	tooltest.Need(t, "curl")
	s := newStore(t, 0)
	f := startFTP(t, s, nil)
	dir := t.TempDir()
	url := "ftp://admin:ironport@" + f.addr
	writeLocal(t, dir, "up", "AAA\n")
	writeLocal(t, dir, "part", "a ca")
	for _, tc := range []struct {
		args    string
		out     string
		status  int
		stored  string // a file below configuration
		content string // that it must have
	}{
		{"URL/captures/a.cap", "a capture", 0, "", ""},
		{"URL/captures/with%20blank.cap", "another capture", 0, "", ""},
		{"URL//var/log/mail_logs/mail_logs.current", "a log\nof two lines\n", 0, "", ""},
		{"--disable-epsv URL/captures/a.cap", "a capture", 0, "", ""},
		{"--ftp-port - URL/captures/a.cap", "a capture", 0, "", ""},
		{"--ftp-port - --disable-eprt URL/captures/a.cap", "a capture", 0, "", ""},
		{"--ftp-method nocwd URL/captures/a.cap", "a capture", 0, "", ""},
		{"--use-ascii URL/mail_logs/mail_logs.current", "a log\nof two lines\n", 0, "", ""},
		{"-r 2-4 URL/captures/a.cap", "cap", 0, "", ""},
		{"-l URL/captures/", "a.cap\nwith blank.cap\n", 0, "", ""},
		{"-I URL/captures/a.cap", "", 0, "", ""},
		{"-C - -o part URL/captures/a.cap", "", 0, "", ""},
		{"URL/captures/none", "", 78, "", ""},
		{"URL/none/x", "", 9, "", ""},
		{"-T up URL/configuration/up", "", 0, "up", "AAA\n"},
		{"-a -T up URL/configuration/up", "", 0, "up", "AAA\nAAA\n"},
		{"-T up URL/configuration/old.xml", "", 0, "old.xml", "AAA\n"},
		{"-T up URL/captures/up", "", 25, "", ""},
		{"--ftp-create-dirs -T up URL/configuration/new/deep/up", "", 0, "new/deep/up", "AAA\n"},
		{"-Q -RNFR%20up -Q -RNTO%20down -o /dev/null URL/configuration/up", "", 0,
			"down", "AAA\nAAA\n"},
		{"-u admin:wrong URL/captures/a.cap", "", 67, "", ""},
	} {
		args := []string{"-sS", "--max-time", "60"}
		for _, a := range strings.Fields(tc.args) {
			if a = strings.Replace(a, "URL", url, 1); strings.HasPrefix(a, "-RN") {
				a = strings.ReplaceAll(a, "%20", " ")
			}
			args = append(args, a)
		}
		out, status := runProgram(t, dir, "curl", args...)
		if status != tc.status || tc.out != "" && strings.ReplaceAll(out, "\r", "") != tc.out {
			t.Errorf("curl %s: status %d, %q", tc.args, status, out)
		}
		if tc.stored != "" {
			if got := readFile(t, s, "data/pub/configuration/"+tc.stored); got != tc.content {
				t.Errorf("curl %s: %s has content %q", tc.args, tc.stored, got)
			}
		}
	}
	if got := readLocal(t, dir, "part"); got != "a capture" {
		t.Errorf("after a resumed download: %q", got)
	}
	writeLocal(t, dir, "up", "AAA\nBBB\n") // the first line is stored already
	if err := s.WriteFile("data/pub/configuration/up", []byte("AAA\n")); err != nil {
		t.Fatal(err)
	}
	_, status := runProgram(t, dir, "curl", "-sS", "-C", "-", "-T", "up", url+"/configuration/up")
	if status != 0 {
		t.Errorf("resumed upload: status %d", status)
	}
	if got := readFile(t, s, "data/pub/configuration/up"); got != "AAA\nBBB\n" {
		t.Errorf("after a resumed upload: %q", got)
	}
}

func TestLftp(t *testing.T) {
	tooltest.Need(t, "lftp")
	s := newStore(t, 0)
	f := startFTP(t, s, func(o *transfer.FTPOptions) { o.Hostname = nil })
	for _, mode := range []string{"on", "off"} { // passive, active
		dir := t.TempDir()
		writeLocal(t, dir, "up file", "AAA\n")
		writeLocal(t, dir, "part", "a ca")
		script := strings.Join([]string{
			"set net:max-retries 1; set net:timeout 20; set xfer:clobber on; set cmd:fail-exit yes",
			"set ftp:passive-mode " + mode,
			"open -u admin,ironport ftp://" + f.addr,
			"cls -1 captures", "ls -l captures/a.cap",
			"mget captures/*.cap",
			"get -c captures/a.cap -o part",
			"mirror /data/pub/mail_logs logs",
			"mirror /data/pub all",
			"cd configuration", "put 'up file'",
			"mkdir -p deep/dir", "put 'up file' -o deep/dir/x", "mv deep/dir/x deep/y",
			"rmdir deep/dir", "rm -r deep",
			"mirror -R . " + "mirrored", "glob rm *ile", "pwd", "bye",
		}, "; ")
		out, status := runProgram(t, dir, "lftp", "-c", script)
		if status != 0 {
			t.Errorf("passive %s: status %d: %s", mode, status, out)
		}
		if !strings.Contains(out, "data/pub/configuration") || !strings.Contains(out, "a.cap") {
			t.Errorf("passive %s: printed %q", mode, out)
		}
		for name, want := range map[string]string{
			"a.cap": "a capture", "with blank.cap": "another capture", "part": "a capture",
			"logs/mail_logs.current":    "a log\nof two lines\n",
			"all/diagnostic/a.cap":      "a capture",
			"all/configuration/old.xml": "precious",
		} {
			if got := readLocal(t, dir, name); got != want {
				t.Errorf("passive %s: %s has content %q", mode, name, got)
			}
		}
		if _, err := os.Stat(filepath.Join(dir, "all/captures")); err == nil {
			t.Error("the mirror contains the captures twice")
		}
		if got := readFile(t, s, "data/pub/configuration/mirrored/up file"); got != "AAA\n" {
			t.Errorf("passive %s: mirrored %q", mode, got)
		}
		if _, err := s.Stat("data/pub/configuration/up file"); err == nil {
			t.Errorf("passive %s: rm has not removed the file", mode)
		}
	}
}
