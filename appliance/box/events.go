package box

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"

	"github.com/esasim/esasim/appliance/events"
)

// EventTopics returns the first words of the kinds of events.
func EventTopics() []string {
	return []string{
		"log", "mail", "login", "command", "commit", "alert", "connection", "fault", "capture",
		"server", "service", "appliance", "clock", "world", "socket", "datagram", "probe", "neighbor",
		"interface", "query", "transfer", "dhcp",
	}
}

// Events yields what happens, in one order: the events after a cursor, and then each new one until
// ctx ends. A cursor is the number of an event. Cursors go on over reboots and resets. If the events
// after the cursor are no longer kept, or were not kept as nobody asked for them, the last thing
// that Events yields is a *events.GoneError. See Options.KeepEvents.
func (b *Box) Events(ctx context.Context, cursor uint64) iter.Seq2[events.Event, error] {
	b.lookAtEvents()
	return b.stream.Read(ctx, cursor)
}

// Cursor returns the number of the last event. Events with that cursor yields those that follow.
// From the first call on, the last few thousand events are kept.
func (b *Box) Cursor() uint64 {
	b.lookAtEvents()
	b.stream.Keep(events.DefaultKept)
	return b.stream.Last()
}

// EventStream returns the stream of all events of the box. Reboots and resets do not change it.
func (b *Box) EventStream() *events.Stream {
	b.lookAtEvents()
	return b.stream
}

// lookAtEvents waits until the connections of the topology are open, whose events a caller is to
// see, and has later worlds open theirs at the start.
func (b *Box) lookAtEvents() {
	b.eventsSeen.Store(true)
	if i := b.current(); i != nil {
		i.world.LookAtClients()
		i.world.WaitClients()
	}
}

// A Recording writes the events of a box as JSON, one a line.
type Recording struct {
	stream  *events.Stream
	out     *bufio.Writer
	encoder *json.Encoder
	cancel  context.CancelFunc
	running sync.WaitGroup

	cursor uint64 // the last event that was written; used by the goroutine, then by Stop
	err    error  // of the first failed write
}

// Record begins to write all events from now on to w, and those that are kept already. Call it
// before Start to have the events of the boot. The caller must call Stop. A writer that cannot keep
// up loses events: it writes a line of kind "events.lost" in their place.
func (b *Box) Record(w io.Writer) *Recording {
	b.lookAtEvents()
	b.stream.Keep(events.DefaultKept)
	ctx, cancel := context.WithCancel(context.Background())
	r := &Recording{stream: b.stream, out: bufio.NewWriter(w), cancel: cancel, cursor: b.stream.Oldest()}
	r.encoder = json.NewEncoder(r.out)
	r.encoder.SetEscapeHTML(false)
	r.running.Go(func() {
		for ctx.Err() == nil {
			r.read(ctx)
		}
	})
	return r
}

// read writes events until ctx ends or some are lost.
func (r *Recording) read(ctx context.Context) {
	r.noteLostBeginning()
	for e, err := range r.stream.Read(ctx, r.cursor) {
		if err != nil {
			r.skip(err)
			return
		}
		r.write(e)
		if e.Seq == r.stream.Last() {
			r.flush()
		}
	}
}

func (r *Recording) write(x any) {
	if e, ok := x.(events.Event); ok {
		r.cursor = e.Seq
	}
	if r.err == nil {
		r.err = r.encoder.Encode(x)
	}
}

func (r *Recording) flush() {
	if err := r.out.Flush(); r.err == nil {
		r.err = err
	}
}

// noteLostBeginning notes that the first events of the box are no longer kept, if the recording has
// none yet. The stream itself takes cursor 0 for the oldest event that is kept.
func (r *Recording) noteLostBeginning() {
	if oldest := r.stream.Oldest(); r.cursor == 0 && oldest > 0 {
		r.skip(&events.GoneError{Oldest: oldest})
	}
}

// skip goes on after events that are no longer kept.
func (r *Recording) skip(err error) {
	var gone *events.GoneError
	if !errors.As(err, &gone) {
		return
	}
	r.write(struct {
		Seq    uint64           `json:"seq"`
		Kind   string           `json:"kind"`
		Fields events.GoneError `json:"fields"`
	}{gone.Oldest, "events.lost", *gone})
	r.cursor = gone.Oldest
}

// Stop writes the events that have happened and ends the recording. The error is that of the first
// write that failed. Stop must be called once.
func (r *Recording) Stop() error {
	r.cancel()
	r.running.Wait()
	r.noteLostBeginning()
	for last := r.stream.Last(); r.cursor < last; {
		list, err := r.stream.After(r.cursor)
		if err != nil {
			r.skip(err)
			continue
		}
		if len(list) == 0 { // the last ones were told to nobody
			break
		}
		for _, e := range list {
			r.write(e)
		}
	}
	r.flush()
	if r.err != nil {
		return fmt.Errorf("record events: %w", r.err)
	}
	return nil
}
