package shell_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"

	gossh "golang.org/x/crypto/ssh"

	"github.com/esasim/esasim/shell"
)

var helloCommand = command("hello", func(_ context.Context, env *shell.Env) error {
	env.Printf("Username: admin\nFull Name: Administrator\nGroups: admin\n")
	return nil
})

func BenchmarkLogin(b *testing.B) {
	app, _ := newAppliance(b)
	s := startServer(b, app, nil, helloCommand)
	for b.Loop() {
		c := dial(b, s)
		sh := openShell(b, c, 80, 24)
		sh.readUntil("example.com> ")
		c.Close()
	}
}

// BenchmarkLogins50 measures logins by 50 clients at a time. An operation is one login.
func BenchmarkLogins50(b *testing.B) {
	app, _ := newAppliance(b)
	s := startServer(b, app, nil, helloCommand)
	next := make(chan int)
	var clients sync.WaitGroup
	for range 50 {
		clients.Go(func() {
			for range next {
				c, err := gossh.Dial("tcp", s.Addr().String(), clientConfig("admin", "ironport"))
				if err != nil {
					b.Error(err)
					continue
				}
				c.Close()
			}
		})
	}
	for b.Loop() {
		next <- 1
	}
	close(next)
	clients.Wait()
}

func BenchmarkCommand(b *testing.B) {
	app, _ := newAppliance(b)
	sh := shellAtPrompt(b, app, helloCommand)
	buf := make([]byte, 4096)
	for b.Loop() {
		sh.typeKeys("hello\r")
		for {
			n, err := sh.out.Read(buf)
			if err != nil {
				b.Fatal(err)
			}
			if n >= 2 && string(buf[n-2:n]) == "> " {
				break
			}
		}
	}
}

// idleSessions is the number of sessions that BenchmarkIdleSession opens at a time.
const idleSessions = 200

// TestMain runs the test binary as the client of BenchmarkIdleSession if the environment says so.
// The client is a process of its own, because its memory must not be counted.
func TestMain(m *testing.M) {
	if addr := os.Getenv("ESASIM_IDLE_CLIENT"); addr != "" {
		if err := idleClient(addr); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// idleClient opens sessions, prints "ready", and keeps the sessions open until its standard input
// ends.
func idleClient(addr string) error {
	for range idleSessions {
		c, err := gossh.Dial("tcp", addr, clientConfig("admin", "ironport"))
		if err != nil {
			return err
		}
		s, err := c.NewSession()
		if err != nil {
			return err
		}
		out, err := s.StdoutPipe()
		if err != nil {
			return err
		}
		if _, err := s.StdinPipe(); err != nil {
			return err
		}
		if err := s.RequestPty("vt100", 24, 80, nil); err != nil {
			return err
		}
		if err := s.Shell(); err != nil {
			return err
		}
		b := make([]byte, 4096)
		for output := ""; !strings.HasSuffix(output, prompt); {
			n, err := out.Read(b)
			if err != nil {
				return err
			}
			output += string(b[:n])
		}
	}
	fmt.Println("ready")
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// BenchmarkIdleSession reports the memory and the goroutines that the server needs for a session
// that waits at its prompt, including the connection.
func BenchmarkIdleSession(b *testing.B) {
	app, _ := newAppliance(b)
	s := startServer(b, app, nil, helloCommand)
	memory := func() float64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return float64(m.HeapInuse + m.StackInuse)
	}
	dial(b, s).Close()
	var bytes, goroutines float64
	for b.Loop() {
		before, running := memory(), runtime.NumGoroutine()
		client := exec.Command(os.Args[0])
		client.Env = append(os.Environ(), "ESASIM_IDLE_CLIENT="+s.Addr().String())
		client.Stderr = os.Stderr
		in, err := client.StdinPipe()
		if err != nil {
			b.Fatal(err)
		}
		out, err := client.StdoutPipe()
		if err != nil {
			b.Fatal(err)
		}
		if err := client.Start(); err != nil {
			b.Fatal(err)
		}
		if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
			b.Fatal(err)
		}
		bytes += (memory() - before) / idleSessions
		goroutines += float64(runtime.NumGoroutine()-running) / idleSessions
		in.Close()
		if err := client.Wait(); err != nil {
			b.Error(err)
		}
	}
	b.ReportMetric(bytes/float64(b.N)/1024, "KiB/session")
	b.ReportMetric(goroutines/float64(b.N), "goroutines/session")
}
