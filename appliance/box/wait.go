package box

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/dissect"
	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/pcapfilter"
)

// A WaitRequest says what WaitFor waits for.
type WaitRequest struct {
	// For is one of WaitWords, or a kind of event such as "mail.out.delivered" or "mail.out".
	For string
	// Match is a regular expression that is found in the text of a log line, an alert, a command, or
	// a syslog record, and in the fields of other events as JSON. Of For "packet" it is a filter as
	// of tcpdump. If it is empty, everything matches.
	Match string
	// Since is a cursor: what has happened after it ends the wait at once. 0 means since the start,
	// as far as events are kept. Packets are not kept: For "packet" ignores Since.
	Since uint64
}

// Waited is what has happened.
type Waited struct {
	For    string        `json:"for"`
	Cursor uint64        `json:"cursor"` // for the next WaitRequest
	Event  *events.Event `json:"event,omitempty"`
	Packet *Packet       `json:"packet,omitempty"`
}

// A Packet is a frame on one of the appliance's cables.
type Packet struct {
	Time      time.Time `json:"time"`
	Interface string    `json:"interface"` // of the appliance
	Direction string    `json:"direction"` // "in" or "out", as seen by the appliance
	Length    int       `json:"length"`    // bytes
	Summary   string    `json:"summary"`   // as packet captures are shown
	Data      []byte    `json:"data"`      // the frame
}

// waitWords are the words for kinds of events.
func waitWords() map[string]string {
	return map[string]string{
		"log": "log.line", "mail": "server.mail", "alert": "alert.raised", "fault-hit": "fault.hit",
		"login": "login.opened", "logout": "login.closed", "login-failed": "login.failed",
		"syslog": "server.syslog", "command": "command.entered", "commit": "commit.done",
		"capture": "capture.ended", "connection": "connection.opened", "boot": "appliance.up",
		"dhcp": "dhcp.bound",
	}
}

// WaitWords returns the words that WaitRequest.For can be.
func WaitWords() []string {
	return slices.Sorted(slices.Values(append(slices.Collect(maps.Keys(waitWords())), "packet")))
}

// A WaitError says what is wrong with a WaitRequest.
type WaitError struct {
	Field, Value string // "for" or "match"
	Message      string
}

func (e *WaitError) Error() string { return e.Message }

// WaitFor blocks until what r describes has happened, or has happened since r.Since, and returns
// what it was. If ctx ends first, it returns the cause. If r makes no sense, the error is a
// *WaitError; if events after r.Since are no longer kept, a *events.GoneError. A reset of the box
// ends it with ErrReset.
func (b *Box) WaitFor(ctx context.Context, r WaitRequest) (Waited, error) {
	ctx, cancel := b.untilReset(ctx)
	defer cancel()
	if r.For == "packet" {
		return b.waitForPacket(ctx, r)
	}
	kind, known := waitWords()[r.For]
	if !known {
		if !strings.Contains(r.For, ".") || !slices.Contains(EventTopics(), events.TopicOf(r.For)) {
			return Waited{}, &WaitError{"for", r.For, fmt.Sprintf(
				"%q is nothing to wait for: expected one of %s, or a kind of event such as mail.out.delivered",
				r.For, strings.Join(WaitWords(), ", "))}
		}
		kind = r.For
	}
	f := events.Filter{Kinds: []string{kind}}
	if r.Match != "" {
		var err error
		if f.Match, err = regexp.Compile(r.Match); err != nil {
			return Waited{}, &WaitError{"match", r.Match,
				fmt.Sprintf("expected a regular expression: %v", err)}
		}
	}
	b.lookAtEvents()
	b.stream.Keep(events.DefaultKept)
	if r.Since == 0 {
		r.Since = b.stream.Oldest()
	}
	for e, err := range b.stream.Read(ctx, r.Since) {
		if err != nil {
			return Waited{}, err
		}
		if f.Selects(e) {
			return Waited{For: r.For, Cursor: e.Seq, Event: &e}, nil
		}
	}
	return Waited{}, context.Cause(ctx)
}

// waitForPacket waits for a frame on a cable of the appliance. It continues after a reboot.
func (b *Box) waitForPacket(ctx context.Context, r WaitRequest) (Waited, error) {
	if _, err := compileFilter(r.Match, nil); err != nil {
		return Waited{}, err
	}
	for {
		if err := b.WaitSettled(ctx); err != nil {
			return Waited{}, err
		}
		i := b.current()
		found, err := i.waitForPacket(ctx, r.Match)
		if err == nil {
			found.Summary = summaryOfPacket(found)
			return Waited{For: r.For, Cursor: b.stream.Last(), Packet: &found}, nil
		}
		goesOn := ctx.Err() == nil && i.ctx.Err() != nil && b.comesBack(ctx, i)
		switch {
		case ctx.Err() != nil:
			return Waited{}, context.Cause(ctx)
		case !goesOn:
			return Waited{}, err
		}
	}
}

// comesBack waits until another instance than i runs, and returns false if there will be none.
func (b *Box) comesBack(ctx context.Context, i *instance) bool {
	if b.WaitSettled(ctx) != nil {
		return false
	}
	return b.current() != i
}

func compileFilter(expr string, mask net.IPMask) (*pcapfilter.Filter, error) {
	f, err := pcapfilter.Compile(expr, pcapfilter.Options{Netmask: mask, SnapLen: maxFrame})
	var syntax *pcapfilter.SyntaxError
	switch {
	case errors.As(err, &syntax):
		return nil, &WaitError{"match", expr,
			fmt.Sprintf("expected a filter as of tcpdump: %s", syntax.Reason())}
	case err != nil:
		return nil, &WaitError{"match", expr, fmt.Sprintf("expected a filter as of tcpdump: %v", err)}
	}
	return f, nil
}

// maxFrame is the number of bytes that a wait for a packet returns at most.
const maxFrame = 256 << 10

func (i *instance) waitForPacket(ctx context.Context, expr string) (Packet, error) {
	found := make(chan Packet, 1)
	a := i.appliance
	var taps []network.Tap
	defer func() {
		for _, t := range taps {
			_ = t.Close() // nothing depends on it
		}
	}()
	for _, port := range a.Net.Interfaces() {
		if port.Loopback {
			continue
		}
		var mask net.IPMask
		for _, p := range port.Addrs {
			if p.Addr().Is4() {
				mask = net.CIDRMask(p.Bits(), 32)
			}
		}
		f, err := compileFilter(expr, mask)
		if err != nil {
			return Packet{}, err
		}
		t, err := a.Net.Tap(network.TapConfig{
			Interface: port.Name, SnapLen: maxFrame, Match: f.Match,
			Sink: func(f network.Frame) {
				select {
				case found <- packetOf(port.Name, f):
				default: // there is one already
				}
			},
		})
		if err != nil {
			return Packet{}, fmt.Errorf("tap %s: %w", port.Name, err)
		}
		taps = append(taps, t)
	}
	select {
	case p := <-found:
		return p, nil
	case <-ctx.Done():
		return Packet{}, context.Cause(ctx)
	case <-i.ctx.Done():
		return Packet{}, context.Cause(i.ctx)
	}
}

func packetOf(port string, f network.Frame) Packet {
	p := Packet{
		Time: f.Time, Interface: port, Direction: "in", Length: f.WireLen, Data: bytes.Clone(f.Data),
	}
	if f.Dir == network.Out {
		p.Direction = "out"
	}
	return p
}

// summaryOfPacket returns a frame in the words of the appliance's capture viewer.
func summaryOfPacket(p Packet) string {
	var file bytes.Buffer
	put := func(values ...uint32) {
		for _, v := range values {
			_ = binary.Write(&file, binary.LittleEndian, v) // a buffer takes everything
		}
	}
	put(0xa1b2c3d4, 2|4<<16, 0, 0, maxFrame, 1)
	put(uint32(p.Time.Unix()), uint32(p.Time.Nanosecond()/1000), uint32(len(p.Data)), uint32(p.Length))
	file.Write(p.Data)
	ctx := context.Background()
	c, err := dissect.Open(bytes.NewReader(file.Bytes()), int64(file.Len()))
	if err != nil {
		return ""
	}
	index, err := c.Scan(ctx, nil, nil)
	if err != nil {
		return ""
	}
	rows, err := c.Rows(ctx, index, index, nil, 0, 1)
	if err != nil || len(rows) == 0 {
		return ""
	}
	r := rows[0]
	return fmt.Sprintf("%s > %s: %s %s", r.Source, r.Destination, r.Protocol, r.Info)
}
