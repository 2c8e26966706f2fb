package packets

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/network/netsim"
)

// Bounds of captures. They are kept in memory.
const (
	MaxCaptures     = 32
	DefaultMaxBytes = 16 << 20  // of one capture
	MaxBytes        = 64 << 20  // of one capture
	MaxTotalBytes   = 128 << 20 // of all captures
	minBytes        = 4 << 10
	maxSnapLen      = 256 << 10
	maxNameLen      = 64
)

// A CaptureRequest says what a capture records.
type CaptureRequest struct {
	Name   string `json:"name"` // "": a name that is free
	Cable  string `json:"cable"`
	Filter string `json:"filter,omitempty"` // as of tcpdump
	// SnapLen is the number of bytes to keep of a packet; 0: all.
	SnapLen int `json:"snaplen,omitzero"`
	// The capture ends before its file has more than MaxBytes bytes (0: DefaultMaxBytes), after
	// MaxPackets packets, and after Duration in real time; 0: it does not.
	MaxBytes   int64           `json:"max_bytes,omitzero"`
	MaxPackets uint64          `json:"max_packets,omitzero"`
	Duration   netsim.Duration `json:"duration,omitzero"`
}

// A Capture is the state of a capture.
type Capture struct {
	CaptureRequest
	Link    netsim.CableLink `json:"link"`
	Running bool             `json:"running"`
	// Reason says why the capture has ended: one of the Reason constants.
	Reason  string    `json:"reason,omitempty"`
	Began   time.Time `json:"began"`
	Ended   time.Time `json:"ended,omitzero"`
	Packets uint64    `json:"packets"` // in the file
	Dropped uint64    `json:"dropped"` // because the recorder was too slow
	Size    int64     `json:"size"`    // of the file in bytes
}

// Reasons for which captures end.
const (
	ReasonStopped  = "stopped"
	ReasonBytes    = "max_bytes"
	ReasonPackets  = "max_packets"
	ReasonDuration = "duration"
	ReasonFull     = "full" // all captures together have MaxTotalBytes
	ReasonShutdown = "shutdown"
)

// An endError is the cause with which the context of a capture ends.
type endError struct{ reason string }

func (e *endError) Error() string { return e.reason }

// A CaptureStarted is the event that a capture of a cable has begun. The appliance has no part in it.
type CaptureStarted struct {
	Name, Cable, Filter string
}

// Kind implements events.Fields.
func (CaptureStarted) Kind() string { return "capture.cable.started" }

// A CaptureEnded is the event that a capture of a cable has ended. Its cause is the beginning.
type CaptureEnded struct {
	Name, Cable, Reason string
	Packets, Dropped    uint64
	Size                int64 // bytes
}

// Kind implements events.Fields.
func (CaptureEnded) Kind() string { return "capture.cable.ended" }

// A capture is a running or ended capture.
type capture struct {
	owner *Cables
	watch *Watch
	file  store
	began uint64 // the event of the beginning
	end   context.CancelCauseFunc
	done  chan struct{} // closed when the capture has ended and its file is complete

	mu    sync.Mutex // a leaf
	state Capture    // without Size
}

// StartCapture begins a capture. If the request makes no sense, the error is an *Error; if there are
// MaxCaptures captures, or one of that name, it is a *netsim.ConflictError.
func (c *Cables) StartCapture(r CaptureRequest) (Capture, error) {
	if err := r.check(); err != nil {
		return Capture{}, err
	}
	c.capturesMu.Lock()
	defer c.capturesMu.Unlock()
	switch {
	case len(c.captures) >= MaxCaptures:
		return Capture{}, netsim.Conflict(
			"there are %d captures, which is the limit: remove one first", MaxCaptures)
	case r.Name == "":
		r.Name = c.freeName()
	case c.captures[r.Name] != nil:
		return Capture{}, netsim.Conflict("there is a capture %q already: remove it first", r.Name)
	}
	if r.MaxBytes == 0 {
		r.MaxBytes = DefaultMaxBytes
	}
	ctx, end := context.WithCancelCause(context.Background())
	w, err := c.watch(ctx, r.Cable, r.Filter, r.SnapLen)
	if err != nil {
		end(nil)
		return Capture{}, err
	}
	x := &capture{owner: c, watch: w, end: end, done: make(chan struct{})}
	r.Cable, r.Filter = w.cable.Name, w.filter.text
	x.state = Capture{CaptureRequest: r, Link: w.cable.Link, Running: true, Began: c.o.Clock.Now()}
	out, err := NewFileWriter(&x.file, w.cable, r.Filter, r.SnapLen)
	if err != nil { // memory takes everything
		end(err)
		return Capture{}, err
	}
	x.commit()
	x.began = events.Publish(c.o.Events, 0, CaptureStarted{r.Name, r.Cable, r.Filter})
	stopTimer := func() bool { return true }
	if r.Duration > 0 {
		stopTimer = clock.RealTime(c.o.Clock).AfterFunc(time.Duration(r.Duration),
			func() { end(&endError{ReasonDuration}) })
	}
	c.captures[r.Name] = x
	c.recorders.Go(func() {
		x.record(out)
		stopTimer()
	})
	return x.report(), nil
}

// check returns what is wrong with a request.
func (r *CaptureRequest) check() error {
	wrong := func(field string, value any, format string, args ...any) error {
		return &Error{field, value, fmt.Sprintf(format, args...)}
	}
	switch {
	case r.Name != "" && !validName(r.Name):
		return wrong("name", r.Name, "%q is no name of a capture: expected at most %d letters, digits,"+
			" hyphens, dots and underscores, and not only digits", r.Name, maxNameLen)
	case r.Cable == "":
		return wrong("cable", r.Cable, "a capture needs a cable: expected its name")
	case r.SnapLen < 0 || r.SnapLen > maxSnapLen:
		return wrong("snaplen", r.SnapLen, "%d bytes of each packet: expected 0 to %d", r.SnapLen, maxSnapLen)
	case r.MaxBytes != 0 && (r.MaxBytes < minBytes || r.MaxBytes > MaxBytes):
		return wrong("max_bytes", r.MaxBytes, "%d bytes: expected %d to %d", r.MaxBytes, minBytes, MaxBytes)
	case r.Duration < 0:
		return wrong("duration", r.Duration, "%v: expected a time such as 30s", time.Duration(r.Duration))
	}
	return nil
}

// validName reports whether a capture can have a name.
func validName(name string) bool {
	other := strings.Trim(name, "0123456789")
	return len(name) <= maxNameLen && other != "" && name[0] != '.' &&
		!strings.ContainsFunc(other, func(r rune) bool {
			return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' ||
				strings.ContainsRune("-._", r))
		})
}

// freeName is called with capturesMu held.
func (c *Cables) freeName() string {
	for n := 1; ; n++ {
		if name := fmt.Sprintf("capture%d", n); c.captures[name] == nil {
			return name
		}
	}
}

// record writes packets to the file until the capture ends.
func (x *capture) record(out *FileWriter) {
	defer close(x.done)
	r := x.state.CaptureRequest // does not change
	var packets uint64
	reason := ""
	for reason == "" {
		p, err := x.watch.Next(context.Background())
		block := int64(len(p.Data) + blockOverhead)
		switch {
		case err != nil:
			reason = reasonOf(err)
			continue
		case x.file.length()+block > r.MaxBytes:
			reason = ReasonBytes
			continue
		case x.owner.total.Load()+block > MaxTotalBytes:
			reason = ReasonFull
			continue
		}
		_ = out.Write(p) // memory takes everything
		x.commit()
		packets++
		x.mu.Lock()
		x.state.Packets = packets
		x.mu.Unlock()
		if packets == r.MaxPackets {
			reason = ReasonPackets
		}
	}
	x.end(&endError{reason})
	x.watch.Close()
	dropped, ended := x.watch.Dropped(), x.owner.o.Clock.Now()
	_ = out.finish(x.state.Began, ended, packets+dropped, dropped) // as above
	x.commit()
	x.mu.Lock()
	x.state.Running, x.state.Reason, x.state.Ended = false, reason, ended
	x.state.Dropped = dropped
	x.mu.Unlock()
	events.Publish(x.owner.o.Events, x.began,
		CaptureEnded{r.Name, r.Cable, reason, packets, dropped, x.file.length()})
}

// commit shows readers of the file what has been written.
func (x *capture) commit() { x.owner.total.Add(x.file.commit()) }

// reasonOf returns the reason that the end of a watch is.
func reasonOf(err error) string {
	var ended *endError
	if errors.As(err, &ended) {
		return ended.reason
	}
	return ReasonShutdown // io.EOF: the watches of the box are closed
}

func (x *capture) report() Capture {
	x.mu.Lock()
	defer x.mu.Unlock()
	s := x.state
	s.Size = x.file.length()
	if s.Running {
		s.Dropped = x.watch.Dropped()
	}
	return s
}

// capture returns a capture by its name. The error is a *netsim.NotFoundError.
func (c *Cables) capture(name string) (*capture, error) {
	c.capturesMu.Lock()
	defer c.capturesMu.Unlock()
	x := c.captures[name]
	if x == nil {
		return nil, netsim.NotFound("there is no capture %q", name)
	}
	return x, nil
}

// Captures returns all captures, the oldest first.
func (c *Cables) Captures() []Capture {
	c.capturesMu.Lock()
	var list []*capture
	for _, x := range c.captures {
		list = append(list, x)
	}
	c.capturesMu.Unlock()
	reports := make([]Capture, 0, len(list))
	for _, x := range list {
		reports = append(reports, x.report())
	}
	slices.SortFunc(reports, func(a, b Capture) int {
		if n := a.Began.Compare(b.Began); n != 0 {
			return n
		}
		return strings.Compare(a.Name, b.Name)
	})
	return reports
}

// Capture returns the state of a capture. The error is a *netsim.NotFoundError.
func (c *Cables) Capture(name string) (Capture, error) {
	x, err := c.capture(name)
	if err != nil {
		return Capture{}, err
	}
	return x.report(), nil
}

// StopCapture ends a capture and waits until its file is complete. If it has ended already,
// StopCapture does nothing. The error is a *netsim.NotFoundError.
func (c *Cables) StopCapture(name string) (Capture, error) {
	x, err := c.capture(name)
	if err != nil {
		return Capture{}, err
	}
	x.end(&endError{ReasonStopped})
	<-x.done
	return x.report(), nil
}

// RemoveCapture ends a capture and forgets it. The error is a *netsim.NotFoundError.
func (c *Cables) RemoveCapture(name string) error {
	x, err := c.capture(name)
	if err != nil {
		return err
	}
	x.end(&endError{ReasonStopped})
	<-x.done
	c.capturesMu.Lock()
	defer c.capturesMu.Unlock()
	if c.captures[name] == x {
		delete(c.captures, name)
		c.total.Add(-x.file.length())
	}
	return nil
}

// RemoveCaptures is RemoveCapture for all captures.
func (c *Cables) RemoveCaptures() {
	for _, x := range c.Captures() {
		_ = c.RemoveCapture(x.Name) // it may be gone meanwhile
	}
}

// WriteCapture writes the file of a capture in the form pcapng. While the capture runs, that is what
// there is so far, which is a whole file. The error is a *netsim.NotFoundError, or that of w.
func (c *Cables) WriteCapture(name string, w io.Writer) error {
	x, err := c.capture(name)
	if err != nil {
		return err
	}
	if _, err := x.file.WriteTo(w); err != nil {
		return fmt.Errorf("write the capture %s: %w", name, err)
	}
	return nil
}
