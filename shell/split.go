package shell

import (
	"strings"

	"github.com/esasim/esasim/appliance/refusal"
)

// badQuoting is the refusal of a command line that cannot be split.
const badQuoting = "Command contained invalid escape character: %s"

// splitLine splits a command line into commands, at semicolons and line ends, and each command into
// words, at blanks. A double-quoted part belongs to one word; inside the quotes \" stands for " and
// \\ for \, and no other escape is valid. Commands without words are omitted. The error is a
// refusal.
func splitLine(line string) ([][]string, error) {
	var commands [][]string
	var words []string
	var word strings.Builder
	quoted, inWord := false, false // an empty word is possible: ""
	endWord := func() {
		if inWord {
			words = append(words, word.String())
		}
		word.Reset()
		inWord = false
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
			quoted, inWord = !quoted, true
		case quoted:
			word.WriteByte(c)
		case c == ';' || c == '\n' || c == '\r':
			endCommand()
		case c == ' ' || c == '\t':
			endWord()
		default:
			inWord = true
			word.WriteByte(c)
		}
	}
	if quoted {
		return nil, refusal.Newf(badQuoting, `"`)
	}
	endCommand()
	return commands, nil
}
