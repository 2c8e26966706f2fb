package shelltest

import (
	"regexp"
	"strings"
)

// A step is what the appliance must say, and then what the user types.
type step struct {
	line   int    // of the conversation, at which say begins
	say    string // may have placeholders
	mark   string // as written: "«exit»"; empty at the end
	keys   string // what is sent
	echo   string // what comes back for it
	newEnd bool   // a line end follows the mark in the conversation
	stay   bool   // nothing is typed: the conversation ends here, the session does not
}

var marks = regexp.MustCompile(`(?:«([^»]*)»|‹([^›]*)›)(\n?)`)

const ctrlC = "\x03"

// keyNames are the keys that can stand at the end of a text.
var keyNames = map[string]string{"space": " ", "tab": "\t", "up": "\x1b[A", "down": "\x1b[B", "left": "\x1b[D"}

var namedKey = regexp.MustCompile(`<([a-z]+)>$`)

// parse divides a conversation into steps. The last one has no input.
func parse(conversation string) []step {
	var steps []step
	rest, line := 0, 1
	for _, m := range marks.FindAllStringSubmatchIndex(conversation, -1) {
		s := step{line: line, say: conversation[rest:m[0]], mark: strings.TrimSuffix(conversation[m[0]:m[1]], "\n"), newEnd: m[6] < m[7]}
		if m[2] >= 0 {
			s.typed(conversation[m[2]:m[3]])
		} else {
			s.keys, s.echo = conversation[m[4]:m[5]]+"\r", "\n"
		}
		steps = append(steps, s)
		line += strings.Count(conversation[rest:m[1]], "\n")
		rest = m[1]
	}
	return append(steps, step{line: line, say: conversation[rest:]})
}

// typed sets what is sent for the text between «».
func (s *step) typed(text string) {
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
	if m := namedKey.FindStringSubmatch(text); m != nil && keyNames[m[1]] != "" {
		s.echo = strings.TrimSuffix(text, m[0])
		s.keys = s.echo + keyNames[m[1]]
		if s.newEnd {
			s.echo += "\n"
		}
		return
	}
	s.keys, s.echo = text+"\r", text+"\n"
}
