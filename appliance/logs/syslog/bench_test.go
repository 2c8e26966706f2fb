package syslog_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/esasim/esasim/appliance/logs/syslog"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/appliance/tooltest"
)

// benchText is the text of a typical line of a mail log.
const benchText = "MID 20332107 ICID 30308138 RID 0 To: <somebody.else@department.example.com>"

// A countingServer is a real TCP server that discards what it reads and counts the records.
type countingServer struct {
	net.Listener
	records atomic.Int64
}

func newCountingServer(tb testing.TB) *countingServer {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s := &countingServer{Listener: l}
	tb.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				buf := make([]byte, 256<<10)
				for {
					n, err := c.Read(buf)
					s.records.Add(int64(strings.Count(string(buf[:n]), "\n")))
					if err != nil {
						return
					}
				}
			}()
		}
	}()
	return s
}

func (s *countingServer) port() int { return s.Addr().(*net.TCPAddr).Port }

// waitRecords blocks until n records have arrived.
func (s *countingServer) waitRecords(n int) {
	for s.records.Load() < int64(n) {
		runtime.Gosched()
	}
}

// reportRate reports the number of records per second.
func reportRate(b *testing.B) {
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

// BenchmarkPush measures how long a caller of Push waits.
func BenchmarkPush(b *testing.B) {
	h := newHarness(b, "", 0)
	h.setRule(topology.Rule{Protocol: "tcp", Port: 514, Action: "drop"})
	h.options.MemoryLimit = 1 << 20
	h.start()
	now := h.clock.Now()
	b.ReportAllocs()
	for b.Loop() {
		h.Push(now, "Info", benchText)
	}
}

// BenchmarkForward sends records to a real server on loopback: from this package through the
// simulated network and the back door, with and without a buffer on disk, and for comparison
// from rsyslogd's omfwd, which gets the records from a client of imptcp.
func BenchmarkForward(b *testing.B) {
	forward := func(b *testing.B, buffer int64) {
		s := newCountingServer(b)
		h := newOutsideHarness(b, s.port())
		h.settings.Buffer, h.options.Dir = buffer, b.TempDir()
		h.options.MemoryLimit = 1 << 30
		h.start()
		now := h.clock.Now()
		b.ResetTimer()
		for range b.N {
			h.Push(now, "Info", benchText)
		}
		s.waitRecords(b.N + 3)
		reportRate(b)
	}
	b.Run("esasim", func(b *testing.B) { forward(b, 0) })
	b.Run("esasim-disk", func(b *testing.B) { forward(b, 1<<30) })
	b.Run("omfwd", func(b *testing.B) {
		s := newCountingServer(b)
		to := newForwarder(b, s.port())
		record := []byte("<22>Jun 25 08:50:03 Mails: Info: " + benchText + "\n")
		var batch []byte
		for range 500 {
			batch = append(batch, record...)
		}
		b.ResetTimer()
		for left := b.N; left > 0; left -= 500 {
			if _, err := to.Write(batch[:min(left, 500)*len(record)]); err != nil {
				b.Fatal(err)
			}
		}
		s.waitRecords(b.N)
		reportRate(b)
	})
}

// newForwarder starts an rsyslogd that forwards to a port, and returns a connection to its
// input.
func newForwarder(b *testing.B, port int) io.Writer {
	path := tooltest.Path(b, "rsyslogd")
	dir := b.TempDir()
	r := &rsyslogd{t: b, dir: dir, protocols: []string{"tcp"}, config: func(in int) string {
		return fmt.Sprintf(`global(workDirectory="%s")
module(load="imptcp")
template(name="raw" type="string" string="%%rawmsg%%")
input(type="imptcp" address="127.0.0.1" port="%d")
action(type="omfwd" target="127.0.0.1" port="%d" protocol="tcp" template="raw")
`, dir, in, port)
	}}
	r.start(path)
	b.Cleanup(r.kill)
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", r.port))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	return c
}

// Memory stays bounded while the server is away for a million records.
func TestMemoryStaysBoundedForMillionRecords(t *testing.T) {
	for name, buffer := range map[string]int64{"memory": 0, "disk": 256 << 20} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, "", 0)
			h.setRule(topology.Rule{Protocol: "tcp", Port: 514, Action: "refuse"})
			h.settings.Buffer, h.options.Dir = buffer, t.TempDir()
			h.start()
			before := heapSize()
			now := h.clock.Now()
			for i := range 1_000_000 {
				h.Push(now, "Info", benchText)
				if buffer > 0 && i%10_000 == 0 { // let the disk keep up
					h.eventually("all records are on disk",
						func() bool { return allOnDisk(h.Stats(), h.options.Dir) })
				}
			}
			if grown := heapSize() - before; grown > 24<<20 {
				t.Errorf("the heap grew by %d MiB", grown>>20)
			}
			s := h.Stats()
			if s.Waiting+s.Dropped != 1_000_000 || (buffer > 0) != (s.Dropped == 0) {
				t.Errorf("%+v", s)
			}
		})
	}
}

// allOnDisk reports whether all records that wait are on disk.
func allOnDisk(s syslog.Stats, dir string) bool {
	size := int64(0)
	files, _ := filepath.Glob(filepath.Join(dir, "*.queue"))
	for _, f := range files {
		if fi, err := os.Stat(f); err == nil {
			size += fi.Size()
		}
	}
	return size >= s.WaitingBytes
}

func heapSize() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
