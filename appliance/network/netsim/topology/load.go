package topology

import "fmt"

// Load reads the topology in data, fills in defaults and checks it. Hosts may run the given
// types of server. overrides change what the file says. name is the file's and appears in messages.
// Errors are of type *Error.
func Load(
	name string, data []byte, servers ServerTypes, overrides ...Override,
) (*Topology, error) {
	t := &Topology{File: name}
	d := &decoder{file: name, at: make(positions)}
	if err := d.document(data, t); err != nil {
		return nil, err
	}
	t.at = d.at
	for _, o := range overrides {
		var err error
		if t, err = o.override(t); err != nil {
			return nil, err
		}
	}
	t.setDefaults(servers)
	if err := t.check(servers, t.ErrorAt); err != nil {
		return nil, err
	}
	return t, nil
}

// An Override is a part of a topology that is given besides the file: an Uplink or a DHCPClient.
type Override interface {
	// override returns a copy of a topology with the override, before defaults are filled in.
	override(t *Topology) (*Topology, error)
}

// Check reports what is wrong with a topology that was changed after Load or made without
// it. Errors are of type *Error and have no position.
func (t *Topology) Check(servers ServerTypes) error {
	unloaded := Topology{File: t.File}
	return t.check(servers, unloaded.ErrorAt)
}

// CheckIdentity reports what is wrong with the host name, the serial number and what else is said
// of the appliance alone, but its interfaces and logs. Errors are as those of Check.
func (t *Topology) CheckIdentity() error {
	unloaded := Topology{File: t.File}
	return (&checker{Topology: t, errorf: unloaded.ErrorAt}).appliance()
}

// ErrorAt returns an *Error about the value at path, which is written like
// "appliance.logs[0].name". If the file does not have that value, the error points at the
// nearest value that would contain it. Positions are those of the file when it was loaded; a
// topology that was made without Load has none, and the message then begins with the path.
func (t *Topology) ErrorAt(path, format string, args ...any) error {
	message := fmt.Sprintf(format, args...)
	file := t.at
	if t.source != nil {
		file = t.source.positions()
	}
	at := file.find(path)
	if at == (position{}) {
		message = path + ": " + message
	}
	return &Error{File: t.File, Line: at.line, Column: at.column, Message: oneLine(message)}
}

// A Document is a file in YAML of another kind than a topology. It keeps the positions of the values
// for messages.
type Document struct {
	file string
	at   positions
}

// Decode decodes data, strictly as a topology is decoded, into the struct to which v points: each
// key must be the yaml tag of a field. file is the name of the file and appears in messages. Errors
// are of type *Error.
func Decode(file string, data []byte, v any) (*Document, error) {
	d := &decoder{file: file, at: make(positions)}
	if err := d.document(data, v); err != nil {
		return nil, err
	}
	return &Document{file: file, at: d.at}, nil
}

// ErrorAt returns an *Error about the value at path: see Topology.ErrorAt.
func (d *Document) ErrorAt(path, format string, args ...any) error {
	t := Topology{File: d.file, at: d.at}
	return t.ErrorAt(path, format, args...)
}
