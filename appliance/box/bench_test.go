package box_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/tooltest"
	"github.com/esasim/esasim/fixtures"
)

// Each figure is measured twice in one run: for the SSH daemon on a real listener, and through
// the door, where every byte crosses the simulated network in frames.

var loopback = netip.MustParseAddrPort("127.0.0.1:0")

// run boots a topology for a benchmark, by default lab.
func run(b testing.TB, o box.Options) *box.Box {
	b.Helper()
	if o.Topology == nil {
		_, data, _ := fixtures.Topology("lab")
		var err error
		if o.Topology, err = box.LoadTopology("lab", data); err != nil {
			b.Fatal(err)
		}
	}
	o.HostKey = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	o.DoorAddrs = map[string]netip.AddrPort{"ssh": loopback, "ftp": loopback, "http": loopback, "https": loopback, "smtp": loopback}
	if o.Dir == "" {
		o.Dir = b.TempDir()
	}
	x, err := box.New(o)
	if err != nil {
		b.Fatal(err)
	}
	if err := x.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := x.Stop(ctx); err != nil {
			b.Error(err)
		}
	})
	return x
}

// realAndDoor runs f for the daemon on a real listener and through the door.
func realAndDoor(b *testing.B, f func(b *testing.B, addr string)) {
	x := run(b, box.Options{})
	direct, err := box.ServeDirect(b.Context(), x, "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { direct.Stop(context.Background()) })
	b.Run("real", func(b *testing.B) { f(b, direct.Addr().String()) })
	b.Run("door", func(b *testing.B) { f(b, x.DoorAddrs()["ssh"].String()) })
}

var clientConfig = ssh.ClientConfig{
	User:            "admin",
	Auth:            []ssh.AuthMethod{ssh.Password("ironport")},
	HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	Config:          ssh.Config{Ciphers: []string{ssh.CipherAES128GCM}},
}

func dial(b testing.TB, addr string) *ssh.Client {
	b.Helper()
	c, err := ssh.Dial("tcp", addr, &clientConfig)
	if err != nil {
		b.Fatal(err)
	}
	return c
}

// BenchmarkBoot measures the time from nothing until all listeners accept connections.
func BenchmarkBoot(b *testing.B) {
	_, data, _ := fixtures.Topology("lab")
	topo, err := box.LoadTopology("lab", data)
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	for n := 0; b.Loop(); n++ {
		x, err := box.New(box.Options{
			Topology: topo, Dir: filepath.Join(dir, fmt.Sprint(n)), HostKey: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)),
			DoorAddrs: map[string]netip.AddrPort{"ssh": loopback, "ftp": loopback, "http": loopback, "https": loopback, "smtp": loopback},
		})
		if err != nil {
			b.Fatal(err)
		}
		if err := x.Start(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := x.Stop(context.Background()); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// BenchmarkLogin measures one login: connection, handshake, passphrase.
func BenchmarkLogin(b *testing.B) {
	realAndDoor(b, func(b *testing.B, addr string) {
		for b.Loop() {
			dial(b, addr).Close()
		}
	})
}

// BenchmarkLogins measures logins of 50 clients at a time.
func BenchmarkLogins(b *testing.B) {
	realAndDoor(b, func(b *testing.B, addr string) {
		var todo sync.WaitGroup
		work := make(chan struct{})
		for range 50 {
			todo.Go(func() {
				for range work {
					c, err := ssh.Dial("tcp", addr, &clientConfig)
					if err != nil {
						b.Error(err)
						continue
					}
					c.Close()
				}
			})
		}
		for b.Loop() {
			work <- struct{}{}
		}
		close(work)
		todo.Wait()
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "logins/s")
	})
}

// BenchmarkCommand measures one command in an interactive session: the typed line, its echo, its
// output and the next prompt.
func BenchmarkCommand(b *testing.B) {
	realAndDoor(b, func(b *testing.B, addr string) {
		c := dial(b, addr)
		defer c.Close()
		in, out := session(b, c)
		for b.Loop() {
			io.WriteString(in, "whoami\r")
			if err := until(out, "> "); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commands/s")
	})
}

func session(b *testing.B, c *ssh.Client) (io.Writer, io.Reader) {
	b.Helper()
	in, out, err := openSession(c)
	if err != nil {
		b.Fatal(err)
	}
	return in, out
}

// openSession opens a terminal and waits for its prompt.
func openSession(c *ssh.Client) (io.Writer, io.Reader, error) {
	s, err := c.NewSession()
	if err != nil {
		return nil, nil, err
	}
	in, _ := s.StdinPipe()
	out, _ := s.StdoutPipe()
	if err := s.RequestPty("vt100", 24, 80, nil); err != nil {
		return nil, nil, err
	}
	if err := s.Shell(); err != nil {
		return nil, nil, err
	}
	return in, out, until(out, "example.com> ")
}

// until reads to the prompt.
func until(r io.Reader, prompt string) error {
	var received []byte
	buf := make([]byte, 4096)
	for !bytes.HasSuffix(received, []byte(prompt)) {
		n, err := r.Read(buf)
		if err != nil {
			return fmt.Errorf("%w after %q", err, received)
		}
		received = append(received, buf[:n]...)
		if len(received) > 1<<16 {
			received = received[len(received)-64:]
		}
	}
	return nil
}

// idleSessions is the number of sessions that BenchmarkIdleSession opens.
const idleSessions = 200

// BenchmarkIdleSession measures the memory of a session at its prompt. It includes the
// connection and, behind a door, both of its ends in the simulated network.
func BenchmarkIdleSession(b *testing.B) {
	realAndDoor(b, func(b *testing.B, addr string) {
		client := startClient(b, addr)
		client.do("logins", 1)
		for b.Loop() {
			before := inUse()
			client.do("open", idleSessions)
			b.ReportMetric(float64(inUse()-before)/idleSessions/1024, "KiB/session")
			client.do("close", 1)
		}
	})
}

// inUse returns the bytes of heap and stacks in use.
func inUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}

const getSize = 256 << 20

// BenchmarkGet fetches 256 MiB with OpenSSH's clients.
func BenchmarkGet(b *testing.B) {
	tooltest.Need(b, "sftp", "scp", "sshpass")
	for _, way := range []struct {
		name string
		args []string
	}{{"sftp", []string{"sftp"}}, {"scp", []string{"scp", "-O"}}} {
		b.Run(way.name, func(b *testing.B) {
			x := run(b, box.Options{})
			writeBig(b, x)
			direct, err := box.ServeDirect(b.Context(), x, "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			defer direct.Stop(context.Background())
			for name, addr := range map[string]string{"real": direct.Addr().String(), "door": x.DoorAddrs()["ssh"].String()} {
				b.Run(name, func(b *testing.B) {
					_, port, _ := net.SplitHostPort(addr)
					args := append([]string{"-p", "ironport"}, way.args...)
					args = append(args, "-q", "-P", port, "-c", "aes128-gcm@openssh.com", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
						"admin@127.0.0.1:/data/pub/diagnostic/big.cap", "/dev/null")
					b.SetBytes(getSize)
					for b.Loop() {
						if out, err := exec.Command("sshpass", args...).CombinedOutput(); err != nil {
							b.Fatalf("%v\n%s", err, out)
						}
					}
				})
			}
		})
	}
}

// writeBig writes a file of getSize bytes to the directory of captures.
func writeBig(b *testing.B, x *box.Box) {
	b.Helper()
	f, err := x.Appliance().Files.Create("data/pub/diagnostic/big.cap")
	if err != nil {
		b.Fatal(err)
	}
	block := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	for range getSize / len(block) {
		if _, err := f.Write(block); err != nil {
			b.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkGetFTP fetches 256 MiB with curl.
func BenchmarkGetFTP(b *testing.B) {
	tooltest.Need(b, "curl")
	x := run(b, box.Options{})
	writeBig(b, x)
	direct, err := box.ServeFTPDirect(b.Context(), x, "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer direct.Stop(context.Background())
	for name, addr := range map[string]string{"real": direct.Addr().String(), "door": x.DoorAddrs()["ftp"].String()} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(getSize)
			for b.Loop() {
				if out, err := exec.Command("curl", "-sS", "-o", os.DevNull, "-u", "admin:ironport", "ftp://"+addr+"/diagnostic/big.cap").CombinedOutput(); err != nil {
					b.Fatalf("%v\n%s", err, out)
				}
			}
		})
	}
}

// BenchmarkAppliances measures many appliances in one process, without doors, that share a
// blueprint: the start, and then the first look at each, which opens the connections of its topology.
func BenchmarkAppliances(b *testing.B) {
	for _, n := range []int{100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			plan, dir := labBlueprint(b), b.TempDir()
			for round := 0; b.Loop(); round++ {
				before := inUse()
				start := time.Now()
				boxes, logFiles := startMany(b, plan, filepath.Join(dir, fmt.Sprint(round)), n)
				b.ReportMetric(time.Since(start).Seconds(), "boot-s")
				b.ReportMetric(float64(inUse()-before)/(1<<20), "MiB")
				start = time.Now()
				for _, x := range boxes {
					x.Faults().List() // opens the connections and waits for them
				}
				b.ReportMetric(time.Since(start).Seconds(), "look-s")
				b.ReportMetric(float64(inUse()-before)/(1<<20), "looked-MiB")
				for _, x := range boxes {
					if err := x.Stop(context.Background()); err != nil {
						b.Fatal(err)
					}
				}
				logFiles.Close()
			}
		})
	}
}
