package tooltest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// postfixServices is a file of Debian's package of Postfix.
const postfixServices = "/usr/share/postfix/master.cf.dist"

// StartPostfix starts Postfix with the default settings, further ones, and directories of its own. It
// listens at addr ("127.0.0.1:2525") when StartPostfix returns, until the test ends. command returns a
// command, as exec.Command and Namespace.Command do. The result is the name of its log, which Postfix
// writes below /var only. The test is skipped unless it runs as root.
func StartPostfix(
	t testing.TB, command func(name string, args ...string) *exec.Cmd, addr, settings string,
) (log string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("Postfix runs as root only")
	}
	postfix := Path(t, "postfix")
	services, err := os.ReadFile(postfixServices)
	if err != nil {
		SkipOrFail(t, "Postfix's table of services is not installed: %v", err)
	}
	dir, err := os.MkdirTemp("", "esasim-postfix") // Postfix's users cannot enter t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	log = "/var/log/" + filepath.Base(dir) + ".log"
	t.Cleanup(func() {
		os.RemoveAll(dir)
		if text, err := os.ReadFile(log); err == nil && t.Failed() {
			t.Logf("%s", text)
		}
		os.Remove(log)
	})
	etc := filepath.Join(dir, "etc")
	settings = fmt.Sprintf("compatibility_level = 3.6\n"+
		"queue_directory = %[1]s/spool\ndata_directory = %[1]s/data\nmaillog_file = %[2]s\n"+
		"mynetworks = 127.0.0.0/8\ninet_interfaces = %[3]s\ninet_protocols = ipv4\n"+
		"myhostname = postfix.example.net\n", dir, log, addr[:strings.LastIndexByte(addr, ':')]) + settings
	for _, err := range []error{
		os.Chmod(dir, 0o755), os.Mkdir(etc, 0o755),
		os.Mkdir(filepath.Join(dir, "spool"), 0o755), os.Mkdir(filepath.Join(dir, "data"), 0o755),
		exec.Command("chown", "postfix", filepath.Join(dir, "data")).Run(),
		os.WriteFile(filepath.Join(etc, "main.cf"), []byte(settings), 0o644),
		os.WriteFile(filepath.Join(etc, "master.cf"), []byte(servicesAt(string(services), addr)), 0o644),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if out, err := command(postfix, "-c", etc, "start").CombinedOutput(); err != nil {
		t.Fatalf("postfix start: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := command(postfix, "-c", etc, "stop").CombinedOutput(); err != nil {
			t.Errorf("postfix stop: %v: %s", err, out)
		}
	})
	return log
}

// servicesAt returns Postfix's table of services with the SMTP server at addr and without chroot.
func servicesAt(services, addr string) string {
	var b strings.Builder
	for line := range strings.Lines(services) {
		f := strings.Fields(line)
		if len(f) >= 8 && line[0] != '#' && line[0] != ' ' {
			if f[0] == "smtp" && f[1] == "inet" {
				f[0] = addr
			}
			f[4] = "n" // chroot
			line = strings.Join(f, " ") + "\n"
		}
		b.WriteString(line)
	}
	return b.String()
}
