package transfer_test

import (
	"io"
	"net"
	"testing"

	"github.com/esasim/esasim/appliance/files"
)

// benchSize is the length of the file that the benchmarks fetch.
const benchSize = 64 << 20

func benchStore(b *testing.B) *files.Store {
	s := newStore(b, 0)
	if err := s.WriteFile("data/pub/diagnostic/bench.cap", make([]byte, benchSize)); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(benchSize)
	b.ReportAllocs()
	return s
}

func BenchmarkSFTPGet(b *testing.B) {
	c := dialSFTP(b, benchStore(b))
	for b.Loop() {
		f, err := c.Open("captures/bench.cap")
		if err != nil {
			b.Fatal(err)
		}
		if n, err := f.WriteTo(io.Discard); n != benchSize || err != nil {
			b.Fatal(n, err)
		}
		f.Close()
	}
}

func BenchmarkSCPGet(b *testing.B) {
	s := benchStore(b)
	for b.Loop() {
		runSCP(b, s, "scp -f captures/bench.cap", func(conn net.Conn) {
			var line [64]byte
			conn.Write([]byte{0})
			conn.Read(line[:])
			conn.Write([]byte{0})
			if n, err := io.CopyN(io.Discard, conn, benchSize); err != nil {
				b.Fatal(n, err)
			}
			conn.Read(line[:1])
			conn.Write([]byte{0})
		})
	}
}

func BenchmarkFTPGet(b *testing.B) {
	c := dialFTP(b, startFTP(b, benchStore(b), nil))
	for b.Loop() {
		r, err := c.Retr("captures/bench.cap")
		if err != nil {
			b.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, r); n != benchSize || err != nil {
			b.Fatal(n, err)
		}
		r.Close()
	}
}
