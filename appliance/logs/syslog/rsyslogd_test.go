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

// rsyslogd is Debian's, with the records that it gets in a file.
type rsyslogd struct {
	t         testing.TB
	dir       string
	config    func(port int) string
	protocols []string // at the port
	port      int
	cmd       *exec.Cmd
}

// newRsyslogd starts one that listens on TCP and UDP, or in TLS.
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

// tls writes the certificate files; they are named in a line of the configuration, and
// in the module's parameters.
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
	r.write("cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]})))
	r.write("key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})))
	global = fmt.Sprintf("global(defaultNetstreamDriverCAFile=%q defaultNetstreamDriverCertFile=%q defaultNetstreamDriverKeyFile=%q)\n",
		filepath.Join(r.dir, "ca.pem"), filepath.Join(r.dir, "cert.pem"), filepath.Join(r.dir, "key.pem"))
	return global, ` streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="anon"`
}

func (r *rsyslogd) write(name, text string) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rsyslogd) file() string { return filepath.Join(r.dir, "records") }

// start returns when it listens: at the port that it had or, the first time, at any.
func (r *rsyslogd) start(path string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	for anyPort := r.port == 0; ; {
		if anyPort {
			r.port = freePort(r.t)
		}
		r.write("conf", r.config(r.port))
		if r.launch(ctx, path) {
			return
		}
		r.kill()
		if ctx.Err() != nil {
			r.t.Fatalf("rsyslogd does not listen: %s", r.said())
		}
	}
}

// launch reports whether it listens. It does not where somebody else was faster.
func (r *rsyslogd) launch(ctx context.Context, path string) bool {
	r.t.Helper()
	out, err := os.Create(filepath.Join(r.dir, "said"))
	if err != nil {
		r.t.Fatal(err)
	}
	defer out.Close()
	r.cmd = exec.Command(path, "-n", "-f", filepath.Join(r.dir, "conf"), "-i", filepath.Join(r.dir, "pid"), "-C")
	r.cmd.Stdout, r.cmd.Stderr = out, out
	if err := r.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	for slices.ContainsFunc(r.protocols, func(p string) bool { return !holds(r.cmd.Process.Pid, p, r.port) }) {
		if strings.Contains(r.said(), "already in use") || clock.System().Sleep(ctx, 10*time.Millisecond) != nil {
			return false
		}
	}
	return true
}

func (r *rsyslogd) said() string {
	text, _ := os.ReadFile(filepath.Join(r.dir, "said"))
	return string(text)
}

// freePort is one that was free a moment ago.
func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// holds reports whether a port is a process's: any other's may answer there, too.
func holds(pid int, protocol string, port int) bool {
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

// kill is kill -9.
func (r *rsyslogd) kill() {
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait()
	_ = os.Remove(filepath.Join(r.dir, "pid"))
}

// numbers are those of the records in the file.
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

// newOutside is a bench whose server is a real one at a port of this machine's.
func newOutside(t testing.TB, port int) *bench {
	t.Helper()
	text := fmt.Sprintf(world, "", time.Duration(0)) + fmt.Sprintf(`
doors:
  out: [{address: 10.44.167.40, port: 514, to: 127.0.0.1, to_port: %d}]
`, port)
	top, err := netsim.Load("test", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	b := newBenchOf(t, top, netsim.Options{})
	b.set.Server, b.options.Clock = "10.44.167.40", nil
	b.options.Backoff = [2]time.Duration{20 * time.Millisecond, 100 * time.Millisecond}
	return b
}

const manyRecords = 100_000

// All records are there, in order, none twice.
func TestRsyslogdOverTCP(t *testing.T) {
	r := newRsyslogd(t, nil)
	b := newOutside(t, r.port)
	b.set.Buffer, b.options.Dir = 100<<20, t.TempDir()
	b.start()
	for i := range manyRecords {
		b.push("number %d", i)
	}
	var got []int
	b.eventually("all records are in the file", func() bool { got = r.numbers(); return len(got) >= manyRecords })
	wantRun(t, got, 0, manyRecords-1)
	b.toldNothing()
}

func TestRsyslogdOverTLS(t *testing.T) {
	ca := peers.NewAuthority("Test CA", entropy.Seeded(1).Stream("ca"), clock.System().Now)
	r := newRsyslogd(t, ca)
	b := newOutside(t, r.port)
	b.set.Protocol, b.set.Server, b.set.Verify = syslog.TLS, "syslog.example.com", true
	b.options.Lookup = func(context.Context, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("10.44.167.40")}, nil
	}
	b.options.Roots = func() (*x509.CertPool, error) {
		text, err := ca.PEM()
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(text)
		return pool, err
	}
	b.options.MemoryLimit = 64 << 20
	b.start()
	const n = 20_000
	for i := range n {
		b.push("number %d", i)
	}
	var got []int
	b.eventually("all records are in the file", func() bool { got = r.numbers(); return len(got) >= n })
	wantRun(t, got, 0, n-1)
	b.toldNothing()
}

// Datagrams may be lost, so each is waited for.
func TestRsyslogdOverUDP(t *testing.T) {
	r := newRsyslogd(t, nil)
	b := newOutside(t, r.port)
	b.set.Protocol = syslog.UDP
	b.start()
	const n = 50
	for i := range n {
		b.push("number %d", i)
		b.eventually("it is in the file", func() bool { return len(r.numbers()) == i+1 })
	}
	wantRun(t, r.numbers(), 0, n-1)
	b.toldNothing()
}

// kill -9 in the middle, with the buffer on disk: order is kept, nothing comes twice, and
// what is missing is one run within the bound that was told.
func TestRsyslogdIsKilled(t *testing.T) {
	r := newRsyslogd(t, nil)
	b := newOutside(t, r.port)
	b.set.Buffer, b.options.Dir = 100<<20, t.TempDir()
	b.start()
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		for b.Stats().Sent < manyRecords/10 {
			_ = clock.System().Sleep(context.Background(), time.Millisecond)
		}
		r.kill()
	}()
	for i := range manyRecords / 2 {
		b.push("number %d", i)
	}
	<-killed
	b.eventually("it is noticed", func() bool { return b.Stats().Breaks > 0 })
	for i := manyRecords / 2; i < manyRecords; i++ {
		b.push("number %d", i)
	}
	r.start(r.cmd.Path)
	b.eventually("all is sent", func() bool { return b.Stats().Waiting == 0 })
	var got []int
	b.eventually("the last is in the file", func() bool {
		got = r.numbers()
		return len(got) > 0 && got[len(got)-1] == manyRecords-1
	})
	gaps, missing, last := 0, 0, -1 // rsyslogd may die before it has written anything
	for _, n := range got {
		if n <= last {
			t.Fatalf("%d comes after %d", n, last)
		}
		if d := n - last - 1; d > 0 {
			gaps, missing = gaps+1, missing+d
		}
		last = n
	}
	s := b.Stats()
	if gaps > 1 || missing > s.LastInDoubt {
		t.Errorf("%d records are missing in %d runs, the bound is %d", missing, gaps, s.LastInDoubt)
	}
	told := strings.Join(b.told(), "\n")
	if missing == 0 {
		t.Log("the server had written all that it had acknowledged")
	}
	if !strings.HasPrefix(told, brokenText) || !strings.Contains(told, fmt.Sprintf("the last %d may be lost", s.LastInDoubt)) {
		t.Errorf("told %q", told)
	}
	t.Logf("%d records are missing, the bound is %d; %d were sent again", missing, s.LastInDoubt, s.Resent)
}
