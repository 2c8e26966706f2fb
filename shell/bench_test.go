package shell_test

import (
	"context"
	"runtime"
	"sync"
	"testing"

	gossh "golang.org/x/crypto/ssh"

	"github.com/esasim/esasim/shell"
)

var hello = &shell.Command{Name: "hello", Run: func(_ context.Context, env *shell.Env) error {
	env.Printf("Username: admin\nFull Name: Administrator\nGroups: admin\n")
	return nil
}}

func BenchmarkLogin(b *testing.B) {
	box, _ := newBox(b)
	s := start(b, box, nil, hello)
	for b.Loop() {
		c := dial(b, s)
		v := visit(b, c, 80, 24)
		v.hear("example.com> ")
		c.Close()
	}
}

// BenchmarkLogins50 is logins by 50 clients at a time; one operation is one login.
func BenchmarkLogins50(b *testing.B) {
	box, _ := newBox(b)
	s := start(b, box, nil, hello)
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
	box, _ := newBox(b)
	v := visit(b, dial(b, start(b, box, nil, hello)), 80, 24)
	v.hear("example.com> ")
	buf := make([]byte, 4096)
	for b.Loop() {
		v.say("hello\r")
		for {
			n, err := v.out.Read(buf)
			if err != nil {
				b.Fatal(err)
			}
			if n >= 2 && string(buf[n-2:n]) == "> " {
				break
			}
		}
	}
}

// BenchmarkIdleSessions reports what 200 sessions that wait at their prompts
// take, at the server and the client together.
func BenchmarkIdleSessions(b *testing.B) {
	const n = 200
	box, _ := newBox(b)
	s := start(b, box, nil, hello)
	memory := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapInuse + m.StackInuse
	}
	dial(b, s).Close()
	before, goroutines := memory(), runtime.NumGoroutine()
	for b.Loop() {
		for range n {
			visit(b, dial(b, s), 80, 24).hear("example.com> ")
		}
	}
	b.ReportMetric(float64(memory()-before)/n/1024, "KiB/session-with-client")
	b.ReportMetric(float64(runtime.NumGoroutine()-goroutines)/n, "goroutines/session-with-client")
}
