package shell

import (
	"bytes"
	"context"
	"io"
	"strings"
	"unicode/utf8"
)

// A page is the part of a dialogue that remembers what stands above the cursor: it
// is what puts blank lines in their places (see the package comment).
type layout struct {
	Prompter
	screen      Screen // nil when Prompter is none
	paging      bool   // setttymode
	answerCount int    // how many lines were entered
	writeCount  int    // how often text was written

	onAnswer   func(prompt, line string) // is told of each line that is entered; nil: nobody is
	lastOutput []byte                    // the end of what was written since the last

	afterAnswer bool // the user's line is the last thing on the page
	newlines    int  // at the end of the page
}

// Write writes text; after an answer it keeps one blank line between the two.
func (p *layout) Write(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if p.afterAnswer {
		p.afterAnswer = false
		if b[0] != '\n' {
			p.keepOutput([]byte("\n"))
			if _, err := io.WriteString(p.Prompter, "\n"); err != nil {
				return 0, err
			}
		}
		p.newlines = 2
	}
	end := len(b) - len(bytes.TrimRight(b, "\n"))
	if end < len(b) {
		p.newlines = 0
	}
	p.newlines += end
	p.writeCount++
	p.keepOutput(b)
	return p.Prompter.Write(b)
}

// mostSaid is how much of the text above a question is kept for the log.
const maxLastOutput = 2 << 10

// remember keeps the end of what was written, in whole lines.
func (p *layout) keepOutput(b []byte) {
	if p.onAnswer == nil {
		return
	}
	if len(b) > maxLastOutput {
		b = b[len(b)-maxLastOutput:]
	}
	p.lastOutput = append(p.lastOutput, b...)
	if over := len(p.lastOutput) - maxLastOutput; over > 0 {
		over += bytes.IndexByte(p.lastOutput[over:], '\n') + 1
		p.lastOutput = append(p.lastOutput[:0], p.lastOutput[over:]...)
	}
}

// Prompt notes that a line was entered. A line of a paste, which has no prompt, is no
// answer that a log should have: it may be a part of a configuration, with its secrets.
func (p *layout) Prompt(ctx context.Context, text string) (string, error) {
	line, err := p.Prompter.Prompt(ctx, text)
	if text != "" && err == nil {
		p.reportAnswer(text, line)
	}
	p.noteAnswer()
	return line, err
}

// Secret notes that a line was entered, and tells nobody what it was.
func (p *layout) Secret(ctx context.Context, text string) (string, error) {
	line, err := p.Prompter.Secret(ctx, text)
	if err == nil {
		p.reportAnswer(text, redacted)
	}
	p.noteAnswer()
	return line, err
}

// hidden stands in the log for a passphrase, whatever its length.
const redacted = "********"

// hear tells of a line that was entered, and of all that was asked.
func (p *layout) reportAnswer(prompt, line string) {
	if p.onAnswer != nil {
		p.onAnswer(string(p.lastOutput)+prompt, line)
	}
}

func (p *layout) noteAnswer() {
	p.answerCount++
	p.afterAnswer, p.newlines = true, 1
	p.lastOutput = p.lastOutput[:0]
}

// gap makes sure that so many blank lines are above the cursor, unless the page is
// empty.
func (p *layout) ensureBlankLines(blank int) {
	p.ensureBlankLineAfterAnswer()
	for p.newlines <= blank && p.newlines > 0 {
		io.WriteString(p, "\n")
	}
}

// gapAfterAnswer makes sure of a blank line if the user's line is the last thing on
// the page.
func (p *layout) ensureBlankLineAfterAnswer() {
	if p.afterAnswer {
		io.WriteString(p, "\n")
	}
}

// wrap breaks the long lines of text between words. A blank at which a line is
// broken is left out.
func (p *layout) wrap(text string) string {
	if p.screen == nil {
		return text
	}
	columns, _ := p.screen.Size()
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

// breakAt is the index in line, which has more than columns runes, at which its
// last word that fits ends; a word longer than a line is cut.
func breakAt(line string, columns int) int {
	n, word := 0, 0
	for i, r := range line {
		if r == ' ' && i > 0 {
			word = i
		}
		if n == columns {
			if word == 0 {
				return i
			}
			return word
		}
		n++
	}
	return len(line)
}
