package shell

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/clock"
)

// An inbox holds what was typed and not yet read.
//
// One goroutine, pump, reads the client for the whole session, because Ctrl-C must
// be seen while a command runs and nobody reads. It is also the only place that
// knows how long the user has been silent at a prompt.
type inbox struct {
	keys  bool // a terminal: Ctrl-C interrupts
	clock clock.Clock

	mu      sync.Mutex    // taken before the locks of a clock
	limit   time.Duration // of silence at a prompt; 0 means none
	input   func()        // called for whatever comes; may be nil
	more    sync.Cond
	buf     []byte
	afterCR bool  // a line feed that comes next belongs to the carriage return before it
	ended   error // the client sends no more
	closed  bool  // nobody reads any more

	reading bool
	round   int               // counts the reads
	cut     error             // why the read that is going on must end
	since   clock.Mark        // the last key, or the beginning of the read
	stop    func() bool       // stops the watch on silence
	onBreak func(cause error) // Ctrl-C while nobody reads; nil while no command runs
}

// inboxSize is how much may be typed ahead. A client that sends more waits.
const inboxSize = 64 << 10

func newInbox(keys bool, c clock.Clock) *inbox {
	in := &inbox{keys: keys, clock: c}
	in.more.L = &in.mu
	return in
}

// serve sets how long the user may be silent at a prompt and what is called,
// without blocking, for whatever the user sends.
func (in *inbox) serve(limit time.Duration, input func()) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.limit, in.input = limit, input
}

// pump reads r until its end. echo shows the user that Ctrl-C reached a command, before
// that can end and the prompt come.
func (in *inbox) pump(r io.Reader, echo func(string)) {
	b := make([]byte, 512)
	for {
		n, err := r.Read(b)
		if interrupt := in.take(b[:n]); interrupt != nil {
			echo("^C\n")
			interrupt(ErrInterrupt)
		}
		if n < len(b) {
			in.pause()
		}
		if err != nil {
			in.end(err)
			return
		}
	}
}

// pause notes that what comes next was sent later: a line feed is then a key of its
// own, also after a carriage return.
func (in *inbox) pause() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.afterCR = false
}

// take stores what came. It returns what interrupts the command that runs if Ctrl-C
// came, else nil.
func (in *inbox) take(b []byte) (interrupt func(cause error)) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.since = in.clock.Mark()
	if in.input != nil && len(b) > 0 {
		in.input()
	}
	for _, c := range b {
		lf := c == '\n' && in.afterCR
		in.afterCR = c == '\r'
		switch {
		case lf: // one key was pressed, not two
		case c == ctrlC && in.keys:
			in.buf = nil // what was typed before is given up, as on any terminal
			if running := in.interrupt(); running != nil {
				interrupt = running
			}
		default:
			for len(in.buf) >= inboxSize && !in.closed {
				in.more.Broadcast()
				in.more.Wait()
			}
			if !in.closed {
				in.buf = append(in.buf, c)
			}
		}
	}
	in.more.Broadcast()
	return interrupt
}

const (
	ctrlC = 3
	ctrlD = 4
)

// interrupt ends the read that is going on. Where there is none it returns what ends the
// command that runs; nil: none does.
func (in *inbox) interrupt() (command func(cause error)) {
	if in.reading {
		in.cut = ErrInterrupt
		return nil
	}
	return in.onBreak
}

// Interrupt is what a signal INT of the client does: the same as Ctrl-C.
func (in *inbox) Interrupt() {
	in.mu.Lock()
	defer in.mu.Unlock()
	if command := in.interrupt(); command != nil {
		command(ErrInterrupt)
	}
	in.more.Broadcast()
}

func (in *inbox) end(err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.ended = err
	in.more.Broadcast()
}

// close lets the pump go on to the end of its reader; nothing is kept any more.
func (in *inbox) close() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.closed, in.buf = true, nil
	in.more.Broadcast()
}

// exhausted reports whether everything that ever comes has been read.
func (in *inbox) exhausted() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.ended != nil && len(in.buf) == 0
}

// begin starts a read, which ctx ends, and silence, and Ctrl-C. The function that
// it returns ends it and says what cut it short.
func (in *inbox) begin(ctx context.Context) (finish func() error) {
	in.mu.Lock()
	in.reading, in.cut, in.since = true, nil, in.clock.Mark()
	in.round++
	round := in.round
	in.watch(round, in.limit)
	in.mu.Unlock()
	unbind := context.AfterFunc(ctx, func() { in.cutShort(round, context.Cause(ctx)) })
	return func() error {
		unbind()
		in.mu.Lock()
		defer in.mu.Unlock()
		in.reading = false
		if in.stop != nil {
			in.stop()
		}
		return in.cut
	}
}

// watch looks after wait whether the user has been silent for the limit. in.mu is
// held.
func (in *inbox) watch(round int, wait time.Duration) {
	if in.limit == 0 {
		return
	}
	in.stop = in.clock.AfterFunc(wait, func() {
		in.mu.Lock()
		silent := in.clock.Since(in.since)
		if in.reading && in.round == round && silent < in.limit {
			in.watch(round, in.limit-silent)
		}
		in.mu.Unlock()
		if silent >= in.limit {
			in.cutShort(round, ErrIdle)
		}
	})
}

// cutShort ends read number round, if it is still going on.
func (in *inbox) cutShort(round int, why error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.reading && in.round == round && in.cut == nil {
		in.cut = why
		in.more.Broadcast()
	}
}

// next waits until there is input and hands it to take, which returns how much of
// it was used. idle is called before waiting. next returns what cuts the read short, and
// the error of the client once all is read.
func (in *inbox) next(idle func(), use func([]byte) int) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.buf) == 0 && in.cut == nil && in.ended == nil {
		in.mu.Unlock()
		idle()
		in.mu.Lock()
	}
	for len(in.buf) == 0 && in.cut == nil && in.ended == nil {
		in.more.Wait()
	}
	switch {
	case in.cut != nil:
		return in.cut
	case len(in.buf) == 0:
		return in.ended
	}
	full := len(in.buf) >= inboxSize
	in.buf = in.buf[use(in.buf):]
	if len(in.buf) == 0 {
		in.buf = nil
	}
	if full {
		in.more.Broadcast()
	}
	return nil
}

// whileRunning returns a context for a command: Ctrl-C ends it with ErrInterrupt.
func (in *inbox) whileRunning(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	in.mu.Lock()
	in.onBreak = cancel
	in.mu.Unlock()
	return ctx, func() {
		in.mu.Lock()
		in.onBreak = nil
		in.mu.Unlock()
		cancel(nil)
	}
}
