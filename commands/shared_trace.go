package commands

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/resolver"
	"github.com/esasim/esasim/shell"
)

// This file holds the code that traceroute and traceroute6 share. Both behave like FreeBSD's
// commands (B53).
const (
	traceMaxHops = 64
	probesPerHop = 3
	// traceBasePort is the port before that of the first probe. Each probe uses the next port.
	traceBasePort = 33434

	traceHelp = "Sends three probes to each router on the path and shows the times of the replies,\n" +
		"until the destination is reached or Ctrl-C is pressed."

	traceSourceQuestion = "Which interface do you want to trace from?"
	traceHostQuestion   = "Please enter the host to which you want to trace the route."
)

// errNoReply ends the wait for the reply to a probe.
var errNoReply = errors.New("commands: nothing answered a probe")

// A tracer is one run of traceroute or traceroute6.
type tracer struct {
	env        *shell.Env
	command    string // "traceroute"
	host       string // as entered
	dst, src   netip.Addr
	packetSize int // of the whole IP packet
	shownSize  int // as the head line gives it
	// formatRouter formats a router; name is its address if it has no name.
	formatRouter func(name string, a netip.Addr) string
	// marks are printed for the codes of "destination unreachable" messages. The codes in
	// destinationCodes are sent by the destination itself.
	marks            map[uint8]string
	destinationCodes map[uint8]bool

	seq         uint16
	numericOnly bool // no DNS server answers: names are not looked up any more
}

// run traces the route until the destination answers or a router reports that it cannot be
// reached. If ctx ends first, run returns its cause.
func (t *tracer) run(ctx context.Context) error {
	for ttl := uint8(1); ttl <= traceMaxHops; ttl++ {
		last, err := t.hop(ctx, ttl)
		if err != nil || last {
			return err
		}
	}
	return nil
}

// hop probes and prints one hop, and reports whether it is the last one.
func (t *tracer) hop(ctx context.Context, ttl uint8) (last bool, err error) {
	t.env.Printf("%2d ", ttl)
	var previous netip.Addr
	unreachable := 0
	for range probesPerHop {
		r, err := t.probe(ctx, ttl)
		switch {
		case err != nil && ctx.Err() == nil && errors.Is(err, errNoReply):
			t.env.Printf(" *")
			continue
		case err != nil:
			return true, err
		}
		if r.From != previous {
			if previous.IsValid() {
				t.env.Printf("\n   ")
			}
			t.env.Printf(" %s", t.formatRouter(t.name(ctx, r.From), r.From))
			previous = r.From
		}
		t.env.Printf("  %.3f ms", milliseconds(r.RTT))
		if r.Kind == network.TimeExceeded {
			continue
		}
		if t.destinationCodes[r.Code] {
			last = true
		} else {
			unreachable++
		}
		t.env.Printf("%s", t.mark(r))
	}
	t.env.Printf("\n")
	return last || unreachable >= probesPerHop-1, nil
}

// probe sends the next probe and waits for the reply. It returns errNoReply if none comes.
func (t *tracer) probe(ctx context.Context, ttl uint8) (network.Reply, error) {
	t.seq++
	began := clock.RealTime(t.env.Appliance.Clock).Mark()
	probeCtx, cancel := context.WithTimeoutCause(ctx, t.env.Appliance.Timeouts.Probe, errNoReply)
	defer cancel()
	r, err := t.env.Appliance.Net.Probe(probeCtx, network.ProbeRequest{
		Dst: t.dst, Src: t.src, TTL: ttl, PacketSize: t.packetSize,
		Protocol: network.UDP, Port: traceBasePort + t.seq,
	})
	switch {
	case ctx.Err() != nil:
		return r, context.Cause(ctx)
	case err == nil, errors.Is(err, errNoReply):
		return r, err
	case errors.Is(err, context.DeadlineExceeded):
		return r, errNoReply
	}
	text := sendErrorText(err)
	if text == "" {
		return r, networkRefusal(err, "trace routes")
	}
	t.env.Printf("%s: sendto: %s\n%[1]s: wrote %[3]s %[4]d chars, ret=-1\n",
		t.command, text, t.host, t.shownSize)
	rest := t.env.Appliance.Timeouts.Probe - clock.RealTime(t.env.Appliance.Clock).Since(began)
	if err := clock.RealTime(t.env.Appliance.Clock).Sleep(ctx, max(rest, 0)); err != nil {
		return r, err
	}
	return r, errNoReply
}

// mark returns what follows the time of a reply that is not "time exceeded". A single "!"
// says that the reply arrived with a TTL of at most 1: it nearly got lost on its way back.
func (t *tracer) mark(r network.Reply) string {
	mark, known := t.marks[r.Code]
	switch {
	case r.Kind == network.FragmentationNeeded:
		return fmt.Sprintf(" !F-%d", r.MTU)
	case known:
		return " " + mark
	case t.destinationCodes[r.Code] && r.TTL <= 1:
		return " !"
	case t.destinationCodes[r.Code]:
		return ""
	}
	return fmt.Sprintf(" !<%d>", r.Code)
}

// name returns the name of a router, or its address if it has none. After a lookup that no
// DNS server answered, name returns addresses only, so that the trace waits once.
func (t *tracer) name(ctx context.Context, a netip.Addr) string {
	if !t.numericOnly {
		lookupCtx, cancel := context.WithTimeout(ctx, t.env.Appliance.Timeouts.Lookup)
		defer cancel()
		name, err := t.env.Appliance.Resolver.LookupAddr(lookupCtx, a)
		if err == nil {
			return name
		}
		t.numericOnly = !errors.Is(err, resolver.ErrNotFound)
	}
	return a.String()
}
