package commands

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/resolver"
	"github.com/esasim/esasim/shell"
)

// What traceroute and traceroute6 have in common. They behave as FreeBSD's (B53).
const (
	traceMaxHops = 64
	probesPerHop = 3
	// tracePort is the one before the first probe's; each probe goes to the next.
	traceBasePort = 33434

	traceSourceQuestion = "Which interface do you want to trace from?"
	traceHostQuestion   = "Please enter the host to which you want to trace the route."
)

// errLost is why a probe is not waited for any longer.
var errNoReply = errors.New("commands: nothing answered a probe")

// A tracer is one run of traceroute or traceroute6.
type tracer struct {
	env        *shell.Env
	command    string // "traceroute"
	host       string // as entered
	dst, src   netip.Addr
	packetSize int // of the whole IP packet
	shownSize  int // of what the head line calls a packet
	// router is how a router is shown; its name is its address where it has none.
	formatRouter func(name string, a netip.Addr) string
	// marks stand for the codes of unreachables. arrived are those that come from the
	// destination itself.
	marks            map[uint8]string
	destinationCodes map[uint8]bool

	seq         uint16
	numericOnly bool // names are not asked for any more
}

// run traces the route until the destination answers, or somebody says that it cannot
// be reached. It returns ctx's cause if that ends first.
func (t *tracer) run(ctx context.Context) error {
	for ttl := uint8(1); ttl <= traceMaxHops; ttl++ {
		over, err := t.hop(ctx, ttl)
		if err != nil || over {
			return err
		}
	}
	return nil
}

// hop prints one hop; over says that it was the last.
func (t *tracer) hop(ctx context.Context, ttl uint8) (over bool, err error) {
	t.env.Printf("%2d ", ttl)
	var last netip.Addr
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
		if r.From != last {
			if last.IsValid() {
				t.env.Printf("\n   ")
			}
			t.env.Printf(" %s", t.formatRouter(t.name(ctx, r.From), r.From))
			last = r.From
		}
		t.env.Printf("  %.3f ms", milliseconds(r.RTT))
		if r.Kind == network.TimeExceeded {
			continue
		}
		if t.destinationCodes[r.Code] {
			over = true
		} else {
			unreachable++
		}
		t.env.Printf("%s", t.mark(r))
	}
	t.env.Printf("\n")
	return over || unreachable >= probesPerHop-1, nil
}

// probe sends the next probe and waits for what answers it. Its error is errLost where
// nothing does.
func (t *tracer) probe(ctx context.Context, ttl uint8) (network.Reply, error) {
	t.seq++
	began := t.env.Appliance.Clock.Mark()
	patient, cancel := context.WithTimeoutCause(ctx, t.env.Appliance.Timeouts.Probe, errNoReply)
	defer cancel()
	r, err := t.env.Appliance.Net.Probe(patient, network.ProbeRequest{
		Dst: t.dst, Src: t.src, Protocol: network.UDP, Port: traceBasePort + t.seq, TTL: ttl, PacketSize: t.packetSize,
	})
	switch {
	case ctx.Err() != nil:
		return r, context.Cause(ctx)
	case err == nil, errors.Is(err, errNoReply):
		return r, err
	case errors.Is(err, context.DeadlineExceeded):
		return r, errNoReply
	case errors.Is(err, errors.ErrUnsupported):
		return r, refusal.New("This appliance's network cannot trace routes.")
	}
	text := sendErrorText(err)
	if text == "" {
		return r, fmt.Errorf("probe %v: %w", t.dst, err)
	}
	t.env.Printf("%s: sendto: %s\n%s: wrote %s %d chars, ret=-1\n", t.command, text, t.command, t.host, t.shownSize)
	rest := t.env.Appliance.Timeouts.Probe - t.env.Appliance.Clock.Since(began)
	if err := t.env.Appliance.Clock.Sleep(ctx, max(rest, 0)); err != nil {
		return r, err
	}
	return r, errNoReply
}

// mark is what stands behind the time of an answer that is no router's: "!" alone where
// the answer had hardly enough hops left to arrive.
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

// name is the name of a router, or its address. A name server that does not answer
// makes a trace wait once.
func (t *tracer) name(ctx context.Context, a netip.Addr) string {
	if !t.numericOnly {
		patient, cancel := context.WithTimeout(ctx, t.env.Appliance.Timeouts.Lookup)
		defer cancel()
		name, err := t.env.Appliance.Resolver.LookupAddr(patient, a)
		if err == nil {
			return name
		}
		t.numericOnly = !errors.Is(err, resolver.ErrNotFound)
	}
	return a.String()
}
