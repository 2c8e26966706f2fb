package syslog_test

import (
	"bufio"
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/logs/syslog"
	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/network/netsim/peers"
	"github.com/esasim/esasim/appliance/tooltest"
)

// An rsyslogd is a process of Debian's rsyslogd that writes the records it gets to a file.
type rsyslogd struct {
	t         testing.TB
	dir       string
	config    func(port int) string
	protocols []string // that it listens on at port
	port      int
	cmd       *exec.Cmd
}

// newRsyslogd starts an rsyslogd that listens on TCP and UDP. If ca is not nil, it uses TLS.
func newRsyslogd(t testing.TB, ca *peers.Authority) *rsyslogd {
	t.Helper()
	path := tooltest.Path(t, "rsyslogd")
	r := &rsyslogd{t: t, dir: t.TempDir(), protocols: []string{"tcp", "udp"}}
	global, module := "", ""
	if ca != nil {
		global, module = r.tls(ca)
	}
	r.config = func(port int) string {
		return global + fmt.Sprintf(`global(workDirectory="%s" maxMessageSize="64k" parser.escapeControlCharactersOnReceive="off")
module(load="imtcp"%s)
module(load="imudp")
template(name="raw" type="string" string="%%rawmsg%%\n")
input(type="imtcp" address="127.0.0.1" port="%d")
input(type="imudp" address="127.0.0.1" port="%d" rcvbufSize="1m")
action(type="omfile" file="%s" template="raw")
`, r.dir, module, port, port, r.file())
	}
	r.start(path)
	t.Cleanup(r.kill)
	return r
}

// tls writes the files with certificates and key. It returns the line of the configuration that
// names them, and parameters for the module.
func (r *rsyslogd) tls(ca *peers.Authority) (global, module string) {
	r.t.Helper()
	own, err := ca.PEM()
	if err != nil {
		r.t.Fatal(err)
	}
	cert, err := ca.Certify([]string{"syslog.example.com"})
	if err != nil {
		r.t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		r.t.Fatal(err)
	}
	r.write("ca.pem", string(own))
	encode := func(blockType string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: blockType, Bytes: der}))
	}
	r.write("cert.pem", encode("CERTIFICATE", cert.Certificate[0]))
	r.write("key.pem", encode("PRIVATE KEY", key))
	global = fmt.Sprintf("global(defaultNetstreamDriverCAFile=%q defaultNetstreamDriverCertFile=%q defaultNetstreamDriverKeyFile=%q)\n",
		filepath.Join(r.dir, "ca.pem"), filepath.Join(r.dir, "cert.pem"),
		filepath.Join(r.dir, "key.pem"))
	return global, ` streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="anon"`
}

func (r *rsyslogd) write(name, text string) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rsyslogd) file() string { return filepath.Join(r.dir, "records") }

// start starts the process and returns when it listens: on the port that it had before or, the
// first time, on any free port.
func (r *rsyslogd) start(path string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), testTimeout)
	defer cancel()
	for anyPort := r.port == 0; ; {
		if anyPort {
			r.port = freePort(r.t)
		}
		r.write("conf", r.config(r.port))
		if r.tryStart(ctx, path) {
			return
		}
		r.kill()
		if ctx.Err() != nil {
			r.t.Fatalf("rsyslogd does not listen: %s", r.output())
		}
	}
}

// tryStart reports whether the process listens. It does not if another process has taken the
// port.
func (r *rsyslogd) tryStart(ctx context.Context, path string) bool {
	r.t.Helper()
	out, err := os.Create(filepath.Join(r.dir, "output"))
	if err != nil {
		r.t.Fatal(err)
	}
	defer out.Close()
	r.cmd = exec.Command(path, "-n", "-f", filepath.Join(r.dir, "conf"),
		"-i", filepath.Join(r.dir, "pid"), "-C")
	r.cmd.Stdout, r.cmd.Stderr = out, out
	if err := r.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	for slices.ContainsFunc(r.protocols, func(p string) bool { return !holdsPort(r.cmd.Process.Pid, p, r.port) }) {
		if strings.Contains(r.output(), "already in use") || clock.System().Sleep(ctx, 10*time.Millisecond) != nil {
			return false
		}
	}
	return true
}

func (r *rsyslogd) output() string {
	text, _ := os.ReadFile(filepath.Join(r.dir, "output"))
	return string(text)
}

// freePort returns a port that was free a moment ago.
func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// holdsPort reports whether a port belongs to the process: another process may answer on it.
func holdsPort(pid int, protocol string, port int) bool {
	table, _ := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, protocol))
	opened, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line) // number, local address, ..., inode
		if len(f) < 10 || !strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) {
			continue
		}
		for _, name := range opened {
			if to, _ := os.Readlink(name); to == "socket:["+f[9]+"]" {
				return true
			}
		}
	}
	return false
}

// kill kills the process with SIGKILL.
func (r *rsyslogd) kill() {
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait()
	_ = os.Remove(filepath.Join(r.dir, "pid"))
}

// numbers returns the numbers of the records in the file.
func (r *rsyslogd) numbers() []int {
	r.t.Helper()
	f, err := os.Open(r.file())
	if err != nil {
		return nil
	}
	defer f.Close()
	var all []int
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var n int
		if i := strings.LastIndex(lines.Text(), "number "); i >= 0 {
			if _, err := fmt.Sscanf(lines.Text()[i:], "number %d", &n); err == nil {
				all = append(all, n)
			}
		}
	}
	return all
}

// newOutsideHarness returns a harness whose server is a real one on a port of this machine.
func newOutsideHarness(t testing.TB, port int) *harness {
	t.Helper()
	text := fmt.Sprintf(world, "", time.Duration(0)) + fmt.Sprintf(`
doors:
  out: [{address: 10.44.167.40, port: 514, to: 127.0.0.1, to_port: %d}]
`, port)
	top, err := netsim.Load("test", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	h := newHarnessIn(t, top, netsim.Options{})
	h.settings.Server, h.options.Clock = "10.44.167.40", nil
	h.options.Backoff = [2]time.Duration{20 * time.Millisecond, 100 * time.Millisecond}
	return h
}

const manyRecords = 100_000

// All records are in the file, in order, none twice.
func TestRsyslogdOverTCP(t *testing.T) {
	r := newRsyslogd(t, nil)
	h := newOutsideHarness(t, r.port)
	h.settings.Buffer, h.options.Dir = 100<<20, t.TempDir()
	h.start()
	for i := range manyRecords {
		h.push("number %d", i)
	}
	var got []int
	h.eventually("all records are in the file",
		func() bool { got = r.numbers(); return len(got) >= manyRecords })
	wantRun(t, got, 0, manyRecords-1)
	h.wantNoEvents()
}

func TestRsyslogdOverTLS(t *testing.T) {
	ca := peers.NewAuthority("Test CA", entropy.Seeded(1).Stream("ca"), clock.System().Now)
	r := newRsyslogd(t, ca)
	h := newOutsideHarness(t, r.port)
	h.settings.Protocol, h.settings.Server, h.settings.Verify = syslog.TLS, "syslog.example.com",
		true
	h.options.Lookup = func(context.Context, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("10.44.167.40")}, nil
	}
	h.options.Roots = func() (*x509.CertPool, error) {
		text, err := ca.PEM()
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(text)
		return pool, err
	}
	h.options.MemoryLimit = 64 << 20
	h.start()
	const n = 20_000
	for i := range n {
		h.push("number %d", i)
	}
	var got []int
	h.eventually("all records are in the file",
		func() bool { got = r.numbers(); return len(got) >= n })
	wantRun(t, got, 0, n-1)
	h.wantNoEvents()
}

// Datagrams may be lost, so the test waits for each.
func TestRsyslogdOverUDP(t *testing.T) {
	r := newRsyslogd(t, nil)
	h := newOutsideHarness(t, r.port)
	h.settings.Protocol = syslog.UDP
	h.start()
	const n = 50
	for i := range n {
		h.push("number %d", i)
		h.eventually("the record is in the file", func() bool { return len(r.numbers()) == i+1 })
	}
	wantRun(t, r.numbers(), 0, n-1)
	h.wantNoEvents()
}

// The server is killed in the middle, with a buffer on disk: order is kept, no record is written
// twice, and the missing records are one run within the bound that was reported.
func TestRsyslogdIsKilled(t *testing.T) {
	r := newRsyslogd(t, nil)
	h := newOutsideHarness(t, r.port)
	h.settings.Buffer, h.options.Dir = 100<<20, t.TempDir()
	h.start()
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		for h.Stats().Sent < manyRecords/10 {
			_ = clock.System().Sleep(context.Background(), time.Millisecond)
		}
		r.kill()
	}()
	for i := range manyRecords / 2 {
		h.push("number %d", i)
	}
	<-killed
	h.eventually("the break is noticed", func() bool { return h.Stats().Breaks > 0 })
	for i := manyRecords / 2; i < manyRecords; i++ {
		h.push("number %d", i)
	}
	r.start(r.cmd.Path)
	h.eventually("all records are sent", func() bool { return h.Stats().Waiting == 0 })
	var got []int
	h.eventually("the last record is in the file", func() bool {
		got = r.numbers()
		return len(got) > 0 && got[len(got)-1] == manyRecords-1
	})
	gaps, missing, last := 0, 0, -1 // rsyslogd may be killed before it has written anything
	for _, n := range got {
		if n <= last {
			t.Fatalf("%d comes after %d", n, last)
		}
		if d := n - last - 1; d > 0 {
			gaps, missing = gaps+1, missing+d
		}
		last = n
	}
	s := h.Stats()
	if gaps > 1 || missing > s.LastInDoubt {
		t.Errorf("%d records are missing in %d runs, the bound is %d", missing, gaps, s.LastInDoubt)
	}
	events := strings.Join(h.eventTexts(), "\n")
	if missing == 0 {
		t.Log("the server had written all that it had acknowledged")
	}
	if !strings.HasPrefix(events, brokenText) || !strings.Contains(events, fmt.Sprintf("the last %d may be lost", s.LastInDoubt)) {
		t.Errorf("events %q", events)
	}
	t.Logf("%d records are missing, the bound is %d; %d were sent again",
		missing, s.LastInDoubt, s.Resent)
}
