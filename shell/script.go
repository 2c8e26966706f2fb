package shell

import (
	"bytes"
	"context"
	"errors"
	"io"
)

// A script is the keyboard of a session without a terminal: lines come from a file
// or a program, and nothing is echoed or edited.
type script struct {
	in  *inputBuffer
	out *outputBuffer
}

// scriptLine is how long a line may be; what is longer is cut.
const maxScriptLine = 1 << 20

func (s *script) Write(b []byte) (int, error) { return s.out.Write(b) }

func (s *script) Secret(ctx context.Context, text string) (string, error) { return s.Prompt(ctx, text) }

func (s *script) promptCommand(ctx context.Context, prompt string) (string, error) {
	return s.Prompt(ctx, prompt)
}

// Prompt reads a line. The newline that nobody echoes is written, so that what
// follows begins on a line of its own.
func (s *script) Prompt(ctx context.Context, text string) (string, error) {
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	io.WriteString(s.out, text)
	line, err := s.ReadLine(ctx, 0)
	io.WriteString(s.out, "\n")
	if err != nil {
		return "", err
	}
	if line == string(rune(ctrlD)) { // a script's Ctrl-D ends a paste, not the script
		return "", io.EOF
	}
	return line, nil
}

// Line reads a line. A file has no keys: nothing escapes.
func (s *script) ReadLine(ctx context.Context, _ byte) (string, error) {
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	finish := s.in.beginRead(ctx)
	line, err := s.readLine()
	if cut := finish(); cut != nil {
		return "", cut
	}
	return line, err
}

func (s *script) readLine() (string, error) {
	var line []byte
	for {
		ended := false
		err := s.in.next(func() { s.out.Flush() }, func(b []byte) int {
			i := bytes.IndexAny(b, "\r\n")
			if ended = i >= 0; ended {
				b = b[:i]
			}
			line = append(line, b[:min(len(b), maxScriptLine-len(line))]...)
			if ended {
				return i + 1
			}
			return len(b)
		})
		switch {
		case ended:
			return string(line), nil
		case errors.Is(err, io.EOF) && len(line) > 0:
			return string(line), nil // the last line of a file may lack its end
		case err != nil:
			return "", err
		}
	}
}
