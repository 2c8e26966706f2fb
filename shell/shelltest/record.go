package shelltest

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"
)

// quiet is how long a session must say nothing before Record takes it that an
// answer is awaited.
const quiet = 50 * time.Millisecond

// mute is how long it must say nothing at all where the conversation has nothing
// either: the lines of a text are pasted one after the other.
const mute = 500 * time.Millisecond

// waits matches the end of what a session says when it awaits an answer: a prompt,
// a question without brackets, the pager's marker.
var waits = regexp.MustCompile(`(> |[:?] |-Press Any Key For More-|Password:)$`)

// Record types what the conversation types and returns the conversation with what
// was said this time. Where a line is as it was but for its measured values it
// keeps the placeholders. It has to guess when an answer is awaited; a person reads
// the difference. Where the conversation types something without a prompt before it,
// Record waits for as many lines as there were.
func (p *Player) Record(conversation string, patience time.Duration) (string, error) {
	var out strings.Builder
	for _, s := range parse(conversation) {
		said, err := p.gather(s, patience)
		if err != nil && !(errors.Is(err, io.EOF) && s.mark == "") {
			return "", fmt.Errorf("line %d: before %s: %w after %q", s.line, s.mark, err, said)
		}
		out.WriteString(keepPlaceholders(s.say, said) + s.mark)
		if s.stay {
			out.WriteByte('\n')
			break
		}
		if s.mark == "" {
			break
		}
		if _, err := io.WriteString(p.conn, s.keys); err != nil {
			return "", fmt.Errorf("line %d: type %s: %w", s.line, s.mark, err)
		}
		if err := p.hear(s.echo, patience); err != nil {
			return "", fmt.Errorf("line %d: echo of %s: %w", s.line, s.mark, err)
		}
		if strings.HasSuffix(s.echo, "\n") {
			out.WriteByte('\n')
		}
	}
	return out.String(), nil
}

// gather returns what is said until an answer is awaited, or the session ends.
func (p *Player) gather(s step, patience time.Duration) (string, error) {
	lines := -1 // to wait for, instead of a prompt
	if s.mark != "" && strings.HasSuffix(s.say, "\n") {
		lines = strings.Count(s.say, "\n")
	}
	var known *matcher // while all is as it was before Ctrl-C, which needs no prompt
	if s.keys == ctrlC {
		known = newMatcher(s.say)
	}
	var said strings.Builder
	for lines != 0 && (known == nil || !known.done()) {
		wait := patience
		switch {
		case said.Len() == 0 && s.say == "":
			wait = mute
		case lines < 0 && waits.MatchString(said.String()) && p.waiting() == "":
			wait = quiet
		}
		c, err := p.next(wait)
		if errors.Is(err, errPatience) && wait < patience {
			break
		}
		if err != nil {
			return said.String(), err
		}
		said.WriteByte(c)
		if known != nil && !known.step(c) {
			known = nil
		}
		if c == '\n' {
			lines--
		}
	}
	return said.String(), nil
}

// keepPlaceholders returns text with those of its lines in the form of before that
// before describes by placeholders.
func keepPlaceholders(before, text string) string {
	old := strings.SplitAfter(before, "\n")
	lines := strings.SplitAfter(text, "\n")
	for i, line := range lines {
		for j, o := range old {
			if placeholder.MatchString(o) && matches(o, line) {
				lines[i], old = o, old[j+1:]
				break
			}
		}
	}
	return strings.Join(lines, "")
}
