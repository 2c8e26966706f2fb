package shell

import (
	"strings"

	"github.com/esasim/esasim/appliance/refusal"
)

// badQuoting is what is said of a command line that cannot be taken apart.
const badQuoting = "Command contained invalid escape character: %s"

// splitLine divides a command line into commands, at semicolons and line ends, and
// these into words, at blanks. Double quotes hold a word together; inside them \"
// and \\ stand for " and \, and no other escape is valid. Commands without a word
// are left out. Its error is a Refusal.
func splitLine(line string) ([][]string, error) {
	var commands [][]string
	var words []string
	var word strings.Builder
	quoted, begun := false, false // in quotes; in a word, which may be empty
	endWord := func() {
		if begun {
			words = append(words, word.String())
		}
		word.Reset()
		begun = false
	}
	endCommand := func() {
		if endWord(); len(words) > 0 {
			commands = append(commands, words)
		}
		words = nil
	}
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case quoted && c == '\\':
			i++
			if i == len(line) || line[i] != '"' && line[i] != '\\' {
				return nil, refusal.Newf(badQuoting, line[i-1:min(i+1, len(line))])
			}
			word.WriteByte(line[i])
		case c == '"':
			quoted, begun = !quoted, true
		case quoted:
			word.WriteByte(c)
		case c == ';' || c == '\n' || c == '\r':
			endCommand()
		case c == ' ' || c == '\t':
			endWord()
		default:
			begun = true
			word.WriteByte(c)
		}
	}
	if quoted {
		return nil, refusal.Newf(badQuoting, `"`)
	}
	endCommand()
	return commands, nil
}
