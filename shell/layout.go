package shell

import (
	"bytes"
	"context"
	"io"
	"strings"
	"unicode/utf8"
)

// A layout is the Prompter of a dialogue. It tracks what is above the cursor, so that it can put
// blank lines in their places (see the package comment), and reports the user's answers.
type layout struct {
	Prompter
	screen      Screen // nil if Prompter is not a Screen
	paging      bool   // the TTY mode; see SetPaging
	answerCount int    // lines that the user has entered
	writeCount  int    // calls of Write

	onRefusal  func(error)               // called with each refusal that has a cause; may be nil
	onAnswer   func(prompt, line string) // called with each line that the user enters; may be nil
	lastOutput []byte                    // the end of the output since the last answer

	afterAnswer bool // nothing has been written since the user entered a line
	newlines    int  // at the end of the output
}

// Write writes text. After an answer it makes sure that one blank line precedes the text.
func (l *layout) Write(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if l.afterAnswer {
		l.afterAnswer = false
		if b[0] != '\n' {
			l.keepOutput([]byte("\n"))
			if _, err := io.WriteString(l.Prompter, "\n"); err != nil {
				return 0, err
			}
		}
		l.newlines = 2
	}
	end := len(b) - len(bytes.TrimRight(b, "\n"))
	if end < len(b) {
		l.newlines = 0
	}
	l.newlines += end
	l.writeCount++
	l.keepOutput(b)
	return l.Prompter.Write(b)
}

// maxLastOutput is the length of the text before a prompt that onAnswer receives.
const maxLastOutput = 2 << 10

// keepOutput keeps the end of the output for onAnswer, in whole lines.
func (l *layout) keepOutput(b []byte) {
	if l.onAnswer == nil {
		return
	}
	if len(b) > maxLastOutput {
		b = b[len(b)-maxLastOutput:]
	}
	l.lastOutput = append(l.lastOutput, b...)
	if excess := len(l.lastOutput) - maxLastOutput; excess > 0 {
		excess += bytes.IndexByte(l.lastOutput[excess:], '\n') + 1
		l.lastOutput = append(l.lastOutput[:0], l.lastOutput[excess:]...)
	}
}

// Prompt calls the Prompter's Prompt and passes the answer to onAnswer, unless text is empty: a
// line without a prompt is part of a text that the user pastes, such as a configuration with
// passphrases in it.
func (l *layout) Prompt(ctx context.Context, text string) (string, error) {
	line, err := l.Prompter.Prompt(ctx, text)
	if text != "" && err == nil {
		l.reportAnswer(text, line)
	}
	l.noteAnswer()
	return line, err
}

// Secret calls the Prompter's Secret. It passes asterisks to onAnswer instead of the answer.
func (l *layout) Secret(ctx context.Context, text string) (string, error) {
	line, err := l.Prompter.Secret(ctx, text)
	if err == nil {
		l.reportAnswer(text, redacted)
	}
	l.noteAnswer()
	return line, err
}

// redacted replaces a passphrase in the log, whatever its length.
const redacted = "********"

// reportAnswer calls onAnswer with the output since the last answer and the prompt.
func (l *layout) reportAnswer(prompt, line string) {
	if l.onAnswer != nil {
		l.onAnswer(string(l.lastOutput)+prompt, line)
	}
}

// noteAnswer records that the user has entered a line.
func (l *layout) noteAnswer() {
	l.answerCount++
	l.afterAnswer, l.newlines = true, 1
	l.lastOutput = l.lastOutput[:0]
}

// ensureBlankLines writes newlines until n blank lines are above the cursor. It writes none if
// nothing has been written before.
func (l *layout) ensureBlankLines(n int) {
	l.ensureBlankLineAfterAnswer()
	for l.newlines <= n && l.newlines > 0 {
		io.WriteString(l, "\n")
	}
}

// ensureBlankLineAfterAnswer writes a newline if nothing has been written since the last answer.
func (l *layout) ensureBlankLineAfterAnswer() {
	if l.afterAnswer {
		io.WriteString(l, "\n")
	}
}

// wrap breaks the long lines of text between words. It removes the blanks at which it breaks.
func (l *layout) wrap(text string) string {
	if l.screen == nil {
		return text
	}
	columns, _ := l.screen.Size()
	if utf8.RuneCountInString(text) <= columns {
		return text
	}
	var out strings.Builder
	for line := range strings.SplitAfterSeq(text, "\n") {
		for utf8.RuneCountInString(strings.TrimSuffix(line, "\n")) > columns {
			i := breakAt(line, columns)
			out.WriteString(strings.TrimRight(line[:i], " "))
			out.WriteByte('\n')
			line = strings.TrimLeft(line[i:], " ")
		}
		out.WriteString(line)
	}
	return out.String()
}

// breakAt returns the index at which to break a line that has more than columns runes: the end of
// the last word that fits, or columns runes if not even the first word fits.
func breakAt(line string, columns int) int {
	n, wordEnd := 0, 0
	for i, r := range line {
		if r == ' ' && i > 0 {
			wordEnd = i
		}
		if n == columns {
			if wordEnd == 0 {
				return i
			}
			return wordEnd
		}
		n++
	}
	return len(line)
}
