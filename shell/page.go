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
type page struct {
	Prompter
	screen  Screen // nil when Prompter is none
	paging  bool   // setttymode
	answers int    // how many lines were entered
	writes  int    // how often text was written

	heard func(prompt, line string) // is told of each line that is entered; nil: nobody is
	said  []byte                    // the end of what was written since the last

	answered bool // the user's line is the last thing on the page
	newlines int  // at the end of the page
}

// Write writes text; after an answer it keeps one blank line between the two.
func (p *page) Write(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if p.answered {
		p.answered = false
		if b[0] != '\n' {
			p.remember([]byte("\n"))
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
	p.writes++
	p.remember(b)
	return p.Prompter.Write(b)
}

// mostSaid is how much of the text above a question is kept for the log.
const mostSaid = 2 << 10

// remember keeps the end of what was written, in whole lines.
func (p *page) remember(b []byte) {
	if p.heard == nil {
		return
	}
	if len(b) > mostSaid {
		b = b[len(b)-mostSaid:]
	}
	p.said = append(p.said, b...)
	if over := len(p.said) - mostSaid; over > 0 {
		over += bytes.IndexByte(p.said[over:], '\n') + 1
		p.said = append(p.said[:0], p.said[over:]...)
	}
}

// Prompt notes that a line was entered. A line of a paste, which has no prompt, is no
// answer that a log should have: it may be a part of a configuration, with its secrets.
func (p *page) Prompt(ctx context.Context, text string) (string, error) {
	line, err := p.Prompter.Prompt(ctx, text)
	if text != "" && err == nil {
		p.hear(text, line)
	}
	p.entered()
	return line, err
}

// Secret notes that a line was entered, and tells nobody what it was.
func (p *page) Secret(ctx context.Context, text string) (string, error) {
	line, err := p.Prompter.Secret(ctx, text)
	if err == nil {
		p.hear(text, hidden)
	}
	p.entered()
	return line, err
}

// hidden stands in the log for a passphrase, whatever its length.
const hidden = "********"

// hear tells of a line that was entered, and of all that was asked.
func (p *page) hear(prompt, line string) {
	if p.heard != nil {
		p.heard(string(p.said)+prompt, line)
	}
}

func (p *page) entered() {
	p.answers++
	p.answered, p.newlines = true, 1
	p.said = p.said[:0]
}

// gap makes sure that so many blank lines are above the cursor, unless the page is
// empty.
func (p *page) gap(blank int) {
	p.gapAfterAnswer()
	for p.newlines <= blank && p.newlines > 0 {
		io.WriteString(p, "\n")
	}
}

// gapAfterAnswer makes sure of a blank line if the user's line is the last thing on
// the page.
func (p *page) gapAfterAnswer() {
	if p.answered {
		io.WriteString(p, "\n")
	}
}

// wrap breaks the long lines of text between words. A blank at which a line is
// broken is left out.
func (p *page) wrap(text string) string {
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
