package fleet_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/fleet"
	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/appliance/traffic"
)

var (
	day = flag.Duration("day", 0,
		"TestADayOfAFleet goes on for so long, instead of for a few rounds; also give -timeout")
	dayAppliances = flag.Int("day-appliances", 3, "how many appliances TestADayOfAFleet has")
)

// An hour's run in place of a day, and how it is started:
//
//	go test ./appliance/fleet -run TestADayOfAFleet -day 1h -day-appliances 200 -timeout 2h -v
//
// Each appliance of the fleet is visited in turn: an administrator logs in, captures while mail is
// sent, fetches the capture, and breaks and repairs the network. Now and then an appliance is reset,
// rebooted, or stopped and started. Memory, descriptors and goroutines do not grow meanwhile: what
// the process holds after a round is compared with what it held after the first rounds.
func TestADayOfAFleet(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows does not list the descriptors of a process")
	}
	file := load(t, fmt.Sprintf(
		"appliances: [{name: a, count: %d}]\ndefaults: {topology: lab}", *dayAppliances), nil)
	f := start(t, fleet.Options{File: file, Dir: t.TempDir()})

	const settled = 2 // rounds until each appliance has been reset, rebooted or stopped
	rounds := 2 * settled
	var first held
	began := time.Now()
	for round := 1; round <= rounds || time.Since(began) < *day; round++ {
		visitAll(t, f, round)
		if t.Failed() {
			return
		}
		if round < settled {
			continue
		}
		now := measure()
		t.Logf("%v, round %d: %s", time.Since(began).Round(time.Second), round, now)
		if round == settled {
			first = now
		}
		if problem := waitForNoGrowth(t, first); problem != "" {
			t.Fatalf("round %d: %s", round, problem)
		}
	}
}

// visitAll visits the appliances, eight at the same time.
func visitAll(t *testing.T, f *fleet.Fleet, round int) {
	var workers sync.WaitGroup
	next := make(chan int)
	for range 8 {
		workers.Go(func() {
			for i := range next {
				m := f.Members()[i]
				if err := visit(t.Context(), m, round, i); err != nil {
					t.Errorf("round %d, %s: %v", round, m.Name, err)
				}
			}
		})
	}
	for i := range f.Members() {
		next <- i
	}
	close(next)
	workers.Wait()
}

// visit is what happens to the appliance in place i of the fleet in a round.
func visit(ctx context.Context, m *fleet.Member, round, i int) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	a, err := logIn(m)
	if err != nil {
		return err
	}
	defer a.Close()
	if err := a.captureMail(ctx, m); err != nil {
		return fmt.Errorf("a capture of mail: %w", err)
	}
	if err := a.breakNetwork(m); err != nil {
		return fmt.Errorf("a broken network: %w", err)
	}
	b := m.Box()
	switch (round + i) % 4 {
	case 0:
		return b.Reset(ctx)
	case 1:
		return b.Reboot(ctx)
	case 2:
		if err := m.Stop(ctx); err != nil {
			return err
		}
		return m.Start(ctx)
	default:
		_, err := a.typed("version", m.Serial)
		return err
	}
}

// An administrator has a session on an appliance.
type administrator struct {
	*ssh.Client
	in  io.Writer
	out io.Reader
}

func logIn(m *fleet.Member) (*administrator, error) {
	c, err := ssh.Dial("tcp", m.DoorAddrs()["ssh"].String(), &ssh.ClientConfig{
		User: "admin", Auth: []ssh.AuthMethod{ssh.Password("ironport")},
		HostKeyCallback: ssh.InsecureIgnoreHostKey(), Timeout: time.Minute,
	})
	if err != nil {
		return nil, fmt.Errorf("log in: %w", err)
	}
	s, err := c.NewSession()
	if err != nil {
		return nil, fmt.Errorf("open a session: %w", err)
	}
	in, _ := s.StdinPipe() // fails only if it was called before, as does the next
	out, _ := s.StdoutPipe()
	if err := s.Shell(); err != nil {
		return nil, fmt.Errorf("open a shell: %w", err)
	}
	a := &administrator{Client: c, in: in, out: out}
	_, err = a.until("> ")
	return a, err
}

// until reads what the appliance prints until it ends with a prompt.
func (a *administrator) until(prompt string) (string, error) {
	var text bytes.Buffer
	part := make([]byte, 4096)
	for !strings.HasSuffix(text.String(), prompt) {
		n, err := a.out.Read(part)
		text.Write(part[:n])
		if err != nil {
			return "", fmt.Errorf("read until %q: %w; got %q", prompt, err, text.String())
		}
	}
	return text.String(), nil
}

// typed types a line and returns what is printed until the next prompt, which has want in it.
func (a *administrator) typed(line, want string) (string, error) {
	if _, err := io.WriteString(a.in, line+"\n"); err != nil {
		return "", err
	}
	text, err := a.until("> ")
	if err == nil && !strings.Contains(text, want) {
		err = fmt.Errorf("%s prints %q, want %q", line, text, want)
	}
	return text, err
}

// captureMail captures while a message is sent, and fetches the capture, which has the message.
func (a *administrator) captureMail(ctx context.Context, m *fleet.Member) error {
	if _, err := a.typed("packetcapture start", "has started"); err != nil {
		return err
	}
	cursor := m.Box().Cursor()
	answer, err := m.Box().SendMail(ctx, traffic.Request{To: []string{"joe@example.com"}, Subject: "a day"})
	if err == nil && !answer.Complete {
		err = fmt.Errorf("the message is not accepted: %+v", answer)
	}
	if err != nil {
		return err
	}
	_, err = m.Box().WaitFor(ctx, box.WaitRequest{For: "mail.out.delivered", Since: cursor})
	if err != nil {
		return fmt.Errorf("wait for the delivery: %w", err)
	}
	text, err := a.typed("packetcapture stop", "has stopped")
	if err != nil {
		return err
	}
	_, name, _ := strings.Cut(text, "File Name: ")
	name, _, _ = strings.Cut(name, ".cap")
	return a.fetch("/data/pub/diagnostic/" + strings.TrimSpace(name) + ".cap")
}

// fetch fetches a capture, finds SMTP in it and removes it from the appliance.
func (a *administrator) fetch(path string) error {
	c, err := sftp.NewClient(a.Client)
	if err != nil {
		return fmt.Errorf("open SFTP: %w", err)
	}
	defer c.Close()
	file, err := c.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	content, err := io.ReadAll(file)
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	r, err := pcapgo.NewReader(bytes.NewReader(content))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	mail := 0
	for {
		frame, _, err := r.ReadPacketData()
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		p := gopacket.NewPacket(frame, layers.LayerTypeEthernet, gopacket.NoCopy)
		if tcp, ok := p.TransportLayer().(*layers.TCP); ok && (tcp.DstPort == 25 || tcp.SrcPort == 25) {
			mail++
		}
	}
	if mail < 20 { // two connections: one to the appliance and one from it
		return fmt.Errorf("%s has %d packets of SMTP in %d bytes", path, mail, len(content))
	}
	return c.Remove(path)
}

// breakNetwork cuts the appliance off from the mail server: a connection is refused until the fault
// is removed.
func (a *administrator) breakNetwork(m *fleet.Member) error {
	faults := m.Box().Faults()
	if _, _, err := faults.Put("day", netsim.FaultSpec{
		Rule: topology.Rule{Action: "refuse", Protocol: "tcp", Port: 25},
	}); err != nil {
		return err
	}
	if _, err := a.typed("telnet mx.example.com 25", "Connection refused"); err != nil {
		return err
	}
	return faults.Delete("day")
}

// held is what a process holds.
type held struct {
	memory      uint64 // bytes of heap and stacks after garbage collections
	descriptors int
	goroutines  int
}

func (h held) String() string {
	return fmt.Sprintf("%.1f MiB, %d descriptors, %d goroutines",
		float64(h.memory)/(1<<20), h.descriptors, h.goroutines)
}

func measure() held {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	descriptors, _ := os.ReadDir("/dev/fd") // one for each
	return held{s.HeapInuse + s.StackInuse, len(descriptors), runtime.NumGoroutine()}
}

// waitForNoGrowth waits until the process holds no more than it held first, with a margin for what
// is under way, and returns what grew if that does not happen.
func waitForNoGrowth(t *testing.T, first held) (problem string) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		now := measure()
		switch {
		case now.memory > first.memory+first.memory/5+8<<20:
			problem = "memory"
		case now.descriptors > first.descriptors+first.descriptors/10+16:
			problem = "descriptors"
		case now.goroutines > first.goroutines+first.goroutines/10+32:
			problem = "goroutines"
		default:
			return ""
		}
		if clock.System().Sleep(ctx, 100*time.Millisecond) != nil {
			return fmt.Sprintf("%s grew: %s, in the beginning %s", problem, now, first)
		}
	}
}
