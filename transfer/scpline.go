package transfer

import (
	"errors"
	"path"
	"strings"
)

// An scpCommand is what the client asks the far side's scp for.
type scpCommand struct {
	source    bool // -f: send; else -t: receive
	recursive bool
	times     bool // -p
	directory bool // -d: the target must be a directory
	verbose   bool // -v: say on stderr what is done
	paths     []word
}

// A word is an argument as a shell leaves it.
type word struct {
	text    string
	pattern string // text with what was quoted escaped, for path.Match
	glob    bool   // the pattern has wildcards
}

var errNotSCP = errors.New("transfer: not an scp command")

// parseSCP understands "scp [-rpdvq] -f|-t [--] path...".
func parseSCP(line string) (scpCommand, error) {
	var c scpCommand
	words, err := splitWords(line)
	if err != nil || len(words) == 0 || path.Base(words[0].text) != "scp" {
		return c, errNotSCP
	}
	sink := false
	words = words[1:]
	for len(words) > 0 && len(words[0].text) > 1 && words[0].text[0] == '-' {
		opts := words[0].text[1:]
		words = words[1:]
		if opts == "-" {
			break
		}
		for _, o := range opts {
			switch o {
			case 'f':
				c.source = true
			case 't':
				sink = true
			case 'r':
				c.recursive = true
			case 'p':
				c.times = true
			case 'd':
				c.directory = true
			case 'v':
				c.verbose = true
			case 'q': // no progress meter: this side has none
			default:
				return c, errNotSCP
			}
		}
	}
	if c.source == sink || len(words) == 0 || sink && len(words) != 1 {
		return c, errNotSCP
	}
	c.paths = words
	return c, nil
}

// splitWords splits a line as a shell does: blanks separate, quotes and
// backslashes keep. What a shell would do more (variables, pipes, several
// commands) is an error.
func splitWords(line string) ([]word, error) {
	var words []word
	var text, pattern strings.Builder
	inWord, glob := false, false
	quote := byte(0)
	end := func() {
		if inWord {
			words = append(words, word{text.String(), pattern.String(), glob})
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
			return nil, errNotSCP
		case quote == '\'' && c != '\'', quote == '"' && c != '"' && c != '\\':
			literal(c)
		case quote != 0 && c == quote:
			quote = 0
		case c == '\\':
			if i++; i == len(line) {
				return nil, errNotSCP
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
			return nil, errNotSCP
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
		return nil, errNotSCP
	}
	end()
	return words, nil
}
