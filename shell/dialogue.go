package shell

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/esasim/esasim/appliance/refusal"
)

// A Prompter is one end of a conversation with a person: all that a dialogue knows
// of terminals. Lines written to it end in "\n".
type Prompter interface {
	io.Writer
	// Prompt writes text, without a line end, and returns the next line. It
	// returns ErrInterrupt for Ctrl-C, io.EOF for Ctrl-D on an empty line and for
	// the end of a script, and the cause of ctx when that ends first.
	Prompt(ctx context.Context, text string) (string, error)
	// Secret is Prompt with echo off.
	Secret(ctx context.Context, text string) (string, error)
}

// A Screen is a Prompter that is a terminal. Text for any other is neither wrapped
// nor divided into pages.
type Screen interface {
	Prompter
	// Size is the number of columns and rows.
	Size() (columns, rows int)
	// Key waits for a key; which one does not matter. Errors are as Prompt's.
	WaitForKey(ctx context.Context) error
}

// A Relay is a Prompter whose user can talk to somebody else than the appliance, as with
// telnet. What that partner says is written to the Relay and not to a Dialogue, which
// would put blank lines in between.
type LineReader interface {
	Prompter
	// Line reads a line for the partner: there is no prompt, and nothing but what is
	// typed is shown. A terminal's user can press the key escape at any place of a line,
	// which then is dropped: Line returns ErrEscape. Other errors are Prompt's.
	ReadLine(ctx context.Context, escape byte) (string, error)
}

// A Dialogue asks questions the way AsyncOS asks them. It is for one goroutine.
type Dialogue struct{ *layout }

// NewDialogue returns a dialogue over p.
func NewDialogue(p Prompter) Dialogue {
	pg := &layout{Prompter: p, paging: true}
	pg.screen, _ = p.(Screen)
	return Dialogue{pg}
}

// Printf writes as it stands; it wraps nothing.
func (d Dialogue) Printf(format string, a ...any) { fmt.Fprintf(d.layout, format, a...) }

// Prose writes text, a newline after it, with long lines broken between words at
// the width of the terminal.
func (d Dialogue) PrintWrapped(text string) { io.WriteString(d.layout, d.wrap(text)+"\n") }

// List prints choices with their numbers.
func (d Dialogue) List(choices ...string) {
	for i, c := range choices {
		d.PrintWrapped(strconv.Itoa(i+1) + ". " + c)
	}
}

// Ask shows question, and under it "[def]> ", until the answer passes check. An
// empty answer means def. A nil check accepts all. Answers come without blanks at
// their ends.
func (d Dialogue) Ask(ctx context.Context, question, def string, check func(string) error) (string, error) {
	return d.askUntil(check, func() (string, error) {
		d.ensureBlankLines(1)
		if question != "" {
			d.PrintWrapped(question)
		}
		answer, err := d.Prompt(ctx, "["+def+"]> ")
		if answer = strings.TrimSpace(answer); answer == "" {
			answer = def
		}
		return answer, err
	})
}

// AskSecret is Ask without echo and without default; the answer comes as typed.
func (d Dialogue) AskSecret(ctx context.Context, question string, check func(string) error) (string, error) {
	return d.askUntil(check, func() (string, error) {
		d.ensureBlankLines(1)
		d.PrintWrapped(question)
		return d.Secret(ctx, "[]> ")
	})
}

// until asks until check has no objection.
func (d Dialogue) askUntil(check func(string) error, ask func() (string, error)) (string, error) {
	for {
		answer, err := ask()
		if err != nil || check == nil {
			return answer, err
		}
		err = check(answer)
		if err == nil {
			return answer, nil
		}
		text, refused := refusal.Text(err)
		if !refused {
			return "", err
		}
		d.PrintWrapped(text)
	}
}

// Confirm asks a yes-or-no question; the answer is given on the question's line.
func (d Dialogue) Confirm(ctx context.Context, question string, def bool) (bool, error) {
	prompt := question + " [N]> "
	if def {
		prompt = question + " [Y]> "
	}
	for {
		d.ensureBlankLineAfterAnswer()
		above, last := "", strings.TrimSuffix(d.wrap(prompt+"\x00"), "\x00")
		if i := strings.LastIndexByte(last, '\n'); i >= 0 {
			above, last = last[:i+1], last[i+1:]
		}
		io.WriteString(d.layout, above)
		answer, err := d.Prompt(ctx, last)
		if err != nil {
			return false, err
		}
		switch strings.ToLower(strings.TrimSpace(answer)) {
		case "":
			return def, nil
		case "y", "yes":
			return true, nil
		case "n", "no":
			return false, nil
		}
		d.Printf("Please answer yes or no.\n")
	}
}

// Choose shows a numbered list under the question and returns the index of the
// choice, which is given by number or by name, in any case. An empty answer means
// the choice with index def; with def -1 there is no default.
func (d Dialogue) Choose(ctx context.Context, question string, def int, choices ...string) (int, error) {
	preset := ""
	if def >= 0 {
		preset = strconv.Itoa(def + 1)
	}
	var n int
	_, err := d.Ask(ctx, numberedList(question, choices), preset, func(s string) (err error) {
		n, err = parseChoice(s, choices)
		return err
	})
	return n, err
}

// ChooseSeveral is Choose for one or more choices, with commas between them. The
// indices come sorted.
func (d Dialogue) ChooseSeveral(ctx context.Context, question string, def []int, choices ...string) ([]int, error) {
	preset := make([]string, len(def))
	for i, n := range def {
		preset[i] = strconv.Itoa(n + 1)
	}
	var picked []int
	_, err := d.Ask(ctx, numberedList(question, choices), strings.Join(preset, ", "), func(s string) error {
		picked = nil
		for one := range strings.SplitSeq(s, ",") {
			n, err := parseChoice(strings.TrimSpace(one), choices)
			if err != nil {
				return err
			}
			picked = append(picked, n)
		}
		slices.Sort(picked)
		picked = slices.Compact(picked)
		return nil
	})
	return picked, err
}

func numberedList(question string, choices []string) string {
	var b strings.Builder
	b.WriteString(question)
	for i, c := range choices {
		fmt.Fprintf(&b, "\n%d. %s", i+1, c)
	}
	return b.String()
}

// choice finds the choice that an answer names.
func parseChoice(answer string, choices []string) (int, error) {
	for i, c := range choices {
		if strings.EqualFold(answer, c) {
			return i, nil
		}
	}
	n, err := strconv.Atoi(answer)
	if err != nil || n < 1 || n > len(choices) {
		return 0, refusal.Newf("The value must be an integer from 1 to %d, or a name from the list.", len(choices))
	}
	return n - 1, nil
}
