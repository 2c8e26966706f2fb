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
	"github.com/esasim/esasim/shell"
)

// This file holds the code that ping and ping6 share. Both behave like FreeBSD's commands: they
// send one echo request a second, even if earlier requests have not been answered, until Ctrl-C is
// pressed. Without a terminal, where Ctrl-C cannot be pressed, they stop after ten.
const (
	echoInterval          = time.Second
	echoesWithoutTerminal = 10
	// echoTimeout is how long a reply may take. FreeBSD's ping waits that long for the last
	// reply; here it also bounds the number of outstanding requests.
	echoTimeout = 10 * time.Second
	// echoRealWait is how long, on the machine's clock, a reply may take before the wait for
	// the next request begins on the appliance's clock. It is part of echoInterval. If the
	// appliance's clock runs ahead of the network, this wait keeps replies in order.
	echoRealWait = 300 * time.Millisecond
)

// A pinger is one run of ping or ping6.
type pinger struct {
	env       *shell.Env
	command   string // "ping"
	sendCall  string // the system call that a send error names: "sendto"
	deviation string // the summary's label of the standard deviation
	host      string // as entered
	dst, src  netip.Addr
	data      int // bytes after the ICMP header
	count     int // of requests; 0: no limit

	printReply func(seq uint16, r network.Reply)
	// printError prints an ICMP error; from is its sender's name and address. It is nil for
	// a command that does not show them.
	printError func(r network.Reply, from string)
	// afterSendError, if not nil, prints what follows the line of a send error.
	afterSendError func()

	ident          uint16
	inFlight       sync.WaitGroup
	results        chan echoResult
	sent           int
	outstanding    int  // requests without a result
	newestAnswered bool // the latest request has its result
	received       int
	minRTT         float64 // in milliseconds, like the next three
	maxRTT         float64
	sumRTT         float64
	sumSquares     float64
}

// An echoResult is the result of one echo request: a reply, an ICMP error, or a failure.
type echoResult struct {
	seq   int
	reply network.Reply
	from  string // name and address of the sender of an ICMP error
	err   error
}

// The help and the questions of ping and ping6.
const (
	pingHelp = "Sends one echo request a second until Ctrl-C is pressed. " +
		"Without a terminal it sends ten."

	pingSourceQuestion = "Which interface do you want to send the pings from?"
	pingHostQuestion   = "Please enter the host you wish to ping."
)

// run sends the echo requests and prints the replies and the summary.
func (p *pinger) run(ctx context.Context) error {
	if _, terminal := p.env.Prompter.(shell.Screen); !terminal {
		p.count = echoesWithoutTerminal
	}
	session := 0
	if p.env.Login != nil {
		session = p.env.Login.ID()
	}
	// Sessions that ping at the same time must not receive each other's replies.
	random := p.env.Appliance.Entropy.Stream("ping/" + strconv.Itoa(session))
	p.ident = uint16(1 + random.IntN(math.MaxUint16))
	p.results = make(chan echoResult, 64)

	sendCtx, cancel := context.WithCancel(ctx)
	err := p.exchange(ctx, sendCtx)
	cancel()
	p.inFlight.Wait()
	if err != nil && !errors.Is(err, shell.ErrInterrupt) {
		return err
	}
	p.summary(err == nil)
	return nil
}

// exchange sends the requests, in sendCtx, and prints the replies. It returns nil after the
// last reply, the cause of ctx if that ends first, or an internal error.
func (p *pinger) exchange(ctx, sendCtx context.Context) error {
	for p.count == 0 || p.sent < p.count {
		began := clock.System().Mark()
		p.send(sendCtx)
		err := p.receive(ctx, clock.System(), echoRealWait, func() bool { return p.newestAnswered })
		if err == nil {
			err = p.receive(ctx, clock.RealTime(p.env.Appliance.Clock), echoInterval-clock.System().Since(began), p.done)
		}
		if err != nil {
			return err
		}
	}
	rest := echoTimeout
	if p.received > 0 {
		rest = max(echoInterval, time.Duration(2*p.maxRTT*float64(time.Millisecond)))
	}
	return p.receive(ctx, clock.RealTime(p.env.Appliance.Clock), rest, p.done)
}

// done reports whether every request has been sent and has its result.
func (p *pinger) done() bool { return p.sent == p.count && p.outstanding == 0 }

// send sends an echo request and returns immediately.
func (p *pinger) send(ctx context.Context) {
	seq := p.sent
	p.sent++
	p.outstanding++
	p.newestAnswered = false
	p.inFlight.Go(func() {
		a := p.echo(ctx, seq)
		select {
		case p.results <- a:
		case <-ctx.Done(): // run has stopped receiving
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

// receive prints results until d has passed on clock c or enough returns true. If ctx ends
// first, receive returns its cause.
func (p *pinger) receive(
	ctx context.Context, c clock.Clock, d time.Duration, enough func() bool) error {
	sleep, wake := context.WithCancel(ctx)
	slept := make(chan struct{})
	go func() {
		defer close(slept)
		_ = c.Sleep(sleep, d) // the only error is that of ctx
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

// handle prints a result. It returns the errors that FreeBSD's ping has no text for.
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
	default:
		text := sendErrorText(a.err)
		if text == "" {
			return networkRefusal(a.err, "send echo requests")
		}
		p.env.Printf("%s: %s: %s\n", p.command, p.sendCall, text)
		if p.afterSendError != nil {
			p.afterSendError()
		}
	}
	return nil
}

// sendErrorText returns FreeBSD's text for an error of sending a packet, or "" for other
// errors. If no neighbor answers for the address, FreeBSD's text is "Host is down"; if there
// is no route, it is "No route to host".
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

// milliseconds returns d in milliseconds, rounded to a microsecond, which is FreeBSD's
// resolution.
func milliseconds(d time.Duration) float64 {
	return float64(d.Round(time.Microsecond)/time.Microsecond) / 1000
}

// summary prints the statistics (B51, B52), after a blank line if blankLine is true. After
// Ctrl-C there is none, because the terminal has ended the line with "^C".
func (p *pinger) summary(blankLine bool) {
	if blankLine {
		p.env.Printf("\n")
	}
	p.env.Printf("--- %s %s statistics ---\n", p.host, p.command)
	lost := 100 * float64(p.sent-p.received) / float64(p.sent)
	p.env.Printf("%d packets transmitted, %d packets received, %.1f%% packet loss\n",
		p.sent, p.received, lost)
	if p.received > 0 {
		n := float64(p.received)
		average := p.sumRTT / n
		deviation := math.Sqrt(max(0, p.sumSquares/n-average*average))
		p.env.Printf("round-trip min/avg/max/%s = %.3f/%.3f/%.3f/%.3f ms\n",
			p.deviation, p.minRTT, average, p.maxRTT, deviation)
	}
}
