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

// A Prompter is the user's end of a conversation. A dialogue needs nothing else of a terminal.
// Lines that are written to it end in "\n".
type Prompter interface {
	io.Writer
	// Prompt writes text, without a line end, and reads a line. It returns ErrInterrupt for
	// Ctrl-C, io.EOF for Ctrl-D on an empty line and for the end of a script, and the cause of
	// ctx if that ends first.
	Prompt(ctx context.Context, text string) (string, error)
	// Secret is Prompt without echo.
	Secret(ctx context.Context, text string) (string, error)
}

// A Screen is a Prompter that is a terminal. Only for a Screen is text wrapped and divided into
// pages.
type Screen interface {
	Prompter
	// Size returns the number of columns and rows.
	Size() (columns, rows int)
	// WaitForKey waits until the user presses any key. Its errors are those of Prompt.
	WaitForKey(ctx context.Context) error
}

// A LineReader is a Prompter for commands that connect the user to another machine, as telnet does.
// Such a command writes the other machine's output to the LineReader and not to a Dialogue, which
// would insert blank lines.
type LineReader interface {
	Prompter
	// ReadLine reads a line without a prompt. If the user of a terminal presses the key
	// escape, at any place of the line, the line is dropped and ReadLine returns ErrEscape.
	// Other errors are those of Prompt.
	ReadLine(ctx context.Context, escape byte) (string, error)
}

// A Dialogue asks questions in the way AsyncOS asks them. It must not be used by several goroutines
// at a time.
type Dialogue struct{ *layout }

// NewDialogue returns a dialogue over p.
func NewDialogue(p Prompter) Dialogue {
	l := &layout{Prompter: p, paging: true}
	l.screen, _ = p.(Screen)
	return Dialogue{l}
}

// Printf writes formatted text without wrapping it.
func (d Dialogue) Printf(format string, a ...any) { fmt.Fprintf(d.layout, format, a...) }

// PrintWrapped writes text and a newline. It breaks lines that are longer than the terminal is wide
// between words.
func (d Dialogue) PrintWrapped(text string) { io.WriteString(d.layout, d.wrap(text)+"\n") }

// List prints a numbered list.
func (d Dialogue) List(choices ...string) {
	for i, c := range choices {
		d.PrintWrapped(strconv.Itoa(i+1) + ". " + c)
	}
}

// Ask prints question and, below it, the prompt "[def]> ", and returns the answer without leading
// and trailing blanks. An empty answer means def. If check returns a refusal, Ask prints it and
// asks again. A nil check accepts every answer.
func (d Dialogue) Ask(
	ctx context.Context, question, def string, check func(string) error,
) (string, error) {
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

// AskSecret is Ask without echo and without default. It returns the answer exactly as typed.
func (d Dialogue) AskSecret(
	ctx context.Context, question string, check func(string) error,
) (string, error) {
	return d.askUntil(check, func() (string, error) {
		d.ensureBlankLines(1)
		d.PrintWrapped(question)
		return d.Secret(ctx, "[]> ")
	})
}

// askUntil asks until check accepts the answer.
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
		if !d.showRefusal(err) {
			return "", err
		}
	}
}

// showRefusal prints the text of err if err is a refusal, and reports whether it is one.
func (d Dialogue) showRefusal(err error) bool {
	text, refused := refusal.Text(err)
	if !refused {
		return false
	}
	d.PrintWrapped(text)
	d.reportRefusal(err)
	return true
}

// reportRefusal passes err to onRefusal if it is a refusal with a cause.
func (d Dialogue) reportRefusal(err error) {
	if d.onRefusal != nil && refusal.Cause(err) != nil {
		d.onRefusal(err)
	}
}

// Confirm asks a yes-or-no question. The user enters the answer on the question's own line.
func (d Dialogue) Confirm(ctx context.Context, question string, def bool) (bool, error) {
	prompt := question + " [N]> "
	if def {
		prompt = question + " [Y]> "
	}
	yes := def
	_, err := d.AskOnLine(ctx, prompt, func(answer string) error {
		switch strings.ToLower(answer) {
		case "":
			yes = def
		case "y", "yes":
			yes = true
		case "n", "no":
			yes = false
		default:
			return refusal.New("Please answer yes or no.")
		}
		return nil
	})
	return yes && err == nil, err
}

// AskOnLine prints prompt, which ends with "> ", and returns the answer, which the user enters on
// the same line, without leading and trailing blanks. If check returns a refusal, AskOnLine prints
// it and asks again. A nil check accepts every answer.
func (d Dialogue) AskOnLine(
	ctx context.Context, prompt string, check func(string) error) (string, error) {
	return d.askUntil(check, func() (string, error) {
		d.ensureBlankLineAfterAnswer()
		// The NUL keeps wrap from removing the blank at the end.
		above, last := "", strings.TrimSuffix(d.wrap(prompt+"\x00"), "\x00")
		if i := strings.LastIndexByte(last, '\n'); i >= 0 {
			above, last = last[:i+1], last[i+1:]
		}
		io.WriteString(d.layout, above)
		answer, err := d.Prompt(ctx, last)
		return strings.TrimSpace(answer), err
	})
}

// Choose prints a question and a numbered list, and returns the index of the user's choice. The
// user answers with the number or the name, in upper or lower case. An empty answer means the
// choice with index def; if def is -1 there is no default.
func (d Dialogue) Choose(
	ctx context.Context, question string, def int, choices ...string,
) (int, error) {
	defText := ""
	if def >= 0 {
		defText = strconv.Itoa(def + 1)
	}
	var n int
	_, err := d.Ask(ctx, numberedList(question, choices), defText, func(s string) (err error) {
		n, err = parseChoice(s, choices)
		return err
	})
	return n, err
}

// ChooseSeveral is Choose for one or more choices, separated by commas. The returned indices are
// sorted.
func (d Dialogue) ChooseSeveral(
	ctx context.Context, question string, def []int, choices ...string,
) ([]int, error) {
	defText := make([]string, len(def))
	for i, n := range def {
		defText[i] = strconv.Itoa(n + 1)
	}
	var picked []int
	question = numberedList(question, choices)
	_, err := d.Ask(ctx, question, strings.Join(defText, ", "), func(s string) error {
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

// numberedList returns a question with a numbered list below it.
func numberedList(question string, choices []string) string {
	var b strings.Builder
	b.WriteString(question)
	for i, c := range choices {
		fmt.Fprintf(&b, "\n%d. %s", i+1, c)
	}
	return b.String()
}

// parseChoice returns the index of the choice whose name or number is answer.
func parseChoice(answer string, choices []string) (int, error) {
	for i, c := range choices {
		if strings.EqualFold(answer, c) {
			return i, nil
		}
	}
	n, err := strconv.Atoi(answer)
	if err != nil || n < 1 || n > len(choices) {
		return 0, refusal.Newf("The value must be an integer from 1 to %d, or a name from the list.",
			len(choices))
	}
	return n - 1, nil
}
