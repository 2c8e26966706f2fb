package scp

import (
	"errors"
	"path"
	"strings"
)

// A Command is a command line with which a client runs scp on the remote side.
type Command struct {
	Source    bool // -f: the remote side sends; else -t: it receives
	Recursive bool // -r
	Times     bool // -p: preserve modification times
	Directory bool // -d: the target must be a directory
	Verbose   bool // -v: describe each step on stderr
	Paths     []Argument
}

// An Argument is an argument of a command line, without its quotes.
type Argument struct {
	Text    string
	Pattern string // for path.Match: Text, in which quoted special characters are escaped
	Glob    bool   // Pattern has wildcards
}

// ErrNotSCP is the error for a command line that does not run scp in one of its remote modes.
var ErrNotSCP = errors.New("scp: not an scp command")

// Quote returns path in quotes, so that a shell takes it as one argument.
func Quote(path string) string { return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'" }

// ParseCommand parses "scp [-rpdvq] -f|-t [--] path...".
func ParseCommand(line string) (Command, error) {
	var c Command
	args, err := splitArguments(line)
	if err != nil || len(args) == 0 || path.Base(args[0].Text) != "scp" {
		return c, ErrNotSCP
	}
	sink := false
	args = args[1:]
	for len(args) > 0 && len(args[0].Text) > 1 && args[0].Text[0] == '-' {
		opts := args[0].Text[1:]
		args = args[1:]
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
			case 'q': // no progress meter: the remote side never has one
			default:
				return c, ErrNotSCP
			}
		}
	}
	if c.Source == sink || len(args) == 0 || sink && len(args) != 1 {
		return c, ErrNotSCP
	}
	c.Paths = args
	return c, nil
}

// splitArguments splits a command line as a shell does: blanks separate arguments, unless they are
// quoted or escaped. Variables, pipes and everything else that a shell would process are an error.
func splitArguments(line string) ([]Argument, error) {
	var args []Argument
	var text, pattern strings.Builder
	inArg, glob := false, false
	quote := byte(0)
	end := func() {
		if inArg {
			args = append(args, Argument{text.String(), pattern.String(), glob})
		}
		text.Reset()
		pattern.Reset()
		inArg, glob = false, false
	}
	literal := func(c byte) {
		text.WriteByte(c)
		if strings.IndexByte(`*?[\`, c) >= 0 {
			pattern.WriteByte('\\')
		}
		pattern.WriteByte(c)
		inArg = true
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
			quote, inArg = c, true
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
			inArg = true
		}
	}
	if quote != 0 {
		return nil, ErrNotSCP
	}
	end()
	return args, nil
}
