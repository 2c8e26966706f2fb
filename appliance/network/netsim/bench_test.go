package netsim_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"testing"

	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim"
)

// The benchmarks come in pairs: a client of a real listener, and a client of a door.

// listeners measures clients of handle with each kind of listener.
func listeners(b *testing.B, handle func(net.Conn), measure func(b *testing.B, dial func() net.Conn)) {
	real, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer real.Close()
	go func() {
		for {
			c, err := real.Accept()
			if err != nil {
				return
			}
			go handle(c)
		}
	}()
	b.Run("direct", func(b *testing.B) {
		measure(b, func() net.Conn {
			c, err := net.Dial("tcp", real.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			return c
		})
	})
	b.Run("door", func(b *testing.B) {
		w := start(b, fixture(b, "lab"))
		serve(b, w, "10.0.202.7:22", func(c network.Conn) { handle(c) })
		measure(b, func() net.Conn { return dialDoor(b, w, "ssh") })
	})
}

func BenchmarkRoundTrip(b *testing.B) {
	handle := func(c net.Conn) {
		io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c})
		c.Close()
	}
	listeners(b, handle, func(b *testing.B, dial func() net.Conn) {
		c := dial()
		defer c.Close()
		buf := make([]byte, 64)
		for b.Loop() {
			c.Write(buf)
			if _, err := io.ReadFull(c, buf); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkConnect(b *testing.B) {
	handle := func(c net.Conn) {
		c.Write([]byte("SSH-2.0-x\r\n"))
		c.Close()
	}
	listeners(b, handle, func(b *testing.B, dial func() net.Conn) {
		for b.Loop() {
			c := dial()
			if _, err := io.ReadAll(c); err != nil {
				b.Fatal(err)
			}
			c.Close()
		}
	})
}

func BenchmarkDownload(b *testing.B) {
	const size = 32 << 10
	handle := func(c net.Conn) {
		defer c.Close()
		for buf := make([]byte, size); ; {
			if _, err := c.Write(buf); err != nil {
				return
			}
		}
	}
	listeners(b, handle, func(b *testing.B, dial func() net.Conn) {
		c := dial()
		defer c.Close()
		buf := make([]byte, size)
		b.SetBytes(size)
		for b.Loop() {
			if _, err := io.ReadFull(c, buf); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkUpload measures a connection of the appliance through the back door to a real server
// that reads as fast as it can.
func BenchmarkUpload(b *testing.B) {
	real, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer real.Close()
	go func() {
		c, err := real.Accept()
		if err != nil {
			return
		}
		io.Copy(io.Discard, c)
		c.Close()
	}()
	w := start(b, backDoorTopology(b, fmt.Sprintf(
		"\n    - {address: 203.0.113.30, port: 514, to: 127.0.0.1, to_port: %d}",
		real.Addr().(*net.TCPAddr).Port)))
	c := mustDial(b, w, "203.0.113.30:514")
	defer c.Close()
	buf := make([]byte, 32<<10)
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		if _, err := c.Write(buf); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkWorld measures the start and stop of a world, and its memory and goroutines while it
// is idle.
func BenchmarkWorld(b *testing.B) {
	for _, name := range []string{"minimal", "lab"} {
		b.Run(name, func(b *testing.B) {
			topo := fixture(b, name)
			topo.Doors.In = nil
			var worlds []*netsim.World
			goroutines, heap := measure()
			const n = 20
			for range n {
				worlds = append(worlds, start(b, topo))
			}
			g, h := measure()
			for _, w := range worlds {
				w.Stop(context.Background())
			}
			for b.Loop() {
				w, err := netsim.New(topo, netsim.Options{})
				if err != nil {
					b.Fatal(err)
				}
				if err := w.Start(b.Context()); err != nil {
					b.Fatal(err)
				}
				w.Stop(context.Background())
			}
			b.ReportMetric(float64(h-heap)/n/1024, "KiB/world")
			b.ReportMetric(float64(g-goroutines)/n, "goroutines/world")
			runtime.KeepAlive(worlds)
		})
	}
}
