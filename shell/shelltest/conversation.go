package shelltest

import (
	"strings"

	"github.com/esasim/esasim/appliance/pattern"
)

// A step is a part of a conversation: the appliance's output, and then what the user types.
type step struct {
	line    int    // the number of the conversation's line at which output begins
	output  string // may contain placeholders
	mark    string // as it is written: "«exit»"; empty in the last step
	keys    string // the bytes to send
	echo    string // the output that keys cause directly
	lineEnd bool   // a line end follows the mark
	stay    bool   // the mark is «…»
}

var marks = pattern.New(`(?:«([^»]*)»|‹([^›]*)›)(\n?)`)

const ctrlC = "\x03"

// keys are the bytes of the keys that have a name.
var keys = map[string]string{
	"space": " ", "tab": "\t", "up": "\x1b[A", "down": "\x1b[B", "left": "\x1b[D",
}

var namedKey = pattern.New(`<([a-z]+)>$`)

// parse splits a conversation into steps. The last step has no mark.
func parse(conversation string) []step {
	var steps []step
	rest, line := 0, 1
	for _, m := range marks().FindAllStringSubmatchIndex(conversation, -1) {
		s := step{
			line:    line,
			output:  conversation[rest:m[0]],
			mark:    strings.TrimSuffix(conversation[m[0]:m[1]], "\n"),
			lineEnd: m[6] < m[7],
		}
		if m[2] >= 0 {
			s.setEchoed(conversation[m[2]:m[3]])
		} else {
			s.keys, s.echo = conversation[m[4]:m[5]]+"\r", "\n"
		}
		steps = append(steps, s)
		line += strings.Count(conversation[rest:m[1]], "\n")
		rest = m[1]
	}
	return append(steps, step{line: line, output: conversation[rest:]})
}

// setEchoed sets keys and echo for the text between «».
func (s *step) setEchoed(text string) {
	switch text {
	case "…":
		s.stay = true
		return
	case "^C":
		s.keys, s.echo = ctrlC, "^C\n"
		return
	case "^D":
		s.keys, s.echo = "\x04", "\n"
		return
	case "^]":
		s.keys, s.echo = "\x1d", "^]\n"
		return
	}
	if m := namedKey().FindStringSubmatch(text); m != nil && keys[m[1]] != "" {
		s.echo = strings.TrimSuffix(text, m[0])
		s.keys = s.echo + keys[m[1]]
		if s.lineEnd {
			s.echo += "\n"
		}
		return
	}
	s.keys, s.echo = text+"\r", text+"\n"
}
