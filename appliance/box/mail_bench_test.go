package box_test

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/fixtures"
)

// The load of BenchmarkMail.
const (
	mailConnections = 20 // unless measureMail is given another number
	mailSize        = 10 << 10
)

// BenchmarkMail measures how many messages a second are accepted, and how many are accepted and
// delivered: by the mail system on a real listener, through the doors, and by Postfix, if it is
// installed and the benchmark runs as root. Client and server of the load are the same for all.
func BenchmarkMail(b *testing.B) {
	b.Run("real", func(b *testing.B) {
		sink := newSink(b)
		x := mailBox(b, sink)
		addr, stop, err := box.ServeMailDirect(b.Context(), x, b.TempDir(), sink.addr())
		if err != nil {
			b.Fatal(err)
		}
		defer stop()
		measureMail(b, addr, sink, mailConnections)
	})
	b.Run("door", func(b *testing.B) {
		sink := newSink(b)
		x := mailBox(b, sink)
		measureMail(b, x.DoorAddrs()["smtp"].String(), sink, mailConnections)
	})
	b.Run("postfix", func(b *testing.B) {
		sink := newSink(b)
		measureMail(b, startRelay(b, sink), sink, mailConnections)
	})
}

// mailBox starts an appliance that relays for the load's client, and whose mail for example.com goes
// to sink.
func mailBox(b *testing.B, sink *sink) *box.Box {
	_, data, _ := fixtures.Topology("lab")
	text := strings.Replace(string(data), "relays: [10.0.201.50]",
		"relays: [10.0.201.4, 127.0.0.1]", 1)
	_, port, _ := net.SplitHostPort(sink.addr())
	text = strings.Replace(text, "\ndoors:\n", "\ndoors:\n  out:\n"+
		"    - {address: 10.0.201.25, port: 25, to: 127.0.0.1, to_port: "+port+"}\n", 1)
	topo, err := box.LoadTopology("lab", []byte(text))
	if err != nil {
		b.Fatal(err)
	}
	return run(b, box.Options{Topology: topo})
}

// measureMail sends b.N messages to addr over some connections and waits until all have reached sink.
func measureMail(b *testing.B, addr string, sink *sink, connections int) {
	body := mailBody()
	work := make(chan struct{})
	var clients sync.WaitGroup
	started := time.Now()
	for range connections {
		clients.Go(func() {
			if err := sendMails(addr, body, work); err != nil {
				b.Error(err)
				for range work { // the others go on
				}
			}
		})
	}
	b.ResetTimer()
	for range b.N {
		work <- struct{}{}
	}
	close(work)
	clients.Wait()
	accepted := time.Since(started)
	if !b.Failed() {
		sink.await(b, b.N)
	}
	b.ReportMetric(float64(b.N)/accepted.Seconds(), "accepted/s")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "delivered/s")
}

// mailBody returns a message of mailSize bytes, as it is sent after DATA.
func mailBody() []byte {
	var m bytes.Buffer
	m.WriteString("From: a@example.net\r\nTo: b@example.com\r\nSubject: load\r\n\r\n")
	for m.Len() < mailSize {
		m.WriteString(strings.Repeat("x", 70) + "\r\n")
	}
	m.WriteString(".\r\n")
	return m.Bytes()
}

// sendMails sends a message for each value of work over one connection.
func sendMails(addr string, body []byte, work <-chan struct{}) error {
	c, err := textproto.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, _, err := c.ReadResponse(220); err != nil {
		return err
	}
	say := func(line string, code int) error {
		if err := c.PrintfLine("%s", line); err != nil {
			return err
		}
		_, _, err := c.ReadResponse(code)
		return err
	}
	if err := say("EHLO client.example.net", 250); err != nil {
		return err
	}
	for range work {
		if err := say("MAIL FROM:<a@example.net>", 250); err != nil {
			return err
		}
		if err := say("RCPT TO:<b@example.com>", 250); err != nil {
			return err
		}
		if err := say("DATA", 354); err != nil {
			return err
		}
		if _, err := c.W.Write(body); err != nil {
			return err
		}
		if err := c.W.Flush(); err != nil {
			return err
		}
		if _, _, err := c.ReadResponse(250); err != nil {
			return err
		}
	}
	return say("QUIT", 221)
}

// A sink is an SMTP server on a real listener that counts messages.
type sink struct {
	listener net.Listener
	done     sync.WaitGroup
	arrived  chan struct{}
}

func newSink(b *testing.B) *sink {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	s := &sink{listener: l, arrived: make(chan struct{}, 1<<20)}
	s.done.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.done.Go(func() { s.serve(c) })
		}
	})
	b.Cleanup(func() {
		l.Close()
		s.done.Wait()
	})
	return s
}

func (s *sink) addr() string { return s.listener.Addr().String() }

// await blocks until n messages have arrived.
func (s *sink) await(b *testing.B, n int) {
	ctx, cancel := context.WithTimeout(b.Context(), 5*time.Minute)
	defer cancel()
	for i := range n {
		select {
		case <-s.arrived:
		case <-ctx.Done():
			b.Fatalf("%d of %d messages have been delivered", i, n)
		}
	}
}

// serve plays the server's side of SMTP without judging what the client says.
func (s *sink) serve(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	reply := "220 sink.example.com ESMTP\r\n"
	for {
		if _, err := c.Write([]byte(reply)); err != nil {
			return
		}
		line, err := r.ReadSlice('\n')
		if err != nil {
			return
		}
		switch verb := strings.ToUpper(string(line[:min(4, len(line))])); verb {
		case "EHLO":
			reply = "250-sink.example.com\r\n250 8BITMIME\r\n"
		case "DATA":
			if _, err := c.Write([]byte("354 go on\r\n")); err != nil {
				return
			}
			for string(line) != ".\r\n" {
				if line, err = r.ReadSlice('\n'); err != nil {
					return
				}
			}
			s.arrived <- struct{}{}
			reply = "250 2.0.0 Ok\r\n"
		case "QUIT":
			c.Write([]byte("221 bye\r\n"))
			return
		default:
			reply = "250 ok\r\n"
		}
	}
}
