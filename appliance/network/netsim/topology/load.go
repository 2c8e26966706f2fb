package topology

import "fmt"

// Load reads the topology in data, fills in defaults and checks it. Hosts may run the given
// types of server. name is the file's and appears in messages. Errors are of type *Error.
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
// it. Errors are of type *Error and have no position.
func (t *Topology) Check(servers ServerTypes) error {
	unloaded := Topology{File: t.File}
	return t.check(servers, unloaded.ErrorAt)
}

// ErrorAt returns an *Error about the value at path, which is written like
// "appliance.logs[0].name". If the file does not have that value, the error points at the
// nearest value that would contain it. Positions are those of the file when it was loaded; a
// topology that was made without Load has none, and the message then begins with the path.
func (t *Topology) ErrorAt(path, format string, args ...any) error {
	message := fmt.Sprintf(format, args...)
	at := t.at.find(path)
	if at == (position{}) {
		message = path + ": " + message
	}
	return &Error{File: t.File, Line: at.line, Column: at.column, Message: oneLine(message)}
}
