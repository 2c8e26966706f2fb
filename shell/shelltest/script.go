package shelltest

import (
	"context"
	"io"
	"strings"

	"github.com/esasim/esasim/shell"
)

// A Prompter gives written answers and remembers what was said: it runs a dialogue
// without terminal, SSH or network.
type Prompter struct {
	strings.Builder
	answers []string
}

// Script returns a Prompter that gives these answers in turn, and then reports the
// end of input. The answer "^C" is the key.
func NewPrompter(answers ...string) *Prompter { return &Prompter{answers: answers} }

// Prompt notes text and returns the next answer.
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

// Secret is Prompt, but the answer is not noted.
func (p *Prompter) Secret(ctx context.Context, text string) (string, error) {
	p.WriteString(text)
	said := p.String()
	a, err := p.Prompt(ctx, "")
	p.Reset()
	p.WriteString(said + "\n")
	return a, err
}

// Left is how many answers nobody asked for.
func (p *Prompter) Unused() int { return len(p.answers) }
