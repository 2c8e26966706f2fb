package ntp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network"
)

// Port is the UDP port of NTP.
const Port = 123

// The process in the socket table.
const (
	owner = "sntpd"
	user  = "root"
)

// Errors of Query, besides those of package network.
var (
	// ErrBogus means that an answer must not be trusted. The text says why.
	ErrBogus = errors.New("ntp: bogus answer")
	// ErrNoAnswer means that no answer came in time.
	ErrNoAnswer = errors.New("ntp: no answer")
	// ErrClockMoved means that the appliance's clock jumped during the query, as a test's clock
	// does, so that the round trip could not be measured.
	ErrClockMoved = errors.New("ntp: the clock has jumped during the query")
)

// A KissError is a kiss of death: a server refuses queries (RFC 5905 7.4).
type KissError struct{ Code string } // "RATE", "DENY", "RSTR", ...

func (e *KissError) Error() string { return "ntp: kiss of death: " + e.Code }

// A Sample is the time that a server's answer implies.
type Sample struct {
	// Shift is the right shift of the appliance's clock: how far the server's time is ahead of
	// the clock that it wraps.
	Shift   time.Duration
	Delay   time.Duration // round trip
	Stratum int
}

// maxClockJump is how far the appliance's clock may have run ahead of the machine's during a
// query, in real time.
const maxClockJump = 100 * time.Millisecond

// Query asks the server at c.Remote once and waits up to limit for an answer. Packets that are
// not an answer to this request are ignored; a bogus answer is an error. own is the appliance's
// clock.
func Query(ctx context.Context, net network.Transport, own *clock.Offset, c network.DialConfig,
	limit time.Duration) (Sample, error) {
	c.Owner, c.User = owner, user
	conn, err := net.ListenPacket(ctx, c)
	if err != nil {
		return Sample{}, err
	}
	defer conn.Close()

	began := clock.System().Mark()
	mark := own.Mark()
	sent := own.Clock.Now()
	request := Packet{Version: 4, Mode: ModeClient, Transmit: TimestampOf(own.Now())}
	if _, err := conn.Write(request.Append(nil)); err != nil {
		return Sample{}, cmp.Or(context.Cause(ctx), err)
	}
	// The wait begins when the request is sent. Setting a deadline fails on closed sockets only.
	_ = conn.SetReadDeadline(clock.System().Now().Add(limit))
	defer context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })()
	buf := make([]byte, 512)
	for {
		n, err := conn.Read(buf)
		took := own.Since(mark)
		var timeout interface{ Timeout() bool }
		switch {
		case ctx.Err() != nil:
			return Sample{}, context.Cause(ctx)
		case errors.As(err, &timeout) && timeout.Timeout():
			return Sample{}, ErrNoAnswer
		case err != nil:
			return Sample{}, err
		}
		p, err := ParsePacket(buf[:n])
		if err != nil || p.Mode != ModeServer || p.Origin != request.Transmit {
			continue // not an answer to this request
		}
		rate := time.Duration(clock.Rate(own))
		if took > (clock.System().Since(began)+maxClockJump)*rate {
			return Sample{}, ErrClockMoved
		}
		return evaluate(p, sent, took)
	}
}

// evaluate makes the sanity checks of RFC 4330 section 5 and calculates the sample. sent is when
// the request was sent, by the wrapped clock.
func evaluate(p Packet, sent time.Time, took time.Duration) (Sample, error) {
	transmit := p.Transmit.Time()
	switch {
	case p.Version < 1 || p.Version > 4:
		return Sample{}, fmt.Errorf("%w: version %d", ErrBogus, p.Version)
	case p.Stratum == 0:
		return Sample{}, &KissError{kissText(p.RefID)}
	case p.Stratum > 15 || p.Leap == LeapUnsynchronized:
		return Sample{}, fmt.Errorf("%w: the server is not synchronized", ErrBogus)
	case transmit.IsZero() || p.Receive.IsZero():
		return Sample{}, fmt.Errorf("%w: a timestamp is missing", ErrBogus)
	case transmit.Before(p.Receive):
		return Sample{}, fmt.Errorf("%w: it was sent before the request was received", ErrBogus)
	case p.RootDelay/2+p.RootDisp >= 16*time.Second: // RFC 5905's MAXDISP
		return Sample{}, fmt.Errorf("%w: the root distance is too large", ErrBogus)
	}
	held := transmit.Sub(p.Receive)
	if held > took+time.Second {
		return Sample{}, fmt.Errorf("%w: the server held it longer than the round trip took",
			ErrBogus)
	}
	forward, back := p.Receive.Sub(sent), transmit.Sub(sent.Add(took))
	return Sample{
		Shift:   forward + (back-forward)/2,
		Delay:   max(took-held, 0),
		Stratum: int(p.Stratum),
	}, nil
}

// kissText returns the printable characters of a kiss code.
func kissText(id [4]byte) string {
	var code []byte
	for _, c := range id {
		if c > ' ' && c < 0x7f {
			code = append(code, c)
		}
	}
	return string(code)
}

// dialConfig returns the configuration for a query to the server a from the address local, if
// that is valid.
func dialConfig(a, local netip.Addr) network.DialConfig {
	c := network.DialConfig{Remote: netip.AddrPortFrom(a, Port)}
	if local.IsValid() {
		c.Local = netip.AddrPortFrom(local, 0)
	}
	return c
}
