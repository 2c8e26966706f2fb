package shell

import (
	"bytes"
	"context"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/esasim/esasim/appliance/clock"
)

// newTypedTerminal returns a terminal without a client; type text with its in.store.
func newTypedTerminal() (*terminal, *bytes.Buffer) {
	var out bytes.Buffer
	in := newInputBuffer(true, clock.System())
	return newTerminal(in, &outputBuffer{w: &out, crlf: true}, 80, 24), &out
}

// lineReader reads a line from a terminal, in one of the ways in which sessions do it.
type lineReader = func(*terminal, context.Context) (string, error)

func lineReaders() map[string]lineReader {
	return map[string]lineReader{
		"command line": func(t *terminal, ctx context.Context) (string, error) {
			return t.promptCommand(ctx, "> ")
		},
		"question": func(t *terminal, ctx context.Context) (string, error) {
			return t.Prompt(ctx, "[]> ")
		},
		"passphrase": func(t *terminal, ctx context.Context) (string, error) {
			return t.Secret(ctx, "Passphrase: ")
		},
		"telnet": func(t *terminal, ctx context.Context) (string, error) {
			return t.ReadLine(ctx, 0x1d)
		},
	}
}

// Each sequence is typed in one piece and byte by byte: a terminal's packets do not respect keys.
func TestKeysOfTerminals(t *testing.T) {
	for _, test := range []struct{ name, keys, want string }{
		{"Home of xterm", "b\x1b[Ha", "ab"},
		{"Home of xterm in application mode", "b\x1bOHa", "ab"},
		{"Home of PuTTY and tmux", "b\x1b[1~a", "ab"},
		{"Home of rxvt", "b\x1b[7~a", "ab"},
		{"Home with Control", "b\x1b[1;5Ha", "ab"},
		{"Home of rxvt with Shift", "b\x1b[7$a", "ab"},
		{"Home of rxvt with Control", "b\x1b[7^a", "ab"},
		{"End of xterm", "a\x1b[H\x1b[Fb", "ab"},
		{"End of xterm in application mode", "a\x1b[H\x1bOFb", "ab"},
		{"End of PuTTY and tmux", "a\x1b[1~\x1b[4~b", "ab"},
		{"End of rxvt", "a\x1b[7~\x1b[8~b", "ab"},
		{"arrows in application mode", "b\x1bODa\x1bOCc", "abc"},
		{"arrow left of rxvt with Shift", "b\x1b[da", "ab"},
		{"word left with Control", "one two\x1b[1;5Dx", "one xtwo"},
		{"word left with Alt", "one two\x1bbx", "one xtwo"},
		{"word left of rxvt with Control", "one two\x1bOdx", "one xtwo"},
		{"erase a word with Alt", "one two\x1b\x7fx", "one x"},
		{"Delete", "xab\x1b[H\x1b[3~", "ab"},
		{"Delete with Control", "xab\x1b[H\x1b[3;5~", "ab"},
		{"Insert, Page Up, Page Down", "a\x1b[2~\x1b[5~\x1b[6~b", "ab"},
		{"function keys of xterm", "a\x1bOP\x1bOQ\x1b[15~\x1b[24~b", "ab"},
		{"function keys with modifiers", "a\x1b[1;2P\x1b[15;5~\x1bO5Pb", "ab"},
		{"function keys of the Linux console", "a\x1b[[A\x1b[[Eb", "ab"},
		{"function keys of rxvt", "a\x1b[11~\x1b[23$\x1b[24@b", "ab"},
		{"keypad in application mode", "a\x1bOM\x1bOjb", "ab"},
		{"back tab", "a\x1b[Zb", "ab"},
		{"focus", "a\x1b[I\x1b[Ob", "ab"},
		{"position of the cursor", "a\x1b[24;80Rb", "ab"},
		{"attributes of the terminal", "a\x1b[?64;1;2cb\x1b[>0;95;0c", "ab"},
		{"mode of the terminal", "a\x1b[?2026;1$yb", "ab"},
		{"keys of kitty", "a\x1b[97;5ub\x1b[27;5;9~", "ab"},
		{"color of the terminal", "a\x1b]11;rgb:0000/0000/0000\x07b", "ab"},
		{"color with ST", "a\x1b]11;rgb:0000/0000/0000\x1b\\b", "ab"},
		{"name of the terminal", "a\x1bP>|XTerm(390)\x1b\\b", "ab"},
		{"Alt and a letter", "a\x1bxb", "ab"},
		{"Alt and a digit", "a\x1b5b", "ab"},
		{"Alt and a bracket", "a\x1b]bc", "abc"},
		{"Alt and a letter of two bytes", "a\x1b\xc3\xa9b", "ab"},
		{"Alt and a function key", "b\x1b\x1b[1~a", "ab"},
		{"Escape and Enter", "ab\x1b", "ab"},
		{"Escape twice", "ab\x1b\x1b", "ab"},
		{"a sequence that is broken off by another", "b\x1b[1\x1b[Ha", "ab"},
		{"a sequence that Enter breaks off", "ab\x1b[1", "ab"},
		{"a string that Enter breaks off", "ab\x1b]11;rgb", "ab"},
		{"a very long sequence", "a\x1b[" + strings.Repeat("1;", 5000) + "Xb", "ab"},
		{"pasted", "\x1b[200~a\tb\x01\x1b[201~c", "abc"},
		{"UTF-8", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "é€😀"},
		{"Latin-1", "caf\xe9 \xdcb", "caf b"},
		{"a byte that no character has", "a\xffb\xfe\xc0\xc1", "ab"},
		{"a character that is cut", "a\xe2\x82b", "ab"},
		{"a continuation without a beginning", "a\x80\xbfb", "ab"},
		{"a surrogate", "a\xed\xa0\x80b", "ab"},
		{"the replacement character", "a\xef\xbf\xbdb", "ab"},
		{"a control character of eight bits", "a\xc2\x9bb", "ab"},
		{"NUL", "a\x00b", "ab"},
	} {
		for how, read := range lineReaders() {
			for _, pieces := range []bool{false, true} {
				name := test.name + "/" + how
				if pieces {
					if !maySplit(test.keys) {
						continue
					}
					name += "/byte by byte"
				}
				t.Run(name, func(t *testing.T) {
					testKeys(t, read, test.keys, test.want, pieces)
				})
			}
		}
	}
}

// maySplit reports whether the keys mean the same if they arrive byte by byte: ESC alone is the key
// Escape, unless [ or O follows.
func maySplit(keys string) bool {
	for rest := keys; ; {
		_, after, found := strings.Cut(rest, "\x1b")
		if !found {
			return len(keys) < 1000
		}
		if after != "" && !strings.ContainsAny(after[:1], "[O\x1b") {
			return false
		}
		rest = after
	}
}

func testKeys(t *testing.T, read lineReader, keys, want string, pieces bool) {
	term, _ := newTypedTerminal()
	lines := make(chan string, 2)
	go func() {
		defer close(lines)
		for range 2 {
			line, err := read(term, t.Context())
			if err != nil {
				line = err.Error()
			}
			lines <- line
		}
	}()
	for _, text := range []string{keys + "\r", "next\r"} {
		if !pieces {
			term.in.store([]byte(text))
			continue
		}
		for i := range len(text) {
			term.in.waitUntilRead(t)
			term.in.store([]byte{text[i]})
		}
	}
	if line := <-lines; line != want {
		t.Errorf("%q is read as %q, want %q", keys, line, want)
	}
	if line := <-lines; line != "next" {
		t.Errorf("the line after %q is read as %q", keys, line)
	}
}

// waitUntilRead waits until the session has taken all input.
func (in *inputBuffer) waitUntilRead(t *testing.T) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for len(in.buf) > 0 && t.Context().Err() == nil {
		in.mu.Unlock()
		runtime.Gosched()
		in.mu.Lock()
	}
}

// At the pager the bytes of a key count as one key, even if they arrive in pieces.
func TestKeyAtPagerIsConsumedAsAWhole(t *testing.T) {
	for _, key := range []string{
		"x", "\r", "\x1b[A", "\x1bOP", "\x1b[[A", "\x1b[15~", "\xe2\x82\xac", "\xff", "\x1b",
	} {
		for split := 1; split <= len(key); split++ {
			term, _ := newTypedTerminal()
			term.in.store([]byte(key[:split]))
			if err := term.WaitForKey(t.Context()); err != nil {
				t.Errorf("%q: %v", key[:split], err)
			}
			term.in.store([]byte(key[split:] + "version\r"))
			if line, err := term.Prompt(t.Context(), "> "); line != "version" || err != nil {
				t.Errorf("after %q, %q: a line %q, %v", key[:split], key[split:], line, err)
			}
		}
	}
}

// FuzzKeys holds that no input keeps the terminal from reading the next line.
func FuzzKeys(f *testing.F) {
	for _, s := range []string{
		"\x1b[1~\x1b[200~a\tb", "\x1b]11;", "\x1bP>|", "\xe2\x82", "\x1b[\xff", "\x1bO",
		"\x1b\x1b", "\xed\xa0",
	} {
		f.Add([]byte(s), 1)
	}
	f.Fuzz(func(t *testing.T, keys []byte, split int) {
		if len(keys) > 4<<10 {
			return
		}
		split = max(0, min(split, len(keys)))
		term, _ := newTypedTerminal()
		term.in.store(keys[:split])
		if split > 0 && !term.in.isEmpty() {
			if err := term.WaitForKey(t.Context()); err != nil && !errors.Is(err, ErrInterrupt) {
				t.Fatal(err)
			}
		}
		term.in.store(keys[split:])
		term.in.store([]byte("\rversion\r"))
		term.in.setErr(io.EOF)
		var line string
		for i := 0; !term.in.atEOF(); i++ {
			line, _ = term.promptCommand(t.Context(), "> ")
			if i > len(keys)+3 {
				t.Fatal("the end of the input is not reached")
			}
		}
		if line != "version" {
			t.Errorf("the last line is read as %q", line)
		}
	})
}

func (in *inputBuffer) isEmpty() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return len(in.buf) == 0
}

// A line has 4096 characters at most. The rest is dropped, at no more cost per byte.
func BenchmarkLineBeyondItsBound(b *testing.B) {
	text := []byte(strings.Repeat("x", 60<<10) + "\r")
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		term, _ := newTypedTerminal()
		term.in.store(text)
		if line, err := term.promptCommand(b.Context(), "> "); len(line) != 4096 || err != nil {
			b.Fatal(len(line), err)
		}
	}
}
