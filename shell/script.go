package shell

import (
	"bytes"
	"context"
	"errors"
	"io"
)

// A script is the Prompter of a session without a terminal. Its lines come from a file or a
// program, and are neither edited nor echoed.
type script struct {
	in  *inputBuffer
	out *outputBuffer
}

// maxScriptLine is the length of a line. The rest of a longer line is dropped.
const maxScriptLine = 1 << 20

func (s *script) Write(b []byte) (int, error) { return s.out.Write(b) }

func (s *script) Secret(ctx context.Context, text string) (string, error) {
	return s.Prompt(ctx, text)
}

func (s *script) promptCommand(ctx context.Context, prompt string) (string, error) {
	return s.Prompt(ctx, prompt)
}

// Prompt prompts and reads a line. Since no line is echoed, it writes the newline itself, so that
// the following output begins on a new line.
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
	if line == string(rune(ctrlD)) { // Ctrl-D in a script ends a pasted text, not the script
		return "", io.EOF
	}
	return line, nil
}

// ReadLine implements LineReader. A script has no keys, so there is no escape key.
func (s *script) ReadLine(ctx context.Context, _ byte) (string, error) {
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	finish := s.in.beginRead(ctx)
	line, err := s.readLine()
	if readErr := finish(); readErr != nil {
		return "", readErr
	}
	return line, err
}

// readLine reads a line within a read of the input buffer.
func (s *script) readLine() (string, error) {
	var line []byte
	for {
		complete := false
		err := s.in.next(s.out, func(b []byte) int {
			i := bytes.IndexAny(b, "\r\n")
			if complete = i >= 0; complete {
				b = b[:i]
			}
			line = append(line, b[:min(len(b), maxScriptLine-len(line))]...)
			if complete {
				return i + 1
			}
			return len(b)
		})
		switch {
		case complete:
			return string(line), nil
		case errors.Is(err, io.EOF) && len(line) > 0:
			return string(line), nil // the last line of a file without a line end
		case err != nil:
			return "", err
		}
	}
}
