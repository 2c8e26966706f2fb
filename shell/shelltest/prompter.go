package shelltest

import (
	"context"
	"io"
	"strings"

	"github.com/esasim/esasim/shell"
)

// A Prompter is a shell.Prompter with prepared answers. It records the conversation, including the
// answers, so that tests can run a dialogue without a terminal.
type Prompter struct {
	strings.Builder
	answers []string
}

// NewPrompter returns a Prompter that gives these answers one after the other, and then returns
// io.EOF. The answer "^C" is the key Ctrl-C.
func NewPrompter(answers ...string) *Prompter { return &Prompter{answers: answers} }

// Prompt records text and returns the next answer.
func (p *Prompter) Prompt(ctx context.Context, text string) (string, error) {
	p.WriteString(text)
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	if len(p.answers) == 0 {
		return "", io.EOF
	}
	a := p.answers[0]
	p.answers = p.answers[1:]
	p.WriteString(a + "\n")
	if a == "^C" {
		return "", shell.ErrInterrupt
	}
	return a, nil
}

// Secret is Prompt, but does not record the answer.
func (p *Prompter) Secret(ctx context.Context, text string) (string, error) {
	p.WriteString(text)
	before := p.String()
	a, err := p.Prompt(ctx, "")
	p.Reset()
	p.WriteString(before + "\n")
	return a, err
}

// Unused returns the number of answers that have not been used.
func (p *Prompter) Unused() int { return len(p.answers) }
