package shell

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"golang.org/x/term"
)

// A commandPrompter is a Prompter that can also read lines at the main prompt.
type commandPrompter interface {
	Prompter
	// promptCommand reads a line at the main prompt, with history and completion.
	promptCommand(ctx context.Context, prompt string) (string, error)
}

// A terminal is the Screen of a session with a terminal. x/term edits the line that is being typed
// and does nothing else: the output of commands goes directly to the output buffer.
//
// x/term cannot continue after an error of its reader: it keeps the incomplete line, and it never
// consumes Ctrl-D, which it reports as the end of input each time it is called. Therefore the
// input buffer hides Ctrl-C from it, and after any line that was not ended by Enter a new x/term
// replaces it.
type terminal struct {
	in       *inputBuffer
	out      *outputBuffer
	history  *history
	complete func(line string) []string // returns the possible completions of line's last word

	mu            sync.Mutex // a leaf
	columns, rows int        // of the client's window, which can change at any time

	// The following fields belong to the goroutine that reads.
	editor     *term.Terminal
	width      int    // that was set on editor
	prompt     string // of the line that is being edited
	escape     byte   // the key that ends the line early; 0 if there is none
	afterEnter bool   // editor has read Enter and not echoed it yet
	keys       keyDecoder
	// completing says that Tab completes the line. The editor's callback is set only while it
	// reads a Tab, because the editor copies the line for each call.
	completing bool

	// The following fields pass parameters and results between Read and fillFrom.
	fill      func(b []byte) (used int)
	into      []byte
	delivered int  // bytes of into
	escaped   bool // the escape key was first
}

func newTerminal(in *inputBuffer, out *outputBuffer, columns, rows int) *terminal {
	t := &terminal{in: in, out: out, history: &history{}}
	t.columns, t.rows = clampSize(columns, rows)
	t.fill = editorReader{t}.fillFrom
	t.resetEditor()
	return t
}

// clampSize replaces sizes that cannot be used. Programs that simulate a terminal without a size
// (expect, sshpass) request 0x0, others 16777215x16777215.
func clampSize(columns, rows int) (int, int) {
	const maximum = 1<<24 - 1
	if columns <= 0 {
		columns = 80
	}
	if rows <= 0 {
		rows = 24
	}
	return min(columns, maximum), min(rows, maximum)
}

// resetEditor replaces the line editor by a new one.
func (t *terminal) resetEditor() {
	t.editor = term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{editorReader{t}, editorWriter{t}}, "")
	t.editor.History = t.history
	t.keys = keyDecoder{}
	t.width = 0
}

// SetSize sets the size of the client's window. It does not block: the goroutine that reads passes
// the size to the editor (updateSize), because a client that does not read its output may block
// the editor.
func (t *terminal) SetSize(columns, rows int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.columns, t.rows = clampSize(columns, rows)
}

// updateSize passes the size of the window to the editor.
func (t *terminal) updateSize() {
	if columns, rows := t.Size(); columns != t.width {
		t.width = columns
		t.editor.SetSize(columns, rows) //nolint:errcheck // if it cannot redraw, the next read fails too
	}
}

// Size returns the number of columns and rows.
func (t *terminal) Size() (columns, rows int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.columns, t.rows
}

func (t *terminal) Write(b []byte) (int, error) { return t.out.Write(b) }

func (t *terminal) Prompt(ctx context.Context, text string) (string, error) {
	return t.promptLine(ctx, text, (*term.Terminal).ReadLine)
}

func (t *terminal) Secret(ctx context.Context, text string) (string, error) {
	read := func(e *term.Terminal) (string, error) { return e.ReadPassword(text) }
	return t.promptLine(ctx, text, read)
}

func (t *terminal) promptCommand(ctx context.Context, prompt string) (string, error) {
	t.history.enabled, t.completing = true, true
	line, err := t.promptLine(ctx, prompt, (*term.Terminal).ReadLine)
	t.history.enabled, t.completing = false, false
	return line, err
}

// ReadLine implements LineReader. If a key ends the line early, ReadLine shows that key. If the
// context or the input ends, ReadLine prints nothing, because the other machine may have written
// after the cursor.
func (t *terminal) ReadLine(ctx context.Context, escape byte) (string, error) {
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	t.escape = escape
	defer func() { t.escape = 0 }()
	line, err := t.readLine(ctx, "", (*term.Terminal).ReadLine)
	switch {
	case errors.Is(err, ErrInterrupt):
		t.showEndOfLine(err)
	case errors.Is(err, ErrEscape):
		io.WriteString(t.out, "^"+string(rune(escape^0x40))+"\n")
	}
	return line, err
}

// promptLine prompts and reads a line by a method of the editor.
func (t *terminal) promptLine(
	ctx context.Context, prompt string, read func(*term.Terminal) (string, error),
) (string, error) {
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	line, err := t.readLine(ctx, prompt, read)
	if err != nil {
		t.showEndOfLine(err)
	}
	return line, err
}

// readLine reads a line by a method of the editor. If that fails, it replaces the editor.
func (t *terminal) readLine(
	ctx context.Context, prompt string, read func(*term.Terminal) (string, error),
) (string, error) {
	finish := t.beginLine(ctx, prompt)
	line, err := read(t.editor)
	return t.finishLine(line, err, finish())
}

// beginLine prepares the editor for a line. It returns the function of inputBuffer.beginRead.
func (t *terminal) beginLine(ctx context.Context, prompt string) (finish func() error) {
	finish = t.in.beginRead(ctx)
	t.prompt = prompt
	t.updateSize()
	t.editor.SetPrompt(prompt)
	return finish
}

// finishLine returns the result of readLine. err is the editor's error, readErr that of the input
// buffer.
func (t *terminal) finishLine(line string, err, readErr error) (string, error) {
	if readErr != nil {
		err = readErr // even if the user has pressed Enter at the same moment
	}
	if err == nil {
		return strings.Map(dropControl, line), nil
	}
	t.resetEditor()
	return "", err
}

// dropControl is a mapping for strings.Map that removes control characters.
func dropControl(r rune) rune {
	if r < ' ' || r == 0x7f {
		return -1
	}
	return r
}

// showEndOfLine ends a line that was not ended by Enter, and shows the key that ended it.
func (t *terminal) showEndOfLine(reason error) {
	text := "\n"
	if errors.Is(reason, ErrInterrupt) {
		text = "^C\n"
	}
	io.WriteString(t.out, text)
}

// WaitForKey waits until the user presses a key. The bytes of a function key count as one key.
func (t *terminal) WaitForKey(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	finish := t.in.beginRead(ctx)
	err := t.in.next(t.out, func(b []byte) int {
		for i, c := range b {
			t.keys.next(c)
			if t.keys.betweenKeys() {
				return i + 1
			}
		}
		t.keys.endOfInput()
		t.keys.discard = true // the rest of the key is not another key
		return len(b)
	})
	if readErr := finish(); readErr != nil {
		err = readErr
	}
	if err != nil {
		t.showEndOfLine(err)
	}
	return err
}

// editorReader is what x/term reads from. It delivers whole keys, and one line at most, so that the
// lines that were typed ahead stay in the input buffer: Ctrl-C can discard them there, and a prompt
// without echo gets no line that x/term has read before. It delivers a Tab alone, so that x/term
// has echoed everything before the Tab when completions are listed.
//
// Read must not panic: x/term unlocks its mutex around Read in a way that turns the panic into a
// fatal error of the process.
type editorReader struct{ *terminal }

// errKeyTooLong is returned by Read when x/term has no room for a key. That does not happen, since
// x/term keeps no part of what Read delivers; if it did, x/term would call Read forever. The line
// is given up, as after Ctrl-C.
var errKeyTooLong = fmt.Errorf("%w: there is no room for a key", ErrInterrupt)

func (r editorReader) Read(p []byte) (n int, err error) {
	if len(p) < maxEditorKey {
		return 0, errKeyTooLong
	}
	r.into, r.delivered, r.escaped = p, 0, false
	for r.delivered == 0 && err == nil && !r.escaped {
		err = r.in.next(r.out, r.fill)
	}
	r.into = nil
	r.updateSize() // does not deadlock, because x/term does not hold its lock during Read
	if r.escaped {
		return 0, ErrEscape
	}
	return r.delivered, err
}

// fillFrom decodes the keys in b into r.into. It returns the number of bytes that it has used.
func (r editorReader) fillFrom(b []byte) (used int) {
	used, r.delivered, r.escaped = r.readKeys(r.into, b)
	return used
}

// readKeys decodes the keys in b into p, to the end of the line at most. It returns the numbers of
// bytes that it has taken from b and put into p; escaped reports whether the escape key was first.
func (r editorReader) readKeys(p, b []byte) (used, n int, escaped bool) {
	r.afterEnter = false
	r.editor.AutoCompleteCallback = nil
	for i, c := range b {
		isEscape := r.escape != 0 && c == r.escape
		first := n == 0
		switch {
		case len(p)-n < maxEditorKey:
			return i, n, false
		case (isEscape || c == '\t') && !first:
			return i, n, false
		case isEscape:
			r.keys = keyDecoder{}
			return i + 1, 0, true
		}
		n += copy(p[n:], r.keys.next(c))
		switch c {
		case '\r', '\n':
			r.afterEnter = true
			return i + 1, n, false
		case '\t':
			if r.completing {
				r.editor.AutoCompleteCallback = r.completeOnTab
			}
			return i + 1, n, false
		case ctrlD:
			return i + 1, n, false
		}
	}
	r.keys.endOfInput()
	return len(b), n, false
}

// editorWriter is what x/term writes to. It echoes Enter as the appliance does: "\r\r\n".
type editorWriter struct{ *terminal }

func (w editorWriter) Write(b []byte) (int, error) {
	if head, ok := bytes.CutSuffix(b, []byte("\r\n")); ok && w.afterEnter {
		w.afterEnter = false
		if err := w.out.raw(head); err != nil {
			return 0, err
		}
		return len(b), w.out.raw([]byte("\r\r\n"))
	}
	return len(b), w.out.raw(b)
}

// completeOnTab is the editor's callback for keys. At Tab it completes the last word of the line,
// or lists the completions if there are several.
func (t *terminal) completeOnTab(line string, pos int, key rune) (_ string, newPos int, ok bool) {
	if key != '\t' {
		return "", 0, false
	}
	if pos < len(line) || t.complete == nil {
		return "", 0, false
	}
	found := t.complete(line)
	switch len(found) {
	case 0:
		return "", 0, false
	case 1:
		line = line[:strings.LastIndexByte(line, ' ')+1] + found[0] + " "
		return line, len(line), true
	}
	io.WriteString(t.out, "\n"+strings.Join(found, ", ")+"\n"+t.prompt+line)
	return "", 0, false // the line and the cursor are as before
}

// A history is the history of the lines that were entered at the main prompt. It implements
// term.History. While other prompts are active it is not enabled: it then adds no line and is
// empty.
type history struct {
	enabled bool
	lines   []string // oldest first
}

// historySize is the number of lines that a history keeps.
const historySize = 100

// Add adds a line, unless it is blank or equal to the newest one.
func (h *history) Add(line string) {
	if !h.enabled || strings.TrimSpace(line) == "" {
		return
	}
	if len(h.lines) > 0 && h.lines[len(h.lines)-1] == line {
		return
	}
	if len(h.lines) == historySize {
		h.lines = append(h.lines[:0], h.lines[1:]...)
	}
	h.lines = append(h.lines, line)
}

// Len returns the number of lines.
func (h *history) Len() int {
	if !h.enabled {
		return 0
	}
	return len(h.lines)
}

// At returns the line with index i; the newest has index 0.
func (h *history) At(i int) string { return h.lines[len(h.lines)-1-i] }
