package topology

import (
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/token"
)

// An Error is a mistake in a topology. Its text is one line.
type Error struct {
	File         string
	Line, Column int    // 0 if the mistake has no place in the file
	Path         string // of the value, such as "hosts[2].port"; "" if the mistake is not its text
	Message      string
}

// Error returns file:line:column: message.
func (e *Error) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s", e.File, e.Message)
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Message)
}

// An errorFunc returns an error about the value at path.
type errorFunc func(path, format string, args ...any) error

// A position is a place in a file. The zero position is none.
type position struct{ line, column int }

func positionOf(tok *token.Token) position {
	if tok == nil || tok.Position == nil {
		return position{}
	}
	return position{tok.Position.Line, tok.Position.Column}
}

// positions has the position where the value of each path begins.
type positions map[string]position

// find returns the position of path or of the nearest value that contains it.
func (p positions) find(path string) position {
	for {
		if at, ok := p[path]; ok && at != (position{}) {
			return at
		}
		cut := strings.LastIndexAny(path, ".[")
		if cut < 0 {
			return position{}
		}
		path = path[:cut]
	}
}

// oneLine returns s with single spaces instead of line breaks and other white space.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// index returns the path of rest in element i of a list.
func index(list string, i int, rest string) string { return fmt.Sprintf("%s[%d]%s", list, i, rest) }
