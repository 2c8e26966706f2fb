package commands

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/shell"
)

// What ping and ping6 have in common. They behave as FreeBSD's: one echo request a
// second, whatever becomes of those before it, until Ctrl-C, or without a terminal
// until the tenth.
const (
	echoInterval          = time.Second
	echoesWithoutTerminal = 10
	// echoPatience is how long an echo may take. FreeBSD's ping waits so long for the
	// last one; here it also bounds how many are awaited at once.
	echoTimeout = 10 * time.Second
	// echoGrace is how long the network has, in its own time, to answer before the
	// appliance's clock is looked at again. It is part of the second between two echoes;
	// on a clock that runs ahead of the network it is what lets answers come in order.
	echoRealWait = 300 * time.Millisecond
)

// A pinger is one run of ping or ping6.
type pinger struct {
	env       *shell.Env
	command   string // "ping"
	sendCall  string // what fails when nothing can be sent: "sendto"
	deviation string // what the summary calls the standard deviation
	host      string // as entered
	dst, src  netip.Addr
	data      int // bytes after the ICMP header
	count     int // 0: no end

	// reply and trouble print an answer. trouble is nil where errors are not shown.
	printReply func(seq uint16, r network.Reply)
	printError func(r network.Reply, from string)
	// sendFailed prints more than the error, if set.
	afterSendError func()

	ident          uint16
	inFlight       sync.WaitGroup
	results        chan echoResult
	sent           int
	outstanding    int  // echoes of which nothing has been heard
	newestAnswered bool // the newest is none of them
	received       int
	minRTT         float64 // milliseconds, as the next three
	maxRTT         float64
	sumRTT         float64
	sumSquares     float64
}

// An echoAnswer is what became of one echo request.
type echoResult struct {
	seq   int
	reply network.Reply
	from  string // who sent an error
	err   error
}

// The questions of ping and ping6.
const (
	pingSourceQuestion = "Which interface do you want to send the pings from?"
	pingHostQuestion   = "Please enter the host you wish to ping."
)

// run sends echo requests until the end, and prints the summary.
func (p *pinger) run(ctx context.Context) error {
	if _, terminal := p.env.Prompter.(shell.Screen); !terminal {
		p.count = echoesWithoutTerminal
	}
	session := 0
	if p.env.Login != nil {
		session = p.env.Login.ID()
	}
	// Sessions that ping at the same time must not take each other's answers.
	p.ident = uint16(1 + p.env.Appliance.Entropy.Stream("ping/"+strconv.Itoa(session)).IntN(math.MaxUint16))
	p.results = make(chan echoResult, 64)

	echoes, cancel := context.WithCancel(ctx)
	err := p.exchange(ctx, echoes)
	cancel()
	p.inFlight.Wait()
	if err != nil && !errors.Is(err, shell.ErrInterrupt) {
		return err
	}
	p.summary(err == nil)
	return nil
}

// loop returns ctx's cause, or an internal error, or nil after the last echo.
func (p *pinger) exchange(ctx, echoes context.Context) error {
	for p.count == 0 || p.sent < p.count {
		began := clock.System().Mark()
		p.send(echoes)
		err := p.receive(ctx, clock.System(), echoRealWait, func() bool { return p.newestAnswered })
		if err == nil {
			err = p.receive(ctx, p.env.Appliance.Clock, echoInterval-clock.System().Since(began), p.done)
		}
		if err != nil {
			return err
		}
	}
	rest := echoTimeout
	if p.received > 0 {
		rest = max(echoInterval, time.Duration(2*p.maxRTT*float64(time.Millisecond)))
	}
	return p.receive(ctx, p.env.Appliance.Clock, rest, p.done)
}

// complete reports whether no more is sent and nothing is awaited.
func (p *pinger) done() bool { return p.sent == p.count && p.outstanding == 0 }

// send sends an echo request and does not wait for its answer.
func (p *pinger) send(ctx context.Context) {
	seq := p.sent
	p.sent++
	p.outstanding++
	p.newestAnswered = false
	p.inFlight.Go(func() {
		a := p.echo(ctx, seq)
		select {
		case p.results <- a:
		case <-ctx.Done(): // nobody listens any more
		}
	})
}

func (p *pinger) echo(ctx context.Context, seq int) echoResult {
	ctx, cancel := context.WithTimeout(ctx, echoTimeout)
	defer cancel()
	a := echoResult{seq: seq}
	a.reply, a.err = p.env.Appliance.Net.Ping(ctx, network.PingRequest{
		Dst: p.dst, Src: p.src, ID: p.ident, Seq: uint16(seq), DataSize: p.data,
	})
	if a.err == nil && a.reply.Kind != network.EchoReply && p.printError != nil {
		a.from = a.reply.From.String()
		if name, err := p.env.Appliance.Resolver.LookupAddr(ctx, a.reply.From); err == nil {
			a.from = fmt.Sprintf("%s (%s)", name, a.from)
		}
	}
	return a
}

// listen prints the answers that come until c has let d pass, or enough says so. It
// returns ctx's cause if that ends first.
func (p *pinger) receive(ctx context.Context, c clock.Clock, d time.Duration, enough func() bool) error {
	sleep, wake := context.WithCancel(ctx)
	slept := make(chan struct{})
	go func() {
		defer close(slept)
		_ = c.Sleep(sleep, d) // what ended it is ctx's to say
	}()
	defer func() {
		wake()
		<-slept
	}()
	for !enough() {
		select {
		case a := <-p.results:
			if err := p.handle(a); err != nil {
				return err
			}
		case <-slept:
			return context.Cause(ctx)
		}
	}
	return context.Cause(ctx)
}

// heard prints an answer. It returns an error that no ping would show.
func (p *pinger) handle(a echoResult) error {
	p.outstanding--
	p.newestAnswered = p.newestAnswered || a.seq == p.sent-1
	switch {
	case a.err == nil && a.reply.Kind == network.EchoReply:
		p.addRTT(a.reply.RTT)
		p.printReply(uint16(a.seq), a.reply)
	case a.err == nil:
		if p.printError != nil {
			p.printError(a.reply, a.from)
		}
	case errors.Is(a.err, context.DeadlineExceeded): // lost
	case errors.Is(a.err, errors.ErrUnsupported):
		return refusal.New("This appliance's network cannot send echo requests.")
	default:
		text := sendErrorText(a.err)
		if text == "" {
			return fmt.Errorf("ping %v: %w", p.dst, a.err)
		}
		p.env.Printf("%s: %s: %s\n", p.command, p.sendCall, text)
		if p.afterSendError != nil {
			p.afterSendError()
		}
	}
	return nil
}

// sendError is FreeBSD's text for what kept a packet from being sent, "" if it is
// nothing of the kind. A packet that no neighbour takes has a host that is down there;
// one for which there is no route has no route to its host.
func sendErrorText(err error) string {
	for _, e := range []struct {
		errno syscall.Errno
		text  string
	}{
		{syscall.ENETUNREACH, "No route to host"},
		{syscall.EHOSTUNREACH, "Host is down"},
		{syscall.EADDRNOTAVAIL, "Can't assign requested address"},
		{syscall.EMSGSIZE, "Message too long"},
		{syscall.ENETDOWN, "Network is down"},
		{syscall.EACCES, "Permission denied"},
		{syscall.ENOBUFS, "No buffer space available"},
	} {
		if errors.Is(err, e.errno) {
			return e.text
		}
	}
	return ""
}

func (p *pinger) addRTT(rtt time.Duration) {
	ms := milliseconds(rtt)
	if p.received == 0 || ms < p.minRTT {
		p.minRTT = ms
	}
	p.maxRTT = max(p.maxRTT, ms)
	p.sumRTT += ms
	p.sumSquares += ms * ms
	p.received++
}

// milliseconds has a microsecond's precision, as FreeBSD measures.
func milliseconds(d time.Duration) float64 {
	return float64(d.Round(time.Microsecond)/time.Microsecond) / 1000
}

// summary prints the statistics (B51, B52). A Ctrl-C on a terminal has ended the line
// above it; otherwise a blank line stands there.
func (p *pinger) summary(blank bool) {
	if blank {
		p.env.Printf("\n")
	}
	p.env.Printf("--- %s %s statistics ---\n", p.host, p.command)
	lost := 100 * float64(p.sent-p.received) / float64(p.sent)
	p.env.Printf("%d packets transmitted, %d packets received, %.1f%% packet loss\n", p.sent, p.received, lost)
	if p.received > 0 {
		n := float64(p.received)
		average := p.sumRTT / n
		spread := math.Sqrt(max(0, p.sumSquares/n-average*average))
		p.env.Printf("round-trip min/avg/max/%s = %.3f/%.3f/%.3f/%.3f ms\n", p.deviation, p.minRTT, average, p.maxRTT, spread)
	}
}
