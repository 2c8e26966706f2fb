package box_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/tooltest"
)

// bulkMegabytes makes the tests of much data move that many megabytes in place of 64.
const bulkMegabytes = "ESASIM_BULK_MB"

// bulkSize returns the number of bytes that a test of much data moves.
func bulkSize(t *testing.T) int {
	text := os.Getenv(bulkMegabytes)
	if text == "" {
		return 64e6
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(bulkMegabytes, ": ", err)
	}
	return n * 1e6
}

// A bulkSite is an appliance and a machine that reaches it in two ways: through an uplink, and
// through a cable between the kernels, where the same daemons listen.
type bulkSite struct {
	t        *testing.T
	x        *box.Box
	lan      *tooltest.Namespace
	uplinked string // addresses
	direct   string
}

const (
	uplinkedAddr = "192.0.2.25"
	directAddr   = "198.51.100.99"
)

// newBulkSite makes a site whose cables have an MTU. It is called in a namespace of the test.
func newBulkSite(t *testing.T, mtu int) *bulkSite {
	here, lan := tooltest.Here(t), tooltest.NewNamespace(t)
	here.Cable("ve0", lan, "ve1")
	here.Cable("re0", lan, "re1")
	for _, n := range []string{"ve", "re"} {
		here.IP(fmt.Sprintf("link set %s0 mtu %d", n, mtu))
		lan.IP(fmt.Sprintf("link set %s1 mtu %d", n, mtu))
	}
	lan.IP("address add 192.0.2.1/24 dev ve1")
	lan.IP("address add 198.51.100.1/24 dev re1")
	here.IP("address add " + directAddr + "/24 dev re0")
	here.IP("link set lo up")
	x := newUplinked(t, "a", uplinkedAddr, "packet:ve0")
	if err := x.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	waitConnected(t, x)
	return &bulkSite{t, x, lan, uplinkedAddr, directAddr}
}

// copyFile runs scp or sftp in the other namespace.
func (s *bulkSite) copyFile(program []string, from, to string) *exec.Cmd {
	args := append([]string{"-p", "ironport"}, program...)
	args = append(args, "-q", "-c", "aes128-gcm@openssh.com", "-o", "StrictHostKeyChecking=no",
		"-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", from, to)
	return s.lan.Command("sshpass", args...)
}

func (s *bulkSite) run(c *exec.Cmd) {
	s.t.Helper()
	if out, err := c.CombinedOutput(); err != nil {
		s.t.Fatalf("%v: %v\n%s", c.Args, err, out)
	}
}

// badChecksums returns the number of TCP segments with a wrong checksum that the kernel of the
// other namespace has received.
func (s *bulkSite) badChecksums() string {
	var names, values []string
	for line := range strings.Lines(s.lan.Run("cat", "/proc/net/snmp")) {
		if f := strings.Fields(line); f[0] == "Tcp:" {
			names, values = values, f
		}
	}
	for i, n := range names {
		if n == "InCsumErrors" {
			return values[i]
		}
	}
	s.t.Fatal("the kernel does not count wrong checksums")
	return ""
}

// writeRandom writes a file of random bytes and returns their checksum.
func writeRandom(t *testing.T, name string, size int) string {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := os.Open("/dev/urandom")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	sum := sha256.New()
	if _, err := io.CopyN(io.MultiWriter(f, sum), r, int64(size)); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

func fileSum(t *testing.T, r io.Reader) string {
	t.Helper()
	sum := sha256.New()
	if _, err := io.Copy(sum, r); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// Much data arrives unchanged both ways, and no segment has a wrong checksum.
func TestMuchDataThroughAPacketSocketInNamespaces(t *testing.T) {
	if !tooltest.InNamespace(t) {
		return
	}
	tooltest.Need(t, "scp", "sftp", "sshpass")
	s := newBulkSite(t, 1500)
	size := bulkSize(t)
	dir := t.TempDir()
	own, back := filepath.Join(dir, "own"), filepath.Join(dir, "back")
	want := writeRandom(t, own, size)
	const name = "/data/pub/configuration/big.xml"
	remote := "admin@" + s.uplinked + ":" + name
	s.run(s.copyFile([]string{"scp", "-O"}, own, remote))
	f, err := s.x.Appliance().Files.Open(strings.TrimPrefix(name, "/"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got := fileSum(t, f); got != want {
		t.Errorf("the file of the appliance has the checksum %s, want %s", got, want)
	}
	s.run(s.copyFile([]string{"sftp"}, remote, back))
	b, err := os.Open(back)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if got := fileSum(t, b); got != want {
		t.Errorf("the file that came back has the checksum %s, want %s", got, want)
	}
	if n := s.badChecksums(); n != "0" {
		t.Errorf("%s segments of the appliance have a wrong checksum", n)
	}
	t.Logf("%d bytes each way; %+v", size, s.x.Uplinks()[0])
}

// Many small writes that wait for a client leave together, in their order.
func TestManySmallWritesThroughAPacketSocketInNamespaces(t *testing.T) {
	if !tooltest.InNamespace(t) {
		return
	}
	tooltest.Need(t, "python3")
	s := newBulkSite(t, 1500)
	addr := netip.AddrPortFrom(netip.MustParseAddr(s.uplinked), 5003)
	l, err := s.x.Appliance().Net.Listen(t.Context(), network.ListenConfig{Addr: addr})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := s.lan.Command("python3", "-c", waitingClient, s.uplinked, "5003")
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	want := sha256.New()
	for i := range 4000 {
		line := fmt.Appendf(nil, "%049d\n", i)
		want.Write(line)
		if _, err := conn.Write(line); err != nil {
			t.Fatal(err)
		}
	}
	conn.Close()
	in.Close() // now the client reads
	if err := c.Wait(); err != nil {
		t.Fatalf("%v: %s", err, &out)
	}
	if got := strings.TrimSpace(out.String()); got != hex.EncodeToString(want.Sum(nil)) {
		t.Errorf("what arrives has the checksum %s, want %x", got, want.Sum(nil))
	}
	if n := s.badChecksums(); n != "0" {
		t.Errorf("%s segments of the appliance have a wrong checksum", n)
	}
}

// waitingClient is a program for python3. Its small buffer is full until standard input ends.
const waitingClient = `
import hashlib, socket, sys
c = socket.socket()
c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
c.connect((sys.argv[1], int(sys.argv[2])))
sys.stdin.read()
c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
sum = hashlib.sha256()
while True:
    b = c.recv(1 << 16)
    if not b:
        break
    sum.update(b)
print(sum.hexdigest())
`

// Speeds are the figures of README.md in package uplink. They are measured on demand only.
func TestSpeedOfAPacketSocketInNamespaces(t *testing.T) {
	if os.Getenv(bulkMegabytes) == "" {
		t.Skipf("measured if %s is set", bulkMegabytes)
	}
	if !tooltest.InNamespace(t) {
		return
	}
	tooltest.Need(t, "scp", "sftp", "sshpass", "python3")
	s := newBulkSite(t, 1500)
	direct, err := box.ServeDirect(t.Context(), s.x, s.direct+":22")
	if err != nil {
		t.Fatal(err)
	}
	defer direct.Stop(context.Background())
	size := bulkSize(t)
	own := filepath.Join(t.TempDir(), "own")
	writeRandom(t, own, size)
	s.serveStreams()
	const name = "/data/pub/configuration/big.xml"
	copying := func(program []string, out bool) func(addr string) *exec.Cmd {
		return func(addr string) *exec.Cmd {
			if out {
				return s.copyFile(program, "admin@"+addr+":"+name, os.DevNull)
			}
			return s.copyFile(program, own, "admin@"+addr+":"+name)
		}
	}
	for _, kind := range []struct {
		what    string
		command func(addr string) *exec.Cmd
	}{
		{"scp to the appliance", copying([]string{"scp", "-O"}, false)},
		{"scp from the appliance", copying([]string{"scp", "-O"}, true)},
		{"sftp to the appliance", copying([]string{"scp", "-s"}, false)},
		{"sftp from the appliance", copying([]string{"sftp"}, true)},
		{"TCP to the appliance", func(addr string) *exec.Cmd { return s.stream(addr, "5001", size) }},
		{"TCP from the appliance", func(addr string) *exec.Cmd { return s.stream(addr, "5002", size) }},
	} {
		var took, cpu, client [2]time.Duration
		for range 5 {
			for i, addr := range []string{s.uplinked, s.direct} {
				before, begin := cpuTime(t), time.Now()
				c := kind.command(addr)
				s.run(c)
				took[i] += time.Since(begin)
				cpu[i] += cpuTime(t) - before
				client[i] += c.ProcessState.UserTime() + c.ProcessState.SystemTime()
			}
		}
		t.Logf("%-24s uplink/direct: throughput %.2f (%.0f, %.0f MB/s), CPU of the appliance %.2f (%v, %v),"+
			" of both %.2f", kind.what, took[1].Seconds()/took[0].Seconds(),
			5*float64(size)/1e6/took[0].Seconds(), 5*float64(size)/1e6/took[1].Seconds(),
			cpu[0].Seconds()/cpu[1].Seconds(), cpu[0], cpu[1],
			(cpu[0]+client[0]).Seconds()/(cpu[1]+client[1]).Seconds())
	}
	t.Logf("%+v", s.x.Uplinks()[0])
}

// cpuTime returns the time that this process has used.
func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		t.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// serveStreams listens at both addresses. Port 5001 counts what a client sends and answers with a
// byte; port 5002 sends as many bytes as the client asks for.
func (s *bulkSite) serveStreams() {
	s.t.Helper()
	for _, port := range []uint16{5001, 5002} {
		at := func(addr string) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr(addr), port) }
		up, err := s.x.Appliance().Net.Listen(s.t.Context(), network.ListenConfig{Addr: at(s.uplinked)})
		if err != nil {
			s.t.Fatal(err)
		}
		real, err := net.Listen("tcp", at(s.direct).String())
		if err != nil {
			s.t.Fatal(err)
		}
		for _, l := range []net.Listener{up, real} {
			var serving sync.WaitGroup
			serving.Go(func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					if port == 5001 {
						_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{c}, make([]byte, 128<<10))
						_, _ = c.Write([]byte{1})
					} else {
						sendStream(c)
					}
					c.Close()
				}
			})
			s.t.Cleanup(func() {
				l.Close()
				serving.Wait()
			})
		}
	}
}

// sendStream reads a number and sends as many bytes.
func sendStream(c net.Conn) {
	var n int
	if _, err := fmt.Fscanln(c, &n); err != nil {
		return
	}
	for b := bytes.Repeat([]byte("esasim"), 20000); n > 0; n -= len(b) {
		if _, err := c.Write(b[:min(n, len(b))]); err != nil {
			return
		}
	}
}

// streamClient is a program for python3.
const streamClient = `
import socket, sys
address, port, left = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
c = socket.create_connection((address, port))
if port == 5001:
    block = bytes(1 << 17)
    while left > 0:
        left -= c.send(block[:left])
    c.shutdown(socket.SHUT_WR)
    assert c.recv(1)
else:
    c.sendall(b"%d\n" % left)
    block = bytearray(1 << 17)
    while left > 0:
        n = c.recv_into(block)
        assert n
        left -= n
`

func (s *bulkSite) stream(addr, port string, size int) *exec.Cmd {
	return s.lan.Command("python3", "-c", streamClient, addr, port, strconv.Itoa(size))
}
