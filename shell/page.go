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
	return p.Prompter.Write(b)
}

// Prompt notes that a line was entered.
func (p *page) Prompt(ctx context.Context, text string) (string, error) {
	line, err := p.Prompter.Prompt(ctx, text)
	p.entered()
	return line, err
}

// Secret notes that a line was entered.
func (p *page) Secret(ctx context.Context, text string) (string, error) {
	line, err := p.Prompter.Secret(ctx, text)
	p.entered()
	return line, err
}

func (p *page) entered() {
	p.answers++
	p.answered, p.newlines = true, 1
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
