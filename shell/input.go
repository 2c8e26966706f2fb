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
type inputBuffer struct {
	terminal bool // a terminal: Ctrl-C interrupts
	clock    clock.Clock

	mu          sync.Mutex    // taken before the locks of a clock
	idleTimeout time.Duration // of silence at a prompt; 0 means none
	onInput     func()        // called for whatever comes; may be nil
	changed     sync.Cond
	buf         []byte
	afterCR     bool  // a line feed that comes next belongs to the carriage return before it
	err         error // the client sends no more
	closed      bool  // nobody reads any more

	reading       bool
	readID        int               // counts the reads
	readErr       error             // why the read that is going on must end
	lastActivity  clock.Mark        // the last key, or the beginning of the read
	stopIdleTimer func() bool       // stops the watch on silence
	cancelCommand func(cause error) // Ctrl-C while nobody reads; nil while no command runs
}

// inboxSize is how much may be typed ahead. A client that sends more waits.
const maxTypedAhead = 64 << 10

func newInputBuffer(keys bool, c clock.Clock) *inputBuffer {
	in := &inputBuffer{terminal: keys, clock: c}
	in.changed.L = &in.mu
	return in
}

// serve sets how long the user may be silent at a prompt and what is called,
// without blocking, for whatever the user sends.
func (in *inputBuffer) setSession(limit time.Duration, input func()) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.idleTimeout, in.onInput = limit, input
}

// pump reads r until its end. echo shows the user that Ctrl-C reached a command, before
// that can end and the prompt come.
func (in *inputBuffer) readFrom(r io.Reader, echo func(string)) {
	b := make([]byte, 512)
	for {
		n, err := r.Read(b)
		if interrupt := in.store(b[:n]); interrupt != nil {
			echo("^C\n")
			interrupt(ErrInterrupt)
		}
		if n < len(b) {
			in.forgetCR()
		}
		if err != nil {
			in.setErr(err)
			return
		}
	}
}

// pause notes that what comes next was sent later: a line feed is then a key of its
// own, also after a carriage return.
func (in *inputBuffer) forgetCR() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.afterCR = false
}

// take stores what came. It returns what interrupts the command that runs if Ctrl-C
// came, else nil.
func (in *inputBuffer) store(b []byte) (interrupt func(cause error)) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.lastActivity = in.clock.Mark()
	if in.onInput != nil && len(b) > 0 {
		in.onInput()
	}
	for _, c := range b {
		lf := c == '\n' && in.afterCR
		in.afterCR = c == '\r'
		switch {
		case lf: // one key was pressed, not two
		case c == ctrlC && in.terminal:
			in.buf = nil // what was typed before is given up, as on any terminal
			if running := in.interrupt(); running != nil {
				interrupt = running
			}
		default:
			for len(in.buf) >= maxTypedAhead && !in.closed {
				in.changed.Broadcast()
				in.changed.Wait()
			}
			if !in.closed {
				in.buf = append(in.buf, c)
			}
		}
	}
	in.changed.Broadcast()
	return interrupt
}

const (
	ctrlC = 3
	ctrlD = 4
)

// interrupt ends the read that is going on. Where there is none it returns what ends the
// command that runs; nil: none does.
func (in *inputBuffer) interrupt() (command func(cause error)) {
	if in.reading {
		in.readErr = ErrInterrupt
		return nil
	}
	return in.cancelCommand
}

// Interrupt is what a signal INT of the client does: the same as Ctrl-C.
func (in *inputBuffer) Interrupt() {
	in.mu.Lock()
	defer in.mu.Unlock()
	if command := in.interrupt(); command != nil {
		command(ErrInterrupt)
	}
	in.changed.Broadcast()
}

func (in *inputBuffer) setErr(err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.err = err
	in.changed.Broadcast()
}

// close lets the pump go on to the end of its reader; nothing is kept any more.
func (in *inputBuffer) close() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.closed, in.buf = true, nil
	in.changed.Broadcast()
}

// exhausted reports whether everything that ever comes has been read.
func (in *inputBuffer) atEOF() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.err != nil && len(in.buf) == 0
}

// begin starts a read, which ctx ends, and silence, and Ctrl-C. The function that
// it returns ends it and says what cut it short.
func (in *inputBuffer) beginRead(ctx context.Context) (finish func() error) {
	in.mu.Lock()
	in.reading, in.readErr, in.lastActivity = true, nil, in.clock.Mark()
	in.readID++
	round := in.readID
	in.setIdleTimer(round, in.idleTimeout)
	in.mu.Unlock()
	unbind := context.AfterFunc(ctx, func() { in.endRead(round, context.Cause(ctx)) })
	return func() error {
		unbind()
		in.mu.Lock()
		defer in.mu.Unlock()
		in.reading = false
		if in.stopIdleTimer != nil {
			in.stopIdleTimer()
		}
		return in.readErr
	}
}

// watch looks after wait whether the user has been silent for the limit. in.mu is
// held.
func (in *inputBuffer) setIdleTimer(round int, wait time.Duration) {
	if in.idleTimeout == 0 {
		return
	}
	in.stopIdleTimer = in.clock.AfterFunc(wait, func() {
		in.mu.Lock()
		silent := in.clock.Since(in.lastActivity)
		if in.reading && in.readID == round && silent < in.idleTimeout {
			in.setIdleTimer(round, in.idleTimeout-silent)
		}
		in.mu.Unlock()
		if silent >= in.idleTimeout {
			in.endRead(round, ErrIdle)
		}
	})
}

// cutShort ends read number round, if it is still going on.
func (in *inputBuffer) endRead(round int, why error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.reading && in.readID == round && in.readErr == nil {
		in.readErr = why
		in.changed.Broadcast()
	}
}

// next waits until there is input and hands it to take, which returns how much of
// it was used. idle is called before waiting. next returns what cuts the read short, and
// the error of the client once all is read.
func (in *inputBuffer) next(idle func(), use func([]byte) int) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.buf) == 0 && in.readErr == nil && in.err == nil {
		in.mu.Unlock()
		idle()
		in.mu.Lock()
	}
	for len(in.buf) == 0 && in.readErr == nil && in.err == nil {
		in.changed.Wait()
	}
	switch {
	case in.readErr != nil:
		return in.readErr
	case len(in.buf) == 0:
		return in.err
	}
	full := len(in.buf) >= maxTypedAhead
	in.buf = in.buf[use(in.buf):]
	if len(in.buf) == 0 {
		in.buf = nil
	}
	if full {
		in.changed.Broadcast()
	}
	return nil
}

// whileRunning returns a context for a command: Ctrl-C ends it with ErrInterrupt.
func (in *inputBuffer) commandContext(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	in.mu.Lock()
	in.cancelCommand = cancel
	in.mu.Unlock()
	return ctx, func() {
		in.mu.Lock()
		in.cancelCommand = nil
		in.mu.Unlock()
		cancel(nil)
	}
}
