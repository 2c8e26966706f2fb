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

// Port is NTP's.
const Port = 123

// The process that the socket table shows.
const (
	owner = "sntpd"
	user  = "root"
)

// Errors of Query; others are those of package network.
var (
	// ErrBogus says that an answer must not be believed: what of it is in the text.
	ErrBogus = errors.New("ntp: bogus answer")
	// ErrNoAnswer says that none came in time.
	ErrNoAnswer = errors.New("ntp: no answer")
	// ErrMoved says that the appliance's clock was moved on while it waited, as a test's
	// is, so that nobody can tell how long that took.
	ErrClockMoved = errors.New("ntp: the clock has moved meanwhile")
)

// A KissError is a server's wish to be left alone (RFC 5905 7.4).
type KissError struct{ Code string } // "RATE", "DENY", "RSTR", ...

func (e *KissError) Error() string { return "ntp: kiss of death: " + e.Code }

// A Sample is what a server's answer says of the time.
type Sample struct {
	// Shift is what the appliance's clock should have for its Shift: how far the
	// server's time is ahead of the clock that it wraps.
	Shift   time.Duration
	Delay   time.Duration // of the way there and back
	Stratum int
}

// maxJump is how much faster than the machine's clock the appliance's may have gone
// during a query.
const maxJump = 100 * time.Millisecond

// Query asks the server at c.Remote once and waits up to limit for an answer. What
// comes from elsewhere, or answers another request, is passed over; an answer that
// must not be believed is an error. own is the appliance's clock.
func Query(ctx context.Context, net network.Transport, own *clock.Offset, c network.DialConfig, limit time.Duration) (Sample, error) {
	c.Owner, c.User = owner, user
	conn, err := net.ListenPacket(ctx, c)
	if err != nil {
		return Sample{}, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(clock.System().Now().Add(limit))
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })() // fails on closed sockets only

	began := clock.System().Mark()
	mark := own.Mark()
	sent := own.Clock.Now()
	request := Packet{Version: 4, Mode: ModeClient, Transmit: TimestampOf(own.Now())}
	if _, err := conn.Write(request.Append(nil)); err != nil {
		return Sample{}, cmp.Or(context.Cause(ctx), err)
	}
	buf := make([]byte, 512)
	for {
		n, err := conn.Read(buf)
		took := own.Since(mark)
		var late interface{ Timeout() bool }
		switch {
		case ctx.Err() != nil:
			return Sample{}, context.Cause(ctx)
		case errors.As(err, &late) && late.Timeout():
			return Sample{}, ErrNoAnswer
		case err != nil:
			return Sample{}, err
		}
		p, err := ParsePacket(buf[:n])
		if err != nil || p.Mode != ModeServer || p.Origin != request.Transmit {
			continue // not an answer to this request
		}
		if took > clock.System().Since(began)+maxJump {
			return Sample{}, ErrClockMoved
		}
		return judge(p, sent, took)
	}
}

// judge makes the sanity checks of RFC 4330 section 5, and calculates. sent is when the
// request left by the wrapped clock.
func judge(p Packet, sent time.Time, took time.Duration) (Sample, error) {
	back := p.Transmit.Time()
	switch {
	case p.Version < 1 || p.Version > 4:
		return Sample{}, fmt.Errorf("%w: version %d", ErrBogus, p.Version)
	case p.Stratum == 0:
		return Sample{}, &KissError{kissCode(p.RefID)}
	case p.Stratum > 15 || p.Leap == LeapUnsynchronized:
		return Sample{}, fmt.Errorf("%w: the server is not synchronized", ErrBogus)
	case back.IsZero() || p.Receive.IsZero():
		return Sample{}, fmt.Errorf("%w: it tells no time", ErrBogus)
	case back.Before(p.Receive):
		return Sample{}, fmt.Errorf("%w: it left before it came", ErrBogus)
	case p.RootDelay/2+p.RootDisp >= 16*time.Second: // RFC 5905's MAXDISP
		return Sample{}, fmt.Errorf("%w: the server is too far from a clock", ErrBogus)
	}
	held := back.Sub(p.Receive)
	if held > took+time.Second {
		return Sample{}, fmt.Errorf("%w: it was held longer than it was away", ErrBogus)
	}
	there, home := p.Receive.Sub(sent), back.Sub(sent.Add(took))
	return Sample{
		Shift:   there + (home-there)/2,
		Delay:   max(took-held, 0),
		Stratum: int(p.Stratum),
	}, nil
}

// kissCode is the printable part of a kiss code.
func kissCode(id [4]byte) string {
	var code []byte
	for _, c := range id {
		if c > ' ' && c < 0x7f {
			code = append(code, c)
		}
	}
	return string(code)
}

// server is where a server is asked.
func server(a, local netip.Addr) network.DialConfig {
	c := network.DialConfig{Remote: netip.AddrPortFrom(a, Port)}
	if local.IsValid() {
		c.Local = netip.AddrPortFrom(local, 0)
	}
	return c
}
