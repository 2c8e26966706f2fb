package topology

import (
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/token"
)

// An Error names a mistake in a topology. It is one line.
type Error struct {
	File         string
	Line, Column int // 0 if the mistake has no place in the file
	Message      string
}

// Error returns file:line:column: message.
func (e *Error) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s", e.File, e.Message)
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Message)
}

// Load reads the topology in data. Hosts may run the given types of server. name is the
// file's and appears in messages. Errors are of type *Error.
func Load(name string, data []byte, servers ServerTypes) (*Topology, error) {
	t := &Topology{File: name}
	d := &decoder{file: name, at: make(positions)}
	if err := d.document(data, t); err != nil {
		return nil, err
	}
	t.at = d.at
	t.setDefaults(servers)
	if err := t.check(servers, t.ErrorAt); err != nil {
		return nil, err
	}
	return t, nil
}

// Check reports what is wrong with a topology that was changed after Load or made without
// it. Its errors are of type *Error and have no position.
func (t *Topology) Check(servers ServerTypes) error {
	return t.check(servers, func(path, format string, args ...any) error {
		return &Error{File: t.File, Message: oneLine(path + ": " + fmt.Sprintf(format, args...))}
	})
}

// ErrorAt returns an *Error about the value at path, which is written as in
// "appliance.logs[0].name". If the file does not have that value, the error points at the
// value that should contain it. Positions are those of the file when it was loaded.
func (t *Topology) ErrorAt(path, format string, args ...any) error {
	at := t.at.find(path)
	return &Error{File: t.File, Line: at.line, Column: at.column, Message: oneLine(fmt.Sprintf(format, args...))}
}

// A position is a place in a file; zero if there is none.
type position struct{ line, column int }

func positionOf(tok *token.Token) position {
	if tok == nil || tok.Position == nil {
		return position{}
	}
	return position{tok.Position.Line, tok.Position.Column}
}

// positions tell where the value of a path begins.
type positions map[string]position

// find returns the position of path or of the nearest value around it.
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

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// index returns the path of rest in element i of a list.
func index(list string, i int, rest string) string { return fmt.Sprintf("%s[%d]%s", list, i, rest) }
