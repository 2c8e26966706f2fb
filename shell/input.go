package shell

import (
	"bytes"
	"context"
	"io"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/clock"
)

// An inputBuffer holds the bytes that the client has sent and the session has not read yet.
//
// One goroutine runs readFrom during the whole session, because Ctrl-C must be noticed while a
// command runs and does not read. The inputBuffer also measures how long the user has been idle at
// a prompt, since it knows when bytes arrive and when the session waits for them.
type inputBuffer struct {
	terminal bool // the client has a terminal: Ctrl-C interrupts
	clock    clock.Clock

	mu          sync.Mutex    // taken before the locks of a clock
	idleTimeout time.Duration // ends a read; 0 means none
	onInput     func()        // called when bytes arrive; may be nil
	changed     sync.Cond     // any of the fields below has changed
	buf         []byte
	afterCR     bool  // the last byte was a carriage return: a line feed belongs to it
	err         error // why no more bytes arrive; nil while the client may send more
	closed      bool  // the session does not read any more

	reading       bool        // between beginRead and finish
	readID        int         // the number of the read
	readErr       error       // why the read must end; nil if it need not
	lastActivity  clock.Mark  // when bytes arrived last, or when the read began
	stopIdleTimer func() bool // nil if idleTimeout is 0

	cancelCommand func(cause error) // ends the running command; nil if none is running
	// interrupted says that Ctrl-C came after a read and before the command that the line starts:
	// it is for that command.
	interrupted bool
}

// maxTypedAhead is the capacity of an inputBuffer. If it is full, the client has to wait.
const maxTypedAhead = 64 << 10

func newInputBuffer(terminal bool, c clock.Clock) *inputBuffer {
	in := &inputBuffer{terminal: terminal, clock: c}
	in.changed.L = &in.mu
	return in
}

// setSession sets the idle timeout and the function that is called whenever bytes arrive; it must
// not block.
func (in *inputBuffer) setSession(idleTimeout time.Duration, onInput func()) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.idleTimeout, in.onInput = idleTimeout, onInput
}

// readFrom reads r to its end. If Ctrl-C interrupts a command, readFrom calls echo before it
// cancels the command, so that "^C" appears above what the command prints at its end.
func (in *inputBuffer) readFrom(r io.Reader, echo func(string)) {
	b := make([]byte, 128) // an idle session keeps it
	for {
		n, err := r.Read(b)
		if cancel := in.store(b[:n]); cancel != nil {
			echo("^C\n")
			cancel(ErrInterrupt)
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

// forgetCR is called when the client has sent nothing more. A line feed that arrives later is a
// key of its own, even if the last byte was a carriage return.
func (in *inputBuffer) forgetCR() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.afterCR = false
}

// store appends b to the buffer. If b contains Ctrl-C and a command is running, store returns the
// function that cancels the command.
func (in *inputBuffer) store(b []byte) (cancelCommand func(cause error)) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.lastActivity = in.clock.Mark()
	if in.onInput != nil && len(b) > 0 {
		in.onInput()
	}
	for _, c := range b {
		secondHalf := c == '\n' && in.afterCR
		in.afterCR = c == '\r'
		switch {
		case secondHalf: // "\r\n" is one key
		case c == ctrlC && in.terminal:
			in.buf = nil // Ctrl-C discards what was typed before it, as on any terminal
			if cancel := in.interrupt(); cancel != nil {
				cancelCommand = cancel
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
	return cancelCommand
}

const (
	ctrlC = 3
	ctrlD = 4
)

// interrupt ends the current read. If there is none, it returns the function that cancels the
// running command, or nil. in.mu is held.
func (in *inputBuffer) interrupt() (cancelCommand func(cause error)) {
	if in.reading {
		in.readErr = ErrInterrupt
		return nil
	}
	in.interrupted = in.cancelCommand == nil
	return in.cancelCommand
}

// Interrupt handles the signal INT from the client. It has the effect of Ctrl-C.
func (in *inputBuffer) Interrupt() {
	in.mu.Lock()
	defer in.mu.Unlock()
	if cancel := in.interrupt(); cancel != nil {
		cancel(ErrInterrupt)
	}
	in.changed.Broadcast()
}

func (in *inputBuffer) setErr(err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.err = err
	in.changed.Broadcast()
}

// preset makes the buffer hold lines, after which its input has ended.
func (in *inputBuffer) preset(lines []string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, line := range lines {
		in.buf = append(append(in.buf, line...), '\n')
	}
	in.err = io.EOF
}

// lines returns the number of lines that have not been read.
func (in *inputBuffer) lines() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return bytes.Count(in.buf, []byte("\n"))
}

// close makes readFrom discard everything that still arrives.
func (in *inputBuffer) close() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.closed, in.buf = true, nil
	in.changed.Broadcast()
}

// atEOF reports whether the session has read everything and nothing more can arrive.
func (in *inputBuffer) atEOF() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.err != nil && len(in.buf) == 0
}

// beginRead begins a read, which may consist of several calls of next. The end of ctx, the idle
// timeout and Ctrl-C end it early. The caller must call finish, which returns the reason if the
// read has ended early.
func (in *inputBuffer) beginRead(ctx context.Context) (finish func() error) {
	in.mu.Lock()
	in.reading, in.readErr, in.lastActivity = true, nil, in.clock.Mark()
	in.interrupted = false
	in.readID++
	id := in.readID
	in.setIdleTimer(id, in.idleTimeout)
	in.mu.Unlock()
	stop := context.AfterFunc(ctx, func() { in.endRead(id, context.Cause(ctx)) })
	return func() error {
		stop()
		in.mu.Lock()
		defer in.mu.Unlock()
		in.reading = false
		if in.stopIdleTimer != nil {
			in.stopIdleTimer()
		}
		return in.readErr
	}
}

// setIdleTimer sets a timer that ends the read if the user has been idle for the timeout by then,
// and else sets the next timer. in.mu is held.
func (in *inputBuffer) setIdleTimer(id int, d time.Duration) {
	if in.idleTimeout == 0 {
		return
	}
	in.stopIdleTimer = in.clock.AfterFunc(d, func() {
		in.mu.Lock()
		idle := in.clock.Since(in.lastActivity)
		if in.reading && in.readID == id && idle < in.idleTimeout {
			in.setIdleTimer(id, in.idleTimeout-idle)
		}
		in.mu.Unlock()
		if idle >= in.idleTimeout {
			in.endRead(id, ErrIdle)
		}
	})
}

// endRead ends the read with that number early, if it has not ended.
func (in *inputBuffer) endRead(id int, reason error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.reading && in.readID == id && in.readErr == nil {
		in.readErr = reason
		in.changed.Broadcast()
	}
}

// next waits for input and passes it to use, which returns how many bytes it has used. Before it
// waits, next flushes out. It returns the reason if the read ends early, and the client's error
// when the buffer is empty and nothing more can arrive.
func (in *inputBuffer) next(out *outputBuffer, use func([]byte) int) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.buf) == 0 && in.readErr == nil && in.err == nil {
		in.mu.Unlock()
		out.Flush() //nolint:errcheck // the session ends when it has read that the client is gone
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

// cancelRunning ends the command that is running, even while it reads. If no command is running, it
// does nothing. It does not block.
func (in *inputBuffer) cancelRunning(cause error) {
	in.mu.Lock()
	cancel := in.cancelCommand
	in.mu.Unlock()
	if cancel != nil {
		cancel(cause)
	}
}

// commandContext returns the context of a command: Ctrl-C ends it with ErrInterrupt, also if it
// was pressed right after the line that starts the command. The caller must call done when the
// command has ended.
func (in *inputBuffer) commandContext(ctx context.Context) (_ context.Context, done func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	in.mu.Lock()
	in.cancelCommand = cancel
	if in.interrupted {
		in.interrupted = false
		cancel(ErrInterrupt)
	}
	in.mu.Unlock()
	return ctx, func() {
		in.mu.Lock()
		in.cancelCommand = nil
		in.mu.Unlock()
		cancel(nil)
	}
}
