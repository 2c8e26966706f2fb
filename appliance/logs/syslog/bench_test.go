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

// benchText is a line of a mail log.
const benchText = "MID 20332107 ICID 30308138 RID 0 To: <somebody.else@department.example.com>"

// A sink is a real server that reads all it gets.
type sink struct {
	net.Listener
	records atomic.Int64
}

func newSink(tb testing.TB) *sink {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s := &sink{Listener: l}
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

func (s *sink) port() int { return s.Addr().(*net.TCPAddr).Port }

func (s *sink) await(n int) {
	for s.records.Load() < int64(n) {
		runtime.Gosched()
	}
}

// rate reports records a second.
func rate(b *testing.B) {
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

// BenchmarkPush is what a caller waits.
func BenchmarkPush(b *testing.B) {
	x := newBench(b, "", 0)
	x.rule(topology.Rule{Protocol: "tcp", Port: 514, Action: "drop"})
	x.options.MemoryLimit = 1 << 20
	x.start()
	now := x.clock.Now()
	b.ReportAllocs()
	for b.Loop() {
		x.Push(now, "Info", benchText)
	}
}

// BenchmarkForward sends records to a real sink on loopback, whole: ours through the
// simulated wire and the back door, with and without a buffer on disk, and rsyslogd's
// omfwd the records that it gets from a client of imptcp.
func BenchmarkForward(b *testing.B) {
	forward := func(b *testing.B, buffer int64) {
		s := newSink(b)
		x := newOutside(b, s.port())
		x.set.Buffer, x.options.Dir = buffer, b.TempDir()
		x.options.MemoryLimit = 1 << 30
		x.start()
		now := x.clock.Now()
		b.ResetTimer()
		for range b.N {
			x.Push(now, "Info", benchText)
		}
		s.await(b.N + 3)
		rate(b)
	}
	b.Run("esasim", func(b *testing.B) { forward(b, 0) })
	b.Run("esasim-disk", func(b *testing.B) { forward(b, 1<<30) })
	b.Run("omfwd", func(b *testing.B) {
		s := newSink(b)
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
		s.await(b.N)
		rate(b)
	})
}

// newForwarder starts an rsyslogd that forwards to a port, and returns a way into it.
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

// While the server is away for a million records, memory stays bounded.
func TestAMillionRecords(t *testing.T) {
	for name, buffer := range map[string]int64{"memory": 0, "disk": 256 << 20} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, "", 0)
			b.rule(topology.Rule{Protocol: "tcp", Port: 514, Action: "refuse"})
			b.set.Buffer, b.options.Dir = buffer, t.TempDir()
			b.start()
			before := heap()
			now := b.clock.Now()
			for i := range 1_000_000 {
				b.Push(now, "Info", benchText)
				if buffer > 0 && i%10_000 == 0 { // the disk is to keep up
					b.eventually("it is on disk", func() bool { return onDisk(b.Stats(), b.options.Dir) })
				}
			}
			if grown := heap() - before; grown > 24<<20 {
				t.Errorf("the heap grew by %d MiB", grown>>20)
			}
			s := b.Stats()
			if s.Waiting+s.Dropped != 1_000_000 || (buffer > 0) != (s.Dropped == 0) {
				t.Errorf("%+v", s)
			}
		})
	}
}

// onDisk reports whether all that waits is.
func onDisk(s syslog.Stats, dir string) bool {
	size := int64(0)
	files, _ := filepath.Glob(filepath.Join(dir, "*.queue"))
	for _, f := range files {
		if fi, err := os.Stat(f); err == nil {
			size += fi.Size()
		}
	}
	return size >= s.WaitingBytes
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
