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

// A keyboard is the end of a conversation at which commands are entered.
type commandPrompter interface {
	Prompter
	// command reads a line at the main prompt: with history, and with completion.
	promptCommand(ctx context.Context, prompt string) (string, error)
}

// A terminal is the Screen of a session with a terminal. Lines are edited by
// x/term, which takes no part in anything else: what commands print goes straight
// to the outlet.
//
// x/term cannot go on after an error of its reader: it keeps the half-typed line,
// and it never consumes Ctrl-D, which it reports as the end of input each time it
// is asked. So the inbox keeps Ctrl-C away from it, and after any line that was not
// ended by Enter a fresh x/term takes the old one's place.
type terminal struct {
	in       *inputBuffer
	out      *outputBuffer
	history  *history
	complete func(line string) []string // candidates for the last word of line

	mu            sync.Mutex // leaf
	columns, rows int        // the client's window, which may change at any time

	// The rest belongs to the goroutine that reads.
	editor     *term.Terminal
	width      int    // what editor was told
	prompt     string // of the line that is being edited
	escape     byte   // the key that ends the line early; 0: none
	afterEnter bool   // editor was given an Enter whose echo has not been seen
}

func newTerminal(in *inputBuffer, out *outputBuffer, columns, rows int) *terminal {
	t := &terminal{in: in, out: out, history: &history{}}
	t.columns, t.rows = clampSize(columns, rows)
	t.resetEditor()
	return t
}

// clampSize makes a size usable. Programs that simulate a terminal without a size
// (expect, sshpass) ask for 0x0, others for 16777215x16777215.
func clampSize(columns, rows int) (int, int) {
	const most = 1<<24 - 1
	if columns <= 0 {
		columns = 80
	}
	if rows <= 0 {
		rows = 24
	}
	return min(columns, most), min(rows, most)
}

// renew puts a fresh line editor in place.
func (t *terminal) resetEditor() {
	t.editor = term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{editorReader{t}, editorWriter{t}}, "")
	t.editor.History = t.history
	t.width = 0
}

// SetSize notes the size of the client's window. The editor hears of it from the
// goroutine that reads: it might be blocked by a client that does not read, and
// whoever calls SetSize must go on.
func (t *terminal) SetSize(columns, rows int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.columns, t.rows = clampSize(columns, rows)
}

func (t *terminal) updateSize() {
	if columns, rows := t.Size(); columns != t.width {
		t.width = columns
		t.editor.SetSize(columns, rows) //nolint:errcheck // drawing again fails with the terminal, which the next read tells
	}
}

// Size is the number of columns and rows.
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
	return t.promptLine(ctx, text, func(e *term.Terminal) (string, error) { return e.ReadPassword(text) })
}

func (t *terminal) promptCommand(ctx context.Context, prompt string) (string, error) {
	t.history.enabled, t.editor.AutoCompleteCallback = true, t.completeOnTab
	defer func() { t.history.enabled, t.editor.AutoCompleteCallback = false, nil }()
	return t.promptLine(ctx, prompt, (*term.Terminal).ReadLine)
}

// Line reads a line without a prompt. What ends it early leaves the cursor where it is,
// for the partner may have written there; the keys that do are shown.
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

func (t *terminal) promptLine(ctx context.Context, prompt string, read func(*term.Terminal) (string, error)) (string, error) {
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	line, err := t.readLine(ctx, prompt, read)
	if err != nil {
		t.showEndOfLine(err)
	}
	return line, err
}

// read lets the editor read a line, and replaces it if that fails.
func (t *terminal) readLine(ctx context.Context, prompt string, read func(*term.Terminal) (string, error)) (string, error) {
	finish := t.in.beginRead(ctx)
	t.prompt = prompt
	t.updateSize()
	t.editor.SetPrompt(prompt)
	line, err := read(t.editor)
	if errors.Is(err, term.ErrPasteIndicator) {
		err = nil // the line was pasted by a client that marks that; so be it
	}
	if cut := finish(); cut != nil {
		err = cut // also where Enter came at the same moment
	}
	if err == nil {
		return strings.Map(dropControl, line), nil
	}
	t.resetEditor()
	return "", err
}

// typable drops control characters, which a marked paste can bring into a line.
func dropControl(r rune) rune {
	if r < ' ' || r == 0x7f {
		return -1
	}
	return r
}

// endLine ends a line that Enter did not end, and shows the key that did.
func (t *terminal) showEndOfLine(why error) {
	text := "\n"
	if errors.Is(why, ErrInterrupt) {
		text = "^C\n"
	}
	io.WriteString(t.out, text)
}

// Key waits for a key. The bytes of a function key are one key.
func (t *terminal) WaitForKey(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	finish := t.in.beginRead(ctx)
	err := t.in.next(func() { t.out.Flush() }, func(b []byte) int {
		if b[0] != 0x1b {
			return 1
		}
		return 1 + escapeSequenceLen(b[1:])
	})
	if cut := finish(); cut != nil {
		err = cut
	}
	if err != nil {
		t.showEndOfLine(err)
	}
	return err
}

// sequence is the length of what follows ESC in the code of a function key.
func escapeSequenceLen(b []byte) int {
	if len(b) == 0 || b[0] != '[' && b[0] != 'O' {
		return 0
	}
	for i := 1; i < len(b); i++ {
		if b[i] >= '@' && b[i] <= '~' {
			return i + 1
		}
	}
	return len(b)
}

// typist is what x/term reads. It gets no more than one line at a time, so that
// what was typed ahead stays where Ctrl-C can drop it and a question without echo
// is not answered by the line before; and a Tab alone, so that everything before it
// has been echoed when candidates are listed.
//
// x/term holds its lock around Read in a way that makes a panic in here the end of
// the process.
type editorReader struct{ *terminal }

// errNoKey is what Read returns when x/term has no room for more of a key whose code
// does not end: it would ask for ever. The line is given up.
var errKeyTooLong = fmt.Errorf("%w: what was typed is no key", ErrInterrupt)

func (t editorReader) Read(p []byte) (n int, err error) {
	if len(p) == 0 {
		return 0, errKeyTooLong
	}
	escaped := false
	err = t.in.next(func() { t.out.Flush() }, func(b []byte) int {
		b = b[:min(len(b), len(p))]
		if i := bytes.IndexByte(b, t.escape); t.escape != 0 && i == 0 {
			escaped = true
			return 1
		} else if t.escape != 0 && i > 0 {
			b = b[:i]
		}
		if i := bytes.IndexAny(b, "\r\n\t\x04"); i == 0 || i > 0 && b[i] != '\t' {
			b = b[:i+1]
		} else if i > 0 {
			b = b[:i]
		}
		n = copy(p, b)
		t.afterEnter = bytes.HasSuffix(b, []byte("\r")) || bytes.HasSuffix(b, []byte("\n"))
		return n
	})
	t.updateSize() // x/term's lock is free while it reads
	if escaped {
		return 0, ErrEscape
	}
	return n, err
}

// echo is where x/term writes. The appliance echoes Enter as "\r\r\n".
type editorWriter struct{ *terminal }

func (e editorWriter) Write(b []byte) (int, error) {
	if head, ok := bytes.CutSuffix(b, []byte("\r\n")); ok && e.afterEnter {
		e.afterEnter = false
		if err := e.out.raw(head); err != nil {
			return 0, err
		}
		return len(b), e.out.raw([]byte("\r\r\n"))
	}
	return len(b), e.out.raw(b)
}

// onKey completes the last word at Tab, or lists what it may become.
func (t *terminal) completeOnTab(line string, pos int, key rune) (string, int, bool) {
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
	return "", 0, false // the line is as it was, and the cursor where it was
}

// A history is what was entered at the main prompt. Answers to questions are
// neither kept nor offered.
type history struct {
	enabled bool
	lines   []string // oldest first
}

const historySize = 100

func (h *history) Add(line string) {
	if !h.enabled || strings.TrimSpace(line) == "" || len(h.lines) > 0 && h.lines[len(h.lines)-1] == line {
		return
	}
	if len(h.lines) == historySize {
		h.lines = append(h.lines[:0], h.lines[1:]...)
	}
	h.lines = append(h.lines, line)
}

func (h *history) Len() int {
	if !h.enabled {
		return 0
	}
	return len(h.lines)
}

func (h *history) At(i int) string { return h.lines[len(h.lines)-1-i] }
