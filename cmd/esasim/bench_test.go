package main

import (
	"net"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/esasim/esasim/shell/shelltest"
)

// BenchmarkFirstPrompt measures the time from the start of the process to the first prompt of
// an SSH session. It includes the boot of the network, the login and the welcome text.
func BenchmarkFirstPrompt(b *testing.B) {
	binary := filepath.Join(b.TempDir(), "esasim")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	home := b.TempDir()
	for b.Loop() {
		b.StopTimer()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		addr := l.Addr().String()
		l.Close()
		c := exec.Command(binary, "--ephemeral", "--ssh", addr, "--ftp", "127.0.0.1:0", "--http", "127.0.0.1:0", "--https", "127.0.0.1:0", "--smtp", "127.0.0.1:0")
		c.Env = append(c.Environ(), "HOME="+home)
		b.StartTimer()
		if err := c.Start(); err != nil {
			b.Fatal(err)
		}
		client, err := shelltest.Dial(addr, "admin", "ironport")
		for deadline := time.Now().Add(testTimeout); err != nil; client, err = shelltest.Dial(addr, "admin", "ironport") {
			if time.Now().After(deadline) {
				b.Fatal(err)
			}
		}
		conn, err := client.Shell(80, 24)
		if err != nil {
			b.Fatal(err)
		}
		p := shelltest.NewPlayer(conn)
		if err := p.SkipWelcome(testTimeout); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		p.Close()
		client.Close()
		c.Process.Kill()
		c.Wait() //nolint:errcheck // the process was killed
		b.StartTimer()
	}
}
