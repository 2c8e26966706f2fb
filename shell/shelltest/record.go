package shelltest

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/pattern"
)

// Record has to guess when a session waits for input: it does if no output arrives for some time.
const (
	promptPause = 50 * time.Millisecond  // after output that looks like a prompt
	outputPause = 500 * time.Millisecond // if the conversation has no output before a mark
)

// prompts matches output after which a session usually waits for input: a prompt, a question on the
// answer's line, the pager's marker.
var prompts = pattern.New(`(> |[:?] |-Press Any Key For More-|Password:)$`)

// Record types what the conversation types and returns the conversation with the output of this
// session. Where a line has changed in its measured values only, Record keeps the placeholders.
//
// Record guesses when the session waits for input; the user of Record must check the result. Before
// a mark that follows a line end, Record waits for as many lines as the conversation has there.
func (p *Player) Record(conversation string, timeout time.Duration) (string, error) {
	var out strings.Builder
	for _, s := range parse(conversation) {
		text, err := p.readOutput(s, timeout)
		if err != nil && !(errors.Is(err, io.EOF) && s.mark == "") {
			return "", fmt.Errorf("line %d: before %s: %w after %q", s.line, s.mark, err, text)
		}
		out.WriteString(keepPlaceholders(s.output, text) + s.mark)
		if s.stay {
			out.WriteByte('\n')
			break
		}
		if s.mark == "" {
			break
		}
		if err := p.typeKeys(s, timeout); err != nil {
			return "", err
		}
		if strings.HasSuffix(s.echo, "\n") {
			out.WriteByte('\n')
		}
	}
	return out.String(), nil
}

// readOutput reads until the session waits for the input of step s, or ends.
func (p *Player) readOutput(s step, timeout time.Duration) (string, error) {
	lines := -1 // the number of lines to wait for; negative: wait for a prompt
	if s.mark != "" && strings.HasSuffix(s.output, "\n") {
		lines = strings.Count(s.output, "\n")
	}
	var known *matcher // of the old output before Ctrl-C; nil as soon as the output differs
	if s.keys == ctrlC {
		known = newMatcher(s.output)
	}
	var text strings.Builder
	for lines != 0 && (known == nil || !known.done()) {
		wait := timeout
		switch {
		case text.Len() == 0 && s.output == "":
			wait = outputPause
		case lines < 0 && prompts().MatchString(text.String()) && p.unused() == "":
			wait = promptPause
		}
		c, err := p.next(wait)
		if errors.Is(err, errTimeout) && wait < timeout {
			break
		}
		if err != nil {
			return text.String(), err
		}
		text.WriteByte(c)
		if known != nil && !known.step(c) {
			known = nil
		}
		if c == '\n' {
			lines--
		}
	}
	return text.String(), nil
}

// keepPlaceholders returns text, in which lines that match a line of before with placeholders are
// replaced by that line.
func keepPlaceholders(before, text string) string {
	old := strings.SplitAfter(before, "\n")
	lines := strings.SplitAfter(text, "\n")
	for i, line := range lines {
		for j, o := range old {
			if placeholder().MatchString(o) && matches(o, line) {
				lines[i], old = o, old[j+1:]
				break
			}
		}
	}
	return strings.Join(lines, "")
}
