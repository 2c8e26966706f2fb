package scp

import (
	"errors"
	"path"
	"strings"
)

// A Command is what the client asks the far side's scp for.
type Command struct {
	Source    bool // -f: send; else -t: receive
	Recursive bool
	Times     bool // -p
	Directory bool // -d: the target must be a directory
	Verbose   bool // -v: say on stderr what is done
	Paths     []Argument
}

// A Word is an argument as a shell leaves it.
type Argument struct {
	Text    string
	Pattern string // Text with what was quoted escaped, for path.Match
	Glob    bool   // the pattern has wildcards
}

// ErrNotSCP says that a command line is no scp's far side.
var ErrNotSCP = errors.New("scp: not an scp command")

// Quote makes a path one word of a command line.
func Quote(path string) string { return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'" }

// ParseCommand understands "scp [-rpdvq] -f|-t [--] path...".
func ParseCommand(line string) (Command, error) {
	var c Command
	words, err := splitWords(line)
	if err != nil || len(words) == 0 || path.Base(words[0].Text) != "scp" {
		return c, ErrNotSCP
	}
	sink := false
	words = words[1:]
	for len(words) > 0 && len(words[0].Text) > 1 && words[0].Text[0] == '-' {
		opts := words[0].Text[1:]
		words = words[1:]
		if opts == "-" {
			break
		}
		for _, o := range opts {
			switch o {
			case 'f':
				c.Source = true
			case 't':
				sink = true
			case 'r':
				c.Recursive = true
			case 'p':
				c.Times = true
			case 'd':
				c.Directory = true
			case 'v':
				c.Verbose = true
			case 'q': // no progress meter: this side has none
			default:
				return c, ErrNotSCP
			}
		}
	}
	if c.Source == sink || len(words) == 0 || sink && len(words) != 1 {
		return c, ErrNotSCP
	}
	c.Paths = words
	return c, nil
}

// splitWords splits a line as a shell does: blanks separate, quotes and
// backslashes keep. What a shell would do more (variables, pipes, several
// commands) is an error.
func splitWords(line string) ([]Argument, error) {
	var words []Argument
	var text, pattern strings.Builder
	inWord, glob := false, false
	quote := byte(0)
	end := func() {
		if inWord {
			words = append(words, Argument{text.String(), pattern.String(), glob})
		}
		text.Reset()
		pattern.Reset()
		inWord, glob = false, false
	}
	literal := func(c byte) {
		text.WriteByte(c)
		if strings.IndexByte(`*?[\`, c) >= 0 {
			pattern.WriteByte('\\')
		}
		pattern.WriteByte(c)
		inWord = true
	}
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case c == 0:
			return nil, ErrNotSCP
		case quote == '\'' && c != '\'', quote == '"' && c != '"' && c != '\\':
			literal(c)
		case quote != 0 && c == quote:
			quote = 0
		case c == '\\':
			if i++; i == len(line) {
				return nil, ErrNotSCP
			}
			if quote == '"' && strings.IndexByte("\"\\$`", line[i]) < 0 {
				literal('\\')
			}
			literal(line[i])
		case c == '\'' || c == '"':
			quote, inWord = c, true
		case c == ' ' || c == '\t' || c == '\n':
			end()
		case strings.IndexByte("|&;<>()$`", c) >= 0:
			return nil, ErrNotSCP
		case strings.IndexByte("*?[", c) >= 0:
			glob = true
			fallthrough
		default:
			text.WriteByte(c)
			pattern.WriteByte(c)
			inWord = true
		}
	}
	if quote != 0 {
		return nil, ErrNotSCP
	}
	end()
	return words, nil
}
