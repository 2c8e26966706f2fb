package box_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/esasim/esasim/appliance/tooltest"
)

// postfixServices is a file of Debian's package of Postfix.
const postfixServices = "/usr/share/postfix/master.cf.dist"

// startRelay starts Postfix with the default settings, except that it relays everything to sink, and
// returns the address that it listens on.
func startRelay(b *testing.B, sink *sink) string {
	_, port, _ := net.SplitHostPort(sink.addr())
	addr, _ := startPostfix(b, "mydestination =\nrelay_domains = example.com\nrelayhost = [127.0.0.1]:"+port+"\n")
	return addr
}

// startPostfix starts Postfix with further settings and with directories of its own, and returns the
// address that it listens on and the name of its log. Postfix writes logs below /var only.
func startPostfix(b testing.TB, settings string) (addr, log string) {
	b.Helper()
	if os.Getuid() != 0 {
		b.Skip("Postfix runs as root only")
	}
	postfix := tooltest.Path(b, "postfix")
	services, err := os.ReadFile(postfixServices)
	if err != nil {
		tooltest.SkipOrFail(b, "Postfix's table of services is not installed: %v", err)
	}
	dir, err := os.MkdirTemp("", "esasim-postfix") // Postfix's users cannot enter b.TempDir
	if err != nil {
		b.Fatal(err)
	}
	log = "/var/log/" + filepath.Base(dir) + ".log"
	b.Cleanup(func() {
		os.RemoveAll(dir)
		os.Remove(log)
	})
	etc := filepath.Join(dir, "etc")
	addr = freeAddr(b)
	settings = fmt.Sprintf("compatibility_level = 3.6\n"+
		"queue_directory = %[1]s/spool\ndata_directory = %[1]s/data\nmaillog_file = %[2]s\n"+
		"mynetworks = 127.0.0.0/8\ninet_interfaces = 127.0.0.1\ninet_protocols = ipv4\n"+
		"myhostname = postfix.example.net\n", dir, log) + settings
	for _, err := range []error{
		os.Chmod(dir, 0o755), os.Mkdir(etc, 0o755),
		os.Mkdir(filepath.Join(dir, "spool"), 0o755), os.Mkdir(filepath.Join(dir, "data"), 0o755),
		exec.Command("chown", "postfix", filepath.Join(dir, "data")).Run(),
		os.WriteFile(filepath.Join(etc, "main.cf"), []byte(settings), 0o644),
		os.WriteFile(filepath.Join(etc, "master.cf"), []byte(servicesAt(string(services), addr)), 0o644),
	} {
		if err != nil {
			b.Fatal(err)
		}
	}
	if out, err := exec.Command(postfix, "-c", etc, "start").CombinedOutput(); err != nil {
		b.Fatalf("postfix start: %v: %s", err, out)
	}
	b.Cleanup(func() {
		if out, err := exec.Command(postfix, "-c", etc, "stop").CombinedOutput(); err != nil {
			b.Errorf("postfix stop: %v: %s", err, out)
		}
	})
	for {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
			return addr, log
		}
		if b.Context().Err() != nil {
			b.Fatal(err)
		}
	}
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

// freeAddr returns an address of the loopback interface that nothing listens on.
func freeAddr(b testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
