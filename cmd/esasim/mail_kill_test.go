package main

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/esasim/esasim/fixtures"
)

// mailKillRounds says how many processes TestKilledApplianceLosesNoMail kills instead of 4.
const mailKillRounds = "ESASIM_TEST_MAIL_KILL_ROUNDS"

// TestKilledApplianceLosesNoMail: whenever the process is killed, every message that it has
// accepted arrives or bounces, and it arrives twice only if the process had no time to record the
// server's reply.
func TestKilledApplianceLosesNoMail(t *testing.T) {
	rounds := 4
	if s := os.Getenv(mailKillRounds); s != "" {
		rounds, _ = strconv.Atoi(s)
	}
	sink := newSink(t)
	home := shortHome(t)
	_, lab, _ := fixtures.Topology("lab")
	file := filepath.Join(home, "kill.yaml")
	out := fmt.Sprintf("doors:\n  out:\n    - {address: 10.0.201.25, port: 25, to: 127.0.0.1, to_port: %d}\n", sink.port)
	if err := os.WriteFile(file, []byte(strings.Replace(string(lab), "doors:\n", out, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"--topology", file, "--data", filepath.Join(home, "data")}
	random := rand.New(rand.NewPCG(3, 4))
	for range rounds {
		p := start(t, home, args...)
		var clients sync.WaitGroup
		for n := range 4 {
			clients.Go(func() { sink.send(p.ready.Addresses["smtp"], n) })
		}
		sink.await(t, "messages", func() bool { return sink.moment() }, 1+random.IntN(150))
		p.Process.Kill()
		<-p.ended
		clients.Wait()
		sink.endRound()
	}
	start(t, home, args...)
	sink.await(t, "accepted messages that neither arrive nor bounce", func() bool { return len(sink.missing()) == 0 }, 0)
	sink.mu.Lock()
	defer sink.mu.Unlock()
	t.Logf("%d kills, %d messages accepted, %d arrived, %d bounced, %d came twice", rounds, len(sink.acked),
		len(sink.arrived), len(sink.bounced), sink.twice)
	for _, text := range sink.faults {
		t.Error(text)
	}
}

// A killSink is a mail server that knows which messages were accepted by the appliance.
type killSink struct {
	port   int
	serial atomic.Int64

	mu      sync.Mutex
	more    sync.Cond
	left    int             // events until the process is killed
	acked   map[string]bool // messages that the appliance has accepted, by their marks
	mids    map[string]bool // identifiers that the appliance gave them
	arrived map[string]*arrival
	bounced map[string]bool // marks that a bounce message had
	twice   int
	faults  []string
}

// An arrival is the latest one of a message.
type arrival struct {
	settled bool // the client has sent another command, or the process was not killed meanwhile
}

func newSink(t *testing.T) *killSink {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &killSink{
		port: l.Addr().(*net.TCPAddr).Port, acked: map[string]bool{}, mids: map[string]bool{},
		arrived: map[string]*arrival{}, bounced: map[string]bool{},
	}
	s.more.L = &s.mu
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer c.Close()
				s.serve(c)
			})
		}
	})
	t.Cleanup(func() { // after the processes have ended
		l.Close()
		conns.Wait()
	})
	return s
}

// mark is in the subject of each message of the test, and so in the bounce message about it.
var mark = regexp.MustCompile(`mark-\d+-(good|bad|both)`)

// serve accepts mail, except for recipients that begin with bad.
func (s *killSink) serve(c net.Conn) {
	in := bufio.NewReader(c)
	say := func(text string) { fmt.Fprintf(c, "%s\r\n", text) }
	say("220 sink ESMTP")
	var last *arrival // of this connection
	null := false
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		if last != nil { // the appliance goes on after it has recorded the reply
			s.mu.Lock()
			last.settled = true
			s.mu.Unlock()
			last = nil
		}
		switch line = strings.TrimSpace(line); {
		case strings.HasPrefix(line, "MAIL FROM:"):
			null = strings.HasPrefix(line, "MAIL FROM:<>")
			say("250 ok")
		case strings.HasPrefix(line, "RCPT TO:<bad"):
			say("550 5.1.1 no such user")
		case line == "DATA":
			say("354 go")
			text, err := readMessage(in)
			if err != nil {
				return
			}
			last = s.received(text, null)
			say("250 ok")
		case line == "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

func readMessage(in *bufio.Reader) (string, error) {
	var b strings.Builder
	for {
		line, err := in.ReadString('\n')
		if err != nil || line == ".\r\n" {
			return b.String(), err
		}
		b.WriteString(line)
	}
}

// received notes a message that is about to be accepted.
func (s *killSink) received(text string, null bool) *arrival {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.more.Broadcast()
	s.left--
	m := mark.FindString(text)
	key := m
	if null {
		s.bounced[m] = true
		key = "bounce of " + m
	}
	a := &arrival{}
	if before := s.arrived[key]; before != nil {
		s.twice++
		if before.settled {
			s.faults = append(s.faults, key+" arrived again although its first arrival was recorded")
		}
	}
	s.arrived[key] = a
	return a
}

// moment reports whether the process is to be killed.
func (s *killSink) moment() bool { return s.left <= 0 }

// endRound is called when the process has been killed.
func (s *killSink) endRound() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left = 0
}

// missing returns the marks of accepted messages that have neither arrived nor bounced. mu must be
// held.
func (s *killSink) missing() (out []string) {
	for m := range s.acked {
		bounces, arrives := !strings.HasSuffix(m, "good"), !strings.HasSuffix(m, "bad")
		if bounces && !s.bounced[m] || arrives && s.arrived[m] == nil {
			out = append(out, m)
		}
	}
	slices.Sort(out)
	return out
}

// await waits until ok is true, after so many events.
func (s *killSink) await(t *testing.T, what string, ok func() bool, events int) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left = events
	late := false
	stop := time.AfterFunc(testTimeout, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		late = true
		s.more.Broadcast()
	})
	defer stop.Stop()
	for !ok() {
		if late {
			t.Fatalf("%s: %d of %d: %q", what, len(s.missing()), len(s.acked), s.missing())
		}
		s.more.Wait()
	}
}

// send sends messages until the appliance is gone.
func (s *killSink) send(addr string, client int) {
	for {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return
		}
		connected := s.sendOver(c, client)
		c.Close()
		if !connected {
			return
		}
	}
}

// sendOver sends messages over a connection until the appliance ends it. It reports whether the
// appliance has greeted.
func (s *killSink) sendOver(c net.Conn, client int) bool {
	in := bufio.NewReader(c)
	reply := func() string {
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return ""
			}
			if len(line) > 3 && line[3] == ' ' {
				return line
			}
		}
	}
	do := func(code, format string, a ...any) (string, bool) {
		fmt.Fprintf(c, format+"\r\n", a...)
		r := reply()
		return r, strings.HasPrefix(r, code)
	}
	if !strings.HasPrefix(reply(), "220") {
		return false
	}
	do("250", "EHLO client")
	for i := client; ; i++ {
		n, kind := s.serial.Add(1), "good"
		switch { // the two kinds with a recipient that is refused
		case i%5 == 0 && i%3 == 0:
			kind = "both"
		case i%5 == 0:
			kind = "bad"
		}
		m := fmt.Sprintf("mark-%d-%s", n, kind)
		if _, ok := do("250", "MAIL FROM:<sender@example.com>"); !ok {
			return true
		}
		for _, to := range map[string][]string{"both": {"bad", "good"}, "bad": {"bad"}, "good": {"good"}}[kind] {
			if _, ok := do("250", "RCPT TO:<%s@example.com>", to); !ok {
				return true
			}
		}
		do("354", "DATA")
		size := []int{100, 3000, 100_000}[i%3] // the last one has a file of its own in the queue
		body := strings.Repeat(strings.Repeat("x", 70)+"\r\n", size/72)
		r, ok := do("250", "Subject: %s\r\n\r\n%s.", m, body)
		if !ok {
			return true
		}
		s.accepted(m, r)
	}
}

var acceptedMID = regexp.MustCompile(`Message (\d+) accepted`)

// accepted notes that the appliance has accepted a message.
func (s *killSink) accepted(m, reply string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.more.Broadcast()
	s.left--
	s.acked[m] = true
	mid := acceptedMID.FindString(reply)
	if s.mids[mid] {
		s.faults = append(s.faults, fmt.Sprintf("%q was given out twice", reply))
	}
	s.mids[mid] = true
}
