package shell

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/esasim/esasim/appliance/clock"
)

// FuzzTyping types random keys at a terminal of random size. No line may contain a control
// character, and the end of the input must be reached.
func FuzzTyping(f *testing.F) {
	for _, s := range []string{
		"version\rexit\r", "\x03\x04\r\n", "\x1b[A\x1b[", "se\t\x15\xff\xfe\r",
		"a\x1b[200~b\r\x1b[201~", "\x1b[3~\x0c\x14\x17", "\ra\x1d\r\x1d\r\r\r\x1d",
	} {
		f.Add([]byte(s), 80, 24)
		f.Add([]byte(s), 1, 1)
	}
	endless := "\x1b" + strings.Repeat("0", 300) // an escape sequence that does not end
	f.Add([]byte(endless+"\rversion\r"), 80, 24)
	f.Fuzz(func(t *testing.T, keys []byte, columns, rows int) {
		if len(keys) >= maxTypedAhead {
			return
		}
		in := newInputBuffer(true, clock.System())
		term := newTerminal(in, &outputBuffer{w: io.Discard, crlf: true}, columns, rows)
		term.complete = func(line string) []string { return []string{"settime", "settz"}[:len(line)%3] }
		in.readFrom(bytes.NewReader(keys), func(string) {})
		for i := 0; ; i++ {
			var line string
			var err error
			switch i % 5 {
			case 0, 1:
				line, err = term.promptCommand(t.Context(), "example.com> ")
			case 2:
				line, err = term.Secret(t.Context(), "Passphrase: ")
			case 3:
				err = term.WaitForKey(t.Context())
			case 4:
				line, err = term.ReadLine(t.Context(), 0x1d)
			}
			if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' }) {
				t.Fatalf("a line contains control characters: %q", line)
			}
			if err == nil || errors.Is(err, ErrInterrupt) || errors.Is(err, ErrEscape) {
				continue
			}
			if !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			if in.atEOF() {
				return
			}
			if i > 2*len(keys)+10 {
				t.Fatal("the end of the input is not reached")
			}
		}
	})
}

// Lines that were typed before the escape key are read first; an incomplete line is dropped. Prompt
// has no escape key.
func TestEscapeKeyEndsReadLine(t *testing.T) {
	in := newInputBuffer(true, clock.System())
	var out bytes.Buffer
	term := newTerminal(in, &outputBuffer{w: &out, crlf: true}, 80, 24)
	in.readFrom(strings.NewReader("one\rtwo\x1dclose\x1d\rthree\r"), func(string) {})
	for _, want := range []struct {
		line string
		err  error
	}{{"one", nil}, {"", ErrEscape}} {
		if line, err := term.ReadLine(t.Context(), 0x1d); line != want.line || !errors.Is(err, want.err) {
			t.Errorf("Line = %q, %v; want %q, %v", line, err, want.line, want.err)
		}
	}
	if line, err := term.Prompt(t.Context(), "telnet> "); line != "close" || err != nil {
		t.Errorf("Prompt = %q, %v", line, err)
	}
	if line, err := term.ReadLine(t.Context(), 0x1d); line != "three" || err != nil {
		t.Errorf("Line = %q, %v", line, err)
	}
	term.out.Flush()
	if got, want := out.String(), "one\r\r\ntwo^]\r\ntelnet> close\r\r\nthree\r\r\n"; got != want {
		t.Errorf("shown: %q, want %q", got, want)
	}
}

func TestHistoryIsBounded(t *testing.T) {
	h := &history{enabled: true}
	for i := range 3 * historySize {
		h.Add(strings.Repeat("x", i))
		h.Add(strings.Repeat("x", i)) // not added: it is equal to the newest line
		h.Add("  ")                   // not added: it is blank
	}
	newest, oldest := len(h.At(0)), len(h.At(h.Len()-1))
	if h.Len() != historySize || newest != 3*historySize-1 || oldest != 2*historySize {
		t.Errorf("%d lines; the newest has %d characters, the oldest %d", h.Len(), newest, oldest)
	}
}

func TestCtrlCIsEchoedBeforeCommandEnds(t *testing.T) {
	in := newInputBuffer(true, clock.System())
	ctx, done := in.commandContext(t.Context())
	defer done()
	shown := ""
	in.readFrom(strings.NewReader("\x03"), func(text string) {
		if ctx.Err() != nil {
			t.Error("the command was canceled before")
		}
		shown += text
	})
	if shown != "^C\n" || !errors.Is(context.Cause(ctx), ErrInterrupt) {
		t.Errorf("shown: %q; the cause of the command's context is %v", shown, context.Cause(ctx))
	}
}

// TestCtrlCRightAfterALineIsForItsCommand: there is time between the end of a read and the start of
// the command. A Ctrl-C that the next read has consumed interrupts no command.
func TestCtrlCRightAfterALineIsForItsCommand(t *testing.T) {
	in := newInputBuffer(true, clock.System())
	in.beginRead(t.Context())() //nolint:errcheck // nothing is read
	in.readFrom(strings.NewReader("\x03"), func(string) {})
	ctx, done := in.commandContext(t.Context())
	if cause := context.Cause(ctx); !errors.Is(cause, ErrInterrupt) {
		t.Errorf("the cause of the command's context is %v", cause)
	}
	done()
	ctx, done = in.commandContext(t.Context())
	defer done()
	if ctx.Err() != nil {
		t.Error("the interrupt ends another command, too")
	}

	in = newInputBuffer(true, clock.System())
	in.readFrom(strings.NewReader("\x03"), func(string) {})
	in.beginRead(t.Context())() //nolint:errcheck // nothing is read
	ctx, done = in.commandContext(t.Context())
	defer done()
	if ctx.Err() != nil {
		t.Error("an interrupt from before the prompt ends the command")
	}
}
